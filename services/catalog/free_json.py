"""Free JSON objects: whatever survives the way through messages and documents unchanged."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import AfterValidator

MAX_DEPTH = 12
MAX_SIZE = 65_536
# Free numbers travel as doubles.
_EXACT = 2**53


def check_json(value: dict[str, Any]) -> dict[str, Any]:
    """Raises ValueError for what is nested too deeply, too large, or a number that would not come back the same."""
    if _weigh(value, MAX_DEPTH) > MAX_SIZE:
        raise ValueError(f"must have at most about {MAX_SIZE} characters")
    return value


def with_large_numbers_as_text(value: dict[str, Any]) -> dict[str, Any]:
    """Seeds of 64 bits among them. Raises ValueError for what is nested too deeply."""
    found: dict[str, Any] = _told(value, MAX_DEPTH)
    return found


def _told(value: Any, depth: int) -> Any:
    if depth < 0:
        raise ValueError(f"must be nested at most {MAX_DEPTH} levels deep")
    if isinstance(value, dict):
        return {name: _told(item, depth - 1) for name, item in value.items()}
    if isinstance(value, list):
        return [_told(item, depth - 1) for item in value]
    return str(value) if isinstance(value, int) and abs(value) > _EXACT else value


def _weigh(value: Any, depth: int) -> int:
    if depth < 0:
        raise ValueError(f"must be nested at most {MAX_DEPTH} levels deep")
    if isinstance(value, str):
        return len(value) + 2
    if isinstance(value, dict):
        return 2 + sum(len(name) + 4 + _weigh(item, depth - 1) for name, item in value.items())
    if isinstance(value, list):
        return 2 + sum(1 + _weigh(item, depth - 1) for item in value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must hold finite numbers only")
    if isinstance(value, int) and abs(value) > _EXACT:
        raise ValueError("whole numbers beyond 2^53 must be written as text")
    return 8


JsonObject = Annotated[dict[str, Any], AfterValidator(check_json)]
