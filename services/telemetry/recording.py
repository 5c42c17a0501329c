"""Records traces and sends them to an OTLP receiver, where OpenTelemetry's own settings ask for it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Mapping
from typing import Any

from services.telemetry import tracing

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_FLUSH_SECONDS = 3.0
_provider: Any = None


def wanted(environment: Mapping[str, str]) -> bool:
    """Whether the settings name a receiver, or ask for OTLP by name, and do not switch it off."""
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    off = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter == "none"
    return not off and (exporter == "otlp" or any(environment.get(name) for name in _ENDPOINTS))


def start(process: str, environment: Mapping[str, str]) -> None:
    """Once for each process. Raises SystemExit for settings that cannot be met.

    Sampling, batches, headers and resource attributes are read from `OTEL_*` by the SDK itself.
    """
    if not wanted(environment):
        return
    protocol = next((environment[name] for name in _PROTOCOLS if environment.get(name)), "http/protobuf")
    if protocol != "http/protobuf":
        raise SystemExit("OTEL_EXPORTER_OTLP_PROTOCOL: only http/protobuf is spoken here")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        needed = "OTEL_* asks for traces, which needs the packages of deploy/requirements/tracing.txt"
        raise SystemExit(needed) from error
    global _provider
    named = "OTEL_SERVICE_NAME" in environment or "service.name" in environment.get("OTEL_RESOURCE_ATTRIBUTES", "")
    resource = Resource.create({} if named else {"service.name": f"atelier-{process}"})
    _provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    tracing.use(_provider.get_tracer("atelier"))


async def flush() -> None:
    """Sends what has been recorded, before the process ends; a receiver that is away is not waited for."""
    if _provider is None:
        return
    sent, loop = asyncio.Event(), asyncio.get_running_loop()

    def send() -> None:
        _provider.force_flush(int(_FLUSH_SECONDS * 1000))
        with contextlib.suppress(RuntimeError):  # the loop did not wait for it
            loop.call_soon_threadsafe(sent.set)

    # The exporter tries again beyond every limit: in a thread that ends with the process.
    threading.Thread(target=send, name="flush traces", daemon=True).start()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_FLUSH_SECONDS):
            await sent.wait()
