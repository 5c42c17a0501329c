"""What a result has from the pictures it was made of: density, digital source type, rights, recipes; through every
handler that shows a picture again."""

from __future__ import annotations

import io
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from services.imaging.recipes import BESIDE, MADE_FROM, RECIPE_CHUNK, parse_recipe, read_recipe
from services.imaging.rights import VOCABULARY, Rights
from services.imaging.statements import merged
from services.imaging.strictness import strictest
from services.inference.lineage import LEFT_OUT, Lineage
from services.inference.originals import TaskPicture
from services.inference.pictures import encode_png
from services.inference.provenance import DigitalSource, source_after, told_recipe, xmp_packet
from services.inference.xmp import XmpDescription, new_packet
from tests.picture_bench import FIELD, PictureBench, many, opened, saved

pytestmark = pytest.mark.asyncio(loop_scope="module")
TRAINED, COMPOSITE, ENHANCED = (source.uri for source in DigitalSource)
PHOTO = VOCABULARY + "digitalCapture"
OWNED = XmpDescription(
    None,
    TRAINED,
    creators=("Ada <Example>", "Böb & Co"),
    credit="Example Agency",
    notice="(c) Example Studio",
    usage_terms='Only in "2026"',
    web_statement="https://example.com/terms?a=1&b=2",
    owners=("Example Studio",),
    marked="True",
    data_mining="http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED-AIMLTRAINING",
)
EARLIER = {"seed": 7, "prompt": "a red mug", "model": {"name": "earlier", "sha256": "ab" * 32}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench() -> AsyncIterator[PictureBench]:
    async with opened() as found:
        yield found


def mug() -> np.ndarray[Any, np.dtype[np.uint8]]:
    pixels = np.full((80, 96, 3), 235, np.uint8)
    pixels[20:60, 30:70] = (200, 30, 40)
    return pixels


def owned(source: str | None = TRAINED) -> bytes:
    """A PNG of 300 dots per inch with everything in it."""
    packet = new_packet(
        XmpDescription(**{**{name: getattr(OWNED, name) for name in OWNED.__slots__}, "source": source})
    )
    chunks = PngInfo()
    chunks.add_itxt("XML:com.adobe.xmp", packet.decode())
    chunks.add_itxt(RECIPE_CHUNK, json.dumps({**EARLIER, "digital_source_type": source}))
    return saved(Image.fromarray(mug()), pnginfo=chunks, dpi=(300, 300))


# How each shows a picture again; every one of them keeps what it knows of it.
SHOWING: dict[str, dict[str, Any]] = {
    "BACKGROUND_FIX": {"field": "base_image", "background_color": "navy"},
    "BACKGROUND_REMOVAL": {"field": "input_image_paths"},
    "DETAIL_ENHANCER": {"field": "base_image", "reference_image": mug()},
    "EDITING": {"field": "base_image", "prompt": "a mug", "edit_strength": 50.0},
    "FACE_ENHANCER": {"field": "input_image"},
    "IMAGE_ADJUSTER": {"field": "input_image", "aspect_ratio": 1.0, "mode": "crop"},
    "REFINE": {"field": "base_image_url", "upscale_factor": 2},
    "UNCHANGED": {"field": "base_image", "prompt": "a mug", "edit_strength": 0.0},
}


async def shown(bench: PictureBench, name: str, content: bytes) -> tuple[bytes, Image.Image]:
    given = {key: bench.put(value) if isinstance(value, np.ndarray) else value for key, value in SHOWING[name].items()}
    field, path = given.pop("field"), bench.put(content)
    given[field] = many([path]) if field.endswith("paths") else path
    result = await bench.run("EDITING" if name == "UNCHANGED" else name, **given)
    made = bench.file(result.result_image_paths.values[0] if field.endswith("paths") else result.result_image_path)
    return made, Image.open(io.BytesIO(made))


def said(picture: Image.Image) -> dict[str, str]:
    """The properties of its XMP packet, by their names without their spaces; of lists the items joined."""
    rdf = ET.fromstring(picture.info["XML:com.adobe.xmp"].strip())[0]
    found: dict[str, str] = {}
    for description in rdf:
        found |= {name.partition("}")[2]: value for name, value in description.attrib.items()}
        for item in description:
            found[item.tag.partition("}")[2]] = "|".join(li.text or "" for li in item[0])
    return found


@pytest.mark.field("20")
@pytest.mark.parametrize("name", SHOWING)
@pytest.mark.parametrize("form", ["png", "jpg"])
async def test_dots_per_inch_stay_whatever_becomes_of_the_dots(bench: PictureBench, name: str, form: str) -> None:
    content = (FIELD / f"20_300dpi.{form}").read_bytes()
    small = Image.open(io.BytesIO(content)).crop((250, 150, 350, 250))
    small.paste((10, 10, 10), (30, 30, 70, 70))
    options = {"dpi": Image.open(io.BytesIO(content)).info["dpi"]}
    _, made = await shown(bench, name, saved(small, "PNG" if form == "png" else "JPEG", **options))
    assert made.info["dpi"] == pytest.approx((300, 300), abs=0.01)


@pytest.mark.field("20")
@pytest.mark.parametrize("form", ["png", "jpg"])
async def test_a_cut_out_of_300_dpi_has_300_dpi(bench: PictureBench, form: str) -> None:
    _, made = await shown(bench, "IMAGE_ADJUSTER", (FIELD / f"20_300dpi.{form}").read_bytes())
    assert made.info["dpi"] == pytest.approx((300, 300), abs=0.01)
    _, none = await shown(bench, "IMAGE_ADJUSTER", saved(mug()))
    assert "dpi" not in none.info


@pytest.mark.field("21", "mining-reserved")
@pytest.mark.parametrize("name", SHOWING)
async def test_the_label_of_a_model_s_picture_is_never_weakened_and_its_rights_stay(
    bench: PictureBench, name: str
) -> None:
    content, made = await shown(bench, name, owned())
    told, recipe = said(made), read_recipe(content)
    mixed = name == "DETAIL_ENHANCER" and told["DigitalSourceType"] == COMPOSITE
    assert told["DigitalSourceType"] == TRAINED or mixed
    assert told["creator"] == "Ada <Example>|Böb & Co"
    assert (told["rights"], told["UsageTerms"]) == (OWNED.notice, OWNED.usage_terms)
    assert (told["Credit"], told["WebStatement"]) == (OWNED.credit, OWNED.web_statement)
    assert (told["Owner"], told["Marked"], told["DataMining"]) == ("Example Studio", OWNED.marked, OWNED.data_mining)
    assert recipe is not None and recipe["digital_source_type"] == told["DigitalSourceType"]
    parent = recipe[MADE_FROM][0]
    assert parent["generation"] == 1 and parent["picture"].partition("[")[0] == SHOWING[name]["field"]
    assert parent["digital_source_type"] == TRAINED
    assert (parent["recipe"]["prompt"], parent["recipe"]["seed"]) == ("a red mug", 7)


@pytest.mark.field("21")
@pytest.mark.parametrize("name", ["IMAGE_ADJUSTER", "BACKGROUND_FIX", "BACKGROUND_REMOVAL"])
async def test_the_labelled_picture_keeps_label_and_rights(bench: PictureBench, name: str) -> None:
    content = (FIELD / "21_ai_labelled.png").read_bytes()
    if name == "BACKGROUND_REMOVAL":
        # A plain picture has no subject; with one painted in it has.
        picture = Image.open(io.BytesIO(content))
        packet = PngInfo()
        packet.add_itxt("XML:com.adobe.xmp", picture.info["XML:com.adobe.xmp"])
        picture.paste((10, 10, 10), (100, 60, 200, 140))
        content = saved(picture, pnginfo=packet)
    _, made = await shown(bench, name, content)
    assert said(made)["DigitalSourceType"] == TRAINED and said(made)["rights"] == "(c) Example Studio"


async def test_our_own_drawing_stays_one_through_three_tasks_and_tells_all_of_them(bench: PictureBench) -> None:
    drawn = await bench.run("GENERATION", prompt="a mug", width=96, height=96, seed=3)
    content = bench.file(drawn.result_image_path)
    for name in ("REFINE", "IMAGE_ADJUSTER", "EDITING"):
        content, made = await shown(bench, name, content)
        assert said(made)["DigitalSourceType"] == TRAINED
    recipe = read_recipe(content)
    assert recipe is not None
    line = [(entry["generation"], entry["picture"]) for entry in recipe[MADE_FROM]]
    assert line[0] == (1, "base_image") and line[-1][0] == len(line)
    assert recipe[MADE_FROM][-1]["recipe"]["seed"] == 3
    assert MADE_FROM not in recipe[MADE_FROM][0]["recipe"]


async def test_a_photograph_that_a_model_drew_in_is_a_composite_and_one_that_was_cropped_is_enhanced(
    bench: PictureBench,
) -> None:
    _, edited = await shown(bench, "EDITING", owned(PHOTO))
    assert said(edited)["DigitalSourceType"] == COMPOSITE
    _, cropped = await shown(bench, "IMAGE_ADJUSTER", owned(PHOTO))
    assert said(cropped)["DigitalSourceType"] == ENHANCED
    _, left = await shown(bench, "UNCHANGED", owned(PHOTO))
    assert said(left)["DigitalSourceType"] == PHOTO


async def test_a_film_and_a_drawing_have_it_from_the_picture_they_start_with(bench: PictureBench) -> None:
    film = await bench.run("VIDEO_GENERATION", prompt="a mug", input_image_path=bench.put(owned()), duration_seconds=1)
    content = bench.file(film.result_video_path)
    recipe = read_recipe(content, content)
    assert recipe is not None and recipe["digital_source_type"] == TRAINED
    assert recipe[MADE_FROM][0]["recipe"]["seed"] == 7
    assert b"(c) Example Studio" in content
    fields = {"prompt": "a mug", "width": 64, "height": 64, "reference_image_path": bench.put(owned(PHOTO))}
    drawn = await bench.run("GENERATION", **fields)
    made = bench.picture(drawn.result_image_path)
    assert said(made)["DigitalSourceType"] == COMPOSITE and said(made)["rights"] == OWNED.notice
    assert "dpi" not in made.info


async def test_a_file_that_is_handed_on_as_it_came_has_the_line_beside_it(bench: PictureBench) -> None:
    content = owned()
    result = await bench.run("IMAGE_ADJUSTER", input_image=bench.put(content), aspect_ratio=1.2)
    made, given = bench.picture(result.result_image_path), Image.open(io.BytesIO(content))
    assert np.array_equal(np.asarray(made), np.asarray(given)) and result.applied_mode == "none"
    assert {**said(made), "CreatorTool": None} == {**said(given), "CreatorTool": None}
    assert read_recipe(bench.file(result.result_image_path)) == read_recipe(content)
    beside = parse_recipe(bench.file(result.result_image_path + BESIDE))
    assert beside is not None and beside["digital_source_type"] == TRAINED
    assert beside[MADE_FROM][0]["recipe"]["seed"] == 7


async def test_what_the_loader_noted_is_told(bench: PictureBench) -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    animated = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    result = await bench.run("IMAGE_ADJUSTER", input_image=bench.put(animated), aspect_ratio=2.0)
    assert [(note.picture, note.note) for note in result.notes] == [("input_image", "ANIMATION_FIRST_FRAME")]
    film = await bench.run("VIDEO_GENERATION", prompt="a mug", input_image_path=bench.put(animated), duration_seconds=1)
    assert film.notes[0].note == "ANIMATION_FIRST_FRAME"


SYNTHETIC = VOCABULARY + "compositeSynthetic"
DRAWN_BY_HAND = VOCABULARY + "digitalCreation"


@pytest.mark.parametrize(
    ("mine", "earlier", "wanted"),
    [
        (DigitalSource.GENERATED, [], TRAINED),
        (DigitalSource.COMPOSITE, [None], COMPOSITE),
        (DigitalSource.ENHANCED, [None], ENHANCED),
        (None, [None], None),
        (None, [COMPOSITE], COMPOSITE),
        (DigitalSource.COMPOSITE, [TRAINED], TRAINED),
        (DigitalSource.COMPOSITE, [TRAINED, None], COMPOSITE),
        (DigitalSource.COMPOSITE, [TRAINED, TRAINED], TRAINED),
        (DigitalSource.COMPOSITE, [SYNTHETIC], COMPOSITE),
        (DigitalSource.COMPOSITE, [PHOTO], COMPOSITE),
        (DigitalSource.ENHANCED, [TRAINED], TRAINED),
        (DigitalSource.ENHANCED, [COMPOSITE], COMPOSITE),
        (DigitalSource.ENHANCED, [SYNTHETIC], SYNTHETIC),
        (DigitalSource.ENHANCED, [DRAWN_BY_HAND], DRAWN_BY_HAND),
        (DigitalSource.ENHANCED, [PHOTO], ENHANCED),
    ],
)
async def test_the_source_type_follows_from_what_was_done_and_what_was_there(
    mine: DigitalSource | None, earlier: list[str | None], wanted: str | None
) -> None:
    lineage = Lineage(tuple(("base_image", Rights(digital_source=source)) for source in earlier))
    assert source_after(mine, lineage) == wanted


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from([MADE_FROM, LEFT_OUT, "seed", "model"]), JSON), st.text(max_size=50))
async def test_a_stranger_s_recipe_and_rights_never_spoil_ours(recipe: dict[str, Any], text: str) -> None:
    rights = Rights(creators=(text,), notice=text or None, recipe=recipe)
    pixels = np.zeros((2, 2, 3), np.uint8)
    lineage = Lineage.of({"base_image": TaskPicture(pixels=pixels, rights=rights)})
    content = encode_png(pixels, {"seed": 5}, source=DigitalSource.ENHANCED, lineage=lineage)
    found = read_recipe(content)
    assert found is not None and found["seed"] == 5
    said(Image.open(io.BytesIO(content)))


async def test_a_long_line_keeps_its_nearest_and_says_what_was_left_out() -> None:
    recipe: dict[str, Any] = {"seed": 0, "prompt": "x" * 2_000}
    for seed in range(1, 40):
        lineage = Lineage((("base_image", Rights(digital_source=TRAINED, recipe=recipe)),))
        recipe = json.loads(told_recipe({"seed": seed, "prompt": "x" * 2_000}, DigitalSource.ENHANCED, lineage))
    assert len(json.dumps(recipe)) < 40_000
    assert recipe[MADE_FROM][0]["recipe"]["seed"] == 38 and recipe[LEFT_OUT] >= 1
    assert xmp_packet(None, "tool") is None


PLUS, _PLUS_WORD = "http://ns.useplus.org/ldf/vocab/", re.compile(r"[A-Z]{2,3}-[A-Z0-9-]+")
_BUT_SEARCH = "DMI-PROHIBITED-EXCEPTSEARCHENGINEINDEXING"
BY, BY_NC, BY_SA, ZERO = (
    f"https://creativecommons.org/{path}/"
    for path in ("licenses/by/4.0", "licenses/by-nc/4.0", "licenses/by-sa/4.0", "publicdomain/zero/1.0")
)


@pytest.mark.field("looser-word-first")
@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        ("DMI-ALLOWED", "DMI-PROHIBITED", "DMI-PROHIBITED"),
        ("DMI-UNSPECIFIED", "DMI-ALLOWED", "DMI-ALLOWED"),
        ("DMI-PROHIBITED-GENAIMLTRAINING", "DMI-PROHIBITED-AIMLTRAINING", "DMI-PROHIBITED-AIMLTRAINING"),
        ("DMI-PROHIBITED-AIMLTRAINING", _BUT_SEARCH, _BUT_SEARCH),
        ("DMI-ALLOWED", "DMI-PROHIBITED-SEECONSTRAINT", "DMI-PROHIBITED-SEECONSTRAINT"),
        ("DMI-PROHIBITED-SEECONSTRAINT", "DMI-PROHIBITED-AIMLTRAINING", "DMI-PROHIBITED"),
        (None, "DMI-PROHIBITED", "DMI-PROHIBITED"),
        ("False", "True", "True"),
        ("MR-UMR", "MR-NON", "MR-NON"),
        ("PR-NAP", "PR-LPR", "PR-LPR"),
        ("DP-NDC", "DP-NOD", "DP-NOD"),
        ("AG-A24", "AG-U14", "AG-U14"),
        (ZERO, BY, BY),
        (BY, BY_NC, BY_NC),
        # Which of these allows less nobody can say: the first stays, and the other is told.
        (BY_NC, BY_SA, BY_NC),
        ("(c) Ana", "(c) Bo", "(c) Ana"),
        ("our own terms", BY, "our own terms"),
    ],
)  # fmt: skip
async def test_of_several_words_the_strictest_counts(first: str | None, second: str, wanted: str) -> None:
    """PLUS's words are URIs."""

    def uri(word: str) -> str:
        return PLUS + word if _PLUS_WORD.fullmatch(word) else word

    first, second, wanted = first and uri(first), uri(second), uri(wanted)
    assert strictest([first, second]) == wanted
    if wanted not in (first, BY_NC) or first is None:
        assert strictest([second, first]) == wanted
    whole = Lineage((("one", Rights(data_mining=first)), ("other", Rights(data_mining=second))))
    assert whole.rights.data_mining == wanted
    unheard = [name for name, word in (("one", first), ("other", second)) if word not in (None, wanted)]
    assert list(whole.unheard) == unheard


@pytest.mark.field("looser-word-first")
async def test_what_one_picture_forbids_another_does_not_permit() -> None:
    def said(licence: str, permits: list[str], prohibits: list[str]) -> dict[str, Any]:
        lists = {"cc:permits": permits, "cc:prohibits": prohibits}
        return {"cc:license": {"kind": "", "values": [licence]}} | {
            name: {"kind": "Bag", "values": values} for name, values in lists.items()
        }

    one, other = said(BY, ["Reproduction", "DerivativeWorks"], []), said(BY_NC, ["Reproduction"], ["CommercialUse"])
    for told in ((one, other), (other, one)):
        whole = merged(told)
        assert {name: found["values"] for name, found in whole.items()} == {
            "cc:license": [BY_NC],
            "cc:permits": ["Reproduction"],
            "cc:prohibits": ["CommercialUse"],
        }
