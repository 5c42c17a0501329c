"""How a file was made, read from the file itself, and put into it without touching its pixels."""

from __future__ import annotations

from typing import Any

import orjson

from services.imaging.embedding.edits import MARK, CannotEmbed, PacketFor, Part, assembled
from services.imaging.embedding.kinds import bared_of, carrier_of

RECIPE_CHUNK = MARK[:-1].decode()
# Of a file that cannot carry its recipe, the recipe lies beside it, under the file's name and this.
BESIDE = ".recipe.json"
# Of a recipe: what the pictures said of themselves that it was made from.
MADE_FROM = "made_from"
# Every writer of ours puts the recipe in front of the pixels, or so far from the end.
HEAD_BYTES = 256 << 10
TAIL_BYTES = 128 << 10
_LARGEST = 60_000
# Deeper than any recipe of ours; a stranger's may nest until the reader breaks.
_DEPTH = 14


def inscribed(content: bytes, recipe: bytes, packet_for: PacketFor) -> list[Part]:
    """The file in pieces, with the recipe (JSON) and an XMP packet; compressed pixels are the very same bytes.

    Raises:
        CannotEmbed: it is signed, broken, or of a kind that can carry neither.
    """
    carrier = carrier_of(content)
    if carrier is None:
        raise CannotEmbed("files of its kind have no place for it")
    if len(recipe) > _LARGEST:
        raise CannotEmbed("its recipe is too long")
    return assembled(content, carrier.edits(content, recipe, packet_for))


def bared(content: bytes, packet: bytes | None) -> list[Part]:
    """The file in pieces without persons, places and devices, its compressed pixels the very same bytes.

    Where there was something to take out, `packet` is what its XMP says now; a file that says nothing is as it came.

    Raises:
        CannotEmbed: it is broken, or of a kind whose parts cannot be taken out.
    """
    kind = bared_of(content)
    if kind is None:
        raise CannotEmbed("nothing can be taken out of files of its kind")
    return assembled(content, kind.bare_edits(content, packet))


def lies_at_end(head: bytes) -> bool:
    """Whether a file that begins so has its recipe within its last TAIL_BYTES."""
    carrier = carrier_of(head)
    return carrier is not None and carrier.AT_END


def read_recipe(head: bytes, tail: bytes | None = None) -> dict[str, Any] | None:
    """None when there is none, or none that can be read and shown as JSON again. Both parts may be cut anywhere.

    Without a `tail` the head is the whole file. It may be a stranger's: what an app made, or a picture that was
    handed on as it came.
    """
    carrier = carrier_of(head)
    if carrier is None:
        return None
    return parse_recipe(carrier.recipe_in(tail if carrier.AT_END and tail is not None else head))


def parse_recipe(text: bytes | None) -> dict[str, Any] | None:
    """None for what is no object of JSON, or nests too deeply."""
    try:
        found = orjson.loads(text) if text else None
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) and _is_shallow(found, _DEPTH) else None


def _is_shallow(value: object, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(_is_shallow(item, depth - 1) for item in inner)
