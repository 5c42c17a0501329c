"""The one error family every service raises; transports translate it.

ComputeError
├── InvalidRequest        the caller sent something that cannot be used
│   ├── PayloadTooLarge   it is larger than a limit
│   └── UnknownQueue      no worker takes tasks from the queue it names
├── Unauthenticated       no key, or a wrong one
├── PermissionDenied      a good key without the needed scope
├── NotFound              no such resource, or another tenant's
├── IllegalTransition     the resource is not in a state that allows this step
│   └── PreconditionFailed  it is not the one that the caller's own condition names
├── IdempotencyConflict   the key was used before with another body
├── Overloaded            try again later; says when
│   └── RateLimited       an outside provider allows no more for now
├── Unavailable           a dependency does not answer
│   ├── OutOfSpace        it answers, but its disk is full
│   └── ModelUnusable     a model of our own is there and broken
├── DeadlineExceeded      it took longer than the caller allows
├── ContentRefused        an outside provider's content policy forbids it
├── ProviderFailed        an outside provider failed; another try may go well
├── ProviderRefused       an outside provider serves us not at all: no key, no such model
│   └── ProviderExhausted our account there is empty, at a limit of spending or use, or on hold
├── OutcomeUnknown        an outside provider may have done it, and may have charged for it
└── Internal              a fault of ours
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple


class Violation(NamedTuple):
    """One field that is wrong, and why."""

    field: str
    description: str


class ComputeError(Exception):
    """Base of every expected failure: a stable `reason` in UPPER_SNAKE and a message for people.

    `exhausted` is set by whoever tried as often as was allowed: it may pass, but is not to be tried again.
    """

    default_reason: ClassVar[str] = "INTERNAL"
    exhausted = False

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        violations: tuple[Violation, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        """`retry_after` is in seconds."""
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.violations = violations
        self.retry_after = retry_after


class InvalidRequest(ComputeError):
    """The caller sent something that cannot be used."""

    default_reason = "INVALID_REQUEST"


def name_of(error: BaseException) -> str:
    """Its kind and reason, for logs: what a vendor or a model says in its message may quote the caller."""
    kind = type(error).__name__
    return f"{kind} {error.reason}" if isinstance(error, ComputeError) else kind


def wrong_field(field: str, description: str) -> InvalidRequest:
    """Names the field, in words and as a violation."""
    return InvalidRequest(f"{field} {description}", violations=(Violation(field, description),))


def check_field(field: str, good: bool, description: str) -> None:
    """Raises InvalidRequest, which names the field, unless it is good."""
    if not good:
        raise wrong_field(field, description)


class ViolationCollector:
    """Everything that is wrong with one request, reported at once.

    Each block in it may refuse its part; `told` comes behind the last one.
    """

    def __init__(self) -> None:
        self._found: list[InvalidRequest] = []

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if not isinstance(error, InvalidRequest):
            return False
        self._found.append(error)
        return True

    def told(self) -> None:
        """Raises InvalidRequest where anything is wrong."""
        if len(self._found) == 1:
            raise self._found[0]
        if self._found:
            violations = tuple(item for error in self._found for item in error.violations)
            raise InvalidRequest("; ".join(error.message for error in self._found), violations=violations)


class PayloadTooLarge(InvalidRequest):
    """It is larger than a limit."""

    default_reason = "PAYLOAD_TOO_LARGE"


class UnknownQueue(InvalidRequest):
    """No worker takes tasks from the queue it names."""

    default_reason = "QUEUE_UNKNOWN"


class Unauthenticated(ComputeError):
    """No key, or a wrong one."""

    default_reason = "UNAUTHENTICATED"


class PermissionDenied(ComputeError):
    """A good key without the needed scope."""

    default_reason = "PERMISSION_DENIED"


class NotFound(ComputeError):
    """No such resource, or another tenant's."""

    default_reason = "NOT_FOUND"


class IllegalTransition(ComputeError):
    """The resource is not in a state that allows this step."""

    default_reason = "ILLEGAL_TRANSITION"


class PreconditionFailed(IllegalTransition):
    """The resource is not the one that the caller's own condition names."""

    default_reason = "PRECONDITION_FAILED"


class IdempotencyConflict(ComputeError):
    """The key was used before with another body."""

    default_reason = "IDEMPOTENCY_KEY_REUSED"


class Overloaded(ComputeError):
    """Try again after `retry_after` seconds."""

    default_reason = "OVERLOADED"


class RateLimited(Overloaded):
    """An outside provider allows no more for now."""

    default_reason = "RATE_LIMITED"


class Unavailable(ComputeError):
    """A dependency does not answer."""

    default_reason = "UNAVAILABLE"


class OutOfSpace(Unavailable):
    """A dependency's disk is full: of the objects (STORAGE_FULL) or of the documents (STORE_FULL)."""

    default_reason = "STORAGE_FULL"
    reasons: ClassVar[frozenset[str]] = frozenset({"STORAGE_FULL", "STORE_FULL"})


class ModelUnusable(Unavailable):
    """A model of our own cannot be used, and waiting mends nothing: somebody must act.

    `why` is in words for callers, `detail` for those who run the deployment: it may name files.
    """

    default_reason = "MODEL_UNAVAILABLE"
    exhausted = True

    def __init__(self, model: str, why: str, detail: str) -> None:
        super().__init__(
            f"the model {model} of this deployment cannot be used: {why}. Name another provider, or try again once its "
            "operator has mended it (`make status` names the way back)",
            retry_after=5.0,
        )
        self.why = why
        self.detail = detail


class DeadlineExceeded(ComputeError):
    """It took longer than the caller allows."""

    default_reason = "DEADLINE_EXCEEDED"


class ContentRefused(ComputeError):
    """An outside provider's content policy forbids it: nobody is asked again."""

    default_reason = "CONTENT_REFUSED"


class ProviderFailed(ComputeError):
    """An outside provider reports a failure: the request is over there, and another try may succeed."""

    default_reason = "PROVIDER_FAILED"


class ProviderRefused(ComputeError):
    """An outside provider refuses us, and the same request would be refused again: no key, no such model."""

    default_reason = "PROVIDER_REFUSED"


class ProviderExhausted(ProviderRefused):
    """Our account at an outside provider is empty, at a limit of spending or use, or on hold: its holder must act."""

    default_reason = "PROVIDER_NO_CREDITS"
    ON_HOLD = "PROVIDER_ACCOUNT_ON_HOLD"
    USED_UP = "PROVIDER_QUOTA_EXHAUSTED"


class OutcomeUnknown(ComputeError):
    """An outside provider was sent what costs money, and its answer was never seen."""

    default_reason = "PROVIDER_OUTCOME_UNKNOWN"
    exhausted = True
    GIVEN_UP = "PROVIDER_CALL_GIVEN_UP"
    """The reason of a call of which nothing more will be learnt: nobody asks for it again."""


class Internal(ComputeError):
    """A fault of ours."""

    default_reason = "INTERNAL"
