"""Damaged pictures, to the upload and inside requests."""

from __future__ import annotations

import base64
import io
import json
import random
import struct
import zlib
from functools import cache

from PIL import Image
from pillow_heif import register_heif_opener

from tests.fuzz.cases import HttpCase, Shoot, http_request, json_request
from tests.fuzz.raw_http import TASKS, task

KIND = "pictures"
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
register_heif_opener()
_BOUNDARY = "fuzz-boundary"


def attack(shoot: Shoot, cases: int, seed: int) -> None:
    rng = random.Random(f"{seed}:{KIND}")
    for number in range(cases):
        note, content = damaged(rng)
        if number % 3:
            shoot(HttpCase(KIND, f"upload of {note}", _upload(rng, number, content)))
        else:
            shoot(HttpCase(KIND, f"inline {note}", _inline(rng, content)))


def _upload(rng: random.Random, number: int, content: bytes) -> bytes:
    """Every fifth in a form that is broken itself."""
    disposition = 'form-data; name="file"; filename="a.png"'
    form = _form(disposition, content)
    if rng.randrange(5) == 0:
        broken = (
            form[: rng.randrange(1, len(form))],
            form.replace(b"\r\n", b"\n", rng.randrange(1, 4)),
            _form('form-data; name="other"', content),
            _form(disposition, content)[:-4] + form,
            _form(f'form-data; name="{"f" * 70_000}"', content),
            _form("form-data; name=file; filename*=utf-8''%ff\"; x=;;", content),
            b"--" + content,
            b"",
        )
        form = rng.choice(broken)
    headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    return http_request("POST", f"/api/v1/storage/images/fuzz/{number % 50}.png", headers, form)


def _form(disposition: str, content: bytes) -> bytes:
    head = f"--{_BOUNDARY}\r\nContent-Disposition: {disposition}\r\nContent-Type: image/png\r\n\r\n"
    return head.encode() + content + f"\r\n--{_BOUNDARY}--\r\n".encode()


def _inline(rng: random.Random, content: bytes) -> bytes:
    text = base64.b64encode(content).decode()
    spoilt = (text, text, f"data:image/png;base64,{text}", text[:-1], f"data:;base64,{text}", f"data:image/png,{text}")
    body = json.dumps(task(reference_image_data=rng.choice((*spoilt, text[: len(text) // 2] + "é\n" + text))))
    return json_request("POST", TASKS, body.encode())


def damaged(rng: random.Random) -> tuple[str, bytes]:
    """What was done to it, and the bytes."""
    name = rng.choice(_FORMATS)
    content = bytearray(_good(name))
    choice = rng.randrange(8)
    if choice == 0:
        return f"whole {name}", bytes(content)
    if choice == 1:
        return f"cut {name}", bytes(content[: rng.randrange(len(content))])
    if choice == 2:
        return "bomb", _bomb(rng.choice((8_000, 60_000, 2**31 - 1)), rng.choice((1, 9_000, 60_000)))
    if choice == 3:
        other = _good(rng.choice(_FORMATS))
        return f"{name} with the end of another", bytes(content[: len(content) // 2]) + other[len(other) // 2 :]
    if choice == 4:
        return "no picture", rng.choice((b"", b"\x00" * 5000, rng.randbytes(3000), b"<svg/>", b"GIF89a", b"%PDF-1.7"))
    for _ in range(rng.choice((1, 4, 60))):
        content[rng.randrange(min(len(content), rng.choice((40, 10**6))))] = rng.randrange(256)
    return f"{name} with changed bytes", bytes(content)


@cache
def _good(name: str) -> bytes:
    made = io.BytesIO()
    picture = Image.linear_gradient("L").resize((48, 32)).convert("RGB")
    picture.save(made, name, **({"exif": picture.getexif().tobytes()} if name in ("JPEG", "PNG") else {}))
    return made.getvalue()


@cache
def _bomb(width: int, height: int) -> bytes:
    """A PNG that says to be huge."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(2_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*item) for item in ((b"IHDR", head), (b"IDAT", rows), (b"IEND", b"")))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
