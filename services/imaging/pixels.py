"""A picture's bytes to upright pixels, in sRGB or in its own colours. Runs in the child process only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import IO

from PIL import ExifTags, Image

from services.imaging import icc, profiles
from services.imaging.beside import left_out
from services.imaging.metadata import density_of, rights_of
from services.imaging.notes import Note
from services.imaging.opening import (
    BOXES_WITHIN,
    TURNED,
    Opened,
    UnusablePicture,
    border,
    loaded,
    measured,
    reopened,
)
from services.imaging.rights import Rights
from services.imaging.samples import STRIP_BYTES, PixelSamples, as_mode, samples_of

_DAMAGED = "the picture cannot be decoded: it is damaged or cut off"
_NAMES = {"MPO": "JPEG", "HEIF": "HEIC"}
# Several pictures in one of these are no animation.
_OF_PAGES = ("MPO", "TIFF", "HEIF")
_PNG_DEPTH_AT = 24
_DEPTH_BOX = b"pixi"
_ALPHA = {"L": "LA", "RGB": "RGBA"}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

__all__ = ["Decoded", "PictureFacts", "UnusablePicture", "decode", "decode_original", "measure", "write", "write_bytes"]


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """`width` and `height` in pixels as displayed; `channels` 3 (RGB) or 4 (RGBA), in originals also 1 or 2 (grey).

    `depth` is that of the file's samples, in bits.
    """

    format: str
    width: int
    height: int
    channels: int
    animated: bool
    depth: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture of mode RGB or RGBA, in its own colours also L or LA.

    `profile` describes its colours, empty where they are sRGB's; `converted` tells that they had to leave a profile of
    their own, `grey` that the file has none but greys by its mode. `density` is in dots per inch as displayed.
    """

    picture: Image.Image
    facts: PictureFacts
    density: tuple[float, float] | None
    rights: Rights
    notes: tuple[Note, ...]
    profile: bytes = b""
    converted: bool = False
    grey: bool = False


@border("the picture's header cannot be read")
def measure(content: IO[bytes], *, max_pixels: int) -> PictureFacts:
    """From the headers alone. Raises UnusablePicture."""
    return _facts(measured(content, max_pixels=max_pixels), content)


@border(_DAMAGED)
def decode(content: IO[bytes], *, max_pixels: int) -> Decoded:
    """The first frame, upright, in sRGB. Raises UnusablePicture."""
    opened = loaded(content, max_pixels=max_pixels)
    colours = _Colours.of(opened, samples_of(opened, partial(reopened, content, opened.header)))
    return replace(_decoded(opened, content, colours.in_srgb(), colours), converted=not colours.are_srgb)


@border(_DAMAGED)
def decode_original(content: IO[bytes], *, max_pixels: int, grey: bool) -> Decoded:
    """The first frame, upright, 8 bits deep, its colours as they are.

    Colours that a PNG cannot hold (CMYK, Lab) become sRGB, and without `grey` so do greys. Raises UnusablePicture.
    """
    opened = loaded(content, max_pixels=max_pixels)
    colours = _Colours.of(opened, samples_of(opened, partial(reopened, content, opened.header)))
    own = colours.own(grey)
    found = _decoded(opened, content, colours.in_srgb() if own is None else own, colours)
    if own is None:
        return replace(found, converted=bool(colours.profile or opened.picture.info.get("icc_profile")))
    return replace(found, profile=colours.profile)


@dataclass(frozen=True, slots=True)
class _Colours:
    """Samples, and the profile that describes them: empty where they are sRGB's, or nobody knows whose."""

    samples: PixelSamples
    profile: bytes
    mode: str
    notes: tuple[Note, ...] = ()

    @classmethod
    def of(cls, opened: Opened, samples: PixelSamples) -> _Colours:
        mode = "L" if samples.colours.mode == "I" else samples.colours.mode
        profile = opened.picture.info.get("icc_profile") or b""
        points = opened.code_points
        # Of a PNG they count before everything else, in other files where there is no profile.
        if points and (opened.header or not profile):
            return cls._by_code_points(samples, points, mode)
        described = profiles.mode_of(profile) if profile else None
        if described == "RGB" and mode == "L":
            return cls(samples, profile, "RGB")
        if described == mode:
            return cls(samples, profile, mode)
        if mode == "LAB":
            # These numbers mean the same everywhere; whatever lies beside them changes nothing.
            return cls(samples, b"", mode)
        notes = [Note.PROFILE_IGNORED] * bool(profile) + [Note.INKS_WITHOUT_PROFILE] * (mode == "CMYK")
        told = profiles.of_png(opened.header) if opened.header and not profile else b""
        return cls(samples, told, mode, tuple(notes))

    @classmethod
    def _by_code_points(cls, samples: PixelSamples, points: tuple[int, int], mode: str) -> _Colours:
        try:
            profile = profiles.of_code_points(*points)
        except icc.UnreadableProfile:
            return cls(samples, b"", mode, (Note.PROFILE_IGNORED,))
        return cls(samples, profile, "RGB" if profile else mode)

    def own(self, grey: bool) -> Image.Image | None:
        """None where they have to be converted."""
        if self.mode not in _ALPHA or (self.mode == "L" and not grey):
            return None
        return as_mode(self.samples.in_eight_bits(), self.mode)

    @property
    def are_srgb(self) -> bool:
        """Whether they look the same without their profile."""
        return not self.profile or profiles.is_srgb(self.profile, self.mode)

    def in_srgb(self) -> Image.Image:
        if self.are_srgb:
            return as_mode(self.samples.in_eight_bits(), "RGB")
        if self.mode == "RGB" and self.samples.is_deep:
            return self._from_deep()
        if self.mode == "L":
            return profiles.in_srgb(self.samples.colours, self.profile)
        return profiles.in_srgb(as_mode(self.samples.in_eight_bits(), self.mode), self.profile)

    def _from_deep(self) -> Image.Image:
        """Dark samples of a straight curve would be lost in eight bits, so they get sRGB's curve first."""
        try:
            tables = _tables(self.profile)
            same_primaries = icc.with_srgb_curve(self.profile)
        except icc.UnreadableProfile:
            return profiles.in_srgb(as_mode(self.samples.in_eight_bits(), "RGB"), self.profile)
        picture = self.samples.looked_up(tables)
        return picture if profiles.is_srgb(same_primaries, "RGB") else profiles.in_srgb(picture, same_primaries)


def _tables(profile: bytes) -> list[list[int]]:
    return [
        [round(255 * icc.srgb_encoded(curve(value / 65_535))) for value in range(1 << 16)]
        for curve in icc.curves(profile)
    ]


def _decoded(opened: Opened, content: IO[bytes], shown: Image.Image, colours: _Colours) -> Decoded:
    if colours.samples.alpha is not None:
        shown.putalpha(colours.samples.alpha)
    if opened.orientation > 1:
        shown = shown.transpose(_TURNS[opened.orientation])
    facts = replace(_facts(opened, content), channels=len(shown.getbands()))
    density = density_of(opened.picture)
    if density and opened.orientation in TURNED:
        density = (density[1], density[0])
    rights, told = rights_of(opened.picture, content)
    unreadable = opened.header is not None and bool(opened.header.unreadable)
    of_file = (*_notes(facts, unreadable), *told, *left_out(opened.picture, content))
    notes = (*opened.notes, *colours.notes, *of_file)
    return Decoded(shown, facts, density, rights, tuple(dict.fromkeys(notes)), grey=colours.mode == "L")


def _notes(facts: PictureFacts, broken_metadata: bool) -> Iterator[Note]:
    if facts.animated:
        yield Note.ANIMATION_FIRST_FRAME
    if facts.depth > 8:
        yield Note.DEPTH_REDUCED
    if broken_metadata:
        yield Note.METADATA_IGNORED


def _facts(opened: Opened, content: IO[bytes]) -> PictureFacts:
    picture = opened.picture
    width, height = picture.size
    if opened.orientation in TURNED:
        width, height = height, width
    name = _NAMES.get(str(picture.format), str(picture.format))
    animated = picture.format not in _OF_PAGES and bool(getattr(picture, "is_animated", False))
    return PictureFacts(
        name, width, height, 4 if picture.has_transparency_data else 3, animated, _depth(picture, content)
    )


def _depth(picture: Image.Image, content: IO[bytes]) -> int:
    """Bits of a sample in the file."""
    descriptor = content.fileno()
    if picture.format == "PNG":
        return os.pread(descriptor, 1, _PNG_DEPTH_AT)[0]
    if picture.format == "TIFF":
        return int(max(picture.tag_v2.get(ExifTags.Base.BitsPerSample, (1,))))  # type: ignore[attr-defined]
    if picture.format == "HEIF":
        return int(picture.info.get("bit_depth") or 8)
    if picture.format == "AVIF":
        return _depth_of_channels(os.pread(descriptor, BOXES_WITHIN, 0))
    return 1 if picture.mode == "1" else 8


def _depth_of_channels(head: bytes) -> int:
    """The first box of it is that of the picture itself (ISO/IEC 23008-12, 6.5.6)."""
    at = head.find(_DEPTH_BOX) + len(_DEPTH_BOX) + 4
    count = head[at : at + 1]
    return max(head[at + 1 : at + 1 + count[0]], default=8) if head.find(_DEPTH_BOX) >= 0 and count else 8


def write(picture: Image.Image, descriptor: int) -> None:
    """Raw rows, top to bottom, a strip at a time so that the picture is not in memory twice."""
    width, height = picture.size
    rows = max(1, STRIP_BYTES // (width * len(picture.getbands())))
    for top in range(0, height, rows):
        write_bytes(picture.crop((0, top, width, min(top + rows, height))).tobytes(), descriptor)


def write_bytes(content: bytes, descriptor: int) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
