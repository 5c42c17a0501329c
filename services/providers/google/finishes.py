"""Why a model of Google stopped, and what that means: every word of the vendor's own list.

Words: `FinishReason` of the vendor's SDK (google-genai 3.6). NO_IMAGE and OTHER are known to come and go for the same
request (integrators); what a rule stopped does not, so it is never tried again.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

from services.common.errors import ComputeError, ContentRefused, ProviderExhausted, ProviderFailed, ProviderRefused


class FinishMeaning(Enum):
    """GOOD and CUT leave an answer, as far as it goes; the others none."""

    GOOD = auto()
    CUT = auto()
    FORBIDDEN = auto()
    UNABLE = auto()
    ON_HOLD = auto()
    FAILED = auto()


MEANINGS: Mapping[str, FinishMeaning] = {
    "FINISH_REASON_UNSPECIFIED": FinishMeaning.FAILED,
    "STOP": FinishMeaning.GOOD,
    "MAX_TOKENS": FinishMeaning.CUT,
    "CONTINUATION": FinishMeaning.CUT,
    "SAFETY": FinishMeaning.FORBIDDEN,
    "RECITATION": FinishMeaning.FORBIDDEN,
    "BLOCKLIST": FinishMeaning.FORBIDDEN,
    "PROHIBITED_CONTENT": FinishMeaning.FORBIDDEN,
    "SPII": FinishMeaning.FORBIDDEN,
    "ESCALATION": FinishMeaning.FORBIDDEN,
    "MODEL_ARMOR": FinishMeaning.FORBIDDEN,
    "IMAGE_SAFETY": FinishMeaning.FORBIDDEN,
    "IMAGE_PROHIBITED_CONTENT": FinishMeaning.FORBIDDEN,
    "IMAGE_RECITATION": FinishMeaning.FORBIDDEN,
    "LANGUAGE": FinishMeaning.UNABLE,
    "MISSING_THOUGHT_SIGNATURE": FinishMeaning.UNABLE,
    "PUP_LIMITED_DISABLED": FinishMeaning.ON_HOLD,
    "OTHER": FinishMeaning.FAILED,
    "IMAGE_OTHER": FinishMeaning.FAILED,
    "NO_IMAGE": FinishMeaning.FAILED,
    "MALFORMED_FUNCTION_CALL": FinishMeaning.FAILED,
    "MALFORMED_RESPONSE": FinishMeaning.FAILED,
    "UNEXPECTED_TOOL_CALL": FinishMeaning.FAILED,
    "TOO_MANY_TOOL_CALLS": FinishMeaning.FAILED,
}


def meaning_of(finish: str) -> FinishMeaning:
    """A word that is new to us is a failure that may pass."""
    return MEANINGS.get(finish.upper(), FinishMeaning.FAILED)


def without_answer(finish: str, message: str, *, reason: str) -> ComputeError:
    """What an end without an answer is to us; `reason` where the word alone does not say it."""
    match meaning_of(finish):
        case FinishMeaning.FORBIDDEN:
            return ContentRefused(message[:500])
        case FinishMeaning.ON_HOLD:
            return ProviderExhausted(message[:500], reason=ProviderExhausted.ON_HOLD)
        case FinishMeaning.UNABLE | FinishMeaning.CUT:
            return ProviderRefused(message[:500], reason=reason)
        case _:
            return ProviderFailed(message[:500], reason=reason)
