"""How a file of ours was made, read from the beginning of the file: PNG's text chunks, MP4's comment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

RECIPE_CHUNK = "atelier-recipe"
# Every writer of ours puts the recipe in front of the pixels.
HEAD_BYTES = 256 << 10
_PNG = b"\x89PNG\r\n\x1a\n"
_CONTAINERS = (b"moov", b"udta", b"ilst", b"\xa9cmt")
# Deeper than any file of ours; a stranger's may nest until the reader breaks.
_DEPTH = 12


def read_recipe(head: bytes) -> dict[str, Any] | None:
    """None when there is none, or none that can be read and shown as JSON again. `head` may be cut anywhere.

    The file may be a stranger's: what an app made, or a picture that was handed on as it came.
    """
    text = _png_text(head) if head.startswith(_PNG) else _mp4_comment(head, _DEPTH)
    try:
        found = orjson.loads(text) if text else None
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) and _is_shallow(found, _DEPTH) else None


def _is_shallow(value: object, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(_is_shallow(item, depth - 1) for item in inner)


def _png_text(head: bytes) -> bytes | None:
    """The recipe's iTXt chunk (PNG 11.3.3.4): keyword, two flags, language, translated keyword, then the text."""
    keyword = RECIPE_CHUNK.encode() + b"\0"
    at = len(_PNG)
    while at + 8 <= len(head):
        size, kind = int.from_bytes(head[at : at + 4]), head[at + 4 : at + 8]
        if kind == b"IDAT":
            return None
        body = head[at + 8 : at + 8 + size]
        if kind == b"iTXt" and body.startswith(keyword) and len(body) == size:
            return body[len(keyword) + 2 :].split(b"\0", 2)[-1]
        at += size + 12
    return None


def _mp4_comment(head: bytes, depth: int) -> bytes | None:
    """The `©cmt` item of moov/udta/meta/ilst, as ffmpeg writes it."""
    if not depth:
        return None
    for kind, body in _boxes(head):
        if kind == b"data":
            return body[8:]
        if kind == b"meta":
            body = body[4:]
        elif kind not in _CONTAINERS:
            continue
        if found := _mp4_comment(body, depth - 1):
            return found
    return None


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, body) of each box that is there as a whole."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        if size < 8 or at + size > len(data):
            return
        yield data[at + 4 : at + 8], data[at + 8 : at + size]
        at += size
