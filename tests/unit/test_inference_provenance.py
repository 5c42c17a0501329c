"""What a stored picture says of itself."""

from __future__ import annotations

import io
import struct
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from services.common.images.recipes import RECIPE_CHUNK, read_recipe
from services.inference.pictures import encode_png
from services.inference.provenance import DigitalSource, xmp_packet

PIXELS = np.zeros((4, 6, 3), np.uint8)
NAMES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "iptc": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
}


def description(packet: str) -> ET.Element:
    found = ET.fromstring(packet[packet.index("?>") + 2 : packet.rindex("<?xpacket")]).find(".//rdf:Description", NAMES)
    assert found is not None
    return found


@pytest.mark.parametrize("source", DigitalSource)
def test_photo_software_finds_how_the_picture_came_about(source: DigitalSource) -> None:
    with Image.open(io.BytesIO(encode_png(PIXELS, {"seed": 3}, source=source))) as picture:
        packet = picture.info["XML:com.adobe.xmp"]
    said = description(packet)
    assert said.get(f"{{{NAMES['iptc']}}}DigitalSourceType") == (
        f"http://cv.iptc.org/newscodes/digitalsourcetype/{source.value}"
    )
    assert str(said.get(f"{{{NAMES['xmp']}}}CreatorTool")).startswith("atelier ")


def test_the_recipe_says_the_same_as_the_packet() -> None:
    recipe = read_recipe(encode_png(PIXELS, {"seed": 3}, source=DigitalSource.GENERATED))
    assert recipe is not None
    assert (recipe["seed"], recipe["digital_source_type"]) == (3, DigitalSource.GENERATED.uri)


def test_what_is_no_result_says_nothing() -> None:
    with Image.open(io.BytesIO(encode_png(PIXELS))) as picture:
        assert picture.info == {}


def test_software_names_cannot_break_the_packet() -> None:
    said = description(xmp_packet(DigitalSource.ENHANCED, 'a"><b/>&'))
    assert said.get(f"{{{NAMES['xmp']}}}CreatorTool") == 'a"><b/>&'


def test_a_colour_profile_travels_with_the_pixels() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with Image.open(io.BytesIO(encode_png(PIXELS, icc=profile))) as picture:
        assert picture.info["icc_profile"] == profile


def test_the_beginning_of_a_file_is_enough_to_read_its_recipe() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    png = encode_png(noise, {"prompt": "a red mug, größer"}, source=DigitalSource.GENERATED)
    recipe = read_recipe(png[:4096])
    assert recipe is not None
    assert recipe["prompt"] == "a red mug, größer"


@given(st.binary(max_size=300), st.integers(0, 400))
def test_no_file_breaks_the_reader(junk: bytes, cut: int) -> None:
    png = encode_png(PIXELS, {"seed": 3})
    for data in (junk, png[:cut] + junk, b"\0\0\0\x20ftypisom" + junk):
        found = read_recipe(data)
        assert found is None or found["seed"] == 3


@pytest.mark.parametrize(
    "text", ["[" * 50_000, '{"a":' * 400 + "1" + "}" * 400, '{"a": NaN}', '{"a": "\\ud800"}', '{"a": 1e999}', "{"]
)
def test_a_strangers_recipe_that_cannot_be_shown_is_none(text: str) -> None:
    chunks, target = PngInfo(), io.BytesIO()
    chunks.add_itxt(RECIPE_CHUNK, text)
    Image.fromarray(PIXELS).save(target, "PNG", pnginfo=chunks)
    assert read_recipe(target.getvalue()) is None


def test_a_film_that_nests_without_end_has_no_recipe() -> None:
    film = b""
    for _ in range(5_000):
        film = struct.pack(">I4s", len(film) + 8, b"moov") + film
    assert read_recipe(film) is None
