"""Which metadata of a PNG cannot be read; Pillow would refuse the picture for them. Runs in the child process only."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from PIL.PngImagePlugin import MAX_TEXT_CHUNK, MAX_TEXT_MEMORY

from services.imaging.embedding import png as chunks

_TEXTS = frozenset((b"tEXt", b"zTXt", b"iTXt"))
_DENSITY_BYTES = 9
# A length that is damaged swallows what comes after it, and without that the picture would be another.
_NEEDED = tuple(b"PLTE IDAT IEND tRNS cHRM gAMA iCCP sBIT sRGB cICP mDCV cLLI acTL fcTL fdAT".split())


@dataclass(slots=True)
class PngMetadataCheck:
    """Looks at the chunks of one file in turn. `room` is what its texts may still take; past it, none is unpacked."""

    room: int = MAX_TEXT_MEMORY

    def leaves_out(self, chunk: chunks.Chunk, view: memoryview) -> bool:
        if chunk.kind not in chunks.METADATA:
            return False
        body = chunk.body(view)
        if not chunk.is_sound(view):
            return not any(name in body for name in _NEEDED)
        if chunk.kind == b"pHYs":
            return len(body) < _DENSITY_BYTES
        return chunk.kind in _TEXTS and not self._has_room_for(chunk.kind, body)

    def _has_room_for(self, kind: bytes, body: bytes) -> bool:
        if self.room <= 0:
            return False
        packed = _packed(kind, body)
        size = len(body) if packed is None else _unpacked_size(packed)
        self.room -= size
        return self.room >= 0 and (packed is None or size <= MAX_TEXT_CHUNK)


def _packed(kind: bytes, body: bytes) -> bytes | None:
    """The method of compression and what was compressed; None of a text that is not (PNG 3rd edition, 11.3.3)."""
    _, _, rest = body.partition(b"\0")
    if kind == b"zTXt":
        return rest
    if kind == b"tEXt" or rest[:1] in (b"", b"\0"):
        return None
    return rest[1:2] + rest[2:].split(b"\0", 2)[-1]


def _unpacked_size(packed: bytes) -> int:
    """One more than MAX_TEXT_CHUNK of whatever is larger than that or cannot be unpacked."""
    if packed[:1] != b"\0":
        return MAX_TEXT_CHUNK + 1
    try:
        return len(zlib.decompressobj().decompress(packed[1:], MAX_TEXT_CHUNK + 1))
    except zlib.error:
        return MAX_TEXT_CHUNK + 1
