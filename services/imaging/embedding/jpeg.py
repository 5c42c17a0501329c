"""JPEG: the recipe in a comment, XMP in an APP1 segment, both in front (ITU-T T.81 B.2.4; XMP part 3, 1.1.3)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from services.imaging.embedding.edits import C2PA, MARK, ByteEdit, CannotEmbed, Content, PacketFor, counted
from services.imaging.embedding.exif import essential

AT_END = False
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_EXIF = b"Exif\0\0"
_INDEX = b"MPF\0"
_COMMENT, _APP0, _APP1, _APP2, _APP11, _APP14, _SCAN, _END = 0xFE, 0xE0, 0xE1, 0xE2, 0xEB, 0xEE, 0xDA, 0xD9
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# What two bytes can count, themselves included.
_MOST_BODY = 65_533
_BROKEN = "it is no whole JPEG"
# What is needed to show the pixels as they were meant, and their density.
_OF_PIXELS = ((_APP0, b"JFIF\0"), (_APP2, b"ICC_PROFILE\0"), (_APP14, b"Adobe"), (_COMMENT, MARK))
# Among coded pixels: neither a stuffed byte nor a mark to start anew from.
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Segment:
    """From `start`, where its marker begins, to `end`; `body` is where its length has been told."""

    kind: int
    start: int
    body: int
    end: int


def recipe_in(head: bytes) -> bytes | None:
    """`head` may be cut anywhere."""
    try:
        for segment in _segments(head):
            if segment.kind == _COMMENT and head.startswith(MARK, segment.body):
                return head[segment.body + len(MARK) : segment.end]
    except CannotEmbed:
        pass
    return None


def edits(content: bytes, recipe: bytes, packet_for: PacketFor) -> list[ByteEdit]:
    """Raises CannotEmbed. A packet that would not fit into one segment is not written."""
    place, packets = _landmarks(content)
    made = []
    if not packets:
        if packet := _fitting(packet_for(None)):
            made.append(ByteEdit(place, place, _segment(_APP1, _XMP + packet)))
    elif len(packets) == 1 and packets[0].end <= _fixed_from(content):
        [old] = packets
        if packet := _fitting(packet_for(content[old.body + len(_XMP) : old.end])):
            made.append(ByteEdit(old.start, old.end, _segment(_APP1, _XMP + packet)))
    return [ByteEdit(place, place, _segment(_COMMENT, MARK + recipe)), *made]


def bare_edits(content: bytes, packet: bytes | None) -> list[ByteEdit]:
    """What takes everything out but the pixels and what is ours, and puts `packet` in. Raises CannotEmbed."""
    if packet and not _fitting(packet):
        raise CannotEmbed("what it says of its rights is longer than a segment holds")
    told = _segment(_APP1, _XMP + packet) if packet else b""
    made, has_told, place, end, first = list[ByteEdit](), not told, 2, len(content), True
    for segment in _all_segments(content):
        whole = content[segment.start : segment.end]
        has_told |= whole == told
        first &= segment.kind == _APP0 or (segment.kind == _APP1 and content.startswith(_EXIF, segment.body))
        place = segment.end if first else place
        if segment.kind == _END:
            end = segment.end
        elif (new := _bared(segment, whole, told)) != whole:
            made.append(ByteEdit(segment.start, segment.end, new))
    made += [ByteEdit(end, len(content), b"")] if end < len(content) else []
    return [ByteEdit(place, place, told), *made] if made and not has_told else made


def _bared(segment: _Segment, whole: bytes, told: bytes) -> bytes:
    body = whole[4:]
    if segment.kind == _APP1 and body.startswith(_EXIF):
        left = essential(body[len(_EXIF) :])
        return _segment(_APP1, _EXIF + left) if left else b""
    is_other = segment.kind != _COMMENT and not _APP0 <= segment.kind <= _APP0 + 15
    known = is_other or any(segment.kind == kind and body.startswith(mark) for kind, mark in _OF_PIXELS)
    return whole if known or whole == told else b""


def _all_segments(content: bytes) -> Iterator[_Segment]:
    """Up to the end's mark, or as far as there are any. Raises CannotEmbed at the first that is not whole."""
    at, kind, number = 2, 0, 0
    while found := _MARKER.search(content, at):
        start, number = found.end() - 2, counted(number)
        if kind != _SCAN and found.start() != at:
            raise CannotEmbed(_BROKEN)
        kind = found[1][0]
        if kind == _END:
            yield _Segment(kind, start, start + 2, start + 2)
            return
        size = int.from_bytes(content[start + 2 : start + 4])
        at = start + 2 + size
        if size < 2 or at > len(content):
            raise CannotEmbed(_BROKEN)
        yield _Segment(kind, start, start + 4, at)


def further_from(content: Content) -> tuple[int, int]:
    """Where coded pixels begin, and where an index of further pictures counts from. Raises CannotEmbed."""
    counted_from = 0
    for segment in _segments(content):
        if segment.kind == _APP2 and content[segment.body : segment.body + len(_INDEX)] == _INDEX:
            counted_from = segment.body + len(_INDEX)
        if segment.kind == _SCAN:
            return segment.end, counted_from
    raise CannotEmbed(_BROKEN)


def _landmarks(content: bytes) -> tuple[int, list[_Segment]]:
    """Behind what has to come first, which is JFIF and Exif; and the segments of XMP."""
    place, packets, frame, first = 2, list[_Segment](), False, True
    for segment in _segments(content):
        if segment.kind == _APP11 and b"c2pa" in content[segment.body : segment.end]:
            raise CannotEmbed(C2PA)
        first &= segment.kind == _APP0 or (segment.kind == _APP1 and content.startswith(_EXIF, segment.body))
        place = segment.end if first else place
        if segment.kind == _APP1 and content.startswith(_XMP, segment.body):
            packets.append(segment)
        frame |= segment.kind in _FRAMES
        if segment.kind == _SCAN:
            if frame and content.rfind(b"\xff\xd9", segment.end) >= 0:
                return place, packets
            break
    raise CannotEmbed(_BROKEN)


def _fixed_from(content: bytes) -> int:
    """Where an index of further pictures counts from (CIPA DC-007): nothing behind it may change its length."""
    for segment in _segments(content):
        if segment.kind == _SCAN or (segment.kind == _APP2 and content.startswith(_INDEX, segment.body)):
            return segment.start
    return len(content)


def _segments(content: Content) -> Iterator[_Segment]:
    """Up to the scan. Raises CannotEmbed at the first that is not there as a whole."""
    at, number = 2, 0
    while at + 4 <= len(content):
        if content[at] != 0xFF:
            raise CannotEmbed(_BROKEN)
        kind = content[at + 1]
        number = counted(number)
        if kind == 0xFF:
            at += 1
            continue
        size = int.from_bytes(content[at + 2 : at + 4])
        end = at + 2 + size
        if kind < 0xC0 or 0xD0 <= kind <= _END or size < 2 or end > len(content):
            raise CannotEmbed(_BROKEN)
        yield _Segment(kind, at, at + 4, end)
        if kind == _SCAN:
            return
        at = end


def _fitting(packet: bytes | None) -> bytes | None:
    return packet if packet and len(_XMP + packet) <= _MOST_BODY else None


def _segment(kind: int, body: bytes) -> bytes:
    return bytes((0xFF, kind)) + (len(body) + 2).to_bytes(2) + body
