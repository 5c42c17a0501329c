"""What only the diffusion model fails with, beside the family of `failures`."""

from failures import Cancelled, InvalidArgument, ModelFailed, OutOfMemory, QueueFull, RequestError, Unavailable

__all__ = [
    "Cancelled",
    "InvalidArgument",
    "LoraHashMismatch",
    "LoraNotFound",
    "LoraUnsupported",
    "ModelFailed",
    "ModelUnsupported",
    "OutOfMemory",
    "QueueFull",
    "RequestError",
    "Unavailable",
]


class LoraNotFound(RequestError):
    """There is no such file."""

    reason = "LORA_NOT_FOUND"


class LoraHashMismatch(RequestError):
    """The file is not the one asked for."""

    reason = "LORA_HASH_MISMATCH"


class LoraUnsupported(RequestError):
    """The file does not fit this model, wholly."""

    reason = "LORA_UNSUPPORTED"


class ModelUnsupported(Exception):
    """The model's directory cannot be served; raised while loading."""
