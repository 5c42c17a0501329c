"""What a content is by its first bytes, whatever it is called."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

# Room for the brands of a file of boxes; makers list up to a dozen.
HEAD_BYTES = 256
UNKNOWN = "application/octet-stream"

# Offset, bytes, type. No SVG or HTML: what a browser would run is served as unknown.
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (0, b"BM", "image/bmp"),
    (8, b"CR\x02\0", "image/x-canon-cr2"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"II+\x00", "image/tiff"),
    (0, b"MM\x00+", "image/tiff"),
    (0, b"\xff\x0a", "image/jxl"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2"),
    (0, b"8BPS", "image/vnd.adobe.photoshop"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"\x1f\x8b\x08", "application/gzip"),
)
# Told to people, and never served as such.
_TOLD: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\0\0\1\0", "image/x-icon"),
    (0, b"v/1\x01", "image/x-exr"),
    (0, b"#?RADIANCE", "image/vnd.radiance"),
    (0, b"DDS ", "image/vnd-ms.dds"),
    (0, b"qoif", "image/x-qoi"),
    (0, b"gimp xcf", "image/x-xcf"),
    (0, b"%!PS", "application/postscript"),
    (0, b"\xc5\xd0\xd3\xc6", "application/postscript"),
    (0, b"Rar!", "application/vnd.rar"),
    (0, b"7z\xbc\xaf", "application/x-7z-compressed"),
    (0, b"\xd0\xcf\x11\xe0", "application/x-ole-storage"),
    (8, b"AVI ", "video/x-msvideo"),
    (8, b"WAVE", "audio/wav"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"OggS", "application/ogg"),
)
# What a text begins with; an SVG may be declared first as any XML is.
_MARKUP = re.compile(rb"\s*<(svg|!doctype\s+svg|html|!doctype\s+html|head|body|\?xml)\b", re.IGNORECASE)
_SVG = re.compile(rb"<svg[\s/>]|<!doctype\s+svg\b", re.IGNORECASE)
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_BMP_HEADER_SIZES = frozenset({12, 40, 52, 56, 64, 108, 124})
_AVIF = frozenset({b"avif", b"avis", b"avio"})
_HEIC = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
# ISO/IEC 23008-12: a picture or several, whatever the codec.
_HEIF = frozenset({b"mif1", b"mif2", b"msf1", b"miaf"})
_MOVING = frozenset({b"isom", b"iso2", b"mp41", b"mp42", b"avc1", b"M4V "})


def content_type_of(head: bytes) -> str:
    """The media type by the first HEAD_BYTES; UNKNOWN when no signature fits."""
    if head.startswith(b"ftyp", 4):
        return _boxes_type(*_brands(head))
    for offset, magic, content_type in _MAGIC:
        if head.startswith(magic, offset) and _agrees(content_type, head):
            return content_type
    return "application/x-safetensors" if _is_safetensors(head) else UNKNOWN


def is_picture(head: bytes) -> bool:
    return content_type_of(head).startswith("image/")


def told_type_of(head: bytes) -> str:
    """The media type for a refusal, markup and plain text included; the more of the file there is the better."""
    known = content_type_of(head[:HEAD_BYTES])
    if known != UNKNOWN:
        return known
    named = next((kind for offset, magic, kind in _TOLD if head.startswith(magic, offset)), None)
    return named or _markup_type(head) or ("text/plain" if _is_text(head) else UNKNOWN)


def is_recognized(head: bytes) -> bool:
    """Whether no mere chance can have made it: a signature, or the beginning of a page or a drawing."""
    return content_type_of(head) != UNKNOWN or _markup_type(head) is not None


def _is_text(head: bytes) -> bool:
    """Whether all of it can be read by people. It may be cut off within a character."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return bool(text) and all(character.isprintable() or character in "\t\r\n\ufeff" for character in text)


def _markup_type(head: bytes) -> str | None:
    if head.startswith(_MARKS[1:]):
        head = head[2:].replace(b"\0", b"")
    found = _MARKUP.match(head.removeprefix(_MARKS[0]))
    if found is None:
        return None
    if _SVG.search(head):
        return "image/svg+xml"
    return "application/xml" if found[1] == b"?xml" else "text/html"


def _brands(head: bytes) -> tuple[bytes, frozenset[bytes]]:
    """The major one, and all that it is compatible with (ISO/IEC 14496-12, 4.3)."""
    return head[8:12], frozenset(_compatible(head[: int.from_bytes(head[:4])]))


def _compatible(box: bytes) -> Iterator[bytes]:
    for at in range(16, len(box) - 3, 4):
        yield box[at : at + 4]


def _boxes_type(major: bytes, compatible: frozenset[bytes]) -> str:
    """A file says what it is first, then what else it can be read as; a picture may call itself any kind of HEIF."""
    if major == b"qt  ":
        return "video/quicktime"
    if major == b"crx ":
        return "image/x-canon-cr3"
    for brands in ({major}, compatible if major in _HEIF or not compatible & _MOVING else frozenset[bytes]()):
        if brands & _AVIF:
            return "image/avif"
        if brands & _HEIC:
            return "image/heic"
    return "image/heif" if major in _HEIF else "video/mp4"


def _agrees(content_type: str, head: bytes) -> bool:
    """Some of the signatures are too short, or too far in, to stand alone."""
    if content_type == "image/bmp":
        return int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES
    if content_type == "image/webp":
        return head.startswith(b"RIFF")
    if content_type == "image/x-canon-cr2":
        return head.startswith(b"II*\0")
    return True


def _is_safetensors(head: bytes) -> bool:
    """An 8-byte little-endian header length, then that much JSON."""
    return head[8:10] in (b'{"', b"{}") and 2 <= int.from_bytes(head[:8], "little") <= 100_000_000
