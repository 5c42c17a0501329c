"""What IMAGE_ADJUSTER hands on without work: the very pixels, and nothing of persons, places and devices."""

from __future__ import annotations

import io
import struct
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image, ImageSequence
from PIL.PngImagePlugin import PngInfo

from services.common.errors import InvalidRequest
from services.imaging.embedding.edits import CannotEmbed
from services.imaging.recipes import bared
from tests.corpora.pictures import chunk
from tests.picture_bench import PictureBench, opened, saved

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.field("private-result")]
SECRET = b"SECRET-7741"
PICTURE = np.random.default_rng(3).integers(0, 256, (24, 32, 3), dtype=np.uint8)
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" '
    b'exif:GPSLatitude="%s" photoshop:Credit="Ada"/></rdf:RDF></x:xmpmeta>' % SECRET
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench() -> AsyncIterator[PictureBench]:
    async with opened() as found:
        yield found


def exif(orientation: int = 6) -> Image.Exif:
    """Position, serial number, owner and maker's note beside orientation and density."""
    made, said = Image.Exif(), SECRET.decode()
    made[0x0112], made[0x011A], made[0x011B], made[0x0128], made[0x010F] = orientation, 240.0, 240.0, 2, said
    made.get_ifd(0x8769).update({0xA431: said, 0xA430: said, 0x927C: SECRET})
    made.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 29.0), 29: said})
    return made


def private(form: str, **options: Any) -> bytes:
    options = {"exif": exif(), "xmp": XMP} | options
    if form == "PNG":
        chunks = PngInfo()
        chunks.add_text("Comment", SECRET.decode())
        chunks.add_itxt("XML:com.adobe.xmp", XMP.decode())
        options = {"exif": options["exif"], "pnginfo": chunks}
    if form == "JPEG":
        options["comment"] = SECRET
    return saved(PICTURE, form, **options) + SECRET


FILES = {
    "PNG": private("PNG"),
    "JPEG": private("JPEG", quality=90),
    "progressive JPEG": private("JPEG", quality=90, progressive=True),
    "lossy WebP": private("WEBP", quality=80),
    "lossless WebP": private("WEBP", lossless=True),
}


def pixels_of(content: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(content)))


@pytest.mark.parametrize("name", FILES)
async def test_the_pixels_stay_bit_by_bit_and_nothing_else(bench: PictureBench, name: str) -> None:
    content = FILES[name]
    assert SECRET in content
    result = await bench.run("IMAGE_ADJUSTER", input_image=bench.put(content), aspect_ratio=0.75)
    made = bench.file(result.result_image_path)
    assert result.applied_mode == "none" and list(result.notes) == []
    assert SECRET not in made and made[:12:11] == content[:12:11]
    assert np.array_equal(pixels_of(made), pixels_of(content))
    left = Image.open(io.BytesIO(made))
    assert dict(left.getexif()).keys() == {0x0112, 0x011A, 0x011B, 0x0128}
    assert left.getexif()[0x0112] == 6 and float(left.getexif()[0x011A]) == 240
    assert b'photoshop:Credit="Ada"' in made
    # What came out of it goes in again, and comes out as it is.
    again = await bench.run("IMAGE_ADJUSTER", input_image=bench.put(made), aspect_ratio=0.75)
    assert bench.file(again.result_image_path) == made


async def test_an_animation_stays_whole_and_is_not_said_to_be_cut(bench: PictureBench) -> None:
    frames = [Image.fromarray(np.roll(PICTURE, shift, axis=1)).quantize(64) for shift in (0, 5, 9)]
    target = io.BytesIO()
    frames[0].save(target, "GIF", save_all=True, append_images=frames[1:], comment=SECRET, duration=40, loop=0)
    content = target.getvalue() + SECRET
    result = await bench.run("IMAGE_ADJUSTER", input_image=bench.put(content), aspect_ratio=4 / 3)
    made = bench.file(result.result_image_path)
    assert list(result.notes) == [] and SECRET not in made
    before, after = (
        [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(Image.open(io.BytesIO(file)))]
        for file in (content, made)
    )
    assert len(after) == 3 and np.array_equal(before, after)
    assert Image.open(io.BytesIO(made)).info["loop"] == 0


@pytest.mark.parametrize("form", ["TIFF", "AVIF"])
async def test_what_cannot_be_taken_out_of_a_file_makes_it_a_png(bench: PictureBench, form: str) -> None:
    options = {"exif": exif(1)} | ({"xmp": XMP} if form == "AVIF" else {})
    result = await bench.run(
        "IMAGE_ADJUSTER", input_image=bench.put(saved(PICTURE, form, **options)), aspect_ratio=4 / 3
    )
    made = bench.file(result.result_image_path)
    assert result.result_image_path.endswith(".png") and SECRET not in made
    assert made.startswith(b"\x89PNG")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "AVIF"])
async def test_a_file_that_says_nothing_stays_as_it_is(form: str) -> None:
    content = saved(PICTURE if form != "GIF" else Image.fromarray(PICTURE).quantize(64), form)
    assert b"".join(bared(content, b"<packet/>")) == content


@pytest.mark.field("metadata-checksum")
@pytest.mark.parametrize("kind", [b"pHYs", b"eXIf"])
async def test_metadata_with_a_wrong_checksum_are_not_handed_on(kind: bytes) -> None:
    whole = saved(PICTURE, "PNG")
    body = struct.pack(">IIB", 11811, 11811, 1) if kind == b"pHYs" else exif(6).tobytes()[6:]
    broken = chunk(kind, body)[:-4] + bytes(4)
    assert b"".join(bared(whole[:33] + broken + whole[33:], None)) == whole


@pytest.mark.field("side-limit")
async def test_a_side_that_is_too_long_is_named_as_that(bench: PictureBench) -> None:
    with pytest.raises(InvalidRequest, match="65536 × 10 has a side of more than 65535 pixels"):
        await bench.run("IMAGE_ADJUSTER", input_image=bench.put(saved(Image.new("L", (65_536, 10)))), aspect_ratio=1.0)


@pytest.mark.field("xmp-orientation")
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
async def test_what_xmp_says_of_its_orientation_turns_no_picture(bench: PictureBench, form: str) -> None:
    packet = XMP.replace(b"exif:GPSLatitude", b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6" exif:x')
    chunks = PngInfo()
    chunks.add_itxt("XML:com.adobe.xmp", packet.decode())
    options = {"pnginfo": chunks} if form == "PNG" else {"xmp": packet}
    whole = await bench.run(
        "IMAGE_ADJUSTER", input_image=bench.put(saved(PICTURE, form, **options)), aspect_ratio=4 / 3
    )
    assert (whole.width, whole.height) == (32, 24)


async def test_rights_that_no_segment_of_a_jpeg_holds_are_not_left_out_in_silence() -> None:
    content = saved(PICTURE, "JPEG", exif=exif(6))
    assert b"<packet/>" in b"".join(bared(content, b"<packet/>"))
    with pytest.raises(CannotEmbed, match="longer than a segment"):
        bared(content, b"x" * 65_533)
