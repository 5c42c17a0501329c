"""Matting: a picture's subject as 8-bit alpha, from an ONNX network and classical methods, with a confidence."""

from .errors import MattingError
from .matter import Cut, Matter
from .request import MattingRequest
from .settings import Settings

__all__ = ["Cut", "Matter", "MattingError", "MattingRequest", "Settings"]
