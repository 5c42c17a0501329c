"""Damaged pictures: refused, and never taken for whole ones.

PICTURE_DAMAGES and PICTURE_SEED make the long form: more of them, and others.
"""

from __future__ import annotations

import io
import os
import random
import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image

from services.common.errors import InvalidRequest, PayloadTooLarge
from services.imaging import png as png_chunks
from services.imaging.decoder import DecodedPicture, DecodeLimits, Decoder
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
    "PNG, told of": png(
        np.asarray(PHOTO),
        8,
        2,
        chunk(b"tEXt", b"Comment\0by the sea")
        + chunk(b"pHYs", struct.pack(">IIB", 11811, 11811, 1))
        + chunk(b"tRNS", bytes(6))
        + chunk(b"gAMA", (45455).to_bytes(4)),
    ),
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
SUMMED = ("PNG", "PNG, turned", "PNG, palette", "PNG, told of", "TIFF, packed")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def decoder() -> AsyncIterator[Decoder]:
    async with Decoder(DecodeLimits(max_pixels=1_000_000), workers=2) as opened:
        yield opened


def without_unsound_metadata(content: bytes) -> bytes:
    """A PNG without texts, Exif and density whose checksum is wrong; all else as it is."""
    kept, at = [content[:8]], 8
    while at < len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4])
        kind, stored = content[at + 4 : at + 8], int.from_bytes(content[end - 4 : end])
        if kind not in (b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"pHYs") or zlib.crc32(content[at + 4 : end - 4]) == stored:
            kept.append(content[at:end])
        at = end
    return b"".join(kept)


def strict_verdict(content: bytes, form: str) -> bool:
    """Whether Pillow itself takes it, on a clean open and load; a PNG's unsound metadata are not asked for."""
    content = without_unsound_metadata(content) if form == "PNG" else content
    try:
        with Image.open(io.BytesIO(content), formats=["AVIF", "HEIF"] if form == "HEIF" else [form]) as picture:
            picture.load()
    except Exception:  # noqa: BLE001  # whatever it raises is its verdict
        return False
    return True


async def taken(decoder: Decoder, content: bytes) -> DecodedPicture | None:
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


def unsound(name: bytes, content: bytes) -> bytes:
    """A chunk whose checksum is wrong."""
    whole = bytearray(chunk(name, content))
    whole[-1] ^= 0x10
    return bytes(whole)


METADATA = {
    "tEXt": b"Comment\0by the sea",
    "zTXt": b"Comment\0\0" + zlib.compress(b"by the sea"),
    "iTXt": b"Comment\0\0\0\0\0by the sea",
    "pHYs": struct.pack(">IIB", 11811, 11811, 1),
    "tIME": bytes((7, 234, 11, 30, 10, 0, 0)),
    "eXIf": exif(6)[6:],
    "bKGD": bytes(6),
}
COLOURS = {
    "tRNS": bytes(6),
    "gAMA": (45455).to_bytes(4),
    "cHRM": bytes(32),
    "sRGB": b"\0",
    "iCCP": b"a\0\0" + zlib.compress(b"no profile"),
    "cICP": bytes((1, 13, 0, 1)),
    "sBIT": bytes((8, 8, 8)),
    "acTL": struct.pack(">II", 2, 0),
    "fcTL": struct.pack(">IIIIIHHBB", 0, 64, 48, 0, 0, 1, 10, 0, 0),
    "PLTE": bytes(6),
    "abCd": b"whatever it may be",
}


@pytest.mark.field("metadata-checksum")
@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("name", METADATA)
async def test_metadata_with_a_wrong_checksum_cost_no_picture(
    decoder: Decoder, tmp_path: Path, name: str, behind: bool
) -> None:
    numbers, broken = np.asarray(PHOTO), unsound(name.encode(), METADATA[name])
    plain = png(numbers, 8, 2, b"" if behind else broken)
    content = plain[:-12] + broken + plain[-12:] if behind else plain
    for picture in (await decoder.decode(content), await decoder.decode_original(content)):
        assert np.array_equal(picture.pixels, numbers)
        assert (picture.density, picture.notes) == (None, (Note.METADATA_IGNORED,))
    stored = tmp_path / "stored.png"
    stored.write_bytes(content)
    with stored.open("rb") as file:
        assert await decoder.verify(file) == await decoder.measure(file) == picture.facts
    assert stored.read_bytes() == content


@pytest.mark.field("metadata-checksum")
@pytest.mark.parametrize("name", COLOURS)
async def test_a_wrong_checksum_of_what_pixels_look_like_is_refused(decoder: Decoder, name: str) -> None:
    content = png(np.asarray(PHOTO), 8, 2, unsound(b"tEXt", b"a\0b") + unsound(name.encode(), COLOURS[name]))
    assert await taken(decoder, content) is None


@pytest.mark.field("metadata-checksum")
async def test_several_metadata_are_left_out_and_the_others_kept(decoder: Decoder) -> None:
    chunks = [chunk(b"pHYs", METADATA["pHYs"]), chunk(b"tRNS", struct.pack(">HHH", *np.asarray(PHOTO)[0, 0]))]
    broken = unsound(b"tEXt", b"a\0b")
    content = png(np.asarray(PHOTO), 8, 2, broken + chunks[0] + broken + broken + chunks[1] + broken)
    picture = await decoder.decode(content)
    whole = await decoder.decode(png(np.asarray(PHOTO), 8, 2, b"".join(chunks)))
    assert (picture.pixels.shape[2], picture.density) == (4, (300.0, 300.0))
    assert np.array_equal(picture.pixels, whole.pixels)
    assert (picture.notes, whole.notes) == ((Note.METADATA_IGNORED,), ())


@pytest.mark.field("metadata-checksum")
async def test_metadata_whose_damaged_length_swallows_colours_are_refused(decoder: Decoder) -> None:
    text, key = chunk(b"tEXt", b"a\0b"), chunk(b"tRNS", bytes(6))
    longer = (int.from_bytes(text[:4]) + len(key)).to_bytes(4) + text[4:]
    assert await taken(decoder, png(np.asarray(PHOTO), 8, 2, longer + key)) is None


BOMB = zlib.compress(bytes(3 << 20))


@pytest.mark.field("metadata-checksum")
@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize(
    ("name", "body"),
    [
        (b"zTXt", b"Comment\0\0" + BOMB),
        (b"iTXt", b"Comment\0\1\0\0\0" + BOMB),
        (b"zTXt", b"Comment\0\7by the sea"),
        (b"zTXt", b"Comment\0\0by the sea"),
        (b"pHYs", bytes(4)),
    ],
)
async def test_metadata_that_cannot_be_unpacked_cost_no_picture(
    decoder: Decoder, name: bytes, body: bytes, behind: bool
) -> None:
    numbers, broken = np.asarray(PHOTO), chunk(name, body)
    plain = png(numbers, 8, 2, b"" if behind else broken)
    picture = await decoder.decode(plain[:-12] + broken + plain[-12:] if behind else plain)
    assert np.array_equal(picture.pixels, numbers)
    assert picture.notes == (Note.METADATA_IGNORED,)


async def test_many_large_texts_take_no_more_than_their_room(decoder: Decoder) -> None:
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1 << 20)))
    picture = await decoder.decode(png(np.asarray(PHOTO), 8, 2, text * 2_000))
    assert picture.notes == (Note.METADATA_IGNORED,)


async def test_a_sound_file_is_read_where_it_lies(tmp_path: Path) -> None:
    stored = tmp_path / "sound.png"
    stored.write_bytes(WHOLE["PNG, told of"])
    with stored.open("rb") as file:
        assert png_chunks.readable(file, png_chunks.read(file)) is file


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
    async with Decoder(DecodeLimits(), workers=1) as opened:
        assert await taken(opened, bytes(content)) is None
    assert capfd.readouterr().err == ""
