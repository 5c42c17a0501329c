"""IMAGE_ADJUSTER and BACKGROUND_FIX from message to message: real files, real decoder, a matte that is known."""

from __future__ import annotations

import hashlib
import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import pytest_asyncio
from compute.tasks.v1 import params_pb2
from compute.tasks.v1 import tasks_pb2 as pb
from PIL import Image, ImageCms

from services.common.errors import InvalidRequest
from services.imaging.loader import ImageLoader, ImageSettings, open_loader
from services.imaging.recipes import BESIDE, parse_recipe, read_recipe
from services.inference.context import RunContext, WorkerResources
from services.inference.images import TaskImages
from services.inference.registry import discover_handlers
from services.providers.directory import Providers
from services.providers.ports import Check, Matte, ModelCard, Pixels
from services.worker.runs import AttemptKey, Run
from tests.catalogue import garment_picture
from tests.fakes.objects import Shelf
from tests.fakes.provider_context import provider_context_of
from tests.unit.test_images_originals import SRGB, grey_profile, wide_profile

pytestmark = pytest.mark.asyncio(loop_scope="module")
CARD = ModelCard("known", "0" * 64, "none")
PICTURE, ALPHA = garment_picture(300, 400)
SAND = (222, 205, 180)
BOX = (72, 80, 228, 316)


class Matting:
    """LOCAL, with a matte of everything that is red."""

    def __init__(self) -> None:
        self.checks: Mapping[str, Check] = {}
        self.canaries: Mapping[str, Check] = {}
        self.terms = None
        self.asked: list[tuple[int, ...]] = []

    def configured(self, config: object, call: object) -> Matting:
        return self

    async def matte(self, pixels: Pixels, *, network: str | None = None) -> Matte:
        self.asked.append(pixels.shape)
        red = pixels[:, :, 0].astype(int) - pixels[:, :, 1]
        return Matte((red > 60).astype(np.uint8) * 255, 0.9, CARD)


class Silence:
    async def publish(self, subject: str, payload: bytes, reply: str = "") -> None:
        pass


class Bench:
    """Runs tasks of tenant `acme` as the worker does."""

    def __init__(self, loader: ImageLoader, shelf: Shelf) -> None:
        self.shelf = shelf
        self.matting = Matting()
        bus = cast("Any", Silence())
        provider_context = provider_context_of(Providers({"LOCAL": self.matting}), bus)
        self.resources = WorkerResources(TaskImages(loader), shelf, bus, provider_context, "LOCAL")
        self.handlers = discover_handlers()

    async def run(self, params: params_pb2.TaskParams) -> Any:
        field = params.WhichOneof("params") or ""
        task = pb.Task(id="t", tenant="acme", attempt=1, task_type=field.upper())
        context = RunContext(Run(AttemptKey("t", 1), task, cast("Any", None), 0.0), self.resources)
        return getattr(await self.handlers.of(params)(params, context), field)

    async def adjust(self, picture: bytes, **fields: Any) -> Any:
        return await self.run(params_pb2.TaskParams(image_adjuster={"input_image": self.put(picture), **fields}))

    async def fix(self, picture: bytes, palette: bytes, **fields: Any) -> Any:
        named = {"base_image": self.put(picture), "palette_image": self.put(palette)}
        return await self.run(params_pb2.TaskParams(background_fix={**named, **fields}))

    def put(self, content: bytes) -> str:
        path = f"inputs/{hashlib.sha256(content).hexdigest()}"
        self.shelf.kept["acme", path] = content
        return path

    def file(self, path: str) -> bytes:
        return self.shelf.kept["acme", path]

    def picture(self, path: str) -> Image.Image:
        return Image.open(io.BytesIO(self.file(path)))


@asynccontextmanager
async def opened(**chosen: Any) -> AsyncIterator[Bench]:
    shelf = Shelf()
    async with open_loader(ImageSettings(image_workers=1, **chosen), shelf) as loader:
        yield Bench(loader, shelf)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench() -> AsyncIterator[Bench]:
    async with opened() as found:
        yield found


def saved(picture: Image.Image | np.ndarray, form: str = "PNG", **options: Any) -> bytes:
    target = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(target, form, **options)
    return target.getvalue()


def swatch(colour: tuple[int, int, int] = SAND) -> bytes:
    return saved(Image.new("RGB", (32, 32), colour))


async def reason(task: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        await task
    return caught.value.reason


async def test_a_picture_is_cropped_with_every_pixel_and_its_profile_kept(bench: Bench) -> None:
    result = await bench.adjust(saved(PICTURE, icc_profile=wide_profile()), aspect_ratio=1.0, mode="crop")
    picture = bench.picture(result.result_image_path)
    assert (picture.size, picture.mode, picture.info["icc_profile"]) == ((300, 300), "RGB", wide_profile())
    assert np.array_equal(np.asarray(picture), PICTURE[50:350])
    assert (result.applied_mode, result.icc_profile, result.width, result.height) == ("crop", "kept", 300, 300)
    assert (result.crop_box.top, result.crop_box.height, result.placed_box.width) == (50, 300, 300)
    assert not result.HasField("subject_box")
    recipe = read_recipe(bench.file(result.result_image_path))
    assert recipe is not None
    assert (recipe["applied_mode"], recipe["aspect_ratio"], recipe["window"]) == ("crop", 1.0, [0, 50, 300, 300])
    assert "inputs/" not in str(recipe)


@pytest.mark.parametrize(
    ("options", "mode", "profile"),
    [
        ({"mode": "L"}, "L", None),
        ({"mode": "L", "icc_profile": grey_profile()}, "L", grey_profile()),
        ({"mode": "LA"}, "LA", None),
        ({"mode": "P"}, "RGB", None),
        ({"mode": "RGBA", "icc_profile": SRGB}, "RGBA", SRGB),
    ],
)
async def test_every_kind_of_picture_stays_what_it_is(
    bench: Bench, options: dict[str, Any], mode: str, profile: bytes | None
) -> None:
    source = Image.fromarray(PICTURE)
    kind = options.pop("mode")
    source = source.convert("L").convert("LA") if kind == "LA" else source.convert(kind)
    result = await bench.adjust(saved(source, **options), aspect_ratio=0.5, mode="pad")
    picture = bench.picture(result.result_image_path)
    assert (picture.mode, picture.size, picture.info.get("icc_profile")) == (mode, (300, 600), profile)
    assert np.array_equal(np.asarray(picture)[100:500], np.asarray(source.convert(mode)))
    assert result.icc_profile == ("kept" if profile else "none")


async def test_a_turned_photograph_stands_upright(bench: Bench) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    result = await bench.adjust(saved(np.rot90(PICTURE), exif=exif), aspect_ratio=1.0, mode="crop")
    assert np.array_equal(np.asarray(bench.picture(result.result_image_path)), PICTURE[50:350])


async def test_colours_no_png_can_hold_are_converted(bench: Bench) -> None:
    cmyk = Image.fromarray(PICTURE).convert("CMYK")
    result = await bench.adjust(saved(cmyk, "TIFF", icc_profile=SRGB), aspect_ratio=1.0)
    assert (bench.picture(result.result_image_path).mode, result.icc_profile) == ("RGB", "converted")


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "TIFF"])
async def test_where_nothing_has_to_be_adjusted_the_very_same_file_comes_back(bench: Bench, form: str) -> None:
    content = saved(PICTURE, form)
    asked = len(bench.matting.asked)
    for fields in ({"aspect_ratio": 0.75}, {"target_width": 303, "target_height": 398, "tolerance": 0.02}):
        result = await bench.adjust(content, **fields)
        assert bench.file(result.result_image_path) == content
        beside = parse_recipe(bench.file(result.result_image_path + BESIDE))
        assert beside is not None and beside["applied_mode"] == "none" and "inputs/" not in str(beside)
        assert (result.applied_mode, result.width, result.height) == ("none", 300, 400)
        assert Path(result.result_image_path).suffix == {"JPEG": ".jpg", "WEBP": ".webp", "TIFF": ".tif"}[form]
    assert len(bench.matting.asked) == asked


async def test_margins_are_met_round_the_subject_that_the_matte_shows(bench: Bench) -> None:
    result = await bench.adjust(
        saved(PICTURE),
        mode="scale",
        scaling_proportions="height",
        target_width=500,
        target_height=500,
        margin_top=0.1,
        margin_bottom=0.2,
    )
    box = result.subject_box
    assert (box.top, box.top + box.height) == pytest.approx((50, 400), abs=1)
    shown = np.asarray(bench.picture(result.result_image_path)).astype(int)
    rows = np.flatnonzero((shown[:, :, 0] - shown[:, :, 1] > 60).any(axis=1))
    assert (rows[0], rows[-1]) == pytest.approx((50, 399), abs=2)


async def test_margins_come_from_a_reference_where_none_are_given(bench: Bench) -> None:
    reference = np.full((200, 200, 3), 240, np.uint8)
    reference[40:180, 50:150] = (200, 20, 20)
    named = bench.put(saved(reference))
    fields = {"mode": "scale", "scaling_proportions": "height", "target_width": 400, "target_height": 400}
    result = await bench.adjust(saved(PICTURE), reference_image=named, **fields)
    assert (result.subject_box.top, result.subject_box.height) == pytest.approx((80, 280), abs=1)
    own = await bench.adjust(saved(PICTURE), reference_image=named, margin_top=0.3, **fields)
    assert (own.subject_box.top, own.subject_box.height) == pytest.approx((120, 240), abs=1)
    assert own.reference_image_path == named


async def test_a_cut_out_needs_no_matte(bench: Bench) -> None:
    asked = len(bench.matting.asked)
    result = await bench.adjust(saved(np.dstack([PICTURE, ALPHA])), mode="pad", margin_top=0.4)
    assert len(bench.matting.asked) == asked
    picture = np.asarray(bench.picture(result.result_image_path))
    assert result.subject_box.top == -(-result.height * 4 // 10)
    assert picture[: result.placed_box.top].max() == 0


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"aspect_ratio": 1.0, "target_width": 10, "target_height": 10}, "INVALID_ARGUMENT"),
        ({"target_width": 10}, "INVALID_ARGUMENT"),
        ({"margin_top": 0.5, "margin_bottom": 0.5}, "INVALID_ARGUMENT"),
        ({"margin_top": 1.5}, "INVALID_ARGUMENT"),
        ({"mode": "stretch", "aspect_ratio": 1.0}, "INVALID_ARGUMENT"),
        ({"mode": "crop", "margin_top": 0.4}, "MARGINS_IMPOSSIBLE"),
        ({"mode": "pad", "margin_left": 0.4999, "margin_right": 0.4999}, "RESULT_TOO_LARGE"),
    ],
)
async def test_what_cannot_be_done_is_refused_with_its_reason(bench: Bench, fields: dict[str, Any], why: str) -> None:
    found = await reason(bench.adjust(saved(PICTURE), **fields))
    assert found == why or (why == "INVALID_ARGUMENT" and found.startswith("INVALID"))


async def test_margins_without_a_subject_or_with_a_reference_that_leaves_no_room_are_refused(bench: Bench) -> None:
    grey = saved(np.full((50, 50, 3), 200, np.uint8))
    assert await reason(bench.adjust(grey, margin_top=0.1)) == "SUBJECT_NOT_FOUND"
    low = np.full((100, 100, 3), 240, np.uint8)
    low[80:90, 20:80] = (200, 20, 20)
    reference = bench.put(saved(low))
    task = bench.adjust(saved(PICTURE), reference_image=reference, margin_bottom=0.3)
    assert await reason(task) == "MARGINS_IMPOSSIBLE"


async def test_a_large_picture_is_matted_at_a_size_a_model_takes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.providers.pipelines.matting.MATTED_PIXELS", 30_000)
    result = await bench.adjust(saved(PICTURE), mode="pad", margin_top=0.4)
    assert bench.matting.asked[-1] == (200, 150, 3)
    assert result.subject_box.top >= 0.4 * result.height - 3


async def test_a_background_takes_the_palettes_colour_and_the_subject_stays(bench: Bench) -> None:
    result = await bench.fix(saved(PICTURE), swatch())
    picture = np.asarray(bench.picture(result.result_image_path))
    mask = np.asarray(bench.picture(result.mask_path))
    red = PICTURE[:, :, 0].astype(int) - PICTURE[:, :, 1] > 60
    assert np.array_equal(picture[red], PICTURE[red])
    assert mask[red].min() == 255 and mask[200, 10] == 0
    assert np.abs(picture[150:250, :40].reshape(-1, 3).mean(axis=0) - SAND).max() < 10
    assert (result.palette_color, result.width, result.height) == ("#DECDB4", 300, 400)
    assert result.background_color_before.startswith("#E")
    recipe = read_recipe(bench.file(result.result_image_path))
    assert recipe is not None
    assert (recipe["strategy"], recipe["edge_blur_sigma"], recipe["palette_color"]) == ("COLOR_SHIFT", 20.0, "#DECDB4")
    assert recipe["subject_from"] == {"name": "known", "sha256": result.model_sha256, "licence": result.model_licence}
    assert result.model_name == "known"


@pytest.mark.parametrize("strategy", ["COLOR_SHIFT", "LUMINANCE_PRESERVING", "HISTOGRAM_MATCH", "FLAT_FILL"])
async def test_the_same_input_gives_the_same_bytes_and_every_strategy_its_own(bench: Bench, strategy: str) -> None:
    names = (strategy, strategy, "FLAT_FILL" if strategy != "FLAT_FILL" else "COLOR_SHIFT")
    # Each run of the task overwrites the file of the one before.
    results = [bench.file((await bench.fix(saved(PICTURE), swatch(), strategy=it)).result_image_path) for it in names]
    assert results[0] == results[1]
    first, other = (np.asarray(Image.open(io.BytesIO(content))) for content in results[1:])
    assert not np.array_equal(first, other)


async def test_a_palette_is_seen_in_the_base_pictures_own_profile(bench: Bench) -> None:
    """The profile has red and green exchanged: the same look has other numbers."""
    content = saved(PICTURE[:, :, [1, 0, 2]], icc_profile=wide_profile())
    result = await bench.fix(content, swatch())
    picture = bench.picture(result.result_image_path)
    assert picture.info["icc_profile"] == wide_profile()
    profile = ImageCms.ImageCmsProfile(io.BytesIO(wide_profile()))
    shown = ImageCms.profileToProfile(picture, profile, ImageCms.createProfile("sRGB"))
    assert shown is not None
    assert np.abs(np.asarray(shown)[150:250, :40].reshape(-1, 3).mean(axis=0) - SAND).max() < 10


async def test_a_grey_picture_gets_a_coloured_background(bench: Bench) -> None:
    result = await bench.fix(saved(Image.fromarray(PICTURE).convert("L")), swatch())
    picture = np.asarray(bench.picture(result.result_image_path)).astype(int)
    assert picture.shape == (400, 300, 3)
    assert (picture[150:250, :40, 0] - picture[150:250, :40, 2]).mean() > 30


async def test_transparency_stays(bench: Bench) -> None:
    alpha = np.full((400, 300), 255, np.uint8)
    alpha[:2, :2] = 100
    result = await bench.fix(saved(np.dstack([PICTURE, alpha])), swatch())
    picture = np.asarray(bench.picture(result.result_image_path))
    assert np.array_equal(picture[:, :, 3], alpha)
    assert np.abs(picture[150:250, :40, :3].reshape(-1, 3).mean(axis=0) - SAND).max() < 10


async def test_a_dark_background_stays_as_it_is(bench: Bench) -> None:
    dark = (PICTURE // 3).astype(np.uint8)
    result = await bench.fix(saved(dark), swatch())
    assert np.array_equal(np.asarray(bench.picture(result.result_image_path)), dark)
    assert not result.HasField("background_color_before")


async def test_thresholds_the_wrong_way_round_are_refused(bench: Bench) -> None:
    task = bench.fix(saved(PICTURE), swatch(), light_threshold=100.0, shadow_threshold=200.0)
    assert (await reason(task)).startswith("INVALID")


async def test_these_two_types_read_local_files_below_the_roots_and_no_other_type_does(tmp_path: Path) -> None:
    root = tmp_path / "pictures"
    root.mkdir()
    (root / "shirt.png").write_bytes(saved(PICTURE))
    (root / "sand.png").write_bytes(swatch())
    (tmp_path / "secret.png").write_bytes(swatch())
    shirt, sand, secret = (
        f"file://{tmp_path}/{name}" for name in ("pictures/shirt.png", "pictures/sand.png", "secret.png")
    )
    async with opened(local_image_roots=(root,)) as bench:
        adjusting = params_pb2.ImageAdjusterParams(input_image=shirt, aspect_ratio=1.0)
        assert (await bench.run(params_pb2.TaskParams(image_adjuster=adjusting))).input_image_path == shirt
        fixing = params_pb2.BackgroundFixParams(base_image=shirt, palette_image=sand)
        assert (await bench.run(params_pb2.TaskParams(background_fix=fixing))).palette_color == "#DECDB4"
        fixing.palette_image = secret
        assert await reason(bench.run(params_pb2.TaskParams(background_fix=fixing))) == "URL_NOT_ALLOWED"
        removal = params_pb2.TaskParams(background_removal={"input_image_paths": {"values": [shirt]}})
        assert (await reason(bench.run(removal))).startswith(("INVALID", "URL_NOT_ALLOWED"))
    async with opened() as closed:
        assert await reason(closed.run(params_pb2.TaskParams(image_adjuster=adjusting))) == "URL_NOT_ALLOWED"
