"""MP4 and what else is made of its boxes, AVIF and HEIC among them: the recipe and XMP behind everything else.

ISO/IEC 14496-12; XMP part 3, 1.2.7. Places in a film are counted from its beginning, so nothing may be put there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from services.imaging.embedding.edits import C2PA, MARK, ByteEdit, CannotEmbed, Content, PacketFor, counted, packet_at

AT_END = True
_RECIPE = bytes.fromhex("28a5aecfc39c4aeb9271dc2ad9f6342e")
_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_SIGNED = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
# XMP of QuickTime and of still pictures, inside their index.
_XMP_WITHIN = {b"moov": b"XMP_", b"meta": b"application/rdf+xml"}
_OF_PIXELS = frozenset((b"ftyp", b"meta", b"mdat"))
_BROKEN = "it is no whole film"


@dataclass(frozen=True, slots=True)
class BmffBox:
    """From `start`; what it holds lies from `body` to `end`."""

    kind: bytes
    start: int
    body: int
    end: int


@dataclass(slots=True)
class _Landmarks:
    """`packets` are the boxes of XMP; `within` says that there is XMP where it cannot be changed."""

    packets: list[BmffBox] = field(default_factory=list)
    within: bool = False
    kinds: set[bytes] = field(default_factory=set)
    last: BmffBox | None = None


def recipe_in(tail: bytes) -> bytes | None:
    """`tail` may begin anywhere."""
    at = tail.rfind(b"uuid" + _RECIPE + MARK)
    if at < 4:
        return None
    end = at - 4 + int.from_bytes(tail[at - 4 : at])
    return tail[at + 20 + len(MARK) : end] if end <= len(tail) else None


def edits(content: bytes, recipe: bytes, packet_for: PacketFor) -> list[ByteEdit]:
    """Raises CannotEmbed. XMP that is there already is written anew at the end, and its box becomes an empty one."""
    marks = _landmarks(content)
    last = marks.last
    # An index of fragments is looked for at the very end.
    place = last.start if last and last.kind == b"mfra" else len(content)
    made = []
    if not marks.packets and not marks.within:
        if packet := packet_for(None):
            made.append(ByteEdit(place, place, _box(_XMP, packet)))
    elif len(marks.packets) == 1 and not marks.within:
        [old] = marks.packets
        if packet := packet_for(packet_at(content, old.body + 16, old.end)):
            made = [
                ByteEdit(old.start + 4, old.start + 8, b"free"),
                ByteEdit(old.body, old.end, bytes(old.end - old.body)),
            ]
            made.append(ByteEdit(place, place, _box(_XMP, packet)))
    return [*made, ByteEdit(place, place, _box(_RECIPE, MARK + recipe))]


def bare_edits(content: bytes, packet: bytes | None) -> list[ByteEdit]:
    """None at all. Raises CannotEmbed where there is more than pixels: places are counted, so none is taken out."""
    for box in boxes_of(content):
        if box.kind not in _OF_PIXELS:
            raise CannotEmbed("it says more than its pixels need")
        if box.kind == b"meta" and any(content.find(kind, box.body, box.end) >= 0 for kind in (b"Exif", b"mime")):
            raise CannotEmbed("it says more than its pixels need")
    return []


def _landmarks(content: bytes) -> _Landmarks:
    found = _Landmarks()
    for box in boxes_of(content):
        if found.last is None and box.kind != b"ftyp":
            raise CannotEmbed(_BROKEN)
        found.last = box
        found.kinds.add(box.kind)
        if box.kind == b"meta":
            _refuse_unmeasured(content, box)
        if box.kind in _XMP_WITHIN:
            found.within |= content.find(_XMP_WITHIN[box.kind], box.body, box.end) >= 0
        if box.kind == b"uuid" and content.startswith(_SIGNED, box.body):
            raise CannotEmbed(C2PA)
        if box.kind == b"uuid" and content.startswith(_XMP, box.body):
            found.packets.append(box)
    if b"mdat" not in found.kinds or not found.kinds & _XMP_WITHIN.keys():
        raise CannotEmbed(_BROKEN)
    return found


def _refuse_unmeasured(content: bytes, meta: BmffBox) -> None:
    """Raises CannotEmbed where a picture's data reach past the file's end: they would take in what is put there."""
    for box in boxes_of(content, meta.body + 4, meta.end):
        if box.kind == b"iloc":
            for start, length in _extents(Fields(content, box.body, box.end)):
                if not length or start + length > len(content):
                    raise CannotEmbed(_BROKEN)


def _extents(fields: Fields) -> Iterator[tuple[int, int]]:
    """Place and length of every piece of an item that lies in this file by itself (8.11.3)."""
    version, _ = fields.take(1), fields.take(3)
    sizes, base_sizes = fields.take(1), fields.take(1)
    wide, number = 4 if version > 1 else 2, 0
    for _ in range(fields.take(wide)):
        fields.take(wide)
        way = fields.take(2) & 15 if version else 0
        elsewhere = fields.take(2)
        base = fields.take(base_sizes >> 4)
        for _ in range(fields.take(2)):
            number = counted(number)
            fields.take(base_sizes & 15 if version else 0)
            start, length = base + fields.take(sizes >> 4), fields.take(sizes & 15)
            if not way and not elsewhere:
                yield start, length


@dataclass(slots=True)
class Fields:
    """Numbers of a box, one after the other. Raises CannotEmbed behind its end."""

    content: Content
    at: int
    end: int

    def take(self, size: int) -> int:
        self.at += size
        if self.at > self.end:
            raise CannotEmbed(_BROKEN)
        return int.from_bytes(self.content[self.at - size : self.at])


def boxes_of(content: Content, at: int = 0, end: int | None = None) -> Iterator[BmffBox]:
    """Those side by side from `at` on. Raises CannotEmbed unless they fill all until `end`, each with its size told."""
    end, number = len(content) if end is None else end, 0
    while at < end:
        size, body = int.from_bytes(content[at : at + 4]), at + 8
        if size == 1:
            size, body = int.from_bytes(content[at + 8 : at + 16]), at + 16
        if at + size > end or at + size < body:
            raise CannotEmbed(_BROKEN)
        number = counted(number)
        yield BmffBox(content[at + 4 : at + 8], at, body, at + size)
        at += size


def _box(kind: bytes, body: bytes) -> bytes:
    return (24 + len(body)).to_bytes(4) + b"uuid" + kind + body
