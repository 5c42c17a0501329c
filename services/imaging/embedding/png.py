"""PNG: text chunks behind the header, the recipe and XMP each in their own (PNG 3rd edition, 11.3.3.4)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from services.imaging.embedding.edits import C2PA, MARK, ByteEdit, CannotEmbed, PacketFor, counted, packet_at
from services.imaging.embedding.exif import essential

AT_END = False
_MAGIC = b"\x89PNG\r\n\x1a\n"
_XMP = b"XML:com.adobe.xmp\0"
# Not compressed, no language, no translated keyword.
_PLAIN = b"\0\0\0\0"
_BROKEN = "it is no whole PNG"
# What is needed to show the pixels as they were meant, and their density.
_OF_PIXELS = frozenset(b"IHDR PLTE IDAT IEND tRNS cHRM gAMA iCCP sBIT sRGB cICP mDCV cLLI bKGD hIST pHYs".split())
_OF_FRAMES = frozenset((b"acTL", b"fcTL", b"fdAT"))
# What a picture looks the same without. Named one by one: a stranger may be a damaged name of one that is needed.
METADATA = frozenset(
    b"tEXt zTXt iTXt eXIf pHYs tIME bKGD hIST sPLT oFFs pCAL sCAL sTER gIFg gIFx gIFt dSIG caBX".split()
)
_EXIF_IN_TEXT = b"Raw profile type exif"


@dataclass(frozen=True, slots=True)
class Chunk:
    """From `start` to `end`, its length and checksum included."""

    kind: bytes
    start: int
    end: int

    def body(self, content: bytes | memoryview) -> bytes:
        return bytes(content[self.start + 8 : self.end - 4])

    def is_sound(self, content: bytes | memoryview) -> bool:
        """Whether its checksum is right."""
        with memoryview(content)[self.start + 4 : self.end - 4] as summed:
            return zlib.crc32(summed) == int.from_bytes(content[self.end - 4 : self.end])


def recipe_in(head: bytes) -> bytes | None:
    """The text in front of the pixels; `head` may be cut anywhere."""
    try:
        for chunk in chunks(head):
            if chunk.kind == b"IDAT":
                return None
            if chunk.kind == b"iTXt" and (body := chunk.body(head)).startswith(MARK) and chunk.is_sound(head):
                return body[len(MARK) + 2 :].split(b"\0", 2)[-1]
    except CannotEmbed:
        pass
    return None


def edits(content: bytes, recipe: bytes, packet_for: PacketFor) -> list[ByteEdit]:
    """Raises CannotEmbed."""
    header, *packets = _landmarks(content)
    made = [ByteEdit(header.end, header.end, _text(MARK, recipe))]
    if not packets and (packet := packet_for(None)):
        made.append(ByteEdit(header.end, header.end, _text(_XMP, packet)))
    elif len(packets) == 1 and content.startswith(_XMP + _PLAIN, packets[0].start + 8):
        [old] = packets
        packet = packet_for(packet_at(content, old.start + 8 + len(_XMP + _PLAIN), old.end - 4))
        made += [ByteEdit(old.start, old.end, _text(_XMP, packet))] if packet else []
    return made


def bare_edits(content: bytes, packet: bytes | None) -> list[ByteEdit]:
    """What takes everything out but the pixels and what is ours, and puts `packet` in. Raises CannotEmbed."""
    header = next(chunks(content), None)
    if header is None or header.kind != b"IHDR":
        raise CannotEmbed(_BROKEN)
    told = _text(_XMP, packet) if packet else b""
    made, has_told, end = list[ByteEdit](), not told, 0
    for chunk in chunks(content):
        whole, end = content[chunk.start : chunk.end], chunk.end
        has_told |= whole == told
        unsound = chunk.kind in METADATA and not chunk.is_sound(content)
        if (new := b"" if unsound else _bared(chunk, whole, told)) != whole:
            made.append(ByteEdit(chunk.start, chunk.end, new))
        if chunk.kind == b"IEND":
            break
    made += [ByteEdit(end, len(content), b"")] if end < len(content) else []
    return [ByteEdit(header.end, header.end, told), *made] if made and not has_told else made


def _bared(chunk: Chunk, whole: bytes, told: bytes) -> bytes:
    body = whole[8:-4]
    if body.startswith(_EXIF_IN_TEXT):
        raise CannotEmbed("its Exif is a text")
    if chunk.kind == b"eXIf":
        left = essential(body)
        return _chunk(b"eXIf", left) if left else b""
    ours = whole == told or (chunk.kind == b"iTXt" and body.startswith(MARK)) or body.startswith(b"Software\0")
    return whole if ours or chunk.kind in _OF_PIXELS | _OF_FRAMES else b""


def _landmarks(content: bytes) -> list[Chunk]:
    """The header, then whatever holds XMP."""
    found, pixels = list[Chunk](), False
    for chunk in chunks(content):
        if chunk.kind == b"caBX":
            raise CannotEmbed(C2PA)
        pixels |= chunk.kind == b"IDAT"
        if not found and (chunk.kind, chunk.end - chunk.start) != (b"IHDR", 25):
            raise CannotEmbed(_BROKEN)
        if not found or (chunk.kind == b"iTXt" and content.startswith(_XMP, chunk.start + 8)):
            found.append(chunk)
        if chunk.kind == b"IEND" and pixels:
            return found
    raise CannotEmbed(_BROKEN)


def chunks(content: bytes | memoryview) -> Iterator[Chunk]:
    """Raises CannotEmbed at the first that is not there as a whole."""
    at, number = len(_MAGIC), 0
    while at + 12 <= len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4])
        if end > len(content):
            raise CannotEmbed(_BROKEN)
        number = counted(number)
        yield Chunk(bytes(content[at + 4 : at + 8]), at, end)
        at = end


def _text(keyword: bytes, text: bytes) -> bytes:
    return _chunk(b"iTXt", keyword + _PLAIN + text)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4)
