"""Sends cases and judges the answers."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from services.rpc.grpc_client import OPTIONS
from tests.fuzz.cases import Case, GrpcCase, HttpCase
from tests.fuzz.target import Target

_PATIENCE = 30.0
_UNFINISHED_PATIENCE = 0.5
_FAULTS = frozenset({"INTERNAL", "UNKNOWN", "DATA_LOSS", "UNAVAILABLE", "DEADLINE_EXCEEDED"})
# uvicorn answers in plain text what it cannot read as HTTP.
_NO_HTTP = "Invalid HTTP request received."


@dataclass(frozen=True, slots=True)
class Answer:
    """`code` is an HTTP status or a gRPC code's name; `complaint` is what is wrong with it, if anything is."""

    code: str
    said: str
    complaint: str | None = None


class Gun:
    """Sends to one target; to be used by one thread."""

    def __init__(self, target: Target, tasks: grpc.Channel, storage: grpc.Channel) -> None:
        self._target = target
        self._tasks = tasks
        self._storage = storage

    def send(self, case: Case) -> Answer:
        answer = self._http(case) if isinstance(case, HttpCase) else self._grpc(case)
        leaked = [name for name, value in self._target.secrets.items() if value in answer.said]
        return Answer(answer.code, answer.said, f"tells {leaked[0]}") if leaked else answer

    def _http(self, case: HttpCase) -> Answer:
        raw = case.raw.replace(b"{key}", self._target.api_key.encode())
        patience = _UNFINISHED_PATIENCE if case.unfinished else _PATIENCE
        try:
            with socket.create_connection((self._target.host, self._target.port), timeout=patience) as connection:
                return _judge_http(case, *_exchange(connection, raw, case.raw.partition(b" ")[0]))
        except TimeoutError:
            return Answer("none", "", None if case.unfinished else f"no answer within {patience:g} s")
        except (http.client.HTTPException, ConnectionError):
            # Whoever talks no HTTP may be hung up on.
            return Answer("closed", "")

    def _grpc(self, case: GrpcCase) -> Answer:
        secrets = {"{token}": self._target.internal_token, "{key}": self._target.api_key}
        metadata = tuple((name, _filled(value, secrets)) for name, value in case.metadata)
        channel = self._storage if ".storage." in case.method else self._tasks
        method: Any = channel.stream_stream(case.method)
        call = method(iter(case.messages), timeout=_PATIENCE, metadata=metadata)
        try:
            seen = 0
            for seen, _ in enumerate(call, 1):  # noqa: B007  # how many, for the report
                if "/Watch" in case.method:
                    call.cancel()
        except grpc.RpcError as error:
            return _judge_grpc(case, error)
        return Answer("OK", f"{seen} messages", "was not refused" if case.refused else None)


@contextmanager
def loaded(target: Target) -> Iterator[Gun]:
    """A gun with channels of its own."""
    with (
        grpc.insecure_channel(target.tasks, options=OPTIONS) as tasks,
        grpc.insecure_channel(target.storage, options=OPTIONS) as storage,
    ):
        yield Gun(target, tasks, storage)


def _filled(value: str, secrets: dict[str, str]) -> str:
    for mark, secret in secrets.items():
        value = value.replace(mark, secret)
    return value


def _exchange(connection: socket.socket, raw: bytes, method: bytes) -> tuple[int, str, bytes]:
    """Status, content type and body."""
    # Refused before all of it was sent: the answer may lie there already.
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(raw)
    response = http.client.HTTPResponse(connection, method=method.decode("latin-1"))
    try:
        response.begin()
        return response.status, response.headers.get("content-type", ""), response.read()
    finally:
        response.close()


def _judge_http(case: HttpCase, status: int, kind: str, body: bytes) -> Answer:
    said = body.decode("utf-8", "replace") if status >= 400 else ""
    complaint = None
    if status >= 500:
        complaint = "a server error"
    elif case.refused and not 400 <= status < 500:
        complaint = "was not refused"
    elif status >= 400 and case.raw.partition(b" ")[0] != b"HEAD" and not _is_clear(kind, said):
        complaint = "an unclear refusal"
    return Answer(str(status), said, complaint)


def _is_clear(kind: str, said: str) -> bool:
    """A problem with a reason, or the contract's list of what is wrong."""
    if said == _NO_HTTP:
        return True
    try:
        found: Any = json.loads(said)
    except ValueError:
        return False
    return bool(found.get("reason") if "problem+json" in kind else found.get("detail"))


def _judge_grpc(case: GrpcCase, error: Any) -> Answer:
    code, said = error.code().name, error.details() or ""
    complaint = None
    if "/Watch" in case.method and code in ("CANCELLED", "DEADLINE_EXCEEDED"):
        return Answer(code, said)
    if code in _FAULTS:
        complaint = "a server error"
    elif code != "UNIMPLEMENTED" and not _has_reason(error):
        complaint = "an unclear refusal"
    return Answer(code, said, complaint)


def _has_reason(error: Any) -> bool:
    try:
        status = rpc_status.from_call(error)
    except ValueError:
        return False  # gRPC failed the call after the server had answered
    info = error_details_pb2.ErrorInfo()
    return status is not None and any(detail.Unpack(info) and info.reason for detail in status.details)
