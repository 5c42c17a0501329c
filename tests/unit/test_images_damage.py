"""Damaged pictures: refused, and never taken for whole ones.

PICTURE_DAMAGES and PICTURE_SEED make the long form: more of them, and others.
"""

from __future__ import annotations

import io
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image

from services.common.errors import InvalidRequest, PayloadTooLarge
from services.imaging.decoder import Decoder, Limits, Picture
from services.imaging.notes import Note
from tests.corpora.pictures import chunk, exif, png, saved, tiff

pytestmark = pytest.mark.asyncio(loop_scope="module")
DAMAGES = int(os.environ.get("PICTURE_DAMAGES", "1000"))
SEED = int(os.environ.get("PICTURE_SEED", "3"))
FIELD = Path(__file__).parents[1] / "corpora" / "field"
PHOTO = Image.fromarray(
    np.kron(np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8), np.ones((4, 4, 1), np.uint8))
)
WHOLE = {
    "PNG": saved(PHOTO, "PNG"),
    "PNG, turned": saved(PHOTO, "PNG", exif=exif(6)),
    "PNG, palette": saved(PHOTO.quantize(16), "PNG"),
    "JPEG": saved(PHOTO, "JPEG", exif=exif(6)),
    "JPEG, progressive": saved(PHOTO, "JPEG", progressive=True),
    "WEBP": saved(PHOTO, "WEBP", exif=exif(6)),
    "WEBP, lossless": saved(PHOTO, "WEBP", lossless=True),
    "GIF": saved(PHOTO, "GIF"),
    "BMP": saved(PHOTO, "BMP"),
    "TIFF": saved(PHOTO, "TIFF"),
    "TIFF, packed": saved(PHOTO, "TIFF", compression="tiff_deflate", exif=exif(6)),
    "AVIF": saved(PHOTO, "AVIF", exif=exif(6)),
    "HEIF": saved(PHOTO, "HEIF", exif=exif(6)),
}
SUMMED = ("PNG", "PNG, turned", "PNG, palette", "TIFF, packed")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def decoder() -> AsyncIterator[Decoder]:
    async with Decoder(Limits(max_pixels=1_000_000), workers=2) as opened:
        yield opened


def strict_verdict(content: bytes, form: str) -> bool:
    """Whether Pillow itself takes it, on a clean open and load."""
    try:
        with Image.open(io.BytesIO(content), formats=["AVIF", "HEIF"] if form == "HEIF" else [form]) as picture:
            picture.load()
    except Exception:  # noqa: BLE001  # whatever it raises is its verdict
        return False
    return True


async def taken(decoder: Decoder, content: bytes) -> Picture | None:
    try:
        return await decoder.decode(content)
    except (InvalidRequest, PayloadTooLarge):
        return None


@pytest.mark.filterwarnings("ignore")
async def test_what_pillow_refuses_is_refused_whichever_byte_is_damaged(decoder: Decoder) -> None:
    rng, refused = random.Random(SEED), 0
    for number in range(DAMAGES):
        name = rng.choice(list(WHOLE))
        content = bytearray(WHOLE[name])
        at = rng.randrange(len(content))
        content[at] ^= rng.randrange(1, 256)
        found = await taken(decoder, bytes(content))
        if found is not None and Note.JPEG_END_MISSING not in found.notes:
            assert strict_verdict(bytes(content), name.split(",")[0]), f"{number}: {name}, byte {at}"
        refused += found is None
    assert refused > DAMAGES / 5


@pytest.mark.parametrize("name", SUMMED)
async def test_no_torn_picture_is_taken_where_the_file_has_a_checksum(decoder: Decoder, name: str) -> None:
    content = WHOLE[name]
    whole = (await decoder.decode(content)).pixels.astype(int)
    for at in range(len(content)):
        damaged = bytearray(content)
        damaged[at] ^= 0x10
        found = await taken(decoder, bytes(damaged))
        # A turn, a size or a colour table may be another; then it is another picture, and not a torn one.
        if found is not None and found.pixels.shape == whole.shape and name != "PNG, palette":
            assert (np.abs(found.pixels - whole).max(axis=2) > 40).mean() < 0.02, f"byte {at}"


async def test_a_photograph_with_one_flipped_byte_in_its_pixels_is_refused(decoder: Decoder) -> None:
    """Orientation was read before the pixels, and Pillow drops those that it cannot load then."""
    content = saved(Image.effect_noise((300, 200), 60).convert("RGB"), "PNG")
    start, end = content.index(b"IDAT") + 4, len(content) - 16
    for at in np.linspace(start + 8, end - 8, 25).astype(int):
        damaged = bytearray(content)
        damaged[at] ^= 0xFF
        with pytest.raises(InvalidRequest) as caught:
            await decoder.decode(bytes(damaged))
        assert (caught.value.reason, "Error" in caught.value.message) == ("IMAGE_INVALID", False)


async def test_broken_metadata_spoil_no_good_picture(decoder: Decoder) -> None:
    numbers = np.asarray(PHOTO)
    broken = b"MM\0*\0\0\0\x08\0\x02\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\x87\x69\0\x04\0\0\0\x01\xff\xff\xff\xff"
    for content in (
        png(numbers, 8, 2, chunk(b"eXIf", broken)),
        png(numbers, 8, 2, chunk(b"eXIf", b"no Exif at all")),
        tiff(numbers, 2, {34665: (4, [0xFFFFFFF0]), 34853: (4, [3])}, deflate=False, big=False),
        tiff(numbers, 2, {34665: (4, [8]), 274: (7, b"six!!")}, deflate=True, big=True),
    ):
        picture = await decoder.decode(content)
        assert sorted(picture.pixels.shape) == [3, 48, 64]


@pytest.mark.field("11")
async def test_a_jpeg_that_lacks_nothing_but_its_end_is_taken_and_that_is_told(decoder: Decoder) -> None:
    stored = (FIELD / "11_no_eoi.jpg").read_bytes()
    picture = await decoder.decode(stored)
    with Image.open(io.BytesIO(stored + b"\xff\xd9")) as whole:
        assert np.array_equal(picture.pixels, np.asarray(whole))
    assert picture.notes == (Note.JPEG_END_MISSING,)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
async def test_a_jpeg_that_lacks_pixels_is_refused(decoder: Decoder, mode: str, progressive: bool) -> None:
    content = saved(PHOTO.convert(mode), "JPEG", progressive=progressive, quality=85)
    for missing in (1, 2):
        found = await decoder.decode(content[:-missing])
        assert np.array_equal(found.pixels, (await decoder.decode(content)).pixels)
        assert Note.JPEG_END_MISSING in found.notes
    scan = content.index(b"\xff\xda")
    for missing in range(4, len(content) - scan, max(1, (len(content) - scan) // 60)):
        assert await taken(decoder, content[:-missing]) is None, f"{missing} bytes missing"


async def test_a_flat_jpeg_cut_in_the_middle_is_refused(decoder: Decoder) -> None:
    """What a decoder makes up for its rest looks just like the rest."""
    content = saved(Image.new("RGB", (640, 480), (180, 40, 40)), "JPEG")
    scan = content.index(b"\xff\xda")
    assert await taken(decoder, content[: (scan + len(content)) // 2]) is None


async def test_no_librarys_words_about_a_strangers_file_reach_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    content = bytearray(WHOLE["TIFF, packed"])
    content[20:60] = bytes(40)
    async with Decoder(Limits(), workers=1) as opened:
        assert await taken(opened, bytes(content)) is None
    assert capfd.readouterr().err == ""
