"""What answers of fal mean.

Two kinds of errors: of a request (`detail` is a text, `error_type` a word) and of a model (`detail` is a list, each
with a `type`). Sources: fal.ai/docs/documentation/model-apis/request-errors and fal.ai/docs/errors, stored copies of
2026; the vendor's SDKs, whose apps say X-Fal-needs-retry with every error.
Not verified: the status of a locked account (403 assumed); which of X-Fal-Retryable and X-Fal-Needs-Retry is sent.
"""

from __future__ import annotations

from functools import partial

from services.common.errors import (
    ComputeError,
    ContentRefused,
    InvalidRequest,
    ProviderExhausted,
    ProviderFailed,
    ProviderRefused,
    RateLimited,
)
from services.providers import jobs
from services.providers.http import VendorResponse, judge_by_status, retry_after, words_of

_PASSING = frozenset(
    {
        *("request_timeout", "startup_timeout", "internal_error", "internal_server_error", "generation_timeout"),
        *("runner_scheduling_failure", "runner_connection_timeout", "runner_disconnected", "runner_server_error"),
        *("runner_connection_refused", "runner_connection_error", "runner_incomplete_response"),
        *("downstream_service_error", "downstream_service_unavailable"),
    }
)
_CANCELLED = frozenset({"client_cancelled", "client_disconnected"})
_CLIENT_CLOSED = 499
_NO_MONEY = ("balance", "credit", "locked", "billing", "exhausted")


def judge(answer: VendorResponse) -> ComputeError | None:
    """Of a submission or a model's own answer."""
    if 200 <= answer.status < 300:
        return None
    said = f"fal answered {answer.status}: {words_of(answer)}"
    if answer.status == 429 and not _of_model(answer):
        return RateLimited(said, retry_after=retry_after(answer))
    if answer.status in (401, 403):
        if any(word in said.lower() for word in _NO_MONEY):
            return ProviderExhausted(said)
        return ProviderRefused(said, reason="PROVIDER_KEY_REFUSED")
    if answer.headers.get("x-fal-request-timeout-type"):
        return ProviderRefused(said, reason="PROVIDER_START_TIMEOUT")
    kind = kind_of(answer)
    return (
        _of_policy(kind, said, answer.status)
        or _of_headers(answer, said)
        or _of_kind(kind, said)
        or _by_status(answer, said)
    )


def judge_submission(answer: VendorResponse) -> ComputeError | None:
    """None too where it did not go well and may be running all the same, under an id that is named."""
    error = judge(answer)
    unsure = isinstance(error, ProviderFailed) or answer.status == _CLIENT_CLOSED
    return None if unsure and request_named(answer) else error


def request_named(answer: VendorResponse) -> str:
    """The id of a request, in the body or in the header that fal's own servers set; empty where there is none."""
    named = answer.member("request_id") or answer.headers.get("x-fal-request-id")
    return named if isinstance(named, str) else ""


judge_job = partial(jobs.judge_job, vendor="fal")


def judge_cancel(answer: VendorResponse) -> ComputeError | None:
    """One that has ended already is not at fault."""
    return None if answer.member("status") == "ALREADY_COMPLETED" else judge_job(answer)


def judge_passing(answer: VendorResponse) -> ComputeError | None:
    """Of a result: what the model said is final, whatever its status; what stands before it may pass."""
    if answer.status == 404 and answer.member("status") == "NOT_FOUND":
        return judge_job(answer)
    if _of_model(answer):
        return None
    spoken = kind_of(answer) or answer.member("detail") is not None
    unsaid = not spoken and (answer.status >= 500 or answer.status in (408, 409))
    return judge_job(answer) if answer.status == 429 or unsaid else None


def of_status(answer: VendorResponse) -> ComputeError | None:
    """Of a request that has ended: None when it went well."""
    kind, said = answer.member("error_type"), answer.member("error")
    if not kind and not said:
        return None
    message, kind = f"fal: {said or kind}"[:500], kind if isinstance(kind, str) else ""
    return _of_policy(kind, message) or _of_kind(kind, message) or ProviderFailed(message)


def kind_of(answer: VendorResponse) -> str:
    """The machine word of an error; empty where there is none."""
    for found in (
        answer.member("error_type"),
        answer.headers.get("x-fal-error-type"),
        answer.member("detail", 0, "type"),
    ):
        if isinstance(found, str) and found:
            return found
    return ""


def _of_model(answer: VendorResponse) -> bool:
    """Whether the model itself speaks, and not what stands before it."""
    return isinstance(answer.member("detail"), list)


def _of_policy(kind: str, said: str, status: int = 200) -> ComputeError | None:
    """What no advice changes."""
    if kind == "content_policy_violation":
        return ContentRefused(said)
    if kind in _CANCELLED or status == _CLIENT_CLOSED:
        return ProviderRefused(said, reason="PROVIDER_JOB_CANCELLED")
    return None


def _of_kind(kind: str, said: str) -> ComputeError | None:
    if kind == "no_media_generated":
        return ProviderRefused(said, reason="PROVIDER_NO_MEDIA")
    return ProviderFailed(said) if kind in _PASSING else None


def _of_headers(answer: VendorResponse, said: str) -> ComputeError | None:
    """fal's own advice, under either of its two names; it goes before what a kind or a status usually means."""
    advice = {answer.headers.get(name, "").strip().lower() for name in ("x-fal-retryable", "x-fal-needs-retry")}
    if advice & {"true", "1", "yes"}:
        return ProviderFailed(said, retry_after=retry_after(answer))
    if not advice & {"false", "0", "no"}:
        return None
    if kind_of(answer) == "no_media_generated":
        return ProviderRefused(said, reason="PROVIDER_NO_MEDIA")
    usual = judge_by_status(answer)
    return usual if isinstance(usual, InvalidRequest) else ProviderRefused(said)


def _by_status(answer: VendorResponse, said: str) -> ComputeError | None:
    if answer.status == 429:
        # A limit that the model met further on: this request has ended.
        return ProviderFailed(said, retry_after=retry_after(answer))
    return judge_by_status(answer)
