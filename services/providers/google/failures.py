"""What Google's errors and its answers without a picture mean.

Statuses and words: ai.google.dev/gemini-api/docs/api-errors, docs.cloud.google.com/vertex-ai model reference
api-errors. A wrong key is answered with 400 on the Gemini API; a quota names its window in `quotaId` (integrators).
NO_IMAGE and a STOP with words alone are known to come and go for the same request (integrators), so they may be tried
again; whatever a policy stopped may not. Whether a blocked picture is billed is not documented.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from services.common.errors import (
    ComputeError,
    ContentRefused,
    ProviderFailed,
    ProviderRefused,
    RateLimited,
)
from services.providers.http import Answer, judge_by_status, retry_after

_POLICY = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
    }
)
_SAME_AGAIN = frozenset({"LANGUAGE", "MAX_TOKENS"})
_NOT_FOUND = 404
_UNAUTHENTICATED = 401
_TOO_MANY = 429


def judge(answer: Answer) -> ComputeError | None:
    """None for a good answer."""
    if isinstance(answer.body, list) and len(answer.body) == 1:
        # Some gateways put the error into an array.
        answer = replace(answer, body=answer.body[0])
    error = judge_by_status(answer)
    if error is None:
        return None
    reasons = {detail.get("reason") for detail in _details(answer)}
    if answer.status == _TOO_MANY:
        return _out_of_quota(answer, error)
    if "API_KEY_INVALID" in reasons or answer.status == _UNAUTHENTICATED:
        return ProviderRefused(error.message, reason="PROVIDER_KEY_REFUSED")
    if answer.status == _NOT_FOUND:
        return ProviderRefused(error.message, reason="PROVIDER_MODEL_UNKNOWN")
    if answer.member("error", "status") == "FAILED_PRECONDITION":
        return ProviderRefused(error.message)
    if answer.member("error", "status") == "DEADLINE_EXCEEDED":
        # Said by the model itself, not by something in between: it has stopped.
        return ProviderFailed(error.message, reason="PROVIDER_DEADLINE_EXCEEDED")
    return error


def no_picture(answer: Answer) -> ComputeError:
    """Why a good answer holds no picture."""
    blocked = answer.member("promptFeedback", "blockReason")
    if blocked is not None:
        return ContentRefused(f"the request was blocked: {blocked}", reason="CONTENT_REFUSED")
    finish = answer.member("candidates", 0, "finishReason")
    if not isinstance(finish, str):
        return ProviderFailed("the model answered nothing", reason="PROVIDER_NO_IMAGE")
    said = answer.member("candidates", 0, "finishMessage") or _words(answer)
    message = f"the model made no picture: {finish}" + (f" ({said[:300]})" if said else "")
    if finish in _POLICY:
        return ContentRefused(message)
    if finish in _SAME_AGAIN:
        return ProviderRefused(message, reason="PROVIDER_NO_IMAGE")
    return ProviderFailed(message, reason="PROVIDER_NO_IMAGE")


def _out_of_quota(answer: Answer, error: ComputeError) -> ComputeError:
    violations = [one for detail in _details(answer) for one in detail.get("violations") or ()]
    if any("PerDay" in str(one.get("quotaId")) for one in violations):
        return ProviderRefused(error.message, reason="PROVIDER_QUOTA_EXHAUSTED")
    delays = [_seconds(detail["retryDelay"]) for detail in _details(answer) if "retryDelay" in detail]
    return RateLimited(error.message, retry_after=delays[0] if delays else retry_after(answer))


def _details(answer: Answer) -> Iterator[Mapping[str, Any]]:
    details = answer.member("error", "details")
    return (detail for detail in details if isinstance(detail, dict)) if isinstance(details, list) else iter(())


def _seconds(duration: object) -> float | None:
    """Of "25s" or "1.5s"."""
    number = str(duration).removesuffix("s")
    return float(number) if number.replace(".", "", 1).isdigit() else None


def _words(answer: Answer) -> str:
    parts = answer.member("candidates", 0, "content", "parts")
    texts = [part.get("text") for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    return " ".join(text for text in texts if isinstance(text, str))
