"""Changes to a file that leave the rest of it as it is, without a second copy of it."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

# In front of the recipe wherever a format has no names for its parts.
MARK = b"atelier-recipe\0"
# A stranger's file of nothing but empty parts would keep a thread busy for minutes.
MOST_PARTS = 1 << 20
# More than any maker says of a picture.
_LARGEST_PACKET = 1 << 20
C2PA = "its maker signed it (C2PA)"
Part: TypeAlias = bytes | memoryview
# A file in memory, or one that is read where it lies.
Content: TypeAlias = bytes | mmap.mmap
# From the file's own XMP packet, or None, to the one to have; None leaves things as they are. May raise CannotEmbed.
PacketFor: TypeAlias = Callable[[bytes | None], bytes | None]


class CannotEmbed(ValueError):
    """Nothing can be put into this file, and its message says why, in words that follow "because"."""


@dataclass(frozen=True, slots=True)
class ByteEdit:
    """`new` in place of the bytes from `start` to `end`."""

    start: int
    end: int
    new: bytes


def assembled(content: bytes, edits: Iterable[ByteEdit]) -> list[Part]:
    """The changed file in pieces, those of `content` as views of it. At one place, edits keep their order."""
    whole, parts, at = memoryview(content), list[Part](), 0
    for edit in sorted(edits, key=lambda edit: edit.start):
        parts += [whole[at : edit.start], edit.new]
        at = edit.end
    return [part for part in (*parts, whole[at:]) if len(part)]


def counted(number: int) -> int:
    """The next number of a part. Raises CannotEmbed when there are too many."""
    if number >= MOST_PARTS:
        raise CannotEmbed("it has too many parts")
    return number + 1


def packet_at(content: bytes, start: int, end: int) -> bytes:
    """What lies there; nothing, to which nobody can add, where that is a large part of a file."""
    return content[start:end] if end - start <= _LARGEST_PACKET else b""
