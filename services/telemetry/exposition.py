"""`GET /metrics` in Prometheus' text format, on a port apart from what callers reach."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client.exposition import choose_encoder

from services.common.background import running
from services.telemetry.instruments import REGISTRY, Histogram

_HEAD_SECONDS = 5.0
_HEAD_BYTES = 16_384
_AT_ONCE = 8
_LOOK_SECONDS = 1.0
LOOP_DELAY = Histogram(
    "atelier_event_loop_delay_seconds",
    "How much later than due the event loop of the process got to a timer, once a second.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)


@asynccontextmanager
async def serving_metrics(host: str, port: int) -> AsyncIterator[None]:
    """For as long as the block lasts; port 0 serves none. Raises OSError when the port is taken."""
    if not port:
        yield
        return
    try:
        server = await asyncio.start_server(_Answers().serve, host, port, limit=_HEAD_BYTES)
    except OSError as error:
        raise OSError(f"cannot listen on {host}:{port} for METRICS_PORT: is it in use?") from error
    async with running(loop_delay=_watch_loop):
        try:
            yield
        finally:
            server.close()


async def _watch_loop() -> None:
    while True:
        due = time.monotonic() + _LOOK_SECONDS
        await asyncio.sleep(_LOOK_SECONDS)
        LOOP_DELAY.observe(max(0.0, time.monotonic() - due))


class _Answers:
    """One request a connection, few at a time, none of them slow."""

    def __init__(self) -> None:
        self._open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                async with asyncio.timeout(_HEAD_SECONDS):
                    if self._open <= _AT_ONCE:
                        writer.write(_answer(await reader.readuntil(b"\r\n\r\n")))
                        await writer.drain()
        finally:
            self._open -= 1
            writer.close()


def _answer(head: bytes) -> bytes:
    request, *fields = head.decode("latin-1").split("\r\n")
    method, _, rest = request.partition(" ")
    path = rest.partition(" ")[0].partition("?")[0]
    if path != "/metrics":
        return _response("404 Not Found", "text/plain", b"metrics are at /metrics\n")
    if method not in ("GET", "HEAD"):
        return _response("405 Method Not Allowed", "text/plain", b"", "Allow: GET, HEAD")
    given = dict(field.lower().split(":", 1) for field in fields if ":" in field)
    encode, content_type = choose_encoder(given.get("accept", ""))
    body = encode(REGISTRY)
    return _response("200 OK", content_type, body, shown=method == "GET")


def _response(status: str, content_type: str, body: bytes, *more: str, shown: bool = True) -> bytes:
    lines = (
        f"HTTP/1.1 {status}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *more,
        "",
        "",
    )
    return "\r\n".join(lines).encode("latin-1") + (body if shown else b"")
