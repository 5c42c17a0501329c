"""REFINE by the network for photographs: when it is chosen, what of the request it goes by, and what comes out."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from services.catalog.enums import RefineStrategy
from services.common.errors import InvalidRequest
from services.imaging.recipes import read_recipe
from services.providers.calls import UnrecordedCall
from services.providers.capabilities.refining import DiffusionPass, Refinement
from services.providers.capabilities.upscaling import check_capabilities
from services.providers.pipelines.enlarging import EnlargingTools, cropped, refine_faithfully
from services.providers.pipelines.measures import SimilarityJudge
from services.providers.pipelines.refining import CAPABILITIES, LANCZOS, RefinerSettings
from services.providers.ports import Pixels
from tests.fakes.diffusion import CARD as DIFFUSION
from tests.fakes.diffusion import FakeDiffusion, Steps, noisy, redrawer
from tests.fakes.upscaling import CARD, FakeUpscaling
from tests.picture_bench import PictureBench, opened

PASS = DiffusionPass(denoise=0.3, steps=10, seed=5)


@pytest.fixture
async def bench() -> AsyncIterator[PictureBench]:
    async with opened() as made:
        yield made


@pytest.fixture
def photo() -> Pixels:
    return np.ascontiguousarray(data.coffee()[100:160, 100:180])


def tools(upscaling: FakeUpscaling, diffusion: FakeDiffusion | None = None) -> EnlargingTools:
    async def brushed() -> Any:
        return redrawer(diffusion or FakeDiffusion())

    return EnlargingTools(upscaling, SimilarityJudge(), brushed)


async def refined(wanted: Refinement, upscaling: FakeUpscaling, steps: Steps | None = None) -> Any:
    return await refine_faithfully(wanted, RefinerSettings(), tools(upscaling), steps or Steps())


# -- the choice


@pytest.mark.parametrize(
    ("asked", "served", "strategy", "enlarged"),
    [
        ({"upscale_factor": 2.0}, True, "faithful", True),
        ({"target_width": 100}, True, "faithful", True),
        ({"upscale_factor": 2.0}, False, "creative", False),
        ({"upscale_factor": 2.0, "upscale_prompt": "a cup"}, True, "creative", False),
        ({"upscale_factor": 2.0, "refine_strategy": "creative"}, True, "creative", False),
        ({"upscale_factor": 2.0, "upscale_prompt": "a cup", "refine_strategy": "faithful"}, True, "faithful", True),
        ({}, True, "creative", False),
        ({"refine_strategy": "faithful"}, True, "faithful", False),
    ],
)
async def test_words_or_a_size_that_stays_ask_for_diffusion_and_growing_alone_for_the_network(
    bench: PictureBench, photo: Pixels, asked: dict[str, Any], served: bool, strategy: str, enlarged: bool
) -> None:
    bench.upscaling.is_served = served
    result = await bench.run("REFINE", base_image_url=bench.put(photo), **asked)
    assert result.refine_strategy == strategy
    assert bool(bench.upscaling.seen) == enlarged


async def test_without_the_model_it_is_said_that_nothing_can_be_enlarged_faithfully(
    bench: PictureBench, photo: Pixels
) -> None:
    bench.upscaling.is_served = False
    with pytest.raises(InvalidRequest, match="this deployment has no `upscale` model") as refused:
        await bench.run("REFINE", base_image_url=bench.put(photo), upscale_factor=2.0, refine_strategy="faithful")
    assert refused.value.reason == "CAPABILITY_MISSING"


async def test_a_provider_that_only_redraws_refuses_to_be_faithful(photo: Pixels) -> None:
    wanted = Refinement(photo, factor=2, upscale=PASS, strategy=RefineStrategy.FAITHFUL)
    with pytest.raises(InvalidRequest, match="cannot enlarge faithfully"):
        check_capabilities(wanted, CAPABILITIES, UnrecordedCall())


# -- the task


async def test_the_result_names_the_network_and_what_it_did_not_go_by(bench: PictureBench, photo: Pixels) -> None:
    result = await bench.run(
        "REFINE", base_image_url=bench.put(photo), upscale_factor=2.0, upscale_denoise=0.5, upscale_seed=4
    )
    assert (result.model_name, result.model_sha256, result.model_licence) == (CARD.name, CARD.sha256, CARD.licence)
    assert [found.field for found in result.ignored] == ["upscale_denoise", "upscale_seed"]
    assert not result.HasField("upscale_seed")
    assert (result.capability, result.width, result.height, result.tiles) == ("UPSCALE_2X", 160, 120, 3)
    assert [measure.name for measure in result.measures] == ["SSIM"]
    assert result.quality.passed
    recipe = read_recipe(bench.file(result.result_image_path))
    assert recipe is not None
    assert (recipe["strategy"], recipe["model"]["name"], "upscale" in recipe) == ("faithful", CARD.name, False)


async def test_transparency_grows_beside_the_colours_and_leaves_no_rim(bench: PictureBench) -> None:
    rows, columns = np.mgrid[:40, :40]
    disc = (rows - 20) ** 2 + (columns - 20) ** 2 < 200
    # What is hidden is green, and would show as a rim if it were mixed in.
    picture = np.where(disc[..., None], (200, 30, 30, 255), (0, 255, 0, 0)).astype(np.uint8)

    def smoothly(pixels: Pixels, width: int, height: int) -> Pixels:
        return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))

    bench.upscaling.make = smoothly
    result = await bench.run("REFINE", base_image_url=bench.put(picture), upscale_factor=4.0)
    made = np.asarray(Image.open(io.BytesIO(bench.file(result.result_image_path))))
    assert made.shape == (160, 160, 4)
    edge = (made[..., 3] > 20) & (made[..., 3] < 235)
    assert edge.sum() > 100
    assert np.abs(made[edge][:, :3].astype(int) - (200, 30, 30)).max() < 30
    assert made[80, 80].tolist() == [200, 30, 30, 255] and made[2, 2, 3] == 0


# -- the pipeline


async def test_every_tile_is_a_step_and_shows_what_is_done(photo: Pixels) -> None:
    steps = Steps()
    made = await refined(Refinement(photo, factor=4, upscale=PASS), FakeUpscaling(), steps)
    assert [(step.step, step.of) for step in steps.seen] == [(done, 5) for done in range(1, 6)]
    assert all(step.preview is not None for step in steps.seen)
    assert made.tiles == 5


async def test_a_result_that_does_not_shrink_back_is_refused_and_enlarged_plainly(photo: Pixels) -> None:
    upscaling = FakeUpscaling(lambda pixels, width, height: np.full((height, width, 3), 7, np.uint8))
    made = await refined(Refinement(photo, factor=2, upscale=PASS), upscaling)
    assert (made.refused_tiles, made.tiles, made.picture.model) == (3, 3, LANCZOS)
    assert np.array_equal(
        made.picture.pixels, np.asarray(Image.fromarray(photo).resize((160, 120), Image.Resampling.LANCZOS))
    )


async def test_beyond_what_the_network_reaches_it_is_resampled() -> None:
    upscaling = FakeUpscaling()
    small = np.full((4, 5, 3), 9, np.uint8)
    made = await refined(Refinement(small, width=200, height=160, upscale=PASS), upscaling)
    assert upscaling.seen == [(80, 64)]
    assert made.picture.pixels.shape == (160, 200, 3)


@pytest.mark.parametrize(("most", "asked"), [(17 * 4800, (480, 640)), (17 * 4800 - 1, (240, 320)), (4800, (240, 320))])
async def test_a_second_pass_is_left_to_resampling_where_it_would_take_too_long(
    photo: Pixels, most: int, asked: tuple[int, int]
) -> None:
    upscaling = FakeUpscaling()
    upscaling.most_pixels = most
    made = await refined(Refinement(photo, factor=8, upscale=PASS), upscaling)
    assert upscaling.seen == [asked[::-1]]
    assert made.picture.pixels.shape == (480, 640, 3)


async def test_a_picture_that_would_take_too_long_is_redrawn_as_ever_and_refused_where_faithful_was_asked_for(
    bench: PictureBench, photo: Pixels
) -> None:
    bench.upscaling.most_pixels = 4799
    result = await bench.run("REFINE", base_image_url=bench.put(photo), upscale_factor=2.0)
    assert result.refine_strategy == "creative"
    with pytest.raises(InvalidRequest, match="more than the 4799 that can be enlarged faithfully") as refused:
        await bench.run("REFINE", base_image_url=bench.put(photo), upscale_factor=2.0, refine_strategy="faithful")
    assert refused.value.reason == "TOO_MANY_PIXELS"


@pytest.mark.parametrize(
    ("size", "to", "kept"),
    [
        ((100, 50), (200, 100), (100, 50)),
        ((100, 50), (100, 100), (50, 50)),
        ((100, 50), (400, 100), (100, 25)),
        ((33, 47), (100, 142), (33, 47)),
        ((427, 640), (1000, 1499), (427, 640)),
        ((1, 9), (16, 144), (1, 9)),
    ],
)
def test_other_proportions_keep_the_middle(size: tuple[int, int], to: tuple[int, int], kept: tuple[int, int]) -> None:
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    assert cropped(picture, *to).shape == (kept[1], kept[0], 3)


async def test_faces_are_redrawn_after_the_picture_is_enlarged() -> None:
    photo = np.ascontiguousarray(data.astronaut()[20:220, 110:330])
    steps, diffusion = Steps(), FakeDiffusion(noisy(3))
    wanted = Refinement(photo, factor=2, upscale=PASS, faces=PASS)
    made = await refine_faithfully(wanted, RefinerSettings(), tools(FakeUpscaling(), diffusion), steps)
    assert (made.found_faces, made.tiles, made.strategy) == (1, 8, RefineStrategy.FAITHFUL)
    assert diffusion.seen and (made.picture.model, made.face_model) == (CARD, DIFFUSION)
    assert [step.step for step in steps.seen] == sorted(step.step for step in steps.seen)
    assert steps.seen[-1].step == steps.seen[-1].of == 18


async def test_who_drew_the_faces_is_the_model_of_a_picture_that_no_network_enlarged() -> None:
    photo = np.ascontiguousarray(data.astronaut()[20:220, 110:330])
    wanted = Refinement(photo, width=photo.shape[1] // 2, upscale=PASS, faces=PASS)
    made = await refine_faithfully(wanted, RefinerSettings(), tools(FakeUpscaling(), FakeDiffusion(noisy(3))), Steps())
    assert (made.found_faces, made.picture.model, made.face_model) == (1, DIFFUSION, DIFFUSION)


async def test_a_picture_that_is_not_to_grow_is_resampled(photo: Pixels) -> None:
    upscaling = FakeUpscaling()
    made = await refined(Refinement(photo, width=40, upscale=PASS), upscaling)
    assert (upscaling.seen, made.picture.pixels.shape, made.picture.model) == ([], (30, 40, 3), LANCZOS)
    same = await refined(Refinement(photo, upscale=PASS), upscaling)
    assert np.array_equal(same.picture.pixels, photo)
