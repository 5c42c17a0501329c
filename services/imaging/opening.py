"""A file to a loaded picture: whole, of a format that is taken, within limits. Runs in the child process only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from PIL import ExifTags, Image, UnidentifiedImageError

from services.imaging import jpeg_ends, png, tiff
from services.imaging.formats import ACCEPTED, Format, format_of
from services.imaging.limits import MAX_SIDE
from services.imaging.metadata import exif_of
from services.imaging.notes import Note
from services.imaging.sniffing import HEAD_BYTES, UNKNOWN, told_type_of

_AS_LIBTIFF_LEAVES = {"F;32BF": "F;32NF", "F;32F": "F;32NF"}
# What a file of boxes says about its pictures lies in front of them.
BOXES_WITHIN = 64 << 10
_COLOUR_BOX = b"colrnclx"
# Of a file that is refused, to tell what it is.
_TOLD_BYTES = 4096
TURNED = frozenset({5, 6, 7, 8})


class UnusablePicture(Exception):
    """Not a picture that can be used; `reason` is one of the loader's."""

    def __init__(self, message: str, reason: str = "IMAGE_INVALID") -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Opened:
    """`picture` lies as it was stored; `orientation` is how to turn it, 1 to 8 as Exif counts. `header` is a PNG's.

    `code_points` are primaries and curve by ITU-T H.273, of files that name them. `covered` is the box of a GIF's first
    frame where that leaves some of the canvas free, which shows through in browsers.
    """

    picture: Image.Image
    orientation: int
    header: png.Header | None = None
    notes: tuple[Note, ...] = ()
    code_points: tuple[int, int] | None = None
    covered: tuple[int, int, int, int] | None = None


def measured(content: IO[bytes], *, max_pixels: int) -> Opened:
    """From the headers alone. Raises UnusablePicture, or what Pillow raises; as do all here."""
    picture = _within(reopened(content, _header(content, pixels=False)), max_pixels)
    return Opened(picture, _orientation(picture))


def loaded(content: IO[bytes], *, max_pixels: int) -> Opened:
    """With all its pixels."""
    header = _header(content, pixels=True)
    picture = _within(reopened(content, header), max_pixels)
    orientation = None
    if picture.format == "TIFF":
        tiff.check(picture, content)
        # It tells its orientation for as long as it is not loaded, others only then.
        orientation = _orientation(picture)
    covered = _covered(picture)
    picture, notes = _load(picture, content)
    points = header.code_points if header else _code_points(picture, content)
    return Opened(picture, orientation or _orientation(picture), header, notes, points, covered)


def _covered(picture: Image.Image) -> tuple[int, int, int, int] | None:
    if picture.format != "GIF" or not picture.tile:  # type: ignore[attr-defined]
        return None
    box = picture.tile[0].extents  # type: ignore[attr-defined]
    return None if tuple(box) == (0, 0, *picture.size) else tuple(box)


def _header(content: IO[bytes], *, pixels: bool) -> png.Header | None:
    return png.read(content, pixels=pixels) if _format_of(content).name == "PNG" else None


def reopened(content: IO[bytes], header: png.Header | None) -> Image.Image:
    """The file's headers read, whatever has become of it since; `header` is a PNG's."""
    # Our own check follows, before anything is decoded.
    Image.MAX_IMAGE_PIXELS = None
    form = _format_of(content)
    if "HEIF" in form.readers:
        learn_heif()
    readable = png.readable(content, header) if header else tiff.readable(content)
    try:
        picture = Image.open(readable, formats=form.readers)
    except UnidentifiedImageError as error:
        raise UnusablePicture(
            f"this {form.name} cannot be read: it is damaged, or of a kind that is not supported"
        ) from error
    if picture.format == "TIFF":
        if tiff.is_raw(picture):
            raise UnusablePicture(
                "this is a camera's raw file; develop it and send what comes of that, not its preview"
            )
        _as_stored(picture)
    return picture


@contextmanager
def border(message: str) -> Iterator[None]:
    """Raises UnusablePicture for whatever hostile bytes provoke in Pillow."""
    try:
        yield
    except (MemoryError, UnusablePicture):
        raise
    except Exception as error:
        raise UnusablePicture(message) from error


def _format_of(content: IO[bytes]) -> Format:
    content.seek(0)
    head = content.read(HEAD_BYTES)
    content.seek(0)
    found = format_of(head)
    if found is None:
        known = told_type_of(os.pread(content.fileno(), _TOLD_BYTES, 0))
        what = "this is not a picture of a known format" if known == UNKNOWN else f"{known} is not taken as a picture"
        raise UnusablePicture(f"{what}; pictures are taken as {ACCEPTED}")
    return found


def _within(picture: Image.Image, max_pixels: int) -> Image.Image:
    width, height = picture.size
    if width < 1 or height < 1:
        raise UnusablePicture("the picture is empty")
    if max(width, height) > MAX_SIDE:
        message = f"{width} × {height} has a side of more than {MAX_SIDE} pixels"
        raise UnusablePicture(message, "IMAGE_TOO_MANY_PIXELS")
    if width * height > max_pixels:
        raise UnusablePicture(f"{width} × {height} is more than {max_pixels} pixels", "IMAGE_TOO_MANY_PIXELS")
    return picture


def learn_heif() -> None:
    """Here and not above: it is GPL code, for the child alone (docs/decisions.md)."""
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=2)


def _as_stored(picture: Any) -> None:
    """Pillow turns a TIFF while it loads, by metadata whose faults would then cost the pixels."""
    picture._size = picture._tile_size
    picture.load_end = lambda: None
    # libtiff puts bytes into this machine's order; of floating-point samples Pillow expects the file's.
    picture.tile = [
        tile._replace(args=(_AS_LIBTIFF_LEAVES.get(tile.args[0], tile.args[0]), *tile.args[1:]))
        if tile.codec_name == "libtiff"
        else tile
        for tile in picture.tile
    ]


def _load(picture: Image.Image, content: IO[bytes]) -> tuple[Image.Image, tuple[Note, ...]]:
    """Before any metadata is asked for: what Pillow cannot read of them would leave a picture without its pixels."""
    try:
        picture.load()
    except OSError:
        mended = jpeg_ends.whole_without_end(content) if picture.format == "JPEG" else None
        if mended is None:
            raise
        return mended, (Note.JPEG_END_MISSING,)
    return picture, ()


def _code_points(picture: Image.Image, content: IO[bytes]) -> tuple[int, int] | None:
    """The first box of colours is that of the picture itself (ISO/IEC 14496-12, 12.1.5)."""
    if picture.format not in ("AVIF", "HEIF"):
        return None
    head = os.pread(content.fileno(), BOXES_WITHIN, 0)
    at = head.find(_COLOUR_BOX) + len(_COLOUR_BOX)
    if at < len(_COLOUR_BOX) or at + 4 > len(head):
        return None
    return int.from_bytes(head[at : at + 2]), int.from_bytes(head[at + 2 : at + 4])


def _orientation(picture: Image.Image) -> int:
    """1 to 8 as Exif counts; 1 where there is none that makes sense."""
    try:
        found = exif_of(picture).get(ExifTags.Base.Orientation, 1)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  # broken metadata does not spoil a good picture
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1
