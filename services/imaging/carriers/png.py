"""PNG: text chunks behind the header, the recipe and XMP each in their own (PNG 3rd edition, 11.3.3.4)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from services.imaging.carriers.edits import C2PA, MARK, Edit, PacketFor, Unfit, counted, packet_at

AT_END = False
_MAGIC = b"\x89PNG\r\n\x1a\n"
_XMP = b"XML:com.adobe.xmp\0"
# Not compressed, no language, no translated keyword.
_PLAIN = b"\0\0\0\0"
_BROKEN = "it is no whole PNG"


@dataclass(frozen=True, slots=True)
class Chunk:
    """From `start` to `end`, its length and checksum included."""

    kind: bytes
    start: int
    end: int

    def body(self, content: bytes | memoryview) -> bytes:
        return bytes(content[self.start + 8 : self.end - 4])


def recipe_in(head: bytes) -> bytes | None:
    """The text in front of the pixels; `head` may be cut anywhere."""
    try:
        for chunk in chunks(head):
            if chunk.kind == b"IDAT":
                return None
            if chunk.kind == b"iTXt" and (body := chunk.body(head)).startswith(MARK):
                return body[len(MARK) + 2 :].split(b"\0", 2)[-1]
    except Unfit:
        pass
    return None


def edits(content: bytes, recipe: bytes, packet_for: PacketFor) -> list[Edit]:
    """Raises Unfit."""
    header, *packets = _landmarks(content)
    made = [Edit(header.end, header.end, _text(MARK, recipe))]
    if not packets and (packet := packet_for(None)):
        made.append(Edit(header.end, header.end, _text(_XMP, packet)))
    elif len(packets) == 1 and content.startswith(_XMP + _PLAIN, packets[0].start + 8):
        [old] = packets
        packet = packet_for(packet_at(content, old.start + 8 + len(_XMP + _PLAIN), old.end - 4))
        made += [Edit(old.start, old.end, _text(_XMP, packet))] if packet else []
    return made


def _landmarks(content: bytes) -> list[Chunk]:
    """The header, then whatever holds XMP."""
    found, pixels = list[Chunk](), False
    for chunk in chunks(content):
        if chunk.kind == b"caBX":
            raise Unfit(C2PA)
        pixels |= chunk.kind == b"IDAT"
        if not found and (chunk.kind, chunk.end - chunk.start) != (b"IHDR", 25):
            raise Unfit(_BROKEN)
        if not found or (chunk.kind == b"iTXt" and content.startswith(_XMP, chunk.start + 8)):
            found.append(chunk)
        if chunk.kind == b"IEND" and pixels:
            return found
    raise Unfit(_BROKEN)


def chunks(content: bytes | memoryview) -> Iterator[Chunk]:
    """Raises Unfit at the first that is not there as a whole."""
    at, number = len(_MAGIC), 0
    while at + 12 <= len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4])
        if end > len(content):
            raise Unfit(_BROKEN)
        number = counted(number)
        yield Chunk(bytes(content[at + 4 : at + 8]), at, end)
        at = end


def _text(keyword: bytes, text: bytes) -> bytes:
    body = b"iTXt" + keyword + _PLAIN + text
    return (len(body) - 4).to_bytes(4) + body + zlib.crc32(body).to_bytes(4)
