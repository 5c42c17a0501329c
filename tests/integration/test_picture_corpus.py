"""Sixty pictures of every container, mode, depth, orientation and transparency through the models that run here, and
the cases of the field that need them."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest
from compute.tasks.v1 import params_pb2, tasks_pb2
from google.protobuf.struct_pb2 import Struct
from PIL import Image

from services.providers.ports import Pixels
from tests.integration.whole_system import TENANT, System
from tests.picture_bench import FIELD, many

WIDTH, HEIGHT = 120, 88
RED, BLUE, LIGHT = (200, 30, 40), (30, 60, 190), (236, 234, 230)
AT_ONCE = 4
# How a stored picture has to be turned to stand upright (Exif 2.32, 4.6.4 A), undone here by Pillow's own operations.
TURNED: dict[int, tuple[Image.Transpose, ...]] = {
    1: (),
    3: (Image.Transpose.ROTATE_180,),
    5: (Image.Transpose.TRANSPOSE,),
    6: (Image.Transpose.ROTATE_90,),
    8: (Image.Transpose.ROTATE_270,),
}


def scene() -> Image.Image:
    """Upright: on a light ground a mug whose left half is red and whose right half is blue, left of the middle."""
    pixels = np.full((HEIGHT, WIDTH, 3), LIGHT, np.uint8)
    pixels[20:70, 20:50], pixels[20:70, 50:80] = RED, BLUE
    return Image.fromarray(pixels)


def outline() -> Image.Image:
    """Opaque where the mug is, with a soft edge; without two corners, as a rectangle would be a photograph's."""
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    alpha[18:72, 18:82], alpha[20:70, 20:80] = 128, 255
    alpha[18:34, 18:30] = alpha[56:72, 70:82] = 0
    return Image.fromarray(alpha)


@dataclass(frozen=True, slots=True)
class Kind:
    """`make` is given the upright scene. `grey` pictures keep the shape only."""

    name: str
    form: str
    make: Callable[[Image.Image], Image.Image]
    alpha: bool = False
    grey: bool = False
    options: tuple[tuple[str, Any], ...] = ()
    turns: bool = True


def _with_outline(picture: Image.Image) -> Image.Image:
    picture = picture.convert("L" if picture.mode == "L" else "RGB")
    picture.putalpha(outline())
    return picture


def _deep(picture: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)


def _one_bit(picture: Image.Image) -> Image.Image:
    return picture.convert("L").point(lambda value: 255 * (value > 200)).convert("1")


def _palette_with_hole(picture: Image.Image) -> Image.Image:
    found = picture.quantize(8)
    indices = np.asarray(found).copy()
    indices[np.asarray(outline()) < 255] = 9
    made = Image.fromarray(indices, "P")
    made.putpalette([*(found.getpalette() or [])[:24], *[0] * 744])
    return made


LOSSLESS = (("lossless", True),)
KINDS = (
    Kind("PNG RGB", "PNG", lambda picture: picture),
    Kind("PNG RGBA", "PNG", _with_outline, alpha=True),
    Kind("PNG grey", "PNG", lambda picture: picture.convert("L"), grey=True),
    Kind("PNG grey with alpha", "PNG", lambda picture: _with_outline(picture.convert("L")), alpha=True, grey=True),
    Kind("PNG of 16 bits", "PNG", _deep, grey=True),
    Kind("PNG palette", "PNG", lambda picture: picture.quantize(16)),
    Kind("PNG palette with a hole", "PNG", _palette_with_hole, alpha=True, options=(("transparency", 9),)),
    Kind(
        "PNG of one bit",
        "PNG",
        lambda picture: picture.convert("L").point(lambda v: 255 * (v > 200)).convert("1"),
        grey=True,
    ),
    Kind("JPEG RGB", "JPEG", lambda picture: picture, options=(("quality", 95),)),
    Kind("JPEG grey", "JPEG", lambda picture: picture.convert("L"), grey=True),
    Kind("JPEG CMYK", "JPEG", lambda picture: picture.convert("CMYK"), options=(("quality", 95),)),
    Kind("WebP RGB", "WEBP", lambda picture: picture, options=LOSSLESS),
    Kind("WebP RGBA", "WEBP", _with_outline, alpha=True, options=(*LOSSLESS, ("exact", True))),
    Kind("TIFF RGB", "TIFF", lambda picture: picture),
    Kind("TIFF RGBA", "TIFF", _with_outline, alpha=True),
    Kind("TIFF CMYK", "TIFF", lambda picture: picture.convert("CMYK")),
    Kind("GIF", "GIF", lambda picture: picture.quantize(16), turns=False),
    Kind("BMP", "BMP", lambda picture: picture, turns=False),
    Kind("AVIF RGB", "AVIF", lambda picture: picture, options=(("quality", 95),)),
    Kind("AVIF RGBA", "AVIF", _with_outline, alpha=True, options=(("quality", 95),)),
)


def stored(kind: Kind, orientation: int) -> bytes:
    picture = kind.make(scene())
    for turn in TURNED[orientation]:
        picture = picture.transpose(turn)
    options = dict(kind.options)
    if orientation > 1:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
    target = io.BytesIO()
    picture.save(target, kind.form, **options)
    return target.getvalue()


# What each is asked besides its picture, and how much larger its answer is.
HANDLERS: dict[str, tuple[str, dict[str, Any], int]] = {
    "background_removal": ("input_image_paths", {}, 1),
    "editing": ("base_image", {"prompt": "a red mug", "seed": 1}, 1),
    "refine": ("base_image_url", {"upscale_factor": 2.0, "upscale_denoise": 0.05, "upscale_steps": 4}, 2),
    "face_enhancer": ("input_image", {}, 1),
    "background_fix": ("base_image", {"background_color": "#DECDB4"}, 1),
    "detail_enhancer": ("base_image", {}, 1),
}


def combinations() -> list[tuple[Kind, int, str]]:
    """Sixty: every kind three times, each time through another handler and turned another way."""
    names, turns = list(HANDLERS), list(TURNED)
    found = []
    for number, (time, kind) in enumerate(product(range(3), KINDS)):
        orientation = turns[(number + time) % len(turns)] if kind.turns else 1
        found.append((kind, orientation, names[(number * 5 + time) % len(names)]))
    return found


async def ended(system: System, name: str, fields: dict[str, Any]) -> tasks_pb2.Task:
    params = params_pb2.TaskParams(**{name: fields})
    config = Struct()
    config.update({"steps": 4})
    more = {"provider_config": config} if name in ("editing", "generation") else {}
    return await system.ended(await system.create(params, **more))


def result_path(task: tasks_pb2.Task, name: str) -> str:
    result = getattr(task.result, name)
    return str(result.result_image_paths.values[0] if name == "background_removal" else result.result_image_path)


async def picture_of(system: System, task: tasks_pb2.Task, name: str) -> Image.Image:
    return Image.open(io.BytesIO(await system.read(result_path(task, name))))


async def marked(system: System) -> str:
    """A mask of the corner where nothing is, painted on a transparent canvas."""
    mask, content = Image.new("RGBA", (WIDTH, HEIGHT)), io.BytesIO()
    mask.paste((230, 20, 20, 255), (92, 66, 118, 86))
    mask.save(content, "PNG")
    return str((await system.storage.upload("inputs/corner.png", content.getvalue(), tenant=TENANT)).path)


async def fault_of(system: System, kind: Kind, orientation: int, name: str) -> str | None:
    """What is wrong with the result, if anything is."""
    field, fields, factor = HANDLERS[name]
    own = f"inputs/{kind.name}-{orientation}-{name}".replace(" ", "-")
    path = (await system.storage.upload(own, stored(kind, orientation), tenant=TENANT)).path
    given: dict[str, Any] = {**fields, field: many([path]) if field.endswith("paths") else path}
    if name == "detail_enhancer":
        given["reference_image"] = path
    if name == "editing":
        given["mask_image"] = await marked(system)
    task = await ended(system, name, given)
    if task.status != tasks_pb2.TASK_STATUS_COMPLETED:
        return f"{task.error_reason} {task.errors}"
    made = await picture_of(system, task, name)
    if made.size != (WIDTH * factor, HEIGHT * factor):
        return f"{made.size}"
    return _colour_fault(np.asarray(made.convert("RGBA")), kind, name, factor) or _alpha_fault(made, kind, name)


# How far colours may be off after each, where it says anything: levels of 255.
# Where a prompt, or a background that is asked for, brings colours of its own.
MAY_COLOUR = {"editing", "background_fix"}
NEAR = {"background_removal": 24, "background_fix": 24, "editing": 24, "refine": 60, "face_enhancer": 24}


def _colour_fault(pixels: Pixels, kind: Kind, name: str, factor: int) -> str | None:
    """Both halves of the mug where they belong, as far as the task leaves them to be seen.

    DETAIL_ENHANCER draws the garment anew, which this may be taken for.
    """
    if name not in NEAR:
        return None
    wanted = {(30, 45): RED, (70, 45): BLUE}
    if kind.grey:
        grey = scene().convert("L") if kind.name == "PNG of 16 bits" else kind.make(scene()).convert("L")
        wanted = {place: (grey.getpixel(place),) * 3 for place in wanted}  # type: ignore[misc]
    for (x, y), colour in wanted.items():
        part = pixels[(y - 5) * factor : (y + 5) * factor, (x - 5) * factor : (x + 5) * factor].reshape(-1, 4)
        seen = part[part[:, 3] == 255]
        if len(seen) and (apart := np.abs(seen[:, :3].mean(axis=0) - colour).max()) > NEAR[name]:
            return f"{apart:.0f} from {colour} at {x}, {y}"
    return None


def _alpha_fault(made: Image.Image, kind: Kind, name: str) -> str | None:
    grey = kind.grey and name not in MAY_COLOUR
    transparent = kind.alpha or name == "background_removal"
    mode = {(False, False): "RGB", (False, True): "RGBA", (True, False): "L", (True, True): "LA"}[grey, transparent]
    if made.mode != mode and name != "editing":
        return made.mode
    if not kind.alpha:
        return None
    wanted = np.asarray(outline().resize(made.size, Image.Resampling.LANCZOS)).astype(int)
    if kind.name == "PNG palette with a hole":
        wanted = 255 * (wanted > 200)
    apart = np.abs(np.asarray(made)[:, :, -1] - wanted).mean()
    return f"alpha {apart:.1f} apart" if apart > 4 else None


@pytest.mark.timeout(600)
async def test_sixty_pictures_come_through_the_models_as_they_are(system: System) -> None:
    room, asked = asyncio.Semaphore(AT_ONCE), combinations()
    assert len(asked) == 60 and {name for _, _, name in asked} == set(HANDLERS)

    async def one(kind: Kind, orientation: int, name: str) -> str | None:
        async with room:
            fault = await fault_of(system, kind, orientation, name)
        return fault and f"{kind.name}, {orientation}, {name}: {fault}"

    faults = await asyncio.gather(*(one(*combination) for combination in asked))
    assert "\n".join(fault for fault in faults if fault) == ""


def case(name: str) -> Image.Image:
    return Image.open(io.BytesIO((FIELD / name).read_bytes()))


async def upload(system: System, name: str) -> str:
    content = (FIELD / name).read_bytes()
    return str((await system.storage.upload(f"inputs/{name}", content, tenant=TENANT)).path)


@pytest.mark.field("14")
@pytest.mark.field("18")
async def test_a_white_cut_out_and_a_photograph_of_24_megapixels_are_cut_out(system: System) -> None:
    for name in ("14_white_cutout.png", "18_6048x4024.jpg"):
        task = await ended(system, "background_removal", {"input_image_paths": many([await upload(system, name)])})
        assert task.status == tasks_pb2.TASK_STATUS_COMPLETED, task.errors
        made, given = await picture_of(system, task, "background_removal"), case(name)
        assert (made.mode, made.size) == ("RGBA", given.size)
        alpha = np.asarray(made)[:, :, 3] >= 128
        if given.mode == "RGBA":
            own = np.asarray(given)[:, :, 3] >= 128
            assert (alpha & own).sum() / (alpha | own).sum() >= 0.98
        else:
            assert 0.02 < alpha.mean() < 0.98


@pytest.mark.field("14")
async def test_a_picture_without_a_subject_fails_as_an_empty_result(system: System) -> None:
    empty = io.BytesIO()
    Image.new("RGBA", (64, 64), (200, 30, 40, 0)).save(empty, "PNG")
    path = (await system.storage.upload("inputs/empty.png", empty.getvalue(), tenant=TENANT)).path
    task = await ended(system, "background_removal", {"input_image_paths": many([path])})
    assert (task.status, task.error_reason, task.attempt) == (tasks_pb2.TASK_STATUS_FAILED, "RESULT_EMPTY", 1)


@pytest.mark.field("15")
async def test_outside_a_mask_on_a_transparent_canvas_nothing_is_drawn(system: System) -> None:
    base, mask = [await upload(system, f"15_{name}.png") for name in ("base", "mask_transparent_canvas")]
    fields = {"prompt": "a red mug", "base_image": base, "mask_image": mask, "seed": 1}
    made = np.asarray(await picture_of(system, await ended(system, "editing", fields), "editing"))
    given = np.asarray(case("15_base.png"))
    outside = np.asarray(case("15_control_mask_black_white.png")) == 0
    assert np.array_equal(made[outside], given[outside]) and not np.array_equal(made, given)
