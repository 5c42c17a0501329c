"""Size, length and number of frames of an MP4 or QuickTime film, read from its boxes (ISO/IEC 14496-12)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})
_DEPTH = 8


@dataclass(frozen=True, slots=True)
class FilmFacts:
    width: int
    height: int
    frames: int
    seconds: float

    @property
    def fps(self) -> float:
        return self.frames / self.seconds if self.seconds else 0.0


@dataclass(slots=True)
class _Track:
    video: bool = False
    width: int = 0
    height: int = 0
    seconds: float = 0.0
    frames: int = 0


def read_facts(mp4: bytes) -> FilmFacts:
    """Of its first picture track. Raises ValueError when it has none, or is no such film."""
    tracks: list[_Track] = []
    try:
        for kind, body in _boxes(memoryview(mp4), 0):
            if kind == b"trak":
                tracks.append(_Track())
            elif tracks:
                _learn(tracks[-1], kind, body)
    except struct.error as error:
        raise ValueError("the film is cut off") from error
    for track in tracks:
        if track.video and track.frames and track.seconds > 0:
            return FilmFacts(track.width, track.height, track.frames, track.seconds)
    raise ValueError("no film of an MP4")


def _boxes(data: memoryview, depth: int) -> Iterator[tuple[bytes, memoryview]]:
    """Every box, those that hold others before what they hold."""
    at = 0
    while at + 8 <= len(data) and depth < _DEPTH:
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
            head = 16
        end = len(data) if size == 0 else at + size
        if end > len(data) or end < at + head:
            raise ValueError("a box is larger than the film")
        body = data[at + head : end]
        yield kind, body
        if kind in _CONTAINERS:
            yield from _boxes(body, depth + 1)
        at = end


def _learn(track: _Track, kind: bytes, body: memoryview) -> None:
    wide = len(body) > 0 and body[0] == 1
    if kind == b"tkhd":
        width, height = struct.unpack_from(">II", body, 88 if wide else 76)
        track.width, track.height = width >> 16, height >> 16
    elif kind == b"mdhd":
        scale, length = struct.unpack_from(">IQ", body, 20) if wide else struct.unpack_from(">II", body, 12)
        track.seconds = length / scale if scale else 0.0
    elif kind == b"hdlr":
        # QuickTime has another one, of the data.
        track.video |= bytes(body[8:12]) == b"vide"
    elif kind == b"stsz":
        (track.frames,) = struct.unpack_from(">I", body, 8)
