"""What Anthropic's errors mean: the machine code in `error.details`, else the wording of answers that have none.

Codes: the types of the vendor's SDK (anthropic 2.14), which warns not to match on messages. Where an answer has no
code, an empty account, a spend limit and a disabled organization are told by a 400 whose wording customers report
(anthropics/claude-code issues 88711, 38038 and 68985); a 400 of another wording counts as the caller's fault.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from services.common.errors import (
    ComputeError,
    InvalidRequest,
    PayloadTooLarge,
    ProviderExhausted,
    ProviderFailed,
    ProviderRefused,
    RateLimited,
)
from services.providers.http import VendorResponse, retry_after, words_of

_SPENT = (ProviderExhausted, "PROVIDER_NO_CREDITS")
_ON_HOLD = (ProviderExhausted, ProviderExhausted.ON_HOLD)
# The deployment's set-up: neither the caller nor time will change it.
_SET_UP = (ProviderRefused, "PROVIDER_REFUSED")
_KEY = (ProviderRefused, "PROVIDER_KEY_REFUSED")
_PASSES = (ProviderFailed, "PROVIDER_FAILED")
CODES: Mapping[str, tuple[type[ComputeError], str]] = {
    "contract_spend_limit_reached": _SPENT,
    "enforced_spend_limit_reached": _SPENT,
    "linked_organization_spend_limit_reached": _SPENT,
    "linked_organization_billing_unavailable": _SPENT,
    "user_profile_billing_not_authorized": _SPENT,
    "user_profile_not_billable": _SPENT,
    "organization_on_hold": _ON_HOLD,
    "ramp_limit_exceeded": (RateLimited, "RATE_LIMITED"),
    "claude_code_key_creator_not_member": _KEY,
    "claude_code_version_too_old": _SET_UP,
    "cmek_key_disabled": _SET_UP,
    "cmek_key_network_blocked": _SET_UP,
    "cmek_key_unreachable": _PASSES,
    "cmek_context_unavailable": _PASSES,
    "organization_type_not_supported": _SET_UP,
    "parent_organization_required": _SET_UP,
    "sandbox_egress_restricted": _SET_UP,
    "workspace_human_review_disabled": _SET_UP,
    "request_body_encoding_invalid": _SET_UP,
    "request_body_encoding_unsupported": _SET_UP,
    "request_body_too_large_after_decoding": (PayloadTooLarge, "PROMPT_TOO_LARGE"),
    "image_dimensions_too_large": (PayloadTooLarge, "PROMPT_TOO_LARGE"),
}
_WORDS: tuple[tuple[re.Pattern[str], tuple[type[ComputeError], str]], ...] = (
    (re.compile(r"Your credit balance is too low"), _SPENT),
    (re.compile(r"You have reached your specified (\w+ )?API usage limits"), _SPENT),
    (re.compile(r"This (organization|workspace) has been disabled"), _ON_HOLD),
    (re.compile(r"prompt is too long"), (InvalidRequest, "PROMPT_TOO_LONG")),
)


def error_of(answer: VendorResponse) -> ComputeError | None:
    """None where neither code nor wording says more than the status does."""
    said = words_of(answer)
    code = answer.member("error", "details", "error_code")
    found = CODES.get(code) if isinstance(code, str) else None
    if found is None and answer.member("error", "type") == "billing_error":
        found = _SPENT
    if found is None and answer.status == 429 and answer.headers.get("x-should-retry") == "false":
        found = _SPENT
    if found is None and answer.status == 400:
        found = next((meaning for words, meaning in _WORDS if words.match(said)), None)
    if found is None:
        return None
    kind, reason = found
    return kind(f"anthropic: {said}", reason=reason, retry_after=retry_after(answer))
