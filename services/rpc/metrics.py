"""What every gRPC server of ours counts, also of calls within one process."""

from __future__ import annotations

import time

import grpc

from services.telemetry.instruments import Counter, Histogram
from services.telemetry.labels import Label

# Methods are declared as they are served; a caller cannot name another one.
METHOD = Label("method", room=128)
CODE = Label("code", (code.name for code in grpc.StatusCode))
CALLS = Counter("atelier_rpc_calls_total", "Calls that ended, by their status.", METHOD, CODE)
SECONDS = Histogram("atelier_rpc_seconds", "How long calls took that end by themselves.", METHOD)
_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}


def count_call(method: str, began: float | None, code: int = 0) -> None:
    """One that has ended; `began` by the performance counter, None for what goes on as long as its caller likes."""
    CALLS.count(method, _NAMES[code])
    if began is not None:
        SECONDS.observe(time.perf_counter() - began, method)
