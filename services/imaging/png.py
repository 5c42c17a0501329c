"""What the chunks of a PNG say that Pillow does not tell (PNG 3rd edition). Runs in the child process only."""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

from services.imaging.carriers import png as chunks
from services.imaging.carriers.edits import Unfit
from services.imaging.damage import Damaged

_CHANNELS_OF_KEY = {0: 1, 2: 3}


@dataclass(slots=True)
class Header:
    """`key` is the one transparent colour in the file's own numbers; the rest is as the chunks have it, if there.

    `chromaticities` are x and y of white, red, green and blue; `code_points` primaries and curve by ITU-T H.273.
    """

    depth: int = 8
    kind: int = 0
    key: tuple[int, ...] | None = None
    gamma: float | None = None
    chromaticities: tuple[float, ...] | None = None
    says_srgb: bool = False
    code_points: tuple[int, int] | None = None


def read(content: IO[bytes]) -> Header:
    """Raises Damaged."""
    header = Header()
    with mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ) as whole, memoryview(whole) as view:
        try:
            for chunk in chunks.chunks(view):
                if chunk.kind in (b"IDAT", b"fdAT"):
                    _check(view, chunk)
                elif reader := _READERS.get(chunk.kind):
                    reader(header, bytes(chunk.body(view)))
        except Unfit:
            pass  # cut off: Pillow says where that matters
    return header


def _check(view: memoryview, chunk: chunks.Chunk) -> None:
    with view[chunk.start + 4 : chunk.end - 4] as summed:
        if zlib.crc32(summed) != int.from_bytes(view[chunk.end - 4 : chunk.end]):
            raise Damaged("a checksum of the pixels is wrong")


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
