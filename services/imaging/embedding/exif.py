"""Exif, and the TIFF that it is: which tags there are, and what is left of it without persons, places and devices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from services.imaging.embedding.edits import CannotEmbed

_HEADER = 8
_ENTRY = 12
_ORDERS: dict[bytes, Literal["little", "big"]] = {b"II*\0": "little", b"MM\0*": "big"}
# How a picture is turned, and its density.
_KEPT = frozenset({0x0112, 0x011A, 0x011B, 0x0128})
# Bytes of a value, by its type (TIFF 6.0, section 2).
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_LARGEST_KEPT = 8


@dataclass(frozen=True, slots=True)
class ExifEntry:
    """`head` is its tag, type and number of values; `value` lies at `place`."""

    tag: int
    head: bytes
    place: int
    value: bytes


def entries(block: bytes) -> Iterator[ExifEntry]:
    """Of the first directory. Raises CannotEmbed for what is no TIFF, or is cut off."""
    order = _order(block)
    at = int.from_bytes(block[4:8], order)
    for number in range(int.from_bytes(block[at : at + 2], order)):
        start = at + 2 + number * _ENTRY
        head, own = block[start : start + 8], block[start + 8 : start + _ENTRY]
        if len(own) < 4:
            raise CannotEmbed("its Exif is cut off")
        size = _SIZES.get(int.from_bytes(head[2:4], order), 1) * int.from_bytes(head[4:8], order)
        place = start + 8 if size <= 4 else int.from_bytes(own, order)
        yield ExifEntry(int.from_bytes(head[:2], order), head, place, block[place : place + size])


def essential(block: bytes) -> bytes:
    """A block with nothing but how the picture is turned, and its density; empty where it says neither."""
    try:
        kept = [found for found in entries(block) if found.tag in _KEPT and len(found.value) <= _LARGEST_KEPT]
    except CannotEmbed:
        return b""
    if not kept:
        return b""
    order = _order(block)
    directory, behind = len(kept).to_bytes(2, order), b""
    values_at = _HEADER + 2 + len(kept) * _ENTRY + 4
    for found in kept:
        if len(found.value) <= 4:
            directory += found.head + found.value.ljust(4, b"\0")
        else:
            directory += found.head + (values_at + len(behind)).to_bytes(4, order)
            behind += found.value
    return block[:4] + _HEADER.to_bytes(4, order) + directory + bytes(4) + behind


def _order(block: bytes) -> Literal["little", "big"]:
    order = _ORDERS.get(block[:4])
    if order is None:
        raise CannotEmbed("it is no TIFF")
    return order
