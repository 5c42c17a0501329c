"""A model hub on this machine that speaks the hub's protocol, as its documentation and its own client have it.

`test_hub_models.py` lets that client, huggingface_hub, fetch from here too.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

_LFS = (".safetensors", ".bin", ".ckpt", ".model")


@dataclass
class Shelf:
    """A repository: its files, and how it behaves. `commit` is what every branch in `revisions` means."""

    files: dict[str, bytes]
    revisions: tuple[str, ...] = ("main",)
    licence: str | None = "apache-2.0"
    # Of each file: that many times it breaks off after so many bytes.
    cuts: dict[str, list[int]] = field(default_factory=dict)
    # What is sent in place of the file that is listed.
    swapped: dict[str, bytes] = field(default_factory=dict)
    # What is listed beside the files.
    listed: list[dict[str, Any]] = field(default_factory=list)
    gated: bool = False
    token: str | None = None
    knows_parts: bool = True
    broken: int = 0

    @property
    def commit(self) -> str:
        return hashlib.sha1(b"".join(name.encode() + content for name, content in self.files.items())).hexdigest()

    @classmethod
    def of(cls, folder: Path, **more: Any) -> Shelf:
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        return cls({path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}, **more)

    def listing(self, id: str) -> dict[str, Any]:
        return {
            "id": id,
            "modelId": id,
            "sha": self.commit,
            "private": False,
            "gated": "manual" if self.gated else False,
            "cardData": {"license": self.licence} if self.licence else None,
            "tags": ["diffusers"],
            "siblings": [_sibling(name, content) for name, content in self.files.items()] + self.listed,
        }


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is nobody's fault here."""


class HubServer:
    def __init__(self) -> None:
        self.shelves: dict[str, Shelf] = {}
        # Method, path and range of every request, as they came.
        self.asked: list[tuple[str, str, str | None]] = []
        # The keys that came along to where large files lie.
        self.leaked: list[str] = []
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        # Another host, to whoever compares names.
        self.elsewhere = f"http://localhost:{self._server.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator[HubServer]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def ranges_of(self, name: str) -> list[str | None]:
        """Of the requests for all of that file, or for the rest of it, wherever they led."""
        return [part for part in self._parts_of(name) if not _is_head(part)]

    def heads_of(self, name: str) -> list[str | None]:
        """Of the requests for its beginning alone."""
        return [part for part in self._parts_of(name) if _is_head(part)]

    def _parts_of(self, name: str) -> list[str | None]:
        return [part for method, path, part in self.asked if method == "GET" and path.endswith(f"/{name}")]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(_Handler):
            server_hub = hub

        return Handler


class _Handler(BaseHTTPRequestHandler):
    server_hub: HubServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        """Quietly."""

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server_hub.asked.append((self.command, path, self.headers.get("Range")))
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            if shelf := self._shelf(found[1], found[2] or "main"):
                self._send(200, json.dumps(shelf.listing(found[1])).encode(), {"Content-Type": "application/json"})
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            if shelf := self._shelf(found[1], found[2]):
                self._resolve(shelf, found[1], found[3])
        elif found := re.fullmatch(r"/cdn/([^/]+/[^/]+)/(.+)", path):
            self.server_hub.leaked += self.headers.get_all("Authorization") or []
            self._content(self.server_hub.shelves[found[1]], found[2], {})
        else:
            self._refuse(404, "EntryNotFound")

    def _shelf(self, id: str, revision: str) -> Shelf | None:
        """None where it was refused."""
        shelf = self.server_hub.shelves.get(id)
        if shelf is None:
            self._refuse(401, "RepoNotFound")
        elif shelf.broken:
            shelf.broken -= 1
            self._refuse(503, "")
        elif shelf.token and self.headers.get("Authorization") != f"Bearer {shelf.token}":
            self._refuse(403 if "Authorization" in self.headers else 401, "GatedRepo" if shelf.gated else "")
        elif revision not in (*shelf.revisions, shelf.commit):
            self._refuse(404, "RevisionNotFound")
        else:
            return shelf
        return None

    def _resolve(self, shelf: Shelf, id: str, name: str) -> None:
        """Small files come from here; large ones lie elsewhere, where the key of the account has no business."""
        if name not in shelf.files:
            self._refuse(404, "EntryNotFound")
            return
        about = {"X-Repo-Commit": shelf.commit}
        if name.endswith(_LFS):
            content = shelf.files[name]
            linked = {"X-Linked-Size": str(len(content)), "X-Linked-ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
            self._send(302, b"", {**about, **linked, "Location": f"{self.server_hub.elsewhere}/cdn/{id}/{name}"})
        else:
            self._content(shelf, name, {**about, "ETag": f'"{_git(shelf.files[name])}"'})

    def _content(self, shelf: Shelf, name: str, headers: dict[str, str]) -> None:
        content = shelf.swapped.get(name, shelf.files[name])
        told = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        begin = int(told[1]) if told and shelf.knows_parts else 0
        end = min(len(content), int(told[2]) + 1) if told and told[2] and shelf.knows_parts else len(content)
        status = 200
        if told and shelf.knows_parts:
            status = 206
            headers = {**headers, "Content-Range": f"bytes {begin}-{end - 1}/{len(content)}"}
        cuts = None if _is_head(self.headers.get("Range")) else shelf.cuts.get(name)
        self._send(status, content[begin:end], headers, cut=cuts.pop(0) if cuts and self.command == "GET" else None)

    def _refuse(self, status: int, code: str) -> None:
        body = json.dumps({"error": code}).encode()
        self._send(status, body, {"Content-Type": "application/json", **({"X-Error-Code": code} if code else {})})

    def _send(self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True


def _sibling(name: str, content: bytes) -> dict[str, Any]:
    said: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": _git(content)}
    if name.endswith(_LFS):
        said["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return said


def _is_head(part: str | None) -> bool:
    return part is not None and not part.endswith("-")


def _git(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
