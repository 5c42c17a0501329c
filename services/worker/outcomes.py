"""How a failed run is reported: whose fault it was, and whether it may pass."""

from __future__ import annotations

from compute.tasks.v1 import worker_pb2 as pb

from services.catalog.enums import ErrorCategory
from services.common import errors

_MESSAGE_LIMIT = 2_000
_LONGEST_RETRY_AFTER = 3600.0
# The first that fits counts: its category, and whether a later attempt may succeed.
_KINDS: tuple[tuple[type[errors.ComputeError], ErrorCategory, bool], ...] = (
    (errors.InvalidRequest, ErrorCategory.VALIDATION, False),
    (errors.NotFound, ErrorCategory.NOT_FOUND, False),
    (errors.PermissionDenied, ErrorCategory.VALIDATION, False),
    (errors.IllegalTransition, ErrorCategory.VALIDATION, False),
    (errors.DeadlineExceeded, ErrorCategory.TIMEOUT, True),
    (errors.RateLimited, ErrorCategory.RATE_LIMIT, True),
    (errors.Overloaded, ErrorCategory.RESOURCE, True),
    (errors.ContentRefused, ErrorCategory.CONTENT_POLICY, False),
    (errors.ProviderFailed, ErrorCategory.PROVIDER, True),
    (errors.ProviderExhausted, ErrorCategory.PROVIDER_ACCOUNT, False),
    (errors.ProviderRefused, ErrorCategory.PROVIDER, False),
    (errors.OutcomeUnknown, ErrorCategory.PROVIDER, True),
    (errors.Unavailable, ErrorCategory.UNAVAILABLE, True),
    (errors.ComputeError, ErrorCategory.INTERNAL, True),
)


def failure_of(error: errors.ComputeError) -> pb.TaskFailure:
    """An expected failure, in its own words."""
    category, retryable = next((found, again) for kind, found, again in _KINDS if isinstance(error, kind))
    failure = pb.TaskFailure(
        reason=error.reason,
        message=error.message[:_MESSAGE_LIMIT],
        category=category,
        retryable=retryable,
        exhausted=error.exhausted,
    )
    if error.retry_after:
        failure.retry_after.FromMilliseconds(int(min(error.retry_after, _LONGEST_RETRY_AFTER) * 1000))
    return failure


def timeout_failure(seconds: float) -> pb.TaskFailure:
    return pb.TaskFailure(
        reason="TASK_TIMEOUT",
        message=f"the run took longer than {seconds:g} s",
        category=ErrorCategory.TIMEOUT,
        retryable=True,
    )


def fault(error: Exception) -> pb.TaskFailure:
    """A bug of ours: the kind of error is told, its text stays in the log."""
    return pb.TaskFailure(
        reason="HANDLER_FAILED",
        message=f"the handler failed unexpectedly ({type(error).__name__})",
        category=ErrorCategory.INTERNAL,
        retryable=True,
    )
