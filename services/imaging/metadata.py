"""What a file says about itself beside its pixels. Runs in the child process only; whatever is broken is left out."""

from __future__ import annotations

import mmap
import os
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Any

from PIL import ExifTags, Image

from services.imaging import xmp
from services.imaging.notes import Note
from services.imaging.packets import credentials_of, raw_exif, raw_iim, xmp_packets
from services.imaging.recipes import HEAD_BYTES, TAIL_BYTES, read_recipe
from services.imaging.rights import Rights, source_uri, strongest
from services.imaging.statements import Statements, Value, statements_of

_MOST_CREATORS = 20
_MOST_CHARACTERS = 2000
_ONE_WORD = ("credit", "notice", "usage_terms", "web_statement", "marked", "data_mining")
_BETWEEN_NAMES = re.compile("[;,]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]+")
_XMP_IN_INFO = ("xmp", "XML:com.adobe.xmp")
_DENSEST = 100_000.0
_SLACK = 0.0128
_SIGNED = b"c2pa"
# A key and the head of a text of up to 255 bytes, as CBOR writes them.
_SIGNED_SOURCE = b"digitalSourceType\x78"
_ONE_BY_ONE = frozenset((xmp.OWNER, xmp.MARKED, xmp.DATA_MINING, xmp.USAGE_TERMS, xmp.WEB_STATEMENT))
_IIM_BY_LINE, _IIM_CREDIT, _IIM_COPYRIGHT = 80, 110, 116
_IIM_STATEMENTS = {40: "photoshop:Instructions", 85: "photoshop:AuthorsPosition", 115: "photoshop:Source"}
# In bytes; writers cut what is longer (IIM 4.2, 6), some of them at the end of a character.
_IIM_ROOM = {40: 256, _IIM_BY_LINE: 32, 85: 32, _IIM_CREDIT: 32, 115: 32, _IIM_COPYRIGHT: 128}
_LONGEST_CHARACTER = 4
_IIM_IN_PHOTOSHOP = 0x0404
_IIM_IN_TIFF = 33723


@dataclass(slots=True)
class _MetadataClaims:
    """What each property is said to be, by whom it is asked first."""

    sources: list[str] = field(default_factory=list)
    creators: list[str] = field(default_factory=list)
    credit: list[str] = field(default_factory=list)
    notice: list[str] = field(default_factory=list)
    usage_terms: list[str] = field(default_factory=list)
    web_statement: list[str] = field(default_factory=list)
    owners: list[str] = field(default_factory=list)
    marked: list[str] = field(default_factory=list)
    data_mining: list[str] = field(default_factory=list)
    statements: Statements = field(default_factory=dict)
    complete: bool = True

    def cleaned(self, texts: list[str]) -> list[str]:
        """Without what cannot be seen, and no longer than is carried over."""
        self.complete &= all(len(text) <= _MOST_CHARACTERS for text in texts)
        return _cleaned(texts)

    def add_creators(self, texts: list[str]) -> None:
        """Of a place that counts only where those before it name nobody."""
        found = self.cleaned(texts)
        if not self.creators:
            self.creators += found
        self.complete &= _names(found) <= _names(self.creators)

    def add_statement(self, name: str, kind: str, values: Sequence[Value]) -> None:
        """Whoever was asked before has the only place, which holds one value where there is no list."""
        statement = {"kind": kind, "values": list(values if kind else values[:1])}
        stated = self.statements.setdefault(name, statement)["values"]
        self.complete &= all(_comparable(value) in map(_comparable, stated) for value in values)

    @property
    def is_whole(self) -> bool:
        """Whether all that any place says is carried over: of several texts that differ only one can be."""
        words = (set(map(_comparable, getattr(self, name))) for name in _ONE_WORD)
        people = (set(self.creators), set(self.owners))
        return self.complete and all(len(told) <= 1 for told in words) and max(map(len, people)) <= _MOST_CREATORS


def density_of(picture: Image.Image) -> tuple[float, float] | None:
    """Dots per inch along the sides as stored; None where the file names none that can be."""
    try:
        across, down = map(_rounded, _own_density(picture) or _exif_density(picture))
    except (KeyError, TypeError, ValueError, ArithmeticError, struct.error):
        return None
    return (across, down) if 1 <= across <= _DENSEST and 1 <= down <= _DENSEST else None


def rights_of(picture: Image.Image, content: IO[bytes]) -> tuple[Rights, tuple[Note, ...]]:
    """Of a loaded picture; and what has to be told of its metadata."""
    told, broken = _MetadataClaims(), False
    for read in (partial(_read_xmp, content), _read_exif, _read_iim, _read_text):
        try:
            read(picture, told)
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001  # broken metadata does not spoil a good picture
            broken = True
    recipe = _recipe(content)
    own = str((recipe or {}).get("digital_source_type") or "")
    source = strongest(source_uri(text) for text in (*told.sources, own, _signed_source(picture, content)))
    notes = (Note.METADATA_IGNORED,) * broken + (Note.RIGHTS_LEFT_OUT,) * (not told.is_whole)
    return _rights(told, source, recipe), notes


def _rights(told: _MetadataClaims, source: str | None, recipe: dict[str, Any] | None) -> Rights:
    return Rights(
        digital_source=source,
        creators=tuple(dict.fromkeys(told.creators))[:_MOST_CREATORS],
        credit=_first(told.credit),
        notice=_first(told.notice),
        usage_terms=_first(told.usage_terms),
        web_statement=_first(told.web_statement),
        owners=tuple(dict.fromkeys(told.owners))[:_MOST_CREATORS],
        marked=_first(told.marked),
        data_mining=_first(told.data_mining),
        statements=told.statements,
        recipe=recipe,
    )


def exif_of(picture: Image.Image) -> Image.Exif:
    """Without what Pillow's PNG reader does for it, which is to load the pixels and to drop them if it cannot.

    Pillow also turns a picture as its XMP says. Nothing that shows pictures does.
    """
    hidden = {name: picture.info.pop(name) for name in _XMP_IN_INFO if name in picture.info}
    if hidden and picture.format != "TIFF":
        picture._exif = None  # it may have been read before, with XMP
    try:
        return Image.Image.getexif(picture)
    finally:
        picture.info.update(hidden)


def _rounded(value: Any) -> float:
    """Whole dots per inch do not survive formats that count in whole dots per metre."""
    density = float(value)
    return float(round(density)) if abs(density - round(density)) < _SLACK else round(density, 2)


def _own_density(picture: Image.Image) -> tuple[float, float] | None:
    """As the container tells it. Where it does not, Pillow says 1 of a TIFF and 72 of a JPEG with Exif."""
    if picture.format == "TIFF" and ExifTags.Base.XResolution not in picture.tag_v2:  # type: ignore[attr-defined]
        return None
    if picture.format in ("JPEG", "MPO") and not picture.info.get("jfif_unit"):
        return None
    return picture.info.get("dpi")


def _exif_density(picture: Image.Image) -> Iterator[float]:
    exif = exif_of(picture)
    unit = {2: 1.0, 3: 2.54}[exif.get(ExifTags.Base.ResolutionUnit, 2)]
    return (float(exif[tag]) * unit for tag in (ExifTags.Base.XResolution, ExifTags.Base.YResolution))


def _recipe(content: IO[bytes]) -> dict[str, Any] | None:
    descriptor = content.fileno()
    size = os.fstat(descriptor).st_size
    tail = os.pread(descriptor, TAIL_BYTES, max(0, size - TAIL_BYTES))
    return read_recipe(os.pread(descriptor, HEAD_BYTES, 0), tail)


def _signed_source(picture: Image.Image, content: IO[bytes]) -> str:
    """As Content Credentials say, of whose manifests the last is the file's own (C2PA 2.2, 11.1 and 18.9).

    Whether the signature is right is not asked: whoever says that a model made a picture is believed.
    """
    with mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        told = credentials_of(picture) or whole
        at = told.rfind(_SIGNED_SOURCE) if told.find(_SIGNED) >= 0 else -1
        start = at + len(_SIGNED_SOURCE) + 1
        return "" if at < 0 else told[start : start + told[start - 1]].decode("latin-1")


def _read_xmp(content: IO[bytes], picture: Image.Image, told: _MetadataClaims) -> None:
    for packet in xmp_packets(picture, content):
        _read_packet(packet, told)


def _read_packet(packet: bytes, told: _MetadataClaims) -> None:
    said = xmp.Packet.parse(packet)
    told.sources += said.values(xmp.SOURCE_TYPE)
    told.creators += told.cleaned(said.values(xmp.CREATOR))
    told.credit += told.cleaned(said.values(xmp.CREDIT))
    told.notice += told.cleaned(said.values(xmp.RIGHTS))
    told.usage_terms += told.cleaned(said.values(xmp.USAGE_TERMS))
    told.web_statement += told.cleaned(said.values(xmp.WEB_STATEMENT))
    told.owners += told.cleaned(said.values(xmp.OWNER))
    told.marked += told.cleaned(said.values(xmp.MARKED))
    told.data_mining += told.cleaned(said.values(xmp.DATA_MINING))
    found = statements_of(said.descriptions, _ONE_BY_ONE, told.cleaned)
    told.complete &= found.complete
    for name, statement in found.said.items():
        told.add_statement(name, **statement)


def _read_exif(picture: Image.Image, told: _MetadataClaims) -> None:
    for exif in (exif_of(picture), raw_exif(picture)):
        _read_tags(exif, told)


def _read_tags(exif: Image.Exif, told: _MetadataClaims) -> None:
    told.add_creators(_exif_texts(exif, ExifTags.Base.Artist, ";"))
    told.notice += told.cleaned([", ".join(_exif_texts(exif, ExifTags.Base.Copyright, "\0"))])


def _exif_texts(exif: Image.Exif, tag: int, separator: str) -> list[str]:
    value = exif.get(tag, "")
    text = _decoded(value if isinstance(value, bytes) else str(value).encode("latin-1", "ignore"))
    return [part for part in map(str.strip, text.strip("\0").split(separator)) if part]


def _read_iim(picture: Image.Image, told: _MetadataClaims) -> None:
    known: dict[int, list[Any]] = {
        number: told.statements.get(name, {}).get("values", []) for number, name in _IIM_STATEMENTS.items()
    }
    known |= {_IIM_BY_LINE: told.creators, _IIM_CREDIT: told.credit, _IIM_COPYRIGHT: told.notice}
    found: dict[int, list[str]] = {}
    for number, value in _datasets(_iim_block(picture)):
        if number in known:
            found.setdefault(number, []).append(_uncut(value, _IIM_ROOM[number], known[number]))
    told.add_creators(found.get(_IIM_BY_LINE, []))
    told.credit += told.cleaned(found.get(_IIM_CREDIT, []))
    for number, name in _IIM_STATEMENTS.items():
        if values := told.cleaned(found.get(number, [])):
            told.add_statement(name, "", values)
    told.notice += told.cleaned(found.get(_IIM_COPYRIGHT, []))


def _uncut(value: bytes, room: int, known: list[Any]) -> str:
    """As it is known from elsewhere, where there was no room for all of it."""
    text = _decoded(value)
    is_full = len(value) > room - _LONGEST_CHARACTER
    return next((longer for longer in known if is_full and str(longer).startswith(text)), text)


def _iim_block(picture: Image.Image) -> bytes:
    if picture.format == "TIFF":
        return bytes(picture.tag_v2._tagdata.get(_IIM_IN_TIFF, b""))  # type: ignore[attr-defined]
    block = (picture.info.get("photoshop") or {}).get(_IIM_IN_PHOTOSHOP, b"")
    return block if isinstance(block, bytes) and block else raw_iim(picture)


def _datasets(block: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and value of what IPTC's application record holds (IIM 4.2, 1.5)."""
    at = 0
    while block[at : at + 1] == b"\x1c" and at + 5 <= len(block):
        record, number, size = block[at + 1], block[at + 2], int.from_bytes(block[at + 3 : at + 5])
        if record == 2 and size < 0x8000:
            yield number, block[at + 5 : at + 5 + size]
        at += 5 + size


def _read_text(picture: Image.Image, told: _MetadataClaims) -> None:
    """PNG's own keywords."""
    if picture.format != "PNG":
        return
    told.add_creators([picture.info.get("Author", "")])
    told.notice += told.cleaned([picture.info.get("Copyright", "")])


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _cleaned(texts: list[str]) -> list[str]:
    plain = (_CONTROL.sub(" ", str(text)[: 2 * _MOST_CHARACTERS]).strip()[:_MOST_CHARACTERS] for text in texts)
    return [text for text in plain if text]


def _names(texts: list[str]) -> set[str]:
    """However several are written into one text."""
    return {name for text in texts for part in _BETWEEN_NAMES.split(text) if (name := _comparable(part))}


def _comparable(value: Value) -> str:
    """White space makes no other text."""
    return " ".join((value if isinstance(value, str) else str(sorted(value.items()))).split())


def _first(texts: list[str]) -> str | None:
    return texts[0] if texts else None
