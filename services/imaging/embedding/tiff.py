"""TIFF: told apart are files that hold nothing but pixels; their parts lie anywhere, so none is taken out."""

from __future__ import annotations

from typing import Literal

from services.imaging.embedding.edits import ByteEdit, CannotEmbed
from services.imaging.embedding.exif import ExifEntry, entries

# What a reader needs to show the pixels (TIFF 6.0), the profile, and the names of programs.
_OF_PIXELS = frozenset(
    {254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281, 282, 283, 284, 290, 291}
    | {292, 293, 296, 297, 301, 305, 317, 318, 319, 320, 321, 322, 323, 324, 325, 332, 338, 339, 340, 341, 347}
    | {529, 530, 531, 532, 34675}
)
_SHORT = 3
_STARTS, _LENGTHS = (273, 324), (279, 325)


def bare_edits(content: bytes, packet: bytes | None) -> list[ByteEdit]:
    """None at all. Raises CannotEmbed where there is more than the pixels, further pages among it."""
    found = {entry.tag: entry for entry in entries(content)}
    order: Literal["little", "big"] = "little" if content.startswith(b"II") else "big"
    at = int.from_bytes(content[4:8], order) + 2 + 12 * len(found)
    if set(found) - _OF_PIXELS or int.from_bytes(content[at : at + 4], order):
        raise CannotEmbed("it says more than its pixels need")
    end = max([at + 4, *(entry.place + len(entry.value) for entry in found.values())])
    for starts, lengths in zip(_STARTS, _LENGTHS, strict=True):
        if starts in found and lengths in found:
            pieces = zip(_numbers(found[starts], order), _numbers(found[lengths], order), strict=False)
            end = max([end, *(start + length for start, length in pieces)])
    if end < len(content) - 1:
        raise CannotEmbed("something lies behind its pixels")
    return []


def _numbers(entry: ExifEntry, order: Literal["little", "big"]) -> list[int]:
    size = 2 if int.from_bytes(entry.head[2:4], order) == _SHORT else 4
    return [int.from_bytes(entry.value[at : at + size], order) for at in range(0, len(entry.value), size)]
