"""WebP: the recipe in a chunk of its own at the end, XMP in the extended format's chunk (RFC 9649, 2.7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from services.imaging.embedding.edits import C2PA, MARK, ByteEdit, CannotEmbed, PacketFor, counted, packet_at
from services.imaging.embedding.exif import essential

AT_END = True
_CHUNK = b"ATLR"
_HAS_XMP, _HAS_EXIF, _HAS_ALPHA = 0x04, 0x08, 0x10
# What is needed to show the pixels as they were meant.
_OF_PIXELS = frozenset((b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP", _CHUNK))
_EXIF = b"Exif\0\0"
_BROKEN = "it is no whole WebP"
_PIXELS = (b"VP8 ", b"VP8L", b"ANMF")


@dataclass(frozen=True, slots=True)
class _Chunk:
    """From `start` to `end`; `size` bytes from `body` on, and one to make them even."""

    kind: bytes
    start: int
    size: int

    @property
    def body(self) -> int:
        return self.start + 8

    @property
    def end(self) -> int:
        return self.body + self.size + self.size % 2


def recipe_in(tail: bytes) -> bytes | None:
    """`tail` may begin anywhere."""
    at = tail.rfind(_CHUNK)
    if at < 0 or not tail.startswith(MARK, at + 8):
        return None
    end = at + 8 + int.from_bytes(tail[at + 4 : at + 8], "little")
    return tail[at + 8 + len(MARK) : end] if end <= len(tail) else None


def edits(content: bytes, recipe: bytes, packet_for: PacketFor) -> list[ByteEdit]:
    """Raises CannotEmbed. A simple file becomes an extended one, around the same chunk of pixels."""
    first, packets = _landmarks(content)
    old = packets[0] if len(packets) == 1 else None
    packet = None
    if len(packets) < 2:
        packet = packet_for(packet_at(content, old.body, old.body + old.size) if old else None)
    extended, flags = _extended(content, first)
    flags |= _HAS_XMP if packet or packets else 0
    made = [ByteEdit(first.start, first.end if first.kind == b"VP8X" else first.start, _with_flags(extended, flags))]
    end = len(content)
    if packet:
        made.append(ByteEdit(old.start if old else end, old.end if old else end, _chunk(b"XMP ", packet)))
    made.append(ByteEdit(end, end, _chunk(_CHUNK, MARK + recipe)))
    size = end - 8 + sum(len(edit.new) - (edit.end - edit.start) for edit in made)
    return [ByteEdit(4, 8, size.to_bytes(4, "little")), *made]


def bare_edits(content: bytes, packet: bytes | None) -> list[ByteEdit]:
    """What takes everything out but the pixels and what is ours, and puts `packet` in. Raises CannotEmbed."""
    end = 8 + int.from_bytes(content[4:8], "little")
    if end > len(content):
        raise CannotEmbed(_BROKEN)
    found = list(_chunks(content[:end]))
    if not found:
        raise CannotEmbed(_BROKEN)
    first, others = found[0], found[1:]
    told = _chunk(b"XMP ", packet) if packet and first.kind == b"VP8X" else b""
    wholes = {chunk: content[chunk.start : chunk.end] for chunk in others}
    news = {chunk: _bared(chunk, whole, told) for chunk, whole in wholes.items()}
    made = [ByteEdit(chunk.start, chunk.end, new) for chunk, new in news.items() if new != wholes[chunk]]
    if not made and end == len(content):
        return []
    made.append(ByteEdit(end, len(content), b"" if told in news.values() else told))
    if first.kind == b"VP8X":
        body = content[first.body : first.end]
        flags = body[0] & ~(_HAS_XMP | _HAS_EXIF) | (_HAS_XMP if told else 0)
        flags |= _HAS_EXIF if any(new.startswith(b"EXIF") for new in news.values()) else 0
        made.append(ByteEdit(first.start, first.end, _with_flags(body, flags)))
    size = len(content) - 8 + sum(len(edit.new) - (edit.end - edit.start) for edit in made)
    return [ByteEdit(4, 8, size.to_bytes(4, "little")), *made]


def _bared(chunk: _Chunk, whole: bytes, told: bytes) -> bytes:
    if chunk.kind == b"EXIF":
        left = essential(whole[8 : 8 + chunk.size].removeprefix(_EXIF))
        return _chunk(b"EXIF", left) if left else b""
    return whole if chunk.kind in _OF_PIXELS or (told and whole == told) else b""


def _landmarks(content: bytes) -> tuple[_Chunk, list[_Chunk]]:
    """The first chunk, and those of XMP."""
    if len(content) != 8 + int.from_bytes(content[4:8], "little"):
        raise CannotEmbed(_BROKEN)
    first, packets, pixels = None, list[_Chunk](), False
    for chunk in _chunks(content):
        if chunk.kind == b"C2PA":
            raise CannotEmbed(C2PA)
        first = first or chunk
        pixels |= chunk.kind in _PIXELS
        if chunk.kind == b"XMP ":
            packets.append(chunk)
    if first is None or not pixels:
        raise CannotEmbed(_BROKEN)
    return first, packets


def _chunks(content: bytes) -> Iterator[_Chunk]:
    """Raises CannotEmbed unless they fill the file."""
    at, number = 12, 0
    while at < len(content):
        chunk = _Chunk(content[at : at + 4], at, int.from_bytes(content[at + 4 : at + 8], "little"))
        if chunk.end > len(content):
            raise CannotEmbed(_BROKEN)
        number = counted(number)
        yield chunk
        at = chunk.end


def _extended(content: bytes, first: _Chunk) -> tuple[bytes, int]:
    """The body of the chunk VP8X, and its flags, as the file has them or as its pixels say."""
    body = content[first.body : first.body + first.size]
    if first.kind == b"VP8X" and first.size == 10:
        return body, body[0]
    if first.kind == b"VP8 " and first.size >= 10 and not body[0] & 1 and body[3:6] == b"\x9d\x01\x2a":
        width, height = (int.from_bytes(body[at : at + 2], "little") & 0x3FFF for at in (6, 8))
        return _canvas(width, height), 0
    if first.kind == b"VP8L" and first.size >= 5 and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return _canvas((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1), _HAS_ALPHA if bits >> 28 & 1 else 0
    raise CannotEmbed(_BROKEN)


def _canvas(width: int, height: int) -> bytes:
    if not width or not height:
        raise CannotEmbed(_BROKEN)
    return bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")


def _with_flags(body: bytes, flags: int) -> bytes:
    return _chunk(b"VP8X", bytes((flags,)) + body[1:])


def _chunk(kind: bytes, body: bytes) -> bytes:
    return kind + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2)
