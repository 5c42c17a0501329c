"""Refine, detail and face tasks through their handlers and our own providers, on a model that is told what to draw."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image
from skimage import data

from services.catalog.results import PictureNote
from services.catalog.tasks.detail_enhancer import DetailEnhancerParams, DetailEnhancerResult
from services.catalog.tasks.face_enhancer import FaceEnhancerParams, FaceEnhancerResult
from services.catalog.tasks.refine import RefineParams
from services.common.errors import InvalidRequest
from services.imaging.recipes import read_recipe
from services.inference.context import Outputs, RunContext
from services.inference.handlers import detail_enhancer, face_enhancer, refine
from services.inference.originals import OriginalPicture, TaskPicture
from services.providers import local as local_provider
from services.providers import sartiq_ultimate_refiner
from services.providers.calls import UnrecordedCall
from services.providers.in_house import InHouse
from services.providers.local import Local
from services.providers.pipelines.redrawing import Redrawer
from services.providers.ports import Capability, DiffusionStep, Matte, OnStep, Pixels
from services.providers.sartiq_ultimate_face_fixer import SartiqUltimateFaceFixer
from services.providers.sartiq_ultimate_garment_fixer import SartiqUltimateGarmentFixer
from services.providers.sartiq_ultimate_refiner import SartiqUltimateRefiner
from tests.fakes.diffusion import FakeDiffusion, FakeMatting, noisy, redrawer
from tests.fakes.objects import FakeObjects


@dataclass
class FakeLocal:
    """LOCAL, with a model that makes a little noise."""

    diffusion: FakeDiffusion = field(default_factory=lambda: FakeDiffusion(noisy(10)))

    async def redrawer(self) -> Redrawer:
        return redrawer(self.diffusion)

    async def matte(self, pixels: Pixels, *, network: str | None = None) -> Matte:
        return await FakeMatting().matte(pixels)


class FakeProgress:
    def __init__(self) -> None:
        self.last: tuple[str, int, int] | None = None

    def steps(self, stage: str) -> OnStep:
        async def show(step: DiffusionStep) -> None:
            assert step.preview is not None and step.preview.dtype == np.uint8
            self.last = stage, step.step, step.of

        return show


class FakeContext:
    """A run whose provider is one of ours, with the configuration `config`."""

    fallback_used = False

    def __init__(self, provider: InHouse[Any], pictures: dict[str, Pixels], **config: object) -> None:
        self.provider = provider.configured(config, UnrecordedCall(self.capabilities))
        self.pictures = pictures
        self.store = FakeObjects()
        self.outputs = Outputs("tenant", "results", "task", 1, self.store)
        self.progress = FakeProgress()
        self.notes: list[PictureNote] = []

    capabilities: frozenset[str] | None = None
    note, note_shape, note_answer = RunContext.note, RunContext.note_shape, RunContext.note_answer

    async def load_laid_on_white(self, reference: str, *, called: str) -> TaskPicture:
        return await self.load_picture(reference, called=called)

    async def load_picture(self, reference: str, *, called: str) -> TaskPicture:
        return TaskPicture(pixels=self.pictures[reference])

    async def restore(self, picture: TaskPicture, *, called: str) -> OriginalPicture:
        return OriginalPicture(content_type="image/png", pixels=picture.pixels)

    async def work(self, job: Callable[..., Any], *args: Any, **more: Any) -> Any:
        return job(*args, **more)

    async def ask(self, capability: Capability[Any], use: Callable[[Any], Awaitable[Any]]) -> Any:
        able = capability.of(self.provider)
        assert able is not None
        return await use(able)

    def read(self, path: str) -> bytes:
        return self.store.kept["tenant", path]


def local() -> Local:
    return cast(Local, FakeLocal())


def refiner() -> SartiqUltimateRefiner:
    return SartiqUltimateRefiner(local=local())


def as_context(context: FakeContext) -> RunContext:
    return cast(RunContext, context)


@pytest.mark.parametrize(
    ("asked", "capability", "size"),
    [
        ({"upscale_factor": 2}, "UPSCALE_2X", (160, 120)),
        ({"upscale_factor": 1.5}, "UPSCALE_FLOAT", (120, 90)),
        ({"upscale_factor": 3}, "UPSCALE_FLOAT", (240, 180)),
        ({"target_width": 100}, "OUTPUT_SIZE", (100, 75)),
        ({}, "OUTPUT_SIZE", (80, 60)),
    ],
)
async def test_a_refined_picture_has_the_size_asked_for_and_names_the_capability(
    asked: dict[str, Any], capability: str, size: tuple[int, int]
) -> None:
    photo = np.ascontiguousarray(data.coffee()[100:160, 100:180])
    context = FakeContext(refiner(), {"a.png": photo})
    params = RefineParams(base_image_url="a.png", upscale_seed=4, **asked)
    result = await refine.run(params, as_context(context))
    png = context.read(result.result_image_path)
    assert Image.open(io.BytesIO(png)).size == (result.width, result.height) == size
    assert (result.capability, result.applied_factor) == (capability, size[0] / 80)
    assert (result.upscale_seed, result.face_detail_seed, result.faces_found) == (4, None, None)
    assert context.progress.last is not None and context.progress.last[1] == context.progress.last[2]
    recipe = read_recipe(png)
    assert recipe is not None
    assert recipe["upscale"] == {"denoise": 0.15, "steps": 20, "seed": 4, "prompt": None}
    assert recipe["digital_source_type"].endswith("compositeWithTrainedAlgorithmicMedia")


async def test_a_capability_that_the_task_leaves_out_is_not_used() -> None:
    class Narrow(FakeContext):
        capabilities = frozenset({"OUTPUT_SIZE"})

    context = Narrow(refiner(), {"a.png": np.zeros((50, 50, 3), np.uint8)})
    with pytest.raises(InvalidRequest) as refused:
        await refine.run(RefineParams(base_image_url="a.png", upscale_factor=2), as_context(context))
    assert refused.value.reason == "CAPABILITY_MISSING"


async def test_the_refiner_s_configuration_reaches_its_tiles_and_its_measures() -> None:
    photo = np.ascontiguousarray(data.coffee()[100:200, 100:200])
    config = {
        "num_tiles": 4,
        "max_retries": 1,
        "ssim_threshold": 0.999,
        "lpips_threshold": 0.2,
        "save_debug_tiles": True,
    }
    context = FakeContext(refiner(), {"a.png": photo}, **config)
    result = await refine.run(RefineParams(base_image_url="a.png"), as_context(context))
    assert result.tiles == 4
    assert result.debug_image_paths is not None and len(result.debug_image_paths) == 4 * 3
    assert all(context.read(path) for path in result.debug_image_paths)
    ssim, lpips, _ = result.measures
    assert (ssim.name, ssim.threshold, ssim.passed) == ("SSIM", 0.999, False)
    assert (lpips.name, lpips.value, lpips.passed) == ("LPIPS", None, None)
    assert "4 of 4 tiles" in (ssim.note or "") and "LPIPS_MODEL" in (lpips.note or "")


async def test_a_configuration_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="num_tiles"):
        refiner().configured({"num_tiles": 0}, UnrecordedCall())


async def test_a_face_is_enhanced_and_its_score_told() -> None:
    provider = SartiqUltimateFaceFixer(local=local())
    context = FakeContext(provider, {"a.png": data.astronaut()}, ssim_threshold=0.2, save_debug_images=True)
    result = await face_enhancer.run(FaceEnhancerParams(input_image="a.png"), as_context(context))
    assert (result.face_detected, result.faces_found, result.accepted, result.attempts_used) == (True, 1, True, 1)
    assert 0.2 < (result.final_ssim_score or 0) < 1
    assert (result.final_lpips_score, result.final_dists_score) == (None, None)
    assert result.debug_image_paths is not None and len(result.debug_image_paths) == 2
    assert result.seed is not None


async def test_without_a_face_the_picture_is_stored_as_it_was() -> None:
    provider = SartiqUltimateFaceFixer(local=local())
    photo = np.ascontiguousarray(data.coffee()[:200, :300])
    context = FakeContext(provider, {"a.png": photo})
    result = await face_enhancer.run(FaceEnhancerParams(input_image="a.png"), as_context(context))
    assert (result.face_detected, result.faces_found, result.accepted, result.attempts_used) == (False, 0, None, 0)
    png = context.read(result.result_image_path)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png))), photo)
    assert "digital_source_type" not in (read_recipe(png) or {})


async def test_a_garment_is_fixed_and_its_region_told() -> None:
    picture = np.full((120, 80, 3), 255, np.uint8)
    picture[20:100, 20:60] = (40, 90, 160)
    provider = SartiqUltimateGarmentFixer(local=local())
    pictures = {"a.png": picture, "b.png": picture}
    context = FakeContext(provider, pictures, bbox_expand_percent=0, save_debug_images=True)
    params = DetailEnhancerParams(base_image="a.png", reference_image="b.png", detail_label="dress")
    result = await detail_enhancer.run(params, as_context(context))
    assert (result.accepted, result.tiles, result.attempts_used) == (True, 2, 1)
    region = result.region
    assert region is not None
    assert (region.left, region.top, region.width, region.height) == (20, 20, 40, 80)
    assert [measure.name for measure in result.measures] == ["SSIM", "REFERENCE"]
    assert result.debug_image_paths is not None and len(result.debug_image_paths) == 3 + 2 * 2


async def test_a_reference_of_something_else_is_told_and_the_picture_is_as_it_was() -> None:
    photo = np.ascontiguousarray(data.coffee()[::2, ::2])
    provider = SartiqUltimateGarmentFixer(local=local())
    context = FakeContext(provider, {"a.png": photo, "b.png": np.full((99, 99, 3), (0, 90, 0), np.uint8)})
    params = DetailEnhancerParams(base_image="a.png", reference_image="b.png")
    result = await detail_enhancer.run(params, as_context(context))
    assert result.quality is not None
    assert (result.accepted, result.quality.passed, result.quality.reasons) == (False, False, ["REFERENCE_UNLIKE"])
    png = context.read(result.result_image_path)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png))), photo)


@pytest.mark.parametrize("kind", ["face", "garment"])
async def test_faces_and_garments_are_measured_though_the_caller_asks_for_nothing(kind: str) -> None:
    pictures, config = {"a.png": data.astronaut()}, {"ssim_threshold": 0}
    result: FaceEnhancerResult | DetailEnhancerResult
    if kind == "face":
        context = FakeContext(SartiqUltimateFaceFixer(local=local()), pictures, **config)
        result = await face_enhancer.run(FaceEnhancerParams(input_image="a.png"), as_context(context))
    else:
        context = FakeContext(SartiqUltimateGarmentFixer(local=local()), pictures, **config)
        params = DetailEnhancerParams(base_image="a.png", reference_image="a.png")
        result = await detail_enhancer.run(params, as_context(context))
    assert result.quality is not None and result.measures


@pytest.mark.parametrize("is_strange", [False, True])
async def test_creative_refining_by_a_model_of_other_pictures_is_flagged(is_strange: bool) -> None:
    diffusion = FakeDiffusion(noisy(3), is_strange=is_strange)
    provider = SartiqUltimateRefiner(local=cast(Local, FakeLocal(diffusion)))
    context = FakeContext(provider, {"a.png": np.ascontiguousarray(data.coffee()[:80, :80])})
    result = await refine.run(RefineParams(base_image_url="a.png"), as_context(context))
    assert [warning.reason for warning in result.warnings] == ["PICTURE_UNLIKE_MODEL"] * is_strange


async def test_our_providers_share_one_watch_over_the_models(tmp_path: Path) -> None:
    settings = local_provider.Settings(triton_target="127.0.0.1:9", models_root=tmp_path)
    async with local_provider.connect(settings) as own, sartiq_ultimate_refiner.connect(settings) as ours:
        assert ours.local is own
        assert (ours.checks, ours.terms) == ({}, None)
