"""Free JSON objects: whatever survives the way through messages and documents unchanged."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator

MAX_DEPTH = 12
MAX_SIZE = 65_536
MAX_MEMBERS = 8_192
_LEAST, _MOST = -(2**63), 2**64 - 1
# What every reader of JSON has without loss.
_EXACT = 2**53


def check_json(value: dict[str, Any]) -> dict[str, Any]:
    """Raises ValueError for what is nested too deeply, too large, or a number that would not come back the same."""
    if _weigh(value, MAX_DEPTH) > MAX_SIZE:
        raise ValueError(f"must have at most about {MAX_SIZE} characters")
    if _count(value) > MAX_MEMBERS:
        raise ValueError(f"must have at most {MAX_MEMBERS} members and items, those of its parts included")
    return value


def check_exact(value: Any) -> Any:
    """Raises ValueError for what is nested too deeply, or a number that would not come back the same."""
    _weigh(value, MAX_DEPTH)
    return value


def read_exact(text: str) -> Any:
    """JSON as it was written: without numbers that only come close. Raises ValueError."""
    try:
        return check_exact(json.loads(text, parse_constant=_refuse))
    except RecursionError:
        raise ValueError(f"must be nested at most {MAX_DEPTH} levels deep") from None


def _refuse(_: str) -> Any:
    raise ValueError("must hold finite numbers only")


def canonical(value: Any) -> bytes:
    """The same for all JSON that means the same: members in order of their names, equal numbers in one spelling."""
    return orjson.dumps(with_one_spelling(value), option=orjson.OPT_SORT_KEYS)


def same_json(one: Any, other: Any) -> bool:
    """Whether they mean the same; Python takes True for 1. What cannot be written is like nothing else."""
    try:
        return canonical(one) == canonical(other)
    except TypeError:
        return False


def with_one_spelling(value: Any) -> Any:
    """A double that is a whole number becomes one: 7.0 is 7 and -0.0 is 0."""
    if isinstance(value, dict):
        return {name: with_one_spelling(item) for name, item in value.items()}
    if isinstance(value, list):
        return [with_one_spelling(item) for item in value]
    # Beyond, each double has one spelling anyway.
    if isinstance(value, float) and value.is_integer() and _LEAST <= value < _MOST:
        return int(value)
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
    if isinstance(value, int) and not _LEAST <= value <= _MOST:
        raise ValueError("whole numbers beyond 64 bits must be written as text")
    return 8


def _count(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(_count, value.values()))
    return len(value) + sum(map(_count, value)) if isinstance(value, list) else 0


JsonObject = Annotated[dict[str, Any], AfterValidator(check_json)]
