"""What a stored picture says of itself."""

from __future__ import annotations

import hashlib
import io
import re
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from services.imaging.recipes import RECIPE_CHUNK, read_recipe
from services.inference.free_recipes import free_recipe, source_of
from services.inference.pictures import encode_png
from services.inference.provenance import DigitalSource, xmp_packet
from services.providers.capabilities.free_calls import FreeAnswer, FreeCall, MadeFile

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
    packet = xmp_packet(DigitalSource.ENHANCED, 'a"><b/>&')
    assert packet is not None
    said = description(packet)
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


def free(parameters: dict[str, Any], output: dict[str, Any] | None = None) -> dict[str, Any]:
    answer = FreeAnswer("request-1", output or {})
    return free_recipe(FreeCall("acme/app", parameters), answer, MadeFile("/image/url", "https://x.example/1", b"", ""))


def test_a_free_calls_recipe_tells_what_to_ask_for_again() -> None:
    recipe = free({"prompt": "a red coat", "steps": 8, "deep": [{"on": True, "none": None}]}, {"seed": 2**64 - 1})
    assert recipe == {
        "model": {"name": "acme/app", "sha256": "", "licence": ""},
        "seed": 2**64 - 1,
        "parameters": {"prompt": "a red coat", "steps": 8, "deep": [{"on": True, "none": None}]},
        "provider_request_id": "request-1",
        "place_in_answer": "/image/url",
    }


def test_secrets_addresses_and_pictures_stay_out_of_a_free_calls_recipe() -> None:
    parameters = {
        "hf_token": "hf_private",
        "apiKey": "private-1",
        "nested": [{"authorization": "Bearer private-2", "image_url": "https://b.example/a.png?signature=private-3"}],
        "prompt": "like s3://private-4/b but red",
        "mask": "data:image/png;base64,cHJpdmF0ZQprivate",
        "raw": "private" * 2_000,
        "max_tokens": 7,
    }
    recipe = free(parameters)
    assert "private" not in str(recipe)
    assert recipe["parameters"]["max_tokens"] == 7
    hashed = hashlib.sha256(str(parameters["mask"]).encode()).hexdigest()
    assert recipe["parameters"]["mask"] == f"sha256:{hashed}"
    assert re.fullmatch(r"like sha256:[0-9a-f]{64} but red", recipe["parameters"]["prompt"])


def test_a_free_calls_recipe_stays_small_enough_for_any_file() -> None:
    recipe = free({f"{number}": "ü" * 7_000 for number in range(9)})
    assert recipe["parameters"].startswith("sha256:")


@pytest.mark.parametrize(
    ("parameters", "source"),
    [
        ({"prompt": "a coat"}, DigitalSource.GENERATED),
        ({"prompt": "a coat", "loras": [{"path": "https://x.example/coat.safetensors"}]}, DigitalSource.GENERATED),
        ({"prompt": "a coat", "inputs": [{"image": "https://x.example/coat.png"}]}, DigitalSource.COMPOSITE),
        ({"image_url": "data:image/png;base64,AAAA"}, DigitalSource.COMPOSITE),
    ],
)
def test_a_model_that_was_given_a_file_has_drawn_over_it(parameters: dict[str, Any], source: DigitalSource) -> None:
    assert source_of(FreeCall("acme/app", parameters)) is source
