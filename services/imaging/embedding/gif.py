"""GIF: the recipe in a comment, XMP in an application's block, both in front (GIF89a; XMP part 3, 1.1.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from services.imaging.embedding.edits import C2PA, MARK, ByteEdit, CannotEmbed, PacketFor, counted, packet_at

AT_END = False
_EXTENSION, _IMAGE, _END = 0x21, 0x2C, 0x3B
_COMMENT, _APPLICATION = 0xFE, 0xFF
_XMP = b"\x0bXMP DataXMP"
_C2PA = b"\x0bC2PA_GIF"
# Players look for the number of rounds behind the colours.
_ROUNDS = (b"\x0bNETSCAPE2.0", b"\x0bANIMEXTS1.0")
# Leads a reader that takes the packet for blocks to its end, wherever it comes out.
_TRAILER = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
_ICC = b"\x0bICCRGBG1012"
_BROKEN = "it is no whole GIF"


@dataclass(frozen=True, slots=True)
class _Block:
    """`label` tells extensions apart, and is None of a picture. `body` is where its sub-blocks begin."""

    label: int | None
    start: int
    body: int
    end: int


def recipe_in(head: bytes) -> bytes | None:
    """`head` may be cut anywhere."""
    try:
        for block in _blocks(head):
            if block.label is None:
                return None
            if block.label == _COMMENT and head.startswith(MARK, block.body + 1):
                return _joined(head[block.body : block.end])[len(MARK) :]
    except (CannotEmbed, IndexError):
        pass
    return None


def packet_in(head: bytes) -> bytes | None:
    """The XMP in front of the first picture; `head` may be cut anywhere."""
    try:
        for block in _blocks(head):
            if block.label is None:
                return None
            if block.label == _APPLICATION and head.startswith(_XMP, block.body):
                return head[block.body + len(_XMP) : block.end].removesuffix(_TRAILER)
    except (CannotEmbed, IndexError):
        pass
    return None


def edits(content: bytes, recipe: bytes, packet_for: PacketFor) -> list[ByteEdit]:
    """Raises CannotEmbed."""
    try:
        place, packets = _landmarks(content)
    except IndexError as error:
        raise CannotEmbed(_BROKEN) from error
    made = [ByteEdit(0, 6, b"GIF89a"), ByteEdit(place, place, _comment(MARK + recipe))]
    if not packets:
        if packet := packet_for(None):
            made.append(ByteEdit(place, place, _packet(packet)))
    elif len(packets) == 1 and content.endswith(_TRAILER, 0, packets[0].end):
        [old] = packets
        if packet := packet_for(packet_at(content, old.body + len(_XMP), old.end - len(_TRAILER))):
            made.append(ByteEdit(old.start, old.end, _packet(packet)))
    return made


def bare_edits(content: bytes, packet: bytes | None) -> list[ByteEdit]:
    """What takes everything out but the pixels and what is ours, and puts `packet` in. Raises CannotEmbed."""
    told = _packet(packet) if packet else b""
    made, has_told, place, end = list[ByteEdit](), not told, _colours_end(content), 0
    try:
        for block in _blocks(content):
            end = block.end
            has_told |= content[block.start : block.end] == told
            if not _belongs(content, block, told):
                made.append(ByteEdit(block.start, block.end, b""))
            if block.start == place and content.startswith(_ROUNDS, block.body):
                place = block.end
    except IndexError as error:
        raise CannotEmbed(_BROKEN) from error
    made += [ByteEdit(end + 1, len(content), b"")] if end + 1 < len(content) else []
    return [ByteEdit(0, 6, b"GIF89a"), ByteEdit(place, place, told), *made] if made and not has_told else made


def _belongs(content: bytes, block: _Block, told: bytes) -> bool:
    """To the pixels, or to what we say of them."""
    if block.label == _COMMENT:
        return content.startswith(MARK, block.body + 1)
    known = content.startswith((*_ROUNDS, _ICC), block.body) or content[block.start : block.end] == told
    return block.label != _APPLICATION or known


def _landmarks(content: bytes) -> tuple[int, list[_Block]]:
    """Where a block may be put in, and the blocks of XMP."""
    place, packets, pictures = _colours_end(content), list[_Block](), 0
    for block in _blocks(content):
        pictures += block.label is None
        if block.label == _APPLICATION and content.startswith(_C2PA, block.body):
            raise CannotEmbed(C2PA)
        if block.label == _APPLICATION and content.startswith(_XMP, block.body):
            packets.append(block)
        if block.start == place and content.startswith(_ROUNDS, block.body):
            place = block.end
    if not pictures:
        raise CannotEmbed(_BROKEN)
    return place, packets


def _blocks(content: bytes) -> Iterator[_Block]:
    """Up to the end's mark. Raises CannotEmbed or IndexError where the file is cut off."""
    at, number = _colours_end(content), 0
    while content[at] != _END:
        number = counted(number)
        if content[at] == _EXTENSION:
            label, body = content[at + 1], at + 2
        elif content[at] == _IMAGE:
            label, body = None, at + 11 + _colours_bytes(content[at + 9])
        else:
            raise CannotEmbed(_BROKEN)
        end, number = _sub_blocks_end(content, body, number)
        yield _Block(label, at, body, end)
        at = end


def _sub_blocks_end(content: bytes, at: int, number: int) -> tuple[int, int]:
    while content[at]:
        number = counted(number)
        at += 1 + content[at]
    return at + 1, number


def _colours_end(content: bytes) -> int:
    return 13 + _colours_bytes(content[10])


def _colours_bytes(packed: int) -> int:
    return 3 << (packed & 7) + 1 if packed & 0x80 else 0


def _joined(sub_blocks: bytes) -> bytes:
    at, found = 0, bytearray()
    while sub_blocks[at]:
        found += sub_blocks[at + 1 : at + 1 + sub_blocks[at]]
        at += 1 + sub_blocks[at]
    return bytes(found)


def _comment(text: bytes) -> bytes:
    pieces = (text[at : at + 255] for at in range(0, len(text), 255))
    return bytes((_EXTENSION, _COMMENT)) + b"".join(bytes((len(piece),)) + piece for piece in pieces) + b"\0"


def _packet(packet: bytes) -> bytes:
    return bytes((_EXTENSION, _APPLICATION)) + _XMP + packet + _TRAILER
