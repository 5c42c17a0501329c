"""What Triton's failures mean: only the text arrives, so it begins with a stable reason where our models wrote it."""

from __future__ import annotations

import re

from services.common.errors import ComputeError, Internal, InvalidRequest, Overloaded, Unavailable

MATTE_MODEL_MISSING = "MATTE_MODEL_MISSING"
# What a model must not answer to its canary.
BROKEN = (Internal, InvalidRequest, Unavailable)
_OURS = re.compile(r"^([A-Z][A-Z_]+): (.*)", re.DOTALL)
_CALLERS_FAULT = {
    "INVALID_ARGUMENT",
    "INVALID_IMAGE",
    "INVALID_REQUEST",
    "IMAGE_TOO_LARGE",
    "LORA_HASH_MISMATCH",
    "LORA_NOT_FOUND",
    "LORA_UNSUPPORTED",
    MATTE_MODEL_MISSING,
}


class ModelLost(Exception):
    """The model's process is gone, or with `server` all of Triton: nothing of the request survives it.

    With `refused` the request was turned away before it began, so it can't be what killed the model. With `told` the
    model is there, and answers that it is broken, or what makes no sense.
    """

    def __init__(self, message: str, *, server: bool = False, refused: bool = False, told: bool = False) -> None:
        super().__init__(message)
        self.server = server
        self.refused = refused
        self.told = told


def error_of(text: str) -> ComputeError | ModelLost:
    """Text without a reason of ours comes from Triton itself, for example of a dead model process."""
    match = _OURS.match(text)
    if match is None:
        return ModelLost(text, refused=text.startswith("Request for unknown model"))
    reason, message = match.groups()
    if reason in _CALLERS_FAULT:
        return InvalidRequest(message, reason=reason)
    if reason == "RESOURCE_EXHAUSTED":
        return Overloaded(message, reason="MODEL_BUSY", retry_after=1.0)
    if reason == "OUT_OF_MEMORY":
        return Unavailable(message, reason=reason, retry_after=5.0)
    if reason in ("UNAVAILABLE", "CANCELLED"):
        return ModelLost(message, refused=True)
    return Internal(message, reason="MODEL_FAILED")
