"""The formats in which pictures are taken, the one list of them, and each by the first bytes of a file."""

from __future__ import annotations

from dataclasses import dataclass

from services.imaging.sniffing import HEAD_BYTES, content_type_of


@dataclass(frozen=True, slots=True)
class Format:
    """`readers` are Pillow's names of the plug-ins that may read it, in their order."""

    name: str
    content_type: str
    suffix: str
    readers: tuple[str, ...]


_FORMATS = (
    Format("PNG", "image/png", ".png", ("PNG",)),
    Format("JPEG", "image/jpeg", ".jpg", ("JPEG",)),
    Format("WebP", "image/webp", ".webp", ("WEBP",)),
    Format("GIF", "image/gif", ".gif", ("GIF",)),
    Format("BMP", "image/bmp", ".bmp", ("BMP",)),
    Format("TIFF", "image/tiff", ".tif", ("TIFF",)),
    Format("AVIF", "image/avif", ".avif", ("AVIF",)),
    Format("HEIC", "image/heic", ".heic", ("HEIF",)),
    # A container of either codec, or of one that nobody reads.
    Format("HEIF", "image/heif", ".heif", ("AVIF", "HEIF")),
)
_BY_CONTENT_TYPE = {form.content_type: form for form in _FORMATS}
# For errors, the documentation and OpenAPI.
ACCEPTED = f"{', '.join(form.name for form in _FORMATS[:-1])} and {_FORMATS[-1].name}"


def format_of(head: bytes) -> Format | None:
    """By the first HEAD_BYTES of a file; None for what is not taken as a picture."""
    return _BY_CONTENT_TYPE.get(content_type_of(head[:HEAD_BYTES]))


def suffix_of(head: bytes) -> str:
    """For the name of a file that begins so."""
    found = format_of(head)
    return found.suffix if found else ".bin"
