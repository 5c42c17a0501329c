"""What Pillow passes over in a TIFF: big-endian BigTIFF, checksums, further pages. Runs in the child process only."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Mapping
from typing import IO, Any, Literal, TypeAlias, cast

from PIL import ExifTags, Image, TiffImagePlugin

from services.imaging.damage import DamagedPixels
from services.imaging.embedding.edits import Content

Order: TypeAlias = Literal["little", "big"]
# Of a page (NewSubfileType): a smaller copy of another, or which of another's pixels count.
REDUCED, MASK = 1, 4
_KIND, _DNG = 254, 50_706
_BIG_ENDIAN, _AS_PILLOW_LOOKS = b"MM\0+", b"MM+\0"
_SHORT, _BIG = 3, 43
_MOST_PAGES = 1000
_DEFLATE = (8, 32_946)
_PIECE_BYTES = 1 << 20
_STRIPS = (ExifTags.Base.StripOffsets, ExifTags.Base.StripByteCounts)
_TILES = (ExifTags.Base.TileOffsets, ExifTags.Base.TileByteCounts)


class _BigEndian(io.RawIOBase):
    """A BigTIFF with its mark where Pillow looks for it, which is where little-endian files have it.

    libtiff goes by the descriptor, and meets the file as it is.
    """

    def __init__(self, content: IO[bytes]) -> None:
        self._content = content

    def read(self, size: int = -1, /) -> bytes:
        at = self._content.tell()
        found = self._content.read(size)
        return (_AS_PILLOW_LOOKS + found[len(_AS_PILLOW_LOOKS) :])[: len(found)] if at == 0 else found

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._content.seek(offset, whence)

    def tell(self) -> int:
        return self._content.tell()

    def fileno(self) -> int:
        return self._content.fileno()


def readable(content: IO[bytes]) -> IO[bytes]:
    """The file as Pillow can read it, which may be the file itself."""
    if os.pread(content.fileno(), len(_BIG_ENDIAN), 0) != _BIG_ENDIAN:
        return content
    if _AS_PILLOW_LOOKS not in TiffImagePlugin.PREFIXES:
        TiffImagePlugin.PREFIXES.append(_AS_PILLOW_LOOKS)
    return cast(IO[bytes], _BigEndian(content))


def is_raw(picture: Image.Image) -> bool:
    """Whether it is a camera's, whose first page is a preview of what only its maker's programs develop."""
    tags: Mapping[int, Any] = picture.tag_v2  # type: ignore[attr-defined]
    return _DNG in tags or bool(tags.get(_KIND, 0) & REDUCED and ExifTags.Base.SubIFDs in tags)


def check(picture: Image.Image, content: IO[bytes]) -> None:
    """Raises DamagedPixels. Strips that are cut off are left to Pillow."""
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


def pages(content: Content) -> list[int]:
    """What each page is, as far as they can be followed; 0 is one by itself."""
    order: Order = "little" if content[:2] == b"II" else "big"
    wide = int.from_bytes(content[2:4], order) == _BIG
    # How wide a number of entries and a place in the file are.
    counted, placed = (8, 8) if wide else (2, 4)
    found, seen, at = list[int](), set[int](), int.from_bytes(content[placed : 2 * placed], order)
    while at and at not in seen and len(found) < _MOST_PAGES and at + counted <= len(content):
        seen.add(at)
        start, size = at + counted, 4 + 2 * placed
        end = start + size * int.from_bytes(content[at:start], order)
        found.append(_kind_of(content, range(start, min(end, len(content)), size), placed, order))
        at = int.from_bytes(content[end : end + placed], order)
    return found


def _kind_of(content: Content, entries: range, placed: int, order: Order) -> int:
    """Entries lie by their numbers, of which this one is the lowest there is (TIFF 6.0, section 2)."""
    for at in entries:
        tag, kind = (int.from_bytes(content[place : place + 2], order) for place in (at, at + 2))
        if tag >= _KIND:
            size = 2 if kind == _SHORT else 4
            return int.from_bytes(content[at + 4 + placed : at + 4 + placed + size], order) if tag == _KIND else 0
    return 0


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
        raise DamagedPixels("a checksum of the pixels is wrong") from error
    return size
