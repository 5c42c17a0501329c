"""What a file holds beside the picture that is taken from it. Runs in the child process only."""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO, Any

from PIL import ExifTags, Image

from services.imaging import items, tiff
from services.imaging.embedding import jpeg
from services.imaging.notes import Note

# In the metadata of the further picture itself: a file that only speaks of one has lost it.
_BEHIND = (
    (Note.GAIN_MAP_LEFT_OUT, re.compile(rb"hdrgm:\w|urn:iso:std:iso:ts:21496:-1|aux:hdrgainmap")),
    (Note.DEPTH_MAP_LEFT_OUT, re.compile(rb"urn:com:apple:photo:\d+:aux:(?:disparity|depth)")),
    (Note.AUXILIARY_LEFT_OUT, re.compile(rb"urn:com:apple:photo:\d+:aux:")),
)
# What the first picture says of itself: depth within it, or behind it.
_DEPTH_WITHIN = b"GDepth:Data"
_DEPTH_BEHIND = re.compile(rb"""Semantic(?:="|='|>)Depth\b""")
_START, _FILM = b"\xff\xd8\xff", b"ftyp"
_FURTHER, _THUMBNAIL = 0xB002, "Large Thumbnail"
_PATHS = range(2000, 2998)
_CLIPPING_PATH = 2999
_PHOTOSHOP_LAYERS = 37724
_COLOURS = {2: 3, 5: 4, 6: 3, 8: 3, 9: 3}
# ISO 21496 and JUMBF: the type of a manifest store, whole, as four letters occur by chance.
_CREDENTIALS = bytes.fromhex("6332706100110010800000aa00389b71")
_BMP_BITS = 28


def left_out(picture: Image.Image, content: IO[bytes]) -> tuple[Note, ...]:
    """In the order of the notes. `picture` is loaded, and what is found broken here is left to others."""
    found = set[Note]()
    with mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        try:
            found.update(_FORMATS.get(str(picture.format), _nothing)(picture, whole))
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001, S110  # what is broken beside a picture does not spoil it
            pass
        if whole.find(_CREDENTIALS) >= 0:
            found.add(Note.CREDENTIALS_LEFT_OUT)
    return tuple(note for note in Note if note in found)


def _nothing(picture: Image.Image, whole: mmap.mmap) -> Iterator[Note]:
    return iter(())


def _in_jpeg(picture: Any, whole: mmap.mmap) -> Iterator[Note]:
    if _has_path(picture.info.get("photoshop") or {}):
        yield Note.CLIPPING_PATH_LEFT_OUT
    told = b"".join(body for _, body in picture.applist)
    if _DEPTH_WITHIN in told:
        yield Note.DEPTH_MAP_LEFT_OUT
    # Among coded pixels neither can begin.
    end, counted_from = jpeg.further_from(whole)
    film = whole.find(_FILM, end)
    if film >= 0 and not any(whole[film - 4 : film - 1]):
        yield Note.MOTION_LEFT_OUT
    otherwise = Note.DEPTH_MAP_LEFT_OUT if _DEPTH_BEHIND.search(told) else None
    pieces = list(_further_pictures(picture, whole, counted_from))
    for start, stop in pieces:
        yield _note_of(whole, start, stop) or otherwise or Note.FIRST_PAGE_ONLY
    if not pieces and whole.find(_START, end) >= 0 and (note := _note_of(whole, end, len(whole)) or otherwise):
        yield note


def _note_of(whole: mmap.mmap, start: int, stop: int) -> Note | None:
    return next((note for note, mark in _BEHIND if mark.search(whole, start, stop)), None)


def _further_pictures(picture: Any, whole: mmap.mmap, counted_from: int) -> Iterator[tuple[int, int]]:
    """Where each lies, by their index (CIPA DC-007); smaller ones of the same picture do not count."""
    index = getattr(picture, "mpinfo", None) or picture._getmp() or {}
    for entry in index.get(_FURTHER, ())[1:]:
        start = counted_from + entry["DataOffset"]
        if _THUMBNAIL not in entry["Attribute"]["MPType"] and whole[start : start + 3] == _START:
            yield start, start + entry["Size"]


def _in_tiff(picture: Any, whole: mmap.mmap) -> Iterator[Note]:
    tags = picture.tag_v2
    colours = _COLOURS.get(tags.get(ExifTags.Base.PhotometricInterpretation), 1)
    extra = tags.get(ExifTags.Base.SamplesPerPixel, 1) - colours
    if extra > (1 if picture.has_transparency_data else 0):
        yield Note.CHANNEL_LEFT_OUT
    if _has_path(_resources(tags)):
        yield Note.CLIPPING_PATH_LEFT_OUT
    if _PHOTOSHOP_LAYERS in tags:
        yield Note.LAYERS_LEFT_OUT
    for kind in tiff.pages(whole)[1:]:
        if kind & tiff.MASK:
            yield Note.CHANNEL_LEFT_OUT
        elif not kind & tiff.REDUCED:
            yield Note.FIRST_PAGE_ONLY


def _resources(tags: Mapping[int, Any]) -> Iterator[int]:
    """The numbers of Photoshop's, whose type some write as bytes and some as anything."""
    held = tags.get(ExifTags.Base.ImageResources, b"")
    block, at = held if isinstance(held, bytes) else b"".join(held), 0
    while block[at : at + 4] == b"8BIM":
        yield int.from_bytes(block[at + 4 : at + 6])
        # Names and contents take an even number of bytes.
        at += 6 + (block[at + 6] + 2) // 2 * 2
        at += 4 + (int.from_bytes(block[at : at + 4]) + 1) // 2 * 2


def _in_bmp(picture: Image.Image, whole: mmap.mmap) -> Iterator[Note]:
    """The fourth byte of a pixel has no meaning there; some programs write transparency into it all the same."""
    if picture.mode != "RGB" or int.from_bytes(whole[_BMP_BITS : _BMP_BITS + 2], "little") != 32:
        return
    start = int.from_bytes(whole[10:14], "little") + 3
    fourth = whole[start : start + picture.width * picture.height * 4 : 4]
    if fourth.count(fourth[:1]) != len(fourth):
        yield Note.CHANNEL_LEFT_OUT


def _in_boxes(picture: Image.Image, whole: mmap.mmap) -> Iterator[Note]:
    return items.beside(whole)


def _has_path(resources: Iterable[int]) -> bool:
    return any(number in _PATHS or number == _CLIPPING_PATH for number in resources)


_FORMATS: dict[str, Callable[[Any, mmap.mmap], Iterator[Note]]] = {
    "JPEG": _in_jpeg,
    "MPO": _in_jpeg,
    "TIFF": _in_tiff,
    "BMP": _in_bmp,
    "AVIF": _in_boxes,
    "HEIF": _in_boxes,
}
