"""Every combination of container, mode, depth, profile, orientation and transparency looks as it must.

PICTURE_COMBINATIONS and PICTURE_SEED make the long form: all of them, with other pixels.
"""

from __future__ import annotations

import asyncio
import io
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from services.common.errors import ComputeError
from services.imaging.decoder import DecodedOriginal, DecodeLimits, Decoder
from tests.corpora.pictures import Case, Numbers, cases
from tests.unit.test_handlers_pictures import PICTURE, opened, saved

FIELD = Path(__file__).parents[1] / "corpora" / "field"
COMBINATIONS = int(os.environ.get("PICTURE_COMBINATIONS", "2000"))
# Otherwise LittleCMS prepares a few steps and guesses between them.
EXACTLY = ImageCms.Flags.NOOPTIMIZE
SEED = int(os.environ.get("PICTURE_SEED", "11"))


@pytest.mark.timeout(600)
async def test_every_combination_looks_as_it_must() -> None:
    seen: Counter[str] = Counter()
    failures: list[str] = []
    async with Decoder(DecodeLimits(), workers=2) as decoder:

        async def look(case: Case) -> None:
            seen[case.name.split(",")[0].split(" ")[0]] += 1
            try:
                picture, original = await decoder.decode(case.content), await decoder.decode_original(case.content)
            except ComputeError as error:
                failures.append(f"{case.name}: {error.message}")
                return
            faults = [
                _difference(picture.pixels, case.shown, case.tolerance),
                _difference(_displayed(original), case.shown, case.own_tolerance),
                None if picture.facts.depth == case.depth else f"depth {picture.facts.depth}",
            ]
            failures.extend(f"{case.name}: {fault}" for fault in faults if fault)

        made = cases(SEED)[:COMBINATIONS]
        for start in range(0, len(made), 50):
            await asyncio.gather(*(look(make()) for make in made[start : start + 50]))
    assert failures == []
    assert sum(seen.values()) == min(COMBINATIONS, len(made))
    assert set(seen) >= {"PNG", "TIFF", "JPEG", "WEBP", "AVIF", "HEIF"}


@pytest.mark.timeout(300)
async def test_a_crop_of_every_kind_of_picture_looks_as_it_must() -> None:
    """Through a handler that keeps a picture's own colours, to the file that a customer gets."""
    failures: list[str] = []
    async with opened() as bench:
        for make in cases(SEED)[: COMBINATIONS // 10]:
            case = make()
            result = await bench.adjust(case.content, aspect_ratio=1.0, mode="crop")
            with Image.open(io.BytesIO(bench.file(result.result_image_path))) as picture:
                found = _displayed_file(picture)
            height, width = case.shown.shape[:2]
            side, top, left = min(height, width), max(0, height - width) // 2, max(0, width - height) // 2
            wanted = case.shown[top : top + side, left : left + side]
            fault = _difference(found, wanted, case.own_tolerance)
            failures += [f"{case.name}: {fault}"] if fault else []
    assert failures == []


@pytest.mark.field("02")
@pytest.mark.field("04")
@pytest.mark.parametrize(
    "name",
    [
        "02_grey_alpha_linear_icc.png",
        "02_control_grey_linear_icc.png",
        "04_linear_named_srgb.png",
        "04_control_linear_other_name.png",
        "05_gama_linear.png",
    ],
)
async def test_a_palette_is_the_colour_that_it_shows(name: str) -> None:
    async with opened() as bench:
        result = await bench.fix(saved(PICTURE), (FIELD / name).read_bytes())
    assert result.palette_color == "#808080"


def _difference(found: NDArray[Any], wanted: Numbers, tolerance: float) -> str | None:
    if found.shape != wanted.shape:
        return f"{found.shape} instead of {wanted.shape}"
    # What is fully transparent has no colour.
    visible = wanted[..., 3:] > 0 if wanted.shape[2] == 4 else np.ones((*wanted.shape[:2], 1), bool)
    apart = float((np.abs(found[..., :3].astype(float) - wanted[..., :3]) * visible).max())
    apart = max(apart, float(np.abs(found[..., 3:].astype(float) - wanted[..., 3:]).max(initial=0)))
    return None if apart <= tolerance else f"{apart:.2f} apart"


def _displayed_file(picture: Image.Image) -> Numbers:
    return _displayed_pixels(np.atleast_3d(np.asarray(picture)), picture.info.get("icc_profile"))


def _displayed(original: DecodedOriginal) -> Numbers:
    return _displayed_pixels(original.pixels, original.profile)


def _displayed_pixels(pixels: NDArray[np.uint8], profile: bytes | None) -> Numbers:
    """What a program that knows profiles shows of a picture in its own colours."""
    grey, alpha = pixels.shape[2] < 3, pixels[..., -1:] if pixels.shape[2] in (2, 4) else None
    picture = Image.fromarray(pixels[..., 0] if grey else pixels[..., :3])
    if profile:
        source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        shown = ImageCms.profileToProfile(picture, source, target, outputMode="RGB", flags=EXACTLY)
        assert shown is not None
        picture = shown
    colours = np.asarray(picture.convert("RGB")).astype(float)
    return colours if alpha is None else np.dstack([colours, alpha])
