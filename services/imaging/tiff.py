"""The checksums in a TIFF's packed strips, which Pillow passes over. Runs in the child process only."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from typing import IO, Any

from PIL import ExifTags, Image

from services.imaging.damage import Damaged

_DEFLATE = (8, 32_946)
_PIECE_BYTES = 1 << 20
_STRIPS = (ExifTags.Base.StripOffsets, ExifTags.Base.StripByteCounts)
_TILES = (ExifTags.Base.TileOffsets, ExifTags.Base.TileByteCounts)


def check(picture: Image.Image, content: IO[bytes]) -> None:
    """Raises Damaged. Strips that are cut off are left to Pillow."""
    tags: Mapping[int, Any] = picture.tag_v2  # type: ignore[attr-defined]
    if tags.get(ExifTags.Base.Compression) not in _DEFLATE:
        return
    offsets, counts = next((pair for pair in (_STRIPS, _TILES) if all(tag in tags for tag in pair)), (0, 0))
    # Tiles reach beyond the edges; more than this is no picture of that size.
    room = 4 * picture.width * picture.height * _bytes_per_pixel(tags) + _PIECE_BYTES
    for offset, count in zip(tags.get(offsets, ()), tags.get(counts, ()), strict=False):
        room -= _unpacked(os.pread(content.fileno(), count, offset), room)
        if room <= 0:
            return


def _bytes_per_pixel(tags: Mapping[int, Any]) -> int:
    return max(1, int(sum(tags.get(ExifTags.Base.BitsPerSample, (1,)))) // 8)


def _unpacked(packed: bytes, room: int) -> int:
    """How many bytes it holds, as far as there is room."""
    stream, size = zlib.decompressobj(), 0
    try:
        while packed and not stream.eof and size < room:
            size += len(stream.decompress(packed, _PIECE_BYTES))
            packed = stream.unconsumed_tail
    except zlib.error as error:
        raise Damaged("a checksum of the pixels is wrong") from error
    return size
