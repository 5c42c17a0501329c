"""The reasons of failures that metrics name: those of our error classes, and of runs that nobody reported."""

from __future__ import annotations

from collections.abc import Iterator

from services.common.errors import ComputeError
from services.telemetry.labels import Label

_MORE = (
    "",
    "ATTEMPT_LOST",
    "HANDLER_FAILED",
    "LEASE_EXPIRED",
    "MODEL_LOST",
    "MODEL_UNAVAILABLE",
    "PROVIDER_ACCOUNT_ON_HOLD",
    "PROVIDER_KEY_REFUSED",
    "PROVIDER_NOT_CONFIGURED",
    "PROVIDER_PAUSED",
    "PROVIDER_QUOTA_EXHAUSTED",
    "PROVIDER_RESTING",
    "PROVIDER_TRIES_USED_UP",
    "PROVIDER_UNREACHABLE",
    "RESULT_EMPTY",
    "STORAGE_UNAVAILABLE",
    "TASK_TIMEOUT",
)


def _reasons(kind: type[ComputeError]) -> Iterator[str]:
    yield kind.default_reason
    for narrower in kind.__subclasses__():
        if narrower.__module__ == ComputeError.__module__:
            yield from _reasons(narrower)


# Every other reason is `other`: which one it was stands in the task.
REASON = Label("reason", {*_reasons(ComputeError), *_MORE})
