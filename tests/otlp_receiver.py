"""A receiver of traces on this machine: OTLP over HTTP, kept in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.waiting import until


@dataclass(frozen=True)
class ReceivedSpan:
    """One span, and the service that recorded it. Ids as in `traceparent`."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    begun: int
    ended: int
    attributes: dict[str, str] = field(hash=False)
    failure: str = ""


class OtlpReceiver:
    def __init__(self) -> None:
        self.url = ""
        self.spans: list[ReceivedSpan] = []

    def take(self, content: bytes) -> None:
        for group in ExportTraceServiceRequest.FromString(content).resource_spans:
            [service] = [one.value.string_value for one in group.resource.attributes if one.key == "service.name"]
            self.spans += [_received(service, span) for scope in group.scope_spans for span in scope.spans]

    async def of(self, trace: str, *names: str, seconds: float = 30.0) -> dict[str, ReceivedSpan]:
        """The trace's spans by name, once all of these are there; of several alike the last."""
        try:
            return await until(lambda: self._all(trace, names), seconds, every=0.1)
        except TimeoutError:
            there = sorted(span.name for span in self.spans if span.trace == trace)
            raise AssertionError(f"missing {set(names) - set(there)}; there: {there}") from None

    def _all(self, trace: str, names: tuple[str, ...]) -> dict[str, ReceivedSpan] | None:
        found = {span.name: span for span in list(self.spans) if span.trace == trace}
        return found if set(names) <= set(found) else None


def _received(service: str, span: Any) -> ReceivedSpan:
    attributes = {one.key: one.value.string_value or str(one.value.int_value) for one in span.attributes}
    ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
    times = (span.start_time_unix_nano, span.end_time_unix_nano)
    return ReceivedSpan(service, span.name, *ids, *times, attributes, span.status.message)


@contextmanager
def receiving_traces() -> Iterator[OtlpReceiver]:
    receiver = OtlpReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.take(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
