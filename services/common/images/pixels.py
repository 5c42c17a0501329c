"""A picture's bytes to upright sRGB pixels. Runs in the child process only."""
from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import IO

from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_SIDE_LIMIT = 65_535
_STRIP_BYTES = 4 << 20
_DEEP_MODES = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})
_TURNED = frozenset({5, 6, 7, 8})


class Unfit(Exception):
    """Not a picture that can be used; `reason` is one of the loader's."""

    def __init__(self, message: str, reason: str = "IMAGE_INVALID") -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Facts:
    """`width` and `height` in pixels as displayed; `channels` 3 (RGB) or 4 (RGBA)."""

    format: str
    width: int
    height: int
    channels: int
    animated: bool


def measure(content: IO[bytes], *, max_pixels: int) -> Facts:
    """From the headers alone. Raises Unfit."""
    try:
        with _open(content, max_pixels) as picture:
            return _facts(picture)
    except (MemoryError, Unfit):
        raise
    except Exception as error:  # a border: Pillow's plugins raise whatever hostile bytes provoke
        raise Unfit(f"the picture's header cannot be read ({type(error).__name__})") from error


def decode(content: IO[bytes], *, max_pixels: int) -> tuple[Image.Image, Facts]:
    """The first frame, upright, in sRGB, mode RGB or RGBA. Raises Unfit."""
    try:
        picture = _open(content, max_pixels)
        facts = _facts(picture)
        picture.load()
        upright = ImageOps.exif_transpose(picture) if _orientation(picture) > 1 else picture
        return _in_srgb(upright), facts
    except (MemoryError, Unfit):
        raise
    except Exception as error:  # a border, as above
        raise Unfit(f"the picture cannot be decoded: it is damaged or cut off ({type(error).__name__})") from error


def write(picture: Image.Image, descriptor: int) -> None:
    """Raw rows, top to bottom, a strip at a time so that the picture is not in memory twice."""
    width, height = picture.size
    rows = max(1, _STRIP_BYTES // (width * len(picture.getbands())))
    for top in range(0, height, rows):
        strip = memoryview(picture.crop((0, top, width, min(top + rows, height))).tobytes())
        while strip:
            strip = strip[os.write(descriptor, strip) :]


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


def _facts(picture: Image.Image) -> Facts:
    width, height = picture.size
    if _orientation(picture) in _TURNED:
        width, height = height, width
    channels = 4 if picture.has_transparency_data else 3
    name = "JPEG" if picture.format == "MPO" else str(picture.format)
    animated = picture.format != "MPO" and bool(getattr(picture, "is_animated", False))
    return Facts(name, width, height, channels, animated)


def _orientation(picture: Image.Image) -> int:
    """1 to 8 as EXIF counts; 1 where there is none that makes sense."""
    try:
        found = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  # broken metadata does not spoil a good picture
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _in_srgb(picture: Image.Image) -> Image.Image:
    if picture.mode in _DEEP_MODES:
        picture = picture.convert("I").point(lambda value: value * (1 / 257) + 0.5).convert("L")
    alpha = picture.convert("RGBA").getchannel("A") if picture.has_transparency_data else None
    colours = _without_profile(picture)
    if alpha is not None:
        colours.putalpha(alpha)
    return colours


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
