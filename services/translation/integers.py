"""Whole numbers that were written with a fraction of zero: 7.0, 1e2."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

# What strict models say of 7.0 where they want 7.
_REFUSAL = "int_type"


def respell_integers(body: bytes, refused: ValidationError) -> bytes | None:
    """The JSON with every whole number that was refused for its spelling spelt as an integer; None without any.

    Only the places that were refused: a free object keeps its numbers as they came.
    """
    found = refused.errors(include_url=False, include_context=False)
    places = [item["loc"] for item in found if item["type"] == _REFUSAL and _is_whole(item["input"])]
    if not places:
        return None
    document = json.loads(body)
    for place in places:
        _respell(document, place)
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _is_whole(value: object) -> bool:
    return isinstance(value, float) and value.is_integer()


def _respell(document: Any, place: tuple[str | int, ...]) -> None:
    """`place` as pydantic tells it, where a union's choice stands as one more level that the document lacks."""
    holder, last = None, None
    for part in place:
        if _has(document, part):
            holder, last, document = document, part, document[part]
    if holder is not None and _is_whole(document):
        holder[last] = int(document)


def _has(document: Any, part: str | int) -> bool:
    if isinstance(document, dict):
        return part in document
    return isinstance(document, list) and isinstance(part, int) and part < len(document)
