"""A picture changed as a whole or inside a mask, on a model that is told apart by its colours."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import pytest

from services.common.errors import InvalidRequest
from services.imaging.processing.detail import carry_detail, resized
from services.providers.capabilities.editing import EditRequest
from services.providers.pipelines.editing import around, edit
from services.providers.pipelines.knowing import PROBE
from services.providers.ports import (
    DiffusionStep,
    Drawing,
    DrawnPicture,
    IgnoredField,
    ModelCard,
    ModelFeedback,
    OnStep,
    Pixels,
)

NATIVE = 64 * 64
CARD = ModelCard("painter", "0" * 64, "none")


@dataclass
class Painter:
    """Answers `colour` everywhere, or the very picture it was given, as ever when it is asked whether it knows it."""

    colour: tuple[int, int, int] | None = None
    is_strange: bool = False
    seen: list[Drawing] = field(default_factory=list)

    async def draw(self, drawing: Drawing, on_step: OnStep) -> DrawnPicture:
        assert drawing.image is not None
        if drawing.prompt == PROBE or (drawing.strength or 0) < 0.01:
            return DrawnPicture(np.zeros_like(drawing.image) if self.is_strange else drawing.image, CARD)
        self.seen.append(drawing)
        await on_step(DiffusionStep(1, 1))
        pixels = drawing.image.copy()
        if self.colour is not None:
            pixels[:] = self.colour
        return DrawnPicture(pixels, CARD, drawing.seed)


async def ignore(step: DiffusionStep) -> None:
    pass


def noise(height: int, width: int) -> Pixels:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)


async def test_outside_the_mask_every_pixel_is_the_original_s() -> None:
    image, mask = noise(300, 200), np.zeros((300, 200), np.uint8)
    mask[100:150, 50:120] = 255
    made = await edit(Painter((255, 0, 0)), EditRequest("red", image, 1, mask=mask), ignore, native_pixels=NATIVE)
    assert np.array_equal(made.pixels[mask == 0], image[mask == 0])
    assert tuple(made.pixels[125, 85]) == (255, 0, 0)


async def test_the_model_is_shown_the_mask_s_surroundings_at_the_size_it_draws_best() -> None:
    image, mask = noise(1000, 1000), np.zeros((1000, 1000), np.uint8)
    mask[500:600, 500:600] = 255
    painter = Painter()
    await edit(painter, EditRequest("x", image, 1, mask=mask), ignore, native_pixels=NATIVE)
    [drawing] = painter.seen
    assert drawing.image is not None and drawing.mask is not None
    assert drawing.image.shape == (64, 64, 3)
    assert drawing.mask.shape == (64, 64)
    assert 0.2 < (drawing.mask > 127).mean() < 0.3


async def test_a_model_that_changes_nothing_leaves_the_picture_as_sharp_as_it_was() -> None:
    image = noise(200, 320)
    made = await edit(Painter(), EditRequest("x", image, 1), ignore, native_pixels=NATIVE)
    assert np.abs(made.pixels.astype(int) - image).max() <= 1


async def test_what_changed_carries_no_ghost_of_the_original() -> None:
    image = noise(200, 320)
    made = await edit(Painter((10, 200, 30)), EditRequest("x", image, 1), ignore, native_pixels=NATIVE)
    assert np.abs(made.pixels.astype(int) - (10, 200, 30)).max() <= 8


async def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="marks nothing") as refused:
        await edit(
            Painter(),
            EditRequest("x", noise(50, 50), 1, mask=np.zeros((50, 50), np.uint8)),
            ignore,
            native_pixels=NATIVE,
        )
    assert refused.value.reason == "MASK_EMPTY"


def test_a_mask_at_the_edge_is_shown_with_what_there_is_of_the_picture() -> None:
    mask = np.zeros((100, 100), np.uint8)
    mask[0:5, 95:100] = 255
    box = around(mask, least_side=64)
    assert (box.top, box.right) == (0, 100)
    assert box.bottom <= 100 and box.height >= 32


def test_a_drawing_of_the_same_size_needs_no_detail() -> None:
    image, drawn = noise(40, 40), noise(40, 40)[::-1]
    assert np.array_equal(carry_detail(image, drawn, drawn), image)
    assert np.array_equal(carry_detail(image, drawn, np.full_like(image, 128))[0, 0], drawn[0, 0])
    assert resized(image, 40, 40) is image


@dataclass
class Codec(Painter):
    """Takes no step, and changes the picture all the same."""

    async def draw(self, drawing: Drawing, on_step: OnStep) -> DrawnPicture:
        drawn = await super().draw(drawing, on_step)
        return replace(drawn, heard=ModelFeedback((IgnoredField("strength"),)))


@pytest.mark.field("no-step")
@pytest.mark.parametrize("masked", [False, True])
async def test_where_no_step_ran_the_picture_is_as_it_was(masked: bool) -> None:
    image = noise(100, 80)
    mask = np.full((100, 80), 255, np.uint8) if masked else None
    made = await edit(
        Codec((9, 9, 9)), EditRequest("x", image, 1, mask=mask, strength=0.02), ignore, native_pixels=NATIVE
    )
    assert np.array_equal(made.pixels, image)
    assert made.heard.has_no("strength")


@dataclass
class Lossy(Painter):
    """Changes nothing that is asked of it, and loses what its codec loses."""

    async def draw(self, drawing: Drawing, on_step: OnStep) -> DrawnPicture:
        drawn = await super().draw(drawing, on_step)
        return replace(drawn, pixels=cv2.GaussianBlur(drawn.pixels, (0, 0), 2).astype(np.uint8) // 2 + np.uint8(40))


@pytest.mark.field("faint-edit")
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", [(64, 64), (200, 120)])
async def test_what_the_model_s_codec_does_to_a_picture_is_no_edit(masked: bool, size: tuple[int, int]) -> None:
    image = noise(*size)
    mask = np.full(size, 255, np.uint8) if masked else None
    made = await edit(Lossy(), EditRequest("x", image, 1, mask=mask, strength=0.05), ignore, native_pixels=NATIVE)
    assert np.array_equal(made.pixels, image)


@pytest.mark.parametrize("is_strange", [False, True])
async def test_an_edit_by_a_model_of_other_pictures_is_flagged(is_strange: bool) -> None:
    painter = Painter((10, 200, 30), is_strange=is_strange)
    made = await edit(painter, EditRequest("x", noise(64, 64), 1), ignore, native_pixels=NATIVE)
    assert [doubt.reason for doubt in made.heard.model_warnings] == ["PICTURE_UNLIKE_MODEL"] * is_strange
