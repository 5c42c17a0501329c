"""uvicorn's HTTP/1.1 with limits on size and time, and with responses written in one piece."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from enum import Enum, auto
from typing import Any

import orjson
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.edge.connections import ConnectionLimiter, ThroughputCheck
from gateway.edge.errors import (
    PROBLEM_TYPE,
    HeadTooLarge,
    RequestTimeout,
    TargetTooLong,
    UnknownTransferCoding,
    UnknownVersion,
    problem_body,
)
from gateway.edge.transport import CoalescingTransport
from services.common.errors import ComputeError, InvalidRequest

MAX_HEAD_BYTES = 256 << 10
# More of it cannot be parsed.
MAX_TARGET_BYTES = (64 << 10) - 1
# Of one that may only ask for health.
_SHORT_PATIENCE = 2.0


class Phase(Enum):
    """How far the client is with its request."""

    SILENT = auto()
    """Nothing of it has come."""
    HEAD = auto()
    REQUEST = auto()
    """Its head has come; its body may still, and its answer is due."""


# An enumeration's members are found slowly, and these are asked for several times in every request.
_SILENT, _HEAD, _REQUEST = Phase.SILENT, Phase.HEAD, Phase.REQUEST


class RequestRefused(Exception):
    """A request that is answered here, because no route could read it."""


class HttpProtocol(HttpToolsProtocol):
    """One connection. Hangs up on a head that would otherwise be gathered for as long as it comes, and on whoever keeps
    it waiting; the server's own keep-alive timer, one for each request, is replaced by the limiter's rounds."""

    def __init__(self, limiter: ConnectionLimiter, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.parser.set_dangerous_leniencies(lenient_version=True)  # versions are told apart here
        self.late = False
        """The body of the request that is read came too slowly: who reads it answers 408."""
        self._limiter = limiter
        self._resting = limiter.resting
        self._phase = _SILENT
        self._since = limiter.now
        self._requests = 0
        self._received = 0
        self._head_bytes = 0
        self._trusted = False
        self._refusal: ComputeError | None = None
        self._fault = InvalidRequest("this cannot be read as HTTP/1.1", reason="REQUEST_MALFORMED")
        self._body_pace: ThroughputCheck | None = None
        self._answer_pace: ThroughputCheck | None = None
        self._wire: CoalescingTransport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        self._wire = CoalescingTransport(transport, self._linger)
        super().connection_made(self._wire)  # type: ignore[arg-type]  # it is a transport in all that is used
        address = self.client[0] if self.client else None
        self._trusted = self._limiter.trusts(address)
        self._since = self._limiter.now
        self._refusal = self._limiter.enter(self, address, trusted=self._trusted)

    def connection_lost(self, exc: Exception | None) -> None:
        self._limiter.leave(self)
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]  # as asyncio has it
        """True keeps it open: a client that has sent its last request may still listen. Whoever is really gone is found
        so by the next write but one, or makes room as the connections at rest do."""
        if self._wire.lingering or not self._answering or (self.receiving and not self.pipeline):
            return False
        self.cycle.keep_alive = False
        self._resting[self] = None
        return True

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._wire.lingering:
            return
        super().data_received(data)
        if self._phase is _HEAD:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(self._too_large())

    def on_message_begin(self) -> None:
        self._phase, self._head_bytes, self._since = _HEAD, 0, self._limiter.now
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """As uvicorn's, without the space behind the value (RFC 9110, 5.5), and without trailers (6.5.1): what stands
        behind the body came too late to say what it is."""
        if self._phase is _REQUEST:
            return
        name, value = name.lower(), value.rstrip(b" \t")
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        heads = dict(self.headers)
        if b"host" not in heads or len(heads) != len(self.headers) or b"transfer-encoding" in heads:
            self._check(heads)
        if len(self.url) > MAX_TARGET_BYTES:
            self._fault = self._too_large()
            raise RequestRefused
        self._phase, self._requests, self.late, self._body_pace = _REQUEST, self._requests + 1, False, None
        if self._requests == 1:
            self._limiter.spoke(self)
        else:
            self._resting.pop(self, None)
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]  # with more in it than ASGI knows
        scope["heads"], scope["connection"] = heads, self
        if self._trusted and heads.get(b"x-forwarded-proto") == b"https":
            scope["scheme"] = "https"
        if self._refusal is not None:
            scope["turned_away"] = self._refusal
        super().on_headers_complete()
        if scope["http_version"] != "1.1":
            self._settle_version(scope)
        if self._refusal is not None:
            self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        """As uvicorn's, but for its timer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._phase is _REQUEST:
            self._since = self._limiter.now
            if not self.cycle.more_body:
                self._phase = _SILENT
                self._resting[self] = None

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._fault)

    def _unsupported_upgrade_warning(self) -> None:
        """Clients that offer HTTP/2 do so in every first request; they are answered in HTTP/1.1."""

    def check(self, passed: float) -> None:
        waited, patience = self._limiter.now - self._since, self._limiter.patience
        longest = min(patience.head, _SHORT_PATIENCE) if self._refusal else patience.head
        if self._wire.lingering or (self.receiving and not self._answering):
            if waited >= patience.body:
                self._wire.hang_up()
        elif self._phase is _SILENT:
            if waited >= (patience.idle if self._requests else longest):
                self._wire.hang_up()
        elif self._phase is _HEAD:
            if waited >= longest and not self._answering:
                self._refuse(RequestTimeout("the head of the request took too long to come"))
        elif self.receiving:
            self._check_body(passed)
        self._check_reader(passed)

    def evict(self) -> None:
        self._wire.hang_up()

    @property
    def receiving(self) -> bool:
        """Its request is still coming in."""
        return self._phase is _REQUEST and self.cycle.more_body

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _check(self, heads: dict[bytes, bytes]) -> None:
        """RFC 9112, 3.2 and 6.1: raises Refused without exactly one Host, and for a body packed on its way."""
        for name, value in self.headers:
            if name == b"transfer-encoding" and value.lower() != b"chunked":
                self._fault = UnknownTransferCoding("the only transfer coding taken is chunked")
                raise RequestRefused
        if b"host" in heads:
            if len(heads) == len(self.headers) or [name for name, _ in self.headers].count(b"host") == 1:
                return
            self._fault = InvalidRequest("the request has more than one Host header", reason="HOST_REPEATED")
        elif self.parser.get_http_version() == "1.0":
            return
        else:
            self._fault = InvalidRequest("HTTP/1.1 requests need a Host header", reason="HOST_MISSING")
        raise RequestRefused

    def _too_large(self) -> InvalidRequest:
        if len(self.url) > MAX_TARGET_BYTES:
            return TargetTooLong(f"the path and the query have more than {MAX_TARGET_BYTES} bytes")
        return HeadTooLarge("the request line and the headers are too large")

    def _settle_version(self, scope: dict[str, Any]) -> None:
        """A minor version that is higher is read as the one known (RFC 9110, 2.5)."""
        version: str = scope["http_version"]
        if version == "1.0":
            self.cycle.send = _unframed(self.cycle)  # type: ignore[assignment,method-assign]  # unbound yet
        elif version.startswith("1."):
            scope["http_version"] = "1.1"
        else:
            scope["turned_away"] = UnknownVersion("send HTTP/1.1 or HTTP/1.0")
            self.cycle.keep_alive = False

    def _check_body(self, passed: float) -> None:
        """While nobody reads it, and while the client waits to be told to send it, its pace says nothing."""
        if self.flow.read_paused or self.cycle.waiting_for_100_continue:
            return
        pace = self._body_pace = self._body_pace or ThroughputCheck(self._received)
        patience = self._limiter.patience
        if not pace.too_slow(self._received, passed, patience=patience.body, rate=patience.rate):
            return
        if self.late or self.cycle.response_started:
            self.transport.abort()
            return
        self.late, self._body_pace = True, None
        self.cycle.keep_alive = False
        self.cycle.message_event.set()

    def _check_reader(self, passed: float) -> None:
        if not self.transport.get_write_buffer_size():
            self._answer_pace = None
            return
        read = self._wire.read
        pace = self._answer_pace = self._answer_pace or ThroughputCheck(read)
        patience = self._limiter.patience
        if pace.too_slow(read, passed, patience=patience.answer, rate=patience.rate):
            self.transport.abort()

    def _linger(self) -> bool:
        """Before the connection is closed: whether the client is still sending. It is given as long as for a body, and
        its place to whoever needs it."""
        if not self.receiving and self._phase is not _HEAD:
            return False
        self._since = self._limiter.now
        self._resting[self] = None
        self.flow.resume_reading()
        if self._answering:  # with what cannot be read any further
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        return True

    def _refuse(self, error: ComputeError) -> None:
        if self.transport.is_closing():
            return
        told = problem_body(error, instance="", request_id="")
        body = orjson.dumps(told)
        head = (
            f"HTTP/1.1 {told['status']} {told['title']}".encode(),
            b"content-type: " + PROBLEM_TYPE.encode(),
            b"content-length: %d" % len(body),
            b"connection: close",
        )
        self.transport.write(b"\r\n".join((*head, b"", body)))
        self.transport.close()


def _unframed(cycle: RequestResponseCycle) -> Callable[[ASGISendEvent], Coroutine[Any, Any, None]]:
    """Sends answers to HTTP/1.0, which knows no chunks (RFC 9112, 6.1): one of unknown length ends as the connection
    does."""
    endless, send = False, cycle.send

    async def sent(message: ASGISendEvent) -> None:
        nonlocal endless
        if message["type"] == "http.response.start":
            endless = all(name.lower() != b"content-length" for name, _ in message.get("headers", ()))
            cycle.chunked_encoding = False if endless else None
        elif endless and message["type"] == "http.response.body":
            cycle.expected_content_length = len(message.get("body", b""))
        await send(message)

    return sent
