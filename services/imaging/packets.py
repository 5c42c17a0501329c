"""Where a loaded picture's XMP, Exif and IPTC lie when not in the usual place. Runs in the child process only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO, Any

from PIL import Image

from services.imaging.embedding import gif
from services.imaging.recipes import HEAD_BYTES

_RAW = "Raw profile type "
_EXIF = b"Exif\0\0"
# XMP part 3, 1.1.3.1: which packet it belongs to, the length of all of it, the place of this part, and the part.
_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_NAME, _HEAD = 32, 40
# More is a picture within the packet, and no rights.
_LARGEST_EXTENSION = 1 << 20
_BOX, _SEQUENCE, _REPEATED = b"JP", 8, 16
_IIM_RESOURCE = b"8BIM\x04\x04"


def xmp_packets(picture: Image.Image, content: IO[bytes]) -> Iterator[bytes]:
    """The usual one first. Raises ValueError for what cannot be read."""
    packet = picture.info.get("xmp")
    if picture.format == "GIF":
        packet = gif.packet_in(os.pread(content.fileno(), HEAD_BYTES, 0))
    if packet:
        packet = packet.encode() if isinstance(packet, str) else packet
        yield packet
        if extension := _extension(picture, packet):
            yield extension
    if raw := _raw_profile(picture, "xmp"):
        yield raw


def raw_exif(picture: Image.Image) -> Image.Exif:
    """Of a PNG whose writer kept a JPEG's segment; empty without one."""
    exif = Image.Exif()
    if (segment := _raw_profile(picture, "APP1")).startswith(_EXIF):
        exif.load(segment)
    return exif


def raw_iim(picture: Image.Image) -> bytes:
    """IPTC's data sets that ImageMagick and others write into a PNG, bare or within Photoshop's resources."""
    for kind in ("iptc", "8bim", "APP13"):
        block = _raw_profile(picture, kind)
        if block.startswith(b"\x1c"):
            return block
        at = block.find(_IIM_RESOURCE)
        if at >= 0:
            start = at + len(_IIM_RESOURCE)
            start += (block[start] + 2) // 2 * 2
            return block[start + 4 : start + 4 + int.from_bytes(block[start : start + 4])]
    return b""


def credentials_of(picture: Any) -> bytes:
    """A JPEG's manifest store, which lies in as many segments as it needs (ISO 19566-5, annex D); empty without one."""
    parts = [body for marker, body in getattr(picture, "applist", ()) if marker == "APP11" and body.startswith(_BOX)]
    parts.sort(key=lambda body: body[len(_BOX) : _SEQUENCE])
    # Each begins with the number of its box, its own, and the length and type of the box.
    return b"".join(body[_REPEATED if at else _SEQUENCE :] for at, body in enumerate(parts))


def _raw_profile(picture: Image.Image, kind: str) -> bytes:
    """A line with its name, one with its length, then hexadecimal digits."""
    text = picture.info.get(_RAW + kind) if picture.format == "PNG" else None
    return bytes.fromhex("".join(str(text).split("\n")[3:])) if text else b""


def _extension(picture: Any, packet: bytes) -> bytes:
    """Of a JPEG, where a packet that one segment could not hold goes on; its parts may lie in any order."""
    parts: dict[int, bytes] = {}
    for marker, body in getattr(picture, "applist", ()):
        told = body[len(_EXTENSION) :]
        if marker == "APP1" and body.startswith(_EXTENSION) and told[:_NAME] in packet:
            parts[int.from_bytes(told[_NAME + 4 : _HEAD])] = told[_HEAD:]
    whole = b"".join(part for _, part in sorted(parts.items()))
    return whole if len(whole) <= _LARGEST_EXTENSION else b""
