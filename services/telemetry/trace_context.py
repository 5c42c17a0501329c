"""Which trace the work at hand belongs to: W3C's `traceparent`, handed on with whatever is asked of others.

It is handed on whether or not this deployment records traces itself. `tracestate`, which holds text of others, is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

HEADER = "traceparent"
# Later versions may say more behind it, which is not handed on (W3C Trace Context, 3.2.4).
_FORM = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2})(-.*)?", re.DOTALL)
_current: ContextVar[str] = ContextVar("traceparent", default="")


def current() -> str:
    """The `traceparent` of whatever is asked of others from here; empty where there is no trace."""
    return _current.get()


def outgoing() -> dict[str, str] | None:
    """The header that a request from here carries; None where there is no trace."""
    traceparent = _current.get()
    return {HEADER: traceparent} if traceparent else None


def checked(given: str) -> str:
    """As version 00 has it; empty for what is none."""
    found = _FORM.fullmatch(given) if given else None
    if found is None or (found[1] == "00" and found[3] is not None):
        return ""
    return f"00-{found[2]}"


def trace_id(traceparent: str) -> str:
    """For logs."""
    return traceparent[3:35]


def enter(traceparent: str) -> None:
    """For the rest of the asyncio task that is running."""
    _current.set(traceparent)


@contextmanager
def carried(traceparent: str) -> Iterator[str]:
    """For as long as the block lasts."""
    token = _current.set(traceparent)
    try:
        yield traceparent
    finally:
        _current.reset(token)
