"""Pictures as vendors take and give them."""

from __future__ import annotations

import base64
import binascii
import re
from io import BytesIO

import numpy as np
from PIL import Image

_DATA_URL = re.compile(r"data:(image/[a-z]+);base64,(.+)", re.DOTALL)


class Unreadable(Exception):
    """Not a picture."""


def open_data_url(text: str) -> Image.Image:
    """Raises Unreadable."""
    match = _DATA_URL.fullmatch(text)
    if match is None:
        raise Unreadable("no data URL")
    return open_base64(match[2])


def plain_base64(text: str) -> str:
    """Of either alphabet, padded or not, in the usual one: JSON of protobuf takes both."""
    plain = text.translate(str.maketrans("-_", "+/")).rstrip("=")
    return plain + "=" * (-len(plain) % 4)


def open_base64(text: str) -> Image.Image:
    """Raises Unreadable."""
    try:
        picture = Image.open(BytesIO(base64.b64decode(text, validate=True)))
        picture.load()
    except (binascii.Error, ValueError, OSError) as error:
        raise Unreadable("no picture") from error
    return picture


def encode(picture: Image.Image, kind: str) -> bytes:
    """`kind` as Pillow names it: "PNG", "JPEG" …"""
    buffer = BytesIO()
    picture.convert("RGB").save(buffer, kind)
    return buffer.getvalue()


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """A picture like no other."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))
