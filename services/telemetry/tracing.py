"""Spans of our own, through OpenTelemetry's API, where this process records traces; else nothing is made.

No span says a word of a caller: names are ours, and of an error its kind and reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeAlias

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags, Tracer

from services.common.errors import name_of
from services.telemetry.trace_context import HEADER, carried, current, outgoing

__all__ = ["HEADER", "SpanKind", "current", "opened", "recording", "span", "use"]
End: TypeAlias = "Callable[[object], None]"
_NOTHING: AbstractContextManager[str] = nullcontext("")
_tracer: Tracer | None = None
_vendors_see = False


def use(tracer: Tracer | None) -> None:
    """From here on spans are made with it; with None there are none."""
    global _tracer
    _tracer = tracer


def show_vendors(shown: bool) -> None:
    """Whether outside providers are sent the trace of what they are asked."""
    global _vendors_see
    _vendors_see = shown


def shown_to_vendors() -> dict[str, str] | None:
    """As `outgoing`, to whom the trace may not concern."""
    return outgoing() if _vendors_see else None


def recording() -> bool:
    return _tracer is not None


def span(
    name: str, kind: SpanKind = SpanKind.INTERNAL, *, parent: str = "", **attributes: Any
) -> AbstractContextManager[str]:
    """The block as a part of `parent`'s trace, else of the one at hand; answers the `traceparent` that holds within.

    Attributes have underscores where OpenTelemetry has dots.
    """
    above = parent or current()
    if _tracer is None:
        return carried(above) if parent else _NOTHING if not above else nullcontext(above)
    return _recorded(_tracer, name, kind, above, attributes)


def opened(name: str, kind: SpanKind, *, parent: str) -> tuple[str, End | None]:
    """A span that is ended by hand, or by a future that is done; the block goes on in its own trace."""
    if _tracer is None:
        return parent, None
    made = _tracer.start_span(name, _above(parent), kind)
    return _written(made.get_span_context()), lambda _: made.end()


@contextmanager
def _recorded(tracer: Tracer, name: str, kind: SpanKind, above: str, attributes: dict[str, Any]) -> Iterator[str]:
    dotted = {key.replace("_", "."): value for key, value in attributes.items()}
    made = tracer.start_span(name, _above(above), kind, dotted, record_exception=False, set_status_on_exception=False)
    try:
        current_span = trace.use_span(made, record_exception=False, set_status_on_exception=False)
        with current_span, carried(_written(made.get_span_context())) as traceparent:
            yield traceparent
    except BaseException as error:
        made.set_status(StatusCode.ERROR, name_of(error))
        raise
    finally:
        made.end()


def active() -> Span:
    """The span of the block that is running."""
    return trace.get_current_span()


def _above(traceparent: str) -> Context:
    """Without one a trace begins."""
    if not traceparent:
        return Context()
    _, trace_id, span_id, flags = traceparent.split("-")
    remote = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    return trace.set_span_in_context(NonRecordingSpan(remote), Context())


def _written(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
