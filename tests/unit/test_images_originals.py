"""A picture in its own colours: what is kept of it, and what has to be converted."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image, ImageCms

from services.common.errors import InvalidRequest
from services.imaging.decoder import DecodeLimits, Decoder

pytestmark = pytest.mark.asyncio(loop_scope="module")
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PIXELS = np.random.default_rng(5).integers(0, 256, (20, 30, 4), np.uint8)
RGB = PIXELS[:, :, :3]


def wide_profile() -> bytes:
    """sRGB with its red and green primaries exchanged: colours that are not translated show."""
    renamed = SRGB.replace("sRGB".encode("utf-16-be"), "xxxx".encode("utf-16-be")).replace(b"sRGB", b"xxxx")
    return renamed.replace(b"rXYZ", b"tXYZ").replace(b"gXYZ", b"rXYZ").replace(b"tXYZ", b"gXYZ")


def grey_profile() -> bytes:
    """The least there can be: a white point and a gamma of 2.2."""
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    text = b"text\0\0\0\0grey\0\0\0\0"
    description = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"grey\0" + b"\0" * 79
    tags, body, at = [], b"", 128 + 4 + 4 * 12
    for name, content in ((b"wtpt", white), (b"kTRC", curve), (b"cprt", text), (b"desc", description)):
        tags.append(name + struct.pack(">II", at + len(body), len(content)))
        body += content + b"\0" * (-len(content) % 4)
    head = struct.pack(">I4sI4s4s4s12s4s", at + len(body), b"none", 0x02100000, b"mntr", b"GRAY", b"XYZ ", b"", b"acsp")
    head = (head + b"\0" * 28 + struct.pack(">3i", 63190, 65536, 54061)).ljust(128, b"\0")
    return head + struct.pack(">I", 4) + b"".join(tags) + body


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def decoder() -> AsyncIterator[Decoder]:
    async with Decoder(DecodeLimits(max_bytes=1 << 20, max_pixels=1_000_000), workers=1) as opened:
        yield opened


def saved(picture: Image.Image | np.ndarray, form: str = "PNG", **options: Any) -> bytes:
    target = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(target, form, **options)
    return target.getvalue()


@pytest.mark.parametrize("profile", [SRGB, wide_profile()])
@pytest.mark.parametrize("channels", [3, 4])
async def test_colours_and_their_profile_come_out_as_they_are(decoder: Decoder, channels: int, profile: bytes) -> None:
    found = await decoder.decode_original(saved(PIXELS[:, :, :channels], icc_profile=profile))
    assert np.array_equal(found.pixels, PIXELS[:, :, :channels])
    assert (found.profile, found.converted) == (profile, False)


@pytest.mark.parametrize("channels", [1, 2])
async def test_grey_stays_grey_and_keeps_its_profile(decoder: Decoder, channels: int) -> None:
    picture = Image.fromarray(RGB[:, :, 0])
    if channels == 2:
        picture.putalpha(Image.fromarray(RGB[:, :, 1]))
    found = await decoder.decode_original(saved(picture, icc_profile=grey_profile()))
    assert np.array_equal(found.pixels, RGB[:, :, :channels])
    assert (found.profile, found.converted) == (grey_profile(), False)


async def test_grey_becomes_srgb_where_only_colours_will_do(decoder: Decoder) -> None:
    content = saved(RGB[:, :, 0])
    found = await decoder.decode_original(content, grey=False)
    assert np.array_equal(found.pixels, np.repeat(RGB[:, :, :1], 3, axis=2))
    assert (found.profile, found.converted) == (None, False)
    profiled = await decoder.decode_original(saved(RGB[:, :, 0], icc_profile=grey_profile()), grey=False)
    assert (profiled.pixels.shape, profiled.profile, profiled.converted) == ((20, 30, 3), None, True)


async def test_a_profile_that_does_not_fit_or_is_broken_is_left_out(decoder: Decoder) -> None:
    for profile in (grey_profile(), SRGB[:200], b"x", SRGB[:16] + b"CMYK" + SRGB[20:]):
        found = await decoder.decode_original(saved(RGB, icc_profile=profile))
        assert np.array_equal(found.pixels, RGB)
        assert found.profile is None


async def test_grey_with_the_profile_of_a_colour_picture_becomes_one(decoder: Decoder) -> None:
    found = await decoder.decode_original(saved(RGB[:, :, 0], "JPEG", quality=100, icc_profile=wide_profile()))
    assert found.pixels.shape == (20, 30, 3)
    assert found.profile == wide_profile()


async def test_what_a_png_cannot_hold_becomes_srgb(decoder: Decoder) -> None:
    found = await decoder.decode_original(saved(Image.fromarray(RGB).convert("CMYK"), "TIFF"))
    assert found.pixels.shape == (20, 30, 3)
    assert found.profile is None


@pytest.mark.parametrize(
    ("picture", "channels"),
    [
        (Image.fromarray(RGB).convert("P"), 3),
        (Image.fromarray(PIXELS).quantize(16), 4),
        (Image.fromarray(RGB[:, :, 0]).convert("1"), 1),
        (Image.fromarray(np.linspace(0, 65535, 600).astype(np.uint16).reshape(20, 30)), 1),
    ],
    ids=["palette", "palette with alpha", "one bit", "sixteen bits"],
)
async def test_other_modes_become_what_they_show(decoder: Decoder, picture: Image.Image, channels: int) -> None:
    content = saved(picture)
    found = await decoder.decode_original(content)
    shown = await decoder.decode(content)
    assert found.pixels.shape[2] == channels == found.facts.channels
    assert np.array_equal(np.broadcast_to(found.pixels, shown.pixels.shape), shown.pixels)


async def test_sixteen_bit_colours_become_eight(decoder: Decoder) -> None:
    deep = np.linspace(0, 65535, 4 * 5 * 3).astype(">u2").reshape(4, 5, 3)
    rows = b"".join(b"\0" + row.tobytes() for row in deep)
    found = await decoder.decode_original(png(5, 4, depth=16, kind=2, rows=rows))
    assert np.abs(found.pixels.astype(int) - deep / 257).max() <= 1


async def test_one_colour_declared_transparent_becomes_alpha(decoder: Decoder) -> None:
    content = png(2, 1, depth=8, kind=0, rows=b"\0\x07\x09", extra=chunk(b"tRNS", b"\0\x07"))
    found = await decoder.decode_original(content)
    assert found.pixels[0, :, 1].tolist() == [0, 255]


async def test_the_original_stands_upright(decoder: Decoder) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    found = await decoder.decode_original(saved(RGB, exif=exif, icc_profile=SRGB))
    assert np.array_equal(found.pixels, np.rot90(RGB, -1))
    assert found.profile == SRGB


async def test_what_is_no_picture_has_no_original(decoder: Decoder) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await decoder.decode_original(saved(RGB)[:200])
    assert caught.value.reason == "IMAGE_INVALID"


async def test_a_colour_is_told_in_another_profile(decoder: Decoder) -> None:
    assert await decoder.in_profile((200, 30, 90), SRGB) == pytest.approx((200, 30, 90), abs=1)
    red, green, _ = await decoder.in_profile((200, 60, 90), wide_profile())
    assert green > red
    assert await decoder.in_profile((200, 30, 90), b"no profile") == (200, 30, 90)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, *, depth: int, kind: int, rows: bytes, extra: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
