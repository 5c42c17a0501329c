"""What Google's errors and its answers without a picture mean.

Statuses and words: ai.google.dev/gemini-api/docs/api-errors, docs.cloud.google.com/vertex-ai model reference
api-errors. A wrong key is answered with 400 on the Gemini API; a quota names its window in `quotaId` (integrators).
A STOP with words alone is known to come and go for the same request (integrators), so it may be tried again. Whether
a blocked picture is billed is not documented.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from services.common.errors import (
    ComputeError,
    ContentRefused,
    ProviderExhausted,
    ProviderFailed,
    ProviderRefused,
    RateLimited,
)
from services.net.header_values import parse_number
from services.providers.google.finishes import without_answer
from services.providers.http import VendorResponse, judge_by_status, retry_after

# Reasons of google.rpc.ErrorInfo that speak of the account.
_ACCOUNT = {"BILLING_DISABLED": "PROVIDER_NO_CREDITS", "CONSUMER_SUSPENDED": ProviderExhausted.ON_HOLD}
# A cap of spending is told by its wording alone (integrators).
_SPENT = re.compile(r"spend(ing)? (cap|limit)|prepa(id|yment) credits", re.IGNORECASE)
_NOT_FOUND = 404
_UNAUTHENTICATED = 401
_TOO_MANY = 429


def judge(answer: VendorResponse) -> ComputeError | None:
    """None for a good answer."""
    if isinstance(answer.body, list) and len(answer.body) == 1:
        # Some gateways put the error into an array.
        answer = replace(answer, body=answer.body[0])
    error = judge_by_status(answer)
    if error is None:
        return None
    reasons = {detail.get("reason") for detail in _details(answer)}
    if held := next((_ACCOUNT[reason] for reason in reasons if reason in _ACCOUNT), None):
        return ProviderExhausted(error.message, reason=held)
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


def no_picture(answer: VendorResponse) -> ComputeError:
    """Why a good answer holds no picture."""
    blocked = answer.member("promptFeedback", "blockReason")
    if blocked is not None:
        return ContentRefused(f"the request was blocked: {blocked}", reason="CONTENT_REFUSED")
    finish = answer.member("candidates", 0, "finishReason")
    if not isinstance(finish, str):
        return ProviderFailed("the model answered nothing", reason="PROVIDER_NO_IMAGE")
    said = answer.member("candidates", 0, "finishMessage") or _words(answer)
    message = f"the model made no picture: {finish}" + (f" ({said[:300]})" if said else "")
    return without_answer(finish, message, reason="PROVIDER_NO_IMAGE")


def _out_of_quota(answer: VendorResponse, error: ComputeError) -> ComputeError:
    violations = [one for detail in _details(answer) for one in detail.get("violations") or ()]
    if any("PerDay" in str(one.get("quotaId")) for one in violations):
        return ProviderExhausted(error.message, reason=ProviderExhausted.USED_UP)
    if _SPENT.search(error.message):
        return ProviderExhausted(error.message)
    delays = [_seconds(detail["retryDelay"]) for detail in _details(answer) if "retryDelay" in detail]
    return RateLimited(error.message, retry_after=delays[0] if delays else retry_after(answer))


def _details(answer: VendorResponse) -> Iterator[Mapping[str, Any]]:
    details = answer.member("error", "details")
    return (detail for detail in details if isinstance(detail, dict)) if isinstance(details, list) else iter(())


def _seconds(duration: object) -> float | None:
    """Of "25s" or "1.5s"."""
    return parse_number(str(duration).removesuffix("s"))


def _words(answer: VendorResponse) -> str:
    parts = answer.member("candidates", 0, "content", "parts")
    texts = [part.get("text") for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    return " ".join(text for text in texts if isinstance(text, str))
