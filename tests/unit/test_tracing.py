"""The trace that work belongs to: what is taken for one, what is handed on, and that off nothing is made."""

from __future__ import annotations

import asyncio
import sys
import time
import timeit
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tritonclient.grpc import service_pb2

from services.common.errors import InvalidRequest
from services.providers.http import open_http
from services.providers.triton.connection import connect
from services.rpc.grpc_client import Credentials
from services.telemetry import recording, trace_context, tracing
from services.telemetry.trace_context import carried, checked, current, outgoing
from services.telemetry.tracing import SpanKind
from tests.fakes.vendors.wire import Answer, Asked, json_answer, serving
from tests.waiting import turns

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """What is recorded for as long as the test runs."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(provider.get_tracer("test"))
    yield exporter
    tracing.use(None)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (GIVEN, GIVEN),
        (f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-00"),
        (f"01-{TRACE}-{SPAN}-01-more of a later version", GIVEN),
        (f"cc-{TRACE}-{SPAN}-01", GIVEN),
        (f"00-{TRACE}-{SPAN}-01-more", ""),
        (f"ff-{TRACE}-{SPAN}-01", ""),
        (f"00-{'0' * 32}-{SPAN}-01", ""),
        (f"00-{TRACE}-{'0' * 16}-01", ""),
        (GIVEN.upper(), ""),
        (f"00-{TRACE}-{SPAN}", ""),
        (f"{GIVEN}\r\nx: y", ""),
        ("a red mug", ""),
        ("", ""),
    ],
)
def test_a_traceparent_is_taken_as_the_standard_has_it(given: str, taken: str) -> None:
    assert checked(given) == taken


def test_while_off_nothing_is_made_and_what_was_given_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(*_: Any, **__: Any) -> None:
        raise AssertionError("a span was made")

    monkeypatch.setattr(trace.NonRecordingSpan, "__init__", made)
    monkeypatch.setattr(trace.SpanContext, "__new__", made)
    with tracing.span("one") as first, tracing.span("two", SpanKind.CLIENT, task_id="t") as second:
        assert (first, second, current(), outgoing()) == ("", "", "", None)
    with tracing.span("one", parent=GIVEN) as first, tracing.span("two") as second:
        assert first == second == current() == GIVEN
    assert current() == "" and tracing.opened("three", SpanKind.PRODUCER, parent=GIVEN) == (GIVEN, None)
    assert Credentials("t").metadata("acme") == (("authorization", "Bearer t"), ("atelier-tenant", "acme"))


def test_while_off_a_span_costs_less_than_a_microsecond() -> None:
    def block() -> None:
        with tracing.span("one", SpanKind.CLIENT):
            pass

    cost = min(timeit.repeat(block, number=20_000, repeat=5, timer=time.process_time)) / 20_000
    assert cost < 1e-6


def test_spans_are_children_of_what_they_run_in(spans: InMemorySpanExporter) -> None:
    with tracing.span("run task", SpanKind.CONSUMER, parent=GIVEN, task_id="t-1") as run:
        with tracing.span("model diffusion", SpanKind.CLIENT) as model:
            assert current() == model and Credentials("t").metadata()[-1] == ("traceparent", model)
        assert current() == run
    assert current() == ""
    below, above = spans.get_finished_spans()
    assert below.parent is not None and above.parent is not None and below.context is not None
    assert (above.name, below.name) == ("run task", "model diffusion")
    assert f"{above.parent.trace_id:032x}" == TRACE and f"{above.parent.span_id:016x}" == SPAN
    assert below.parent.span_id == above.get_span_context().span_id  # type: ignore[union-attr]
    assert dict(above.attributes or {}) == {"task.id": "t-1"}


def test_of_a_failure_a_span_says_its_kind_and_no_word_of_a_caller(spans: InMemorySpanExporter) -> None:
    with pytest.raises(InvalidRequest), tracing.span("run task"):
        raise InvalidRequest("a red mug is no colour", reason="COLOUR_UNKNOWN")
    [found] = spans.get_finished_spans()
    assert found.status.description == "InvalidRequest COLOUR_UNKNOWN" and not found.events
    assert "mug" not in found.to_json()


def test_what_a_caller_does_not_want_recorded_is_handed_on_unrecorded(spans: InMemorySpanExporter) -> None:
    with tracing.span("run task", parent=f"00-{TRACE}-{SPAN}-00"), tracing.span("model") as inner:
        assert inner[:36] == f"00-{TRACE}-" and inner.endswith("-00")
    assert not spans.get_finished_spans()


async def test_a_span_opened_by_hand_ends_with_its_future(spans: InMemorySpanExporter) -> None:
    traceparent, end = tracing.opened("create task", SpanKind.PRODUCER, parent=GIVEN)
    written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    assert end is not None and current() == "" and traceparent[3:35] == TRACE and SPAN not in traceparent
    written.add_done_callback(end)
    assert not spans.get_finished_spans()
    written.set_result(None)
    await turns()
    assert [span.name for span in spans.get_finished_spans()] == ["create task"]


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, False),
    ],
)
def test_the_standard_settings_switch_it_on(environment: dict[str, str], wanted: bool) -> None:
    assert recording.wanted(environment) is wanted


def test_what_cannot_be_met_ends_the_process_with_a_word_of_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"OTEL_TRACES_EXPORTER": "otlp"}
    with pytest.raises(SystemExit, match="only http/protobuf"):
        recording.start("tasks", asked | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SystemExit, match=r"tracing\.txt"):
        recording.start("tasks", asked)
    assert not tracing.recording()


async def test_a_request_to_triton_names_its_trace() -> None:
    """Asked of a server that speaks Triton's protocol, as to what Triton was sent."""
    seen: list[str] = []

    def note(context: Any) -> None:
        seen.append(str(dict(context.invocation_metadata()).get("traceparent", "")))

    async def stream(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        note(context)
        async for _ in requests:
            yield service_pb2.ModelStreamInferResponse(error_message="refused")

    async def infer(_: Any, context: Any) -> Any:
        note(context)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "away")

    server = grpc.aio.server()
    methods = {
        "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(
            stream,
            request_deserializer=service_pb2.ModelInferRequest.FromString,
            response_serializer=service_pb2.ModelStreamInferResponse.SerializeToString,
        ),
        "ModelInfer": grpc.unary_unary_rpc_method_handler(
            infer,
            request_deserializer=service_pb2.ModelInferRequest.FromString,
            response_serializer=service_pb2.ModelInferResponse.SerializeToString,
        ),
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("inference.GRPCInferenceService", methods)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with asyncio.timeout(30), connect(f"127.0.0.1:{port}") as triton:
        for traceparent in (GIVEN, ""):
            with carried(traceparent):
                with pytest.raises(Exception, match="refused"):
                    await triton.ask("diffusion", {"canary": True})
                with pytest.raises(Exception, match="away"):
                    await triton.infer("upscale", {}, {"IMAGE": np.zeros((2, 2, 3), np.uint8)}, timeout=5)
    await server.stop(0)
    assert seen == [GIVEN, GIVEN, "", ""]


@pytest.mark.parametrize("shown", [False, True])
async def test_vendors_see_a_trace_only_where_they_may(shown: bool) -> None:
    asked: list[Asked] = []

    async def answer(request: Asked) -> Answer:
        asked.append(request)
        return json_answer({})

    tracing.show_vendors(shown)
    try:
        async with serving(answer) as url, open_http("vendor") as http:
            with carried(GIVEN):
                await http.ask(url)
                await http.send(url, {"prompt": "a red mug"}, headers={"x-more": "1"})
        assert [one.headers.get("traceparent") for one in asked] == [GIVEN if shown else None] * 2
    finally:
        tracing.show_vendors(False)
    assert trace_context.current() == ""
