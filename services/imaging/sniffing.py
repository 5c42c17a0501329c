"""What a content is by its first bytes, whatever it is called."""

from __future__ import annotations

HEAD_BYTES = 64
UNKNOWN = "application/octet-stream"

# Offset, bytes, type. No SVG or HTML: what a browser would run is served as unknown.
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (0, b"BM", "image/bmp"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypavis", "image/avif"),
    (4, b"ftypheic", "image/heic"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"\x1f\x8b", "application/gzip"),
)
_BMP_HEADER_SIZES = frozenset({12, 40, 52, 56, 64, 108, 124})


def content_type_of(head: bytes) -> str:
    """The media type by the first HEAD_BYTES; UNKNOWN when no signature fits."""
    for offset, magic, content_type in _MAGIC:
        if head.startswith(magic, offset) and _agrees(content_type, head):
            return content_type
    return "application/x-safetensors" if _is_safetensors(head) else UNKNOWN


def is_picture(head: bytes) -> bool:
    return content_type_of(head).startswith("image/")


def _agrees(content_type: str, head: bytes) -> bool:
    """Two of the signatures are too short, or too far in, to stand alone."""
    if content_type == "image/bmp":
        return int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES
    if content_type == "image/webp":
        return head.startswith(b"RIFF")
    return True


def _is_safetensors(head: bytes) -> bool:
    """An 8-byte little-endian header length, then that much JSON."""
    return head[8:10] in (b'{"', b"{}") and 2 <= int.from_bytes(head[:8], "little") <= 100_000_000
