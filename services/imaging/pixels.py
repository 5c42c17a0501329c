"""A picture's bytes to upright sRGB pixels. Runs in the child process only."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO

from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from services.imaging import profiles
from services.imaging.metadata import density_of, exif_of, rights_of
from services.imaging.notes import Note
from services.imaging.rights import Rights

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_SIDE_LIMIT = 65_535
_STRIP_BYTES = 4 << 20
_DEEP_MODES = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})
_TURNED = frozenset({5, 6, 7, 8})
_PNG_DEPTH_AT = 24
_ALPHA = {"L": "LA", "RGB": "RGBA"}


class Unfit(Exception):
    """Not a picture that can be used; `reason` is one of the loader's."""

    def __init__(self, message: str, reason: str = "IMAGE_INVALID") -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Facts:
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
    their own. `density` is in dots per inch as displayed.
    """

    picture: Image.Image
    facts: Facts
    density: tuple[float, float] | None
    rights: Rights
    notes: tuple[Note, ...]
    profile: bytes = b""
    converted: bool = False


def measure(content: IO[bytes], *, max_pixels: int) -> Facts:
    """From the headers alone. Raises Unfit."""
    try:
        with _open(content, max_pixels) as picture:
            return _facts(picture, content)
    except (MemoryError, Unfit):
        raise
    except Exception as error:  # a border: Pillow's plugins raise whatever hostile bytes provoke
        raise Unfit("the picture's header cannot be read") from error


def decode(content: IO[bytes], *, max_pixels: int) -> Decoded:
    """The first frame, upright, in sRGB. Raises Unfit."""
    with _decoding(content, max_pixels) as found:
        return replace(found, picture=_in_srgb(found.picture))


def decode_original(content: IO[bytes], *, max_pixels: int, grey: bool) -> Decoded:
    """The first frame, upright, 8 bits deep, its colours as they are.

    Colours that a PNG cannot hold (CMYK, Lab) become sRGB, and without `grey` so do greys. Raises Unfit.
    """
    with _decoding(content, max_pixels) as found:
        profile = found.picture.info.get("icc_profile") or b""
        own = _in_own_colours(found.picture, profile, grey)
        kept = profile if own is not None and profiles.fits(profile, own.mode) else b""
        shown = _in_srgb(found.picture) if own is None else own
        return replace(
            found,
            picture=shown,
            facts=replace(found.facts, channels=len(shown.getbands())),
            profile=kept,
            converted=bool(profile) and own is None,
        )


@contextmanager
def _decoding(content: IO[bytes], max_pixels: int) -> Iterator[Decoded]:
    """The first frame, upright."""
    try:
        picture = _open(content, max_pixels)
        stored = _stored_orientation(picture)
        # Before any metadata: those that Pillow cannot read would leave a picture without its pixels.
        picture.load()
        yield _told(picture, content, stored)
    except (MemoryError, Unfit):
        raise
    except Exception as error:  # a border, as above
        raise Unfit("the picture cannot be decoded: it is damaged or cut off") from error


def _stored_orientation(picture: Image.Image) -> int:
    """Of a TIFF, whose loaded picture no longer tells it."""
    return int(picture.tag_v2.get(ExifTags.Base.Orientation, 1)) if picture.format == "TIFF" else 1  # type: ignore[attr-defined]


def _told(picture: Image.Image, content: IO[bytes], stored: int) -> Decoded:
    facts, orientation, density = _facts(picture, content), _orientation(picture), density_of(picture)
    if density and (orientation in _TURNED or stored in _TURNED):
        density = (density[1], density[0])
    rights, broken = rights_of(picture, content)
    upright = ImageOps.exif_transpose(picture) if orientation > 1 else picture
    return Decoded(upright, facts, density, rights, tuple(_notes(facts, broken)))


def _notes(facts: Facts, broken_metadata: bool) -> Iterator[Note]:
    if facts.animated:
        yield Note.FIRST_PAGE_ONLY if facts.format == "TIFF" else Note.ANIMATION_FIRST_FRAME
    if facts.depth > 8:
        yield Note.DEPTH_REDUCED
    if broken_metadata:
        yield Note.METADATA_IGNORED


def _in_own_colours(picture: Image.Image, profile: bytes, grey: bool) -> Image.Image | None:
    """None where its colours have to be converted."""
    if picture.mode in _DEEP_MODES:
        picture = _eight_bits_deep(picture)
    is_grey = picture.mode in ("1", "L", "LA", "La")
    if is_grey and profiles.describes_rgb(profile):
        is_grey = False
    elif is_grey and not grey:
        return None
    if not is_grey and picture.mode not in ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX"):
        return None
    mode = "L" if is_grey else "RGB"
    return picture.convert(_ALPHA[mode] if picture.has_transparency_data else mode)


def write(picture: Image.Image, descriptor: int) -> None:
    """Raw rows, top to bottom, a strip at a time so that the picture is not in memory twice."""
    width, height = picture.size
    rows = max(1, _STRIP_BYTES // (width * len(picture.getbands())))
    for top in range(0, height, rows):
        write_bytes(picture.crop((0, top, width, min(top + rows, height))).tobytes(), descriptor)


def write_bytes(content: bytes, descriptor: int) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _open(content: IO[bytes], max_pixels: int) -> Image.Image:
    # Our own check follows, before anything is decoded.
    Image.MAX_IMAGE_PIXELS = None
    try:
        picture = Image.open(content, formats=FORMATS)
    except UnidentifiedImageError as error:
        raise Unfit("this is not a picture of a known format") from error
    width, height = picture.size
    if width < 1 or height < 1:
        raise Unfit("the picture is empty")
    if width * height > max_pixels or max(width, height) > _SIDE_LIMIT:
        raise Unfit(f"{width} × {height} is more than {max_pixels} pixels", "IMAGE_TOO_MANY_PIXELS")
    return picture


def _facts(picture: Image.Image, content: IO[bytes]) -> Facts:
    width, height = picture.size
    if _orientation(picture) in _TURNED:
        width, height = height, width
    channels = 4 if picture.has_transparency_data else 3
    name = "JPEG" if picture.format == "MPO" else str(picture.format)
    animated = picture.format != "MPO" and bool(getattr(picture, "is_animated", False))
    return Facts(name, width, height, channels, animated, _depth(picture, content))


def _depth(picture: Image.Image, content: IO[bytes]) -> int:
    """Bits of a sample in the file."""
    if picture.format == "PNG":
        return os.pread(content.fileno(), 1, _PNG_DEPTH_AT)[0]
    if picture.format == "TIFF":
        return int(max(picture.tag_v2.get(ExifTags.Base.BitsPerSample, (1,))))  # type: ignore[attr-defined]
    return {"1": 1, "I": 32, "F": 32}.get(picture.mode, 16 if picture.mode.startswith("I;16") else 8)


def _orientation(picture: Image.Image) -> int:
    """1 to 8 as EXIF counts; 1 where there is none that makes sense, and in TIFF, which Pillow turns itself."""
    if picture.format == "TIFF":
        return 1
    try:
        found = exif_of(picture).get(ExifTags.Base.Orientation, 1)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  # broken metadata does not spoil a good picture
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _in_srgb(picture: Image.Image) -> Image.Image:
    if picture.mode in _DEEP_MODES:
        picture = _eight_bits_deep(picture)
    alpha = picture.convert("RGBA").getchannel("A") if picture.has_transparency_data else None
    colours = _without_profile(picture)
    if alpha is not None:
        colours.putalpha(alpha)
    return colours


def _eight_bits_deep(picture: Image.Image) -> Image.Image:
    return picture.convert("I").point(lambda value: value * (1 / 257) + 0.5).convert("L")


def _without_profile(picture: Image.Image) -> Image.Image:
    """RGB; colours of an embedded ICC profile are converted, a broken profile is ignored."""
    profile = picture.info.get("icc_profile")
    if picture.mode not in ("RGB", "CMYK", "L"):
        picture = picture.convert("RGB")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "srgb" not in ImageCms.getProfileDescription(source).lower():
                converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
                return converted if converted is not None else picture.convert("RGB")
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass
    return picture.convert("RGB")
