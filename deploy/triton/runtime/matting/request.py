"""What a caller may ask of one matte."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from typing import Any

from .errors import MattingError

METHODS = ("auto", "network", "border")


@dataclass(frozen=True)
class MattingRequest:
    method: str = "auto"
    refine: bool = True
    canary: bool = False
    model: str = ""
    """The network to believe, by its name; empty lets the picture tell which."""

    @classmethod
    def parse(cls, text: str) -> MattingRequest:
        """From the REQUEST tensor's JSON; empty means every default. Raises INVALID_REQUEST."""
        if not text.strip():
            return cls()
        given = read_object(text)
        unknown = sorted(set(given) - {field.name for field in fields(cls)})
        if unknown:
            raise MattingError("INVALID_REQUEST", f"unknown fields {', '.join(unknown)}")
        return replace(cls(), **given).checked()

    def checked(self) -> MattingRequest:
        if self.method not in METHODS:
            raise MattingError("INVALID_REQUEST", f"method must be one of {', '.join(METHODS)}")
        if not isinstance(self.model, str):
            raise MattingError("INVALID_REQUEST", "model must be the name of a network")
        for name in ("refine", "canary"):
            if not isinstance(getattr(self, name), bool):
                raise MattingError("INVALID_REQUEST", f"{name} must be true or false")
        return self


def read_object(text: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MattingError("INVALID_REQUEST", f"REQUEST is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise MattingError("INVALID_REQUEST", "REQUEST must be a JSON object")
    return given
