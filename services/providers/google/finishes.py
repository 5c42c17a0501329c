"""Why a model of Google stopped, and what that means: every word of the vendor's own list.

Words: `FinishReason` of the vendor's SDK (google-genai 3.6). NO_IMAGE and OTHER are known to come and go for the same
request (integrators); what a rule stopped does not, so it is never tried again.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

from services.common.errors import ComputeError, ContentRefused, ProviderExhausted, ProviderFailed, ProviderRefused


class Meaning(Enum):
    """GOOD and CUT leave an answer, as far as it goes; the others none."""

    GOOD = auto()
    CUT = auto()
    FORBIDDEN = auto()
    UNABLE = auto()
    ON_HOLD = auto()
    FAILED = auto()


MEANINGS: Mapping[str, Meaning] = {
    "FINISH_REASON_UNSPECIFIED": Meaning.FAILED,
    "STOP": Meaning.GOOD,
    "MAX_TOKENS": Meaning.CUT,
    "CONTINUATION": Meaning.CUT,
    "SAFETY": Meaning.FORBIDDEN,
    "RECITATION": Meaning.FORBIDDEN,
    "BLOCKLIST": Meaning.FORBIDDEN,
    "PROHIBITED_CONTENT": Meaning.FORBIDDEN,
    "SPII": Meaning.FORBIDDEN,
    "ESCALATION": Meaning.FORBIDDEN,
    "MODEL_ARMOR": Meaning.FORBIDDEN,
    "IMAGE_SAFETY": Meaning.FORBIDDEN,
    "IMAGE_PROHIBITED_CONTENT": Meaning.FORBIDDEN,
    "IMAGE_RECITATION": Meaning.FORBIDDEN,
    "LANGUAGE": Meaning.UNABLE,
    "MISSING_THOUGHT_SIGNATURE": Meaning.UNABLE,
    "PUP_LIMITED_DISABLED": Meaning.ON_HOLD,
    "OTHER": Meaning.FAILED,
    "IMAGE_OTHER": Meaning.FAILED,
    "NO_IMAGE": Meaning.FAILED,
    "MALFORMED_FUNCTION_CALL": Meaning.FAILED,
    "MALFORMED_RESPONSE": Meaning.FAILED,
    "UNEXPECTED_TOOL_CALL": Meaning.FAILED,
    "TOO_MANY_TOOL_CALLS": Meaning.FAILED,
}


def meaning_of(finish: str) -> Meaning:
    """A word that is new to us is a failure that may pass."""
    return MEANINGS.get(finish.upper(), Meaning.FAILED)


def without_answer(finish: str, message: str, *, reason: str) -> ComputeError:
    """What an end without an answer is to us; `reason` where the word alone does not say it."""
    match meaning_of(finish):
        case Meaning.FORBIDDEN:
            return ContentRefused(message[:500])
        case Meaning.ON_HOLD:
            return ProviderExhausted(message[:500], reason=ProviderExhausted.ON_HOLD)
        case Meaning.UNABLE | Meaning.CUT:
            return ProviderRefused(message[:500], reason=reason)
        case _:
            return ProviderFailed(message[:500], reason=reason)
