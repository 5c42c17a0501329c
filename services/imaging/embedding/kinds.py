"""Which format a file has, by its first bytes."""

from __future__ import annotations

from typing import Protocol

from services.imaging.embedding import boxes, gif, jpeg, png, tiff, webp
from services.imaging.embedding.edits import ByteEdit, PacketFor
from services.imaging.sniffing import HEAD_BYTES, content_type_of


class StrippableFormat(Protocol):
    """A format out of which persons, places and devices can be taken."""

    def bare_edits(self, content: bytes, packet: bytes | None, /) -> list[ByteEdit]:
        """What leaves the pixels, what shows them as they were meant, and `packet`; none where that is all.

        Raises CannotEmbed: it cannot be done around the pixels.
        """
        ...


class EmbeddingFormat(StrippableFormat, Protocol):
    """A format. `AT_END`: its recipe is found in the end of a file, else in the beginning."""

    AT_END: bool

    def recipe_in(self, part: bytes, /) -> bytes | None:
        """The recipe's text, None where `part` has none."""
        ...

    def edits(self, content: bytes, recipe: bytes, packet_for: PacketFor) -> list[ByteEdit]:
        """What puts a recipe and XMP into a file. Raises CannotEmbed."""
        ...


_CARRIERS: dict[str, EmbeddingFormat] = {
    "image/png": png,
    "image/jpeg": jpeg,
    "image/webp": webp,
    "image/gif": gif,
    "image/avif": boxes,
    "image/heic": boxes,
    "image/heif": boxes,
    "video/mp4": boxes,
    "video/quicktime": boxes,
}


def carrier_of(head: bytes) -> EmbeddingFormat | None:
    return _CARRIERS.get(content_type_of(head[:HEAD_BYTES]))


def bared_of(head: bytes) -> StrippableFormat | None:
    kind = content_type_of(head[:HEAD_BYTES])
    return tiff if kind == "image/tiff" else _CARRIERS.get(kind)
