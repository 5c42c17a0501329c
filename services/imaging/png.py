"""What the chunks of a PNG say that Pillow does not tell (PNG 3rd edition). Runs in the child process only."""

from __future__ import annotations

import io
import mmap
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO

from services.imaging.damage import DamagedPixels
from services.imaging.embedding import png as chunks
from services.imaging.embedding.edits import CannotEmbed
from services.imaging.png_metadata import PngMetadataCheck

_CHANNELS_OF_KEY = {0: 1, 2: 3}


@dataclass(slots=True)
class Header:
    """`key` is the one transparent colour in the file's own numbers; the rest is as the chunks have it, if there.

    `chromaticities` are x and y of white, red, green and blue; `code_points` primaries and curve by ITU-T H.273.
    `unreadable` are chunks of metadata to be left out.
    """

    depth: int = 8
    kind: int = 0
    key: tuple[int, ...] | None = None
    gamma: float | None = None
    chromaticities: tuple[float, ...] | None = None
    says_srgb: bool = False
    code_points: tuple[int, int] | None = None
    unreadable: list[chunks.Chunk] = field(default_factory=list)


def read(content: IO[bytes], *, pixels: bool = True) -> Header:
    """Without `pixels`, of what lies in front of them. Raises DamagedPixels."""
    header, judge = Header(), PngMetadataCheck()
    with mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ) as whole, memoryview(whole) as view:
        try:
            for chunk in chunks.chunks(view):
                if chunk.kind in (b"IDAT", b"fdAT"):
                    if not pixels:
                        break
                    _check(view, chunk)
                elif reader := _READERS.get(chunk.kind):
                    reader(header, bytes(chunk.body(view)))
                elif judge.leaves_out(chunk, view):
                    header.unreadable.append(chunk)
        except CannotEmbed:
            pass  # cut off: Pillow says where that matters
    return header


def readable(content: IO[bytes], header: Header) -> IO[bytes]:
    """The file, or where there is something to leave out a copy without that."""
    if not header.unreadable:
        return content
    kept = io.BytesIO()
    content.seek(0)
    for chunk in header.unreadable:
        kept.write(content.read(chunk.start - content.tell()))
        content.seek(chunk.end)
    kept.write(content.read())
    kept.seek(0)
    return kept


def _check(view: memoryview, chunk: chunks.Chunk) -> None:
    if not chunk.is_sound(view):
        raise DamagedPixels("a checksum of the pixels is wrong")


def _read_header(header: Header, body: bytes) -> None:
    if len(body) == 13:
        header.depth, header.kind = body[8], body[9]


def _read_key(header: Header, body: bytes) -> None:
    channels = _CHANNELS_OF_KEY.get(header.kind)
    if channels and len(body) >= 2 * channels:
        # Only as many bits count as a sample has.
        mask = (1 << header.depth) - 1
        header.key = tuple(number & mask for number in struct.unpack(f">{channels}H", body[: 2 * channels]))


def _read_gamma(header: Header, body: bytes) -> None:
    number = int.from_bytes(body[:4])
    if len(body) == 4 and number:
        header.gamma = number / 100_000


def _read_chromaticities(header: Header, body: bytes) -> None:
    if len(body) == 32:
        header.chromaticities = tuple(number / 100_000 for number in struct.unpack(">8I", body))


def _read_srgb(header: Header, body: bytes) -> None:
    header.says_srgb = len(body) == 1


def _read_code_points(header: Header, body: bytes) -> None:
    if len(body) == 4:
        header.code_points = body[0], body[1]


_READERS: dict[bytes, Callable[[Header, bytes], None]] = {
    b"IHDR": _read_header,
    b"tRNS": _read_key,
    b"gAMA": _read_gamma,
    b"cHRM": _read_chromaticities,
    b"sRGB": _read_srgb,
    b"cICP": _read_code_points,
}
