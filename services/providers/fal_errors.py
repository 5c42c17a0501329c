"""What answers of fal mean.

Two kinds of errors: of a request (`detail` is a text, `error_type` a word) and of a model (`detail` is a list, each
with a `type`). Sources: fal.ai/docs/documentation/model-apis/request-errors and fal.ai/docs/errors, stored copies of
2026.
Not verified: the status of a locked account (403 assumed); which of X-Fal-Retryable and X-Fal-Needs-Retry is sent.
"""

from __future__ import annotations

from services.common.errors import (
    ComputeError,
    ContentRefused,
    InvalidRequest,
    ProviderFailed,
    ProviderRefused,
    RateLimited,
    Unavailable,
)
from services.providers.calls import JOB_UNKNOWN
from services.providers.http import Answer, judge_by_status, retry_after, words_of

_PASSING = frozenset(
    {
        *("request_timeout", "startup_timeout", "internal_error", "internal_server_error", "generation_timeout"),
        *("runner_scheduling_failure", "runner_connection_timeout", "runner_disconnected", "runner_server_error"),
        *("runner_connection_refused", "runner_connection_error", "runner_incomplete_response"),
        *("downstream_service_error", "downstream_service_unavailable"),
    }
)
_CANCELLED = frozenset({"client_cancelled", "client_disconnected"})
_NO_MONEY = ("balance", "credit", "locked", "billing", "exhausted")


def judge(answer: Answer) -> ComputeError | None:
    """Of a submission or a model's own answer."""
    if 200 <= answer.status < 300:
        return None
    said = f"fal answered {answer.status}: {words_of(answer)}"
    if answer.status == 429:
        return RateLimited(said, retry_after=retry_after(answer))
    if answer.status in (401, 403):
        empty = any(word in said.lower() for word in _NO_MONEY)
        return ProviderRefused(said, reason="PROVIDER_NO_CREDITS" if empty else "PROVIDER_KEY_REFUSED")
    if answer.headers.get("x-fal-request-timeout-type") == "user":
        return ProviderRefused(said, reason="PROVIDER_START_TIMEOUT")
    return _of_kind(kind_of(answer), said) or _of_headers(answer, said) or judge_by_status(answer)


def judge_job(answer: Answer) -> ComputeError | None:
    """Of a look at a request: what cannot be seen says nothing of it, it may run on."""
    if 200 <= answer.status < 300:
        return None
    if answer.status == 404:
        return ProviderRefused("fal knows no such request, or has forgotten it", reason=JOB_UNKNOWN)
    message = f"fal answered {answer.status}: {words_of(answer)}"
    return Unavailable(message, reason="PROVIDER_UNREACHABLE", retry_after=retry_after(answer))


def judge_cancel(answer: Answer) -> ComputeError | None:
    """One that has ended already is not at fault."""
    return None if answer.member("status") == "ALREADY_COMPLETED" else judge_job(answer)


def judge_passing(answer: Answer) -> ComputeError | None:
    """Of a result: what the model said is final, whatever its status; what stands before it may pass."""
    if answer.status == 404 and answer.member("status") == "NOT_FOUND":
        return judge_job(answer)
    spoken = kind_of(answer) or answer.member("detail") is not None
    return judge_job(answer) if answer.status == 429 or (answer.status >= 500 and not spoken) else None


def of_status(answer: Answer) -> ComputeError | None:
    """Of a request that has ended: None when it went well."""
    kind, said = answer.member("error_type"), answer.member("error")
    if not kind and not said:
        return None
    message = f"fal: {said or kind}"[:500]
    return _of_kind(kind if isinstance(kind, str) else "", message) or ProviderFailed(message)


def kind_of(answer: Answer) -> str:
    """The machine word of an error; empty where there is none."""
    for found in (
        answer.member("error_type"),
        answer.headers.get("x-fal-error-type"),
        answer.member("detail", 0, "type"),
    ):
        if isinstance(found, str) and found:
            return found
    return ""


def _of_kind(kind: str, said: str) -> ComputeError | None:
    if kind == "content_policy_violation":
        return ContentRefused(said)
    if kind == "no_media_generated":
        return ProviderRefused(said, reason="PROVIDER_NO_MEDIA")
    if kind in _PASSING:
        return ProviderFailed(said)
    if kind in _CANCELLED:
        return ProviderRefused(said, reason="PROVIDER_JOB_CANCELLED")
    return None


def _of_headers(answer: Answer, said: str) -> ComputeError | None:
    """fal's own advice, under either of its two names."""
    advice = {answer.headers.get("x-fal-retryable", ""), answer.headers.get("x-fal-needs-retry", "")}
    if advice & {"true", "1"}:
        return ProviderFailed(said)
    if advice & {"false", "0"}:
        refused = 400 <= answer.status < 500
        return InvalidRequest(said, reason="PROVIDER_REJECTED") if refused else ProviderRefused(said)
    return None
