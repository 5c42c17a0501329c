"""What a worker counts of the providers and models it calls."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from compute.tasks.v1 import tasks_pb2 as pb

from services.common.errors import ComputeError
from services.telemetry.instruments import LONG_SECONDS, Counter, Gauge, Histogram
from services.telemetry.labels import Label
from services.telemetry.reasons import REASON

# Providers are found by their presence, models are those that a supervisor watches.
PROVIDER, MODEL = Label("provider", room=64), Label("model", room=16)
OUTCOME = Label("outcome", ("SUCCEEDED", "FAILED", "CANCELLED", "UNKNOWN"))
CALLS = Counter("atelier_provider_calls_total", "Calls to providers, ours included, that ended.", PROVIDER, OUTCOME)
FAILURES = Counter("atelier_provider_failures_total", "Why calls to providers failed.", PROVIDER, REASON)
SECONDS = Histogram(
    "atelier_provider_call_seconds", "How long calls to providers took.", PROVIDER, buckets=LONG_SECONDS
)
COST = Counter("atelier_provider_cost_usd_total", "What providers charged, as far as they say so.", PROVIDER)
CALL_COST = Histogram(
    "atelier_provider_call_cost_usd",
    "What one call was charged.",
    PROVIDER,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
RESTING = Gauge("atelier_provider_accounts_resting", "Accounts left alone because they failed too often.")
MODEL_REQUESTS = Counter(
    "atelier_model_requests_total", "Requests to models of our own.", MODEL, Label("result", ("ok", "failed"))
)
MODEL_SECONDS = Histogram(
    "atelier_model_request_seconds", "How long models took, waiting for their turn included.", MODEL,
    buckets=LONG_SECONDS,
)  # fmt: skip
MODEL_LOSSES = Counter("atelier_model_losses_total", "Times that a model stopped answering.", MODEL)


def count_call(entry: pb.ProviderCall) -> None:
    """One call that has ended."""
    CALLS.count(entry.provider, entry.outcome)
    SECONDS.observe(entry.duration_seconds, entry.provider)
    if entry.reason:
        FAILURES.count(entry.provider, entry.reason)
    if entry.HasField("cost_usd"):
        COST.add(entry.cost_usd, entry.provider)
        CALL_COST.observe(entry.cost_usd, entry.provider)


@contextmanager
def model_request(model: str) -> Iterator[None]:
    """Counts one request; a caller's own fault is no failure of the model."""
    began, result = time.monotonic(), "failed"
    try:
        yield
        result = "ok"
    except ComputeError as error:
        result = "ok" if error.reason == "INVALID_REQUEST" else "failed"
        raise
    finally:
        MODEL_REQUESTS.count(model, result)
        MODEL_SECONDS.observe(time.monotonic() - began, model)
