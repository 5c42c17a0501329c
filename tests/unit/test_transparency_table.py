"""What every task does with transparency: the table of the catalog, held against the handlers by running them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from services.catalog.alpha import Alpha
from services.catalog.images import ImageUrl, InlineAllowed, StoragePath
from services.catalog.quality import Reason
from services.catalog.tasks import TYPES
from services.common.errors import InvalidRequest
from services.imaging.notes import Note
from services.inference.originals import ALPHA_LAID_ON_WHITE
from services.providers.ports import Pixels
from tests.picture_bench import PictureBench, many, opened

pytestmark = pytest.mark.asyncio(loop_scope="module")
HEIGHT, WIDTH = 96, 128
DOCUMENT = Path(__file__).parents[2] / "docs" / "pictures.md"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench() -> AsyncIterator[PictureBench]:
    async with opened() as found:
        yield found


def cut_out() -> Pixels:
    """A red shape with a soft edge, on nothing; under the nothing lies green."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    away = np.hypot(rows - HEIGHT / 2, columns - WIDTH / 2)
    alpha = np.clip(255 - (away - 30) * 40, 0, 255).astype(np.uint8)
    pixels = np.full((HEIGHT, WIDTH, 3), (20, 230, 20), np.uint8)
    pixels[alpha > 0] = (200, 30, 40)
    return np.dstack([pixels, alpha])


SHAPE = cut_out()
OPAQUE = np.full((HEIGHT, WIDTH, 3), (235, 232, 228), np.uint8)
OPAQUE[24:72, 40:88] = (200, 30, 40)
# What each type needs besides the picture that is looked at.
ALSO: dict[str, dict[str, Any]] = {
    "BACKGROUND_FIX": {"base_image": OPAQUE, "palette_image": OPAQUE},
    "BACKGROUND_REMOVAL": {},
    "DETAIL_ENHANCER": {"base_image": OPAQUE, "reference_image": OPAQUE},
    "EDITING": {"prompt": "a mug", "base_image": OPAQUE},
    "FACE_ENHANCER": {},
    "GENERATION": {"prompt": "a mug", "width": 64, "height": 64},
    "IMAGE_ADJUSTER": {"input_image": OPAQUE, "target_width": 100, "target_height": 80},
    "LLM_INTERACTION": {"prompt": "what is this"},
    "REFINE": {"upscale_factor": 2},
    "VIDEO_GENERATION": {"prompt": "a mug", "duration_seconds": 1},
}
LOGOS = [
    ("REFINE", "base_image_url"),
    ("EDITING", "base_image"),
    ("FACE_ENHANCER", "input_image"),
    ("DETAIL_ENHANCER", "base_image"),
]
# Whose first picture is the one that is shown again.
SHOWN = [name for name, kind in TYPES.items() if set(kind.alpha.values()) & {Alpha.KEPT, Alpha.CUT}]
# No URL can be fetched here; the loader is the same.
ROWS = [(name, field) for name, kind in TYPES.items() for field in kind.alpha if field != "reference_image_url"]


async def run(bench: PictureBench, name: str, field: str) -> Any:
    asked = {**ALSO[name], field: SHAPE}
    return await bench.run(name, **{key: named(bench, name, key, value) for key, value in asked.items()})


def named(bench: PictureBench, name: str, key: str, value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    path = bench.put(value)
    return many([path]) if "list" in str(TYPES[name].params.model_fields[key].annotation) else path


def result_path(result: Any) -> str:
    return str(getattr(result, "result_image_path", "") or result.result_image_paths.values[0])


async def kept(bench: PictureBench, name: str, field: str) -> None:
    result = await run(bench, name, field)
    made = bench.pixels(result_path(result))
    if made.shape[:2] == (HEIGHT, WIDTH):
        assert np.array_equal(made[:, :, 3], SHAPE[:, :, 3])
    else:
        assert made.shape[2] == 4
        assert made[0, 0, 3] == 0 and made[made.shape[0] // 2, made.shape[1] // 2, 3] == 255
    # Neither what is hidden nor white bleeds into the edge.
    edge = (made[:, :, 3] > 20) & (made[:, :, 3] < 235)
    assert edge.any() and np.abs(made[edge][:, :3].astype(int) - (200, 30, 40)).max() < 40
    assert not result.notes


async def cut_further(bench: PictureBench, name: str, field: str) -> None:
    made = bench.pixels(result_path(await run(bench, name, field)))
    assert (made[:, :, 3] <= SHAPE[:, :, 3]).all() and made[:, :, 3].max() == 255


async def tells_the_subject(bench: PictureBench, name: str, field: str) -> None:
    asked = len(bench.matting.asked)
    result = await run(bench, name, field)
    assert result.HasField("subject_box") and len(bench.matting.asked) == asked + 1  # of the input picture


async def marks(bench: PictureBench, name: str, field: str) -> None:
    made = bench.pixels(result_path(await run(bench, name, field)))
    hidden = SHAPE[:, :, 3] == 0
    assert np.array_equal(made[hidden], OPAQUE[hidden]) and not np.array_equal(made, OPAQUE)


async def hides(bench: PictureBench, name: str, field: str) -> None:
    assert (await run(bench, name, field)).palette_color == "#C81E28"


async def laid_on_white(bench: PictureBench, name: str, field: str) -> None:
    asked = len(bench.matting.asked)
    if field == "reference_images":
        # LOCAL goes by none, and says so by name.
        with pytest.raises(InvalidRequest, match="reference pictures"):
            await run(bench, name, field)
        return
    result = await run(bench, name, field)
    # a reference of another shape than the picture that is drawn is told of too
    [note] = [note for note in result.notes if note.note != "PROPORTIONS_CHANGED"]
    assert (note.picture.partition("[")[0], note.note) == (field, "ALPHA_LAID_ON_WHITE")
    shown: dict[str, Callable[[], Pixels | None]] = {
        "GENERATION": lambda: bench.painter.asked[-1].image,
        "VIDEO_GENERATION": lambda: bench.painter.asked[-1].image,
        "LLM_INTERACTION": lambda: bench.speaker.asked[-1].images[0],
        "DETAIL_ENHANCER": lambda: bench.matting.asked[asked + 1],
    }
    picture = shown[name]()
    assert picture is not None and picture[0, 0].min() > 240


PROOFS: dict[Alpha, Callable[[PictureBench, str, str], Awaitable[None]]] = {
    Alpha.KEPT: kept,
    Alpha.CUT: cut_further,
    Alpha.SUBJECT: tells_the_subject,
    Alpha.PAINT: marks,
    Alpha.HIDES: hides,
    Alpha.LAID_ON_WHITE: laid_on_white,
}


@pytest.mark.field("16")
@pytest.mark.field("palette-cut-out")
@pytest.mark.parametrize(("name", "field"), ROWS)
async def test_a_handler_does_with_transparency_what_the_table_says(bench: PictureBench, name: str, field: str) -> None:
    await PROOFS[TYPES[name].alpha[field]](bench, name, field)


@pytest.mark.parametrize("name", TYPES)
async def test_every_parameter_that_names_a_picture_stands_in_the_table(name: str) -> None:
    pictures = set()
    for field, info in TYPES[name].params.model_fields.items():
        is_inline = any(isinstance(mark, InlineAllowed) for mark in info.metadata)
        is_picture = "image" in field and str(info.annotation) in {str(StoragePath | None), str(ImageUrl | None)}
        if is_inline or is_picture:
            pictures.add(field)
    assert set(TYPES[name].alpha) == pictures


async def test_the_document_explains_every_note_and_every_reason() -> None:
    told = set(re.findall(r"^\| `([A-Z_]+)` \|", DOCUMENT.read_text(), re.MULTILINE))
    assert {*Note, ALPHA_LAID_ON_WHITE, *Reason} <= told


async def test_the_document_has_the_same_table() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| `(\w+)` \| ([^|]+) \|$", DOCUMENT.read_text(), re.MULTILINE)
    table = [(name, field, alpha.value) for name, kind in TYPES.items() for field, alpha in kind.alpha.items()]
    assert sorted(rows) == sorted(table)


@pytest.mark.field("16")
@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("REFINE", "base_image_url"),
        ("EDITING", "base_image"),
        ("FACE_ENHANCER", "input_image"),
        ("DETAIL_ENHANCER", "base_image"),
    ],
)
async def test_a_logo_keeps_its_transparency(bench: PictureBench, name: str, field: str) -> None:
    logo = bench.put_case("16_logo_rgba.png")
    also = {key: named(bench, name, key, value) for key, value in ALSO[name].items()}
    made = bench.picture(result_path(await bench.run(name, **{**also, field: logo})))
    alpha = np.asarray(bench.picture(logo).getchannel("A").resize(made.size))
    assert made.mode == "RGBA"
    assert np.abs(np.asarray(made)[:, :, 3].astype(int) - alpha).mean() < 4


@pytest.mark.parametrize(
    "name",
    ["BACKGROUND_FIX", "BACKGROUND_REMOVAL", "DETAIL_ENHANCER", "EDITING", "FACE_ENHANCER", "IMAGE_ADJUSTER", "REFINE"],
)
async def test_a_picture_in_which_nothing_can_be_seen_is_an_empty_result(bench: PictureBench, name: str) -> None:
    field = next(iter(TYPES[name].alpha))
    empty = SHAPE.copy()
    empty[:, :, 3] = 0
    asked = {**ALSO[name], field: empty}
    before = len(bench.painter.asked) + len(bench.matting.asked)
    fields = {key: named(bench, name, key, value) for key, value in asked.items()}
    assert await bench.reason(name, **fields) == "RESULT_EMPTY"
    assert len(bench.painter.asked) + len(bench.matting.asked) == before
