"""One attack as data: what exactly is sent, so that it can be sent again."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

Metadata: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class HttpCase:
    """The bytes of one request, with `{key}` where the API key goes.

    `refused` says that anything but a 4xx is a fault; `unfinished` that the server may wait for more.
    """

    kind: str
    note: str
    raw: bytes
    refused: bool = False
    unfinished: bool = False

    def to_json(self) -> dict[str, Any]:
        flags = {"refused": self.refused, "unfinished": self.unfinished}
        return {"http": {"kind": self.kind, "note": self.note, "raw": _text(self.raw), **flags}}


@dataclass(frozen=True, slots=True)
class GrpcCase:
    """The serialized messages of one call, with `{token}` and `{key}` in the metadata where the secrets go."""

    kind: str
    note: str
    method: str
    metadata: Metadata
    messages: tuple[bytes, ...]
    refused: bool = False

    def to_json(self) -> dict[str, Any]:
        flags = {"method": self.method, "metadata": self.metadata, "refused": self.refused}
        return {"grpc": {"kind": self.kind, "note": self.note, "messages": list(map(_text, self.messages)), **flags}}


Case: TypeAlias = HttpCase | GrpcCase
Shoot: TypeAlias = Callable[[Case], None]


def from_json(found: dict[str, Any]) -> Case:
    """Inverse of `to_json`."""
    if "http" in found:
        return HttpCase(**{**found["http"], "raw": base64.b64decode(found["http"]["raw"])})
    given = found["grpc"]
    metadata = tuple((name, value) for name, value in given["metadata"])
    return GrpcCase(**{**given, "metadata": metadata, "messages": tuple(map(base64.b64decode, given["messages"]))})


def http_request(
    method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"", *, key: bool = True
) -> bytes:
    """A request that ends its connection; `headers` replace the usual ones, which an empty value leaves out."""
    usual = {"Host": "api.example", "Connection": "close", "Content-Length": str(len(body)) if body else ""}
    if key:
        usual["Authorization"] = "Bearer {key}"
    lines = [f"{name}: {value}" for name, value in {**usual, **(headers or {})}.items() if value]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode("utf-8", "surrogateescape") + body


def json_request(method: str, path: str, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    return http_request(method, path, {"Content-Type": "application/json", **(headers or {})}, body)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
