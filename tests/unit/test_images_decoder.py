"""Decoding: what comes out of good pictures, and what becomes of bad ones."""

from __future__ import annotations

import asyncio
import io
import os
import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import pytest_asyncio
from PIL import Image, ImageCms

from services.common.errors import ComputeError, InvalidRequest, PayloadTooLarge
from services.imaging.decoder import DecodeLimits, Decoder
from tests.waiting import turns

pytestmark = pytest.mark.asyncio(loop_scope="module")
LIMITS = DecodeLimits(max_bytes=1 << 20, max_pixels=1_000_000, seconds=20.0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def decoder() -> AsyncIterator[Decoder]:
    async with Decoder(LIMITS, workers=1) as opened:
        yield opened


def saved(picture: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    target = io.BytesIO()
    picture.save(target, form, **options)
    return target.getvalue()


def drawn(width: int = 48, height: int = 32, mode: str = "RGB") -> Image.Image:
    """A corner of each colour, so that a turn or a swap shows."""
    picture = Image.new("RGB", (width, height), (10, 200, 30))
    picture.paste((250, 0, 0), (0, 0, width // 2, height // 2))
    picture.paste((0, 0, 250), (width // 2, height // 2, width, height))
    return picture.convert(mode)


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_of(width: int, height: int, *, body: bytes | None = None, extra: bytes = b"") -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    packed = zlib.compress(b"\0" * 1000) if body is None else body
    return b"\x89PNG\r\n\x1a\n" + header + extra + png_chunk(b"IDAT", packed) + png_chunk(b"IEND", b"")


async def refusal(decoder: Decoder, content: bytes) -> ComputeError:
    with pytest.raises(ComputeError) as caught:
        await decoder.decode(content)
    return caught.value


async def outcome(decoder: Decoder, content: bytes) -> str:
    """ "decoded", or the reason of the refusal."""
    try:
        await decoder.decode(content)
    except InvalidRequest as error:
        return error.reason
    return "decoded"


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "GIF"])
async def test_pixels_of_a_lossless_picture_come_out_as_they_were(decoder: Decoder, form: str) -> None:
    picture = await decoder.decode(saved(drawn(), form))
    assert picture.pixels.shape == (32, 48, 3)
    assert picture.pixels.dtype == np.uint8
    assert np.array_equal(picture.pixels, np.asarray(drawn()))
    assert picture.facts.content_type == f"image/{form.lower()}"


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "AVIF"])
async def test_a_lossy_picture_comes_out_close(decoder: Decoder, form: str) -> None:
    picture = await decoder.decode(saved(drawn(), form, quality=95))
    difference = picture.pixels.astype(int) - np.asarray(drawn()).astype(int)
    assert np.abs(difference).mean() < 6


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
async def test_alpha_is_kept(decoder: Decoder, form: str) -> None:
    source = drawn(mode="RGBA")
    source.putalpha(Image.linear_gradient("L").resize(source.size))
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    picture = await decoder.decode(saved(source, form, **options))
    assert np.array_equal(picture.pixels, np.asarray(source))


async def test_a_palette_with_a_transparent_colour_has_alpha(decoder: Decoder) -> None:
    source = drawn().quantize(8)
    picture = await decoder.decode(saved(source, "PNG", transparency=0))
    assert picture.pixels.shape == (32, 48, 4)
    assert set(np.unique(picture.pixels[..., 3])) == {0, 255}


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK"])
async def test_every_mode_becomes_rgb_or_rgba(decoder: Decoder, mode: str) -> None:
    source = drawn().convert("L").convert(mode) if mode == "LA" else drawn(mode=mode)
    picture = await decoder.decode(saved(source, "TIFF" if mode == "CMYK" else "PNG"))
    assert picture.pixels.shape == (32, 48, 4 if mode == "LA" else 3)


async def test_sixteen_bits_become_eight_over_the_whole_range(decoder: Decoder) -> None:
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(1, 256)
    picture = await decoder.decode(saved(Image.fromarray(ramp)))
    assert np.abs(picture.pixels[0, :, 0].astype(int) - np.arange(256)).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
async def test_the_picture_stands_upright_whatever_its_exif_says(decoder: Decoder, orientation: int) -> None:
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
    inverse = {0: 0, 1: 1, 3: 3, 5: 5, 6: 6, 4: 2, 2: 4}
    stored = drawn()
    if orientation in turns:
        stored = stored.transpose(Image.Transpose(inverse[turns[orientation]]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = await decoder.decode(saved(stored, "PNG", exif=exif))
    assert np.array_equal(picture.pixels, np.asarray(drawn()))
    assert (picture.facts.width, picture.facts.height) == (48, 32)


async def test_colours_of_another_profile_are_converted_to_srgb(decoder: Decoder) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = _with_red_and_green_swapped(profile)
    picture = await decoder.decode(saved(drawn(), "PNG", icc_profile=swapped))
    red_corner = picture.pixels[2, 2]
    assert red_corner[1] > 200 > red_corner[0]
    broken = await decoder.decode(saved(drawn(), "PNG", icc_profile=profile[:100]))
    assert np.array_equal(broken.pixels, np.asarray(drawn()))


def _with_red_and_green_swapped(profile: bytes) -> bytes:
    """An sRGB profile whose red primary is the green one, under another name."""
    renamed = profile.replace("sRGB".encode("utf-16-be"), "xxxx".encode("utf-16-be")).replace(b"sRGB", b"xxxx")
    return renamed.replace(b"rXYZ", b"tXYZ").replace(b"gXYZ", b"rXYZ").replace(b"tXYZ", b"gXYZ")


async def test_of_an_animation_the_first_frame_is_taken(decoder: Decoder) -> None:
    frames = [drawn(), Image.new("RGB", (48, 32), (1, 2, 3))]
    for form in ("GIF", "WEBP", "PNG"):
        options = {"lossless": True} if form == "WEBP" else {}
        content = saved(frames[0], form, save_all=True, append_images=frames[1:], duration=100, **options)
        picture = await decoder.decode(content)
        assert picture.facts.animated
        assert np.array_equal(picture.pixels[..., :3], np.asarray(frames[0]))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
async def test_a_picture_cut_off_anywhere_is_refused(decoder: Decoder, form: str) -> None:
    rng = np.random.default_rng(1)
    content = saved(Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)), form)
    for share in (0.1, 0.5, 0.9):
        assert (await refusal(decoder, content[: int(len(content) * share)])).reason == "IMAGE_INVALID"


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF", b"\7" * 999],
)
async def test_what_is_no_picture_is_refused(decoder: Decoder, content: bytes) -> None:
    assert (await refusal(decoder, content)).reason == "IMAGE_INVALID"


async def test_no_single_damaged_byte_brings_down_anything_but_the_picture(decoder: Decoder) -> None:
    rng = np.random.default_rng(2)
    pixels = Image.fromarray(rng.integers(0, 255, (24, 24, 3), np.uint8))
    for form in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"):
        content = saved(pixels, form)
        for _ in range(40):
            damaged = bytearray(content)
            damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
            assert await outcome(decoder, bytes(damaged)) in ("decoded", "IMAGE_INVALID", "IMAGE_TOO_MANY_PIXELS")
    assert (await decoder.decode(saved(pixels))).pixels.shape == (24, 24, 3)


async def test_a_bomb_of_few_bytes_and_many_pixels_is_refused_before_it_is_decoded(decoder: Decoder) -> None:
    for width, height in ((50_000, 50_000), (1001, 1000), (70_000, 1), (2**31 - 1, 2**31 - 1)):
        error = await refusal(decoder, png_of(width, height))
        assert error.reason in ("IMAGE_TOO_MANY_PIXELS", "IMAGE_INVALID")
        assert isinstance(error, PayloadTooLarge) or width == 2**31 - 1


async def test_a_bomb_in_a_text_or_profile_chunk_is_defused(decoder: Decoder) -> None:
    packed = zlib.compress(b"\0" * 30_000_000)
    text = png_chunk(b"zTXt", b"comment\0\0" + packed)
    profile = png_chunk(b"iCCP", b"profile\0\0" + packed)
    for extra in (text, profile):
        content = png_of(4, 4, body=zlib.compress(b"\0" * 52), extra=extra)
        assert await outcome(decoder, content) in ("decoded", "IMAGE_INVALID")


async def test_more_bytes_than_allowed_are_refused_unseen(decoder: Decoder, tmp_path: Path) -> None:
    assert (await refusal(decoder, b"x" * (LIMITS.max_bytes + 1))).reason == "IMAGE_TOO_LARGE"
    large = tmp_path / "large"
    large.write_bytes(b"x" * (LIMITS.max_bytes + 1))
    with large.open("rb") as file, pytest.raises(PayloadTooLarge):
        await decoder.measure(file)


async def test_measuring_reads_the_header_only_and_verifying_all(decoder: Decoder, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    content = saved(Image.effect_noise((200, 100), 50), "PNG")
    whole.write_bytes(content)
    cut.write_bytes(content[: len(content) // 2])
    with whole.open("rb") as file:
        assert (await decoder.verify(file)).width == 200
    with cut.open("rb") as file:
        assert (await decoder.measure(file)).height == 100
        with pytest.raises(InvalidRequest):
            await decoder.verify(file)


def children() -> set[int]:
    found = psutil.Process().children()
    return {child.pid for child in found if "services.imaging.decoder_main" in child.cmdline()}


async def test_too_little_memory_is_said_and_the_next_picture_is_served() -> None:
    small = saved(drawn())
    large = png_of(12_000, 12_000)
    async with Decoder(DecodeLimits(max_pixels=200_000_000, memory_bytes=500 << 20), workers=1) as decoder:
        assert (await refusal(decoder, large)).reason == "IMAGE_TOO_MANY_PIXELS"
        assert (await decoder.decode(small)).pixels.shape == (32, 48, 3)


async def test_a_decoding_that_takes_too_long_is_killed_and_the_next_picture_is_served() -> None:
    slow = saved(Image.new("RGB", (6000, 6000)), "PNG", compress_level=1)
    async with Decoder(DecodeLimits(seconds=0.02), workers=1) as decoder:
        before = children()
        assert (await refusal(decoder, slow)).reason == "IMAGE_INVALID"
        assert children() == before
    async with Decoder(LIMITS, workers=1) as decoder:
        assert (await decoder.decode(saved(drawn()))).pixels.shape == (32, 48, 3)


async def test_a_child_that_dies_is_replaced() -> None:
    before = children()
    async with Decoder(LIMITS, workers=1) as decoder:
        await decoder.decode(saved(drawn()))
        [pid] = children() - before
        psutil.Process(pid).kill()
        assert (await refusal(decoder, saved(drawn()))).reason == "IMAGE_INVALID"
        assert (await decoder.decode(saved(drawn()))).pixels.shape == (32, 48, 3)
    assert children() == before


async def test_a_cancelled_caller_takes_its_child_along_and_nobody_gets_its_answer() -> None:
    async with Decoder(LIMITS, workers=1) as decoder:
        await decoder.decode(saved(drawn()))
        waiting = asyncio.create_task(decoder.decode(saved(drawn(999, 999))))
        await turns()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (await decoder.decode(saved(drawn(20, 10)))).pixels.shape == (10, 20, 3)


async def test_the_child_knows_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERNAL_TOKEN", "secret")
    before = children()
    async with Decoder(LIMITS, workers=1) as decoder:
        await decoder.decode(saved(drawn()))
        [pid] = children() - before
        child = psutil.Process(pid)
        assert "INTERNAL_TOKEN" not in child.environ()
        assert child.rlimit(psutil.RLIMIT_AS)[1] == LIMITS.memory_bytes


async def test_many_pictures_at_once_share_the_children() -> None:
    before = children()
    async with Decoder(LIMITS, workers=2) as decoder:
        contents = [saved(drawn(16 + index, 16)) for index in range(20)]
        pictures = await asyncio.gather(*map(decoder.decode, contents))
        assert [picture.pixels.shape[1] for picture in pictures] == [16 + index for index in range(20)]
        assert len(children() - before) == 2


async def test_without_memory_files_a_file_without_a_name_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    async with Decoder(LIMITS, workers=1) as decoder:
        assert (await decoder.decode(saved(drawn()))).pixels.shape == (32, 48, 3)
