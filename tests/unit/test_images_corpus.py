"""Every combination of container, mode, depth, profile, orientation and transparency looks as it must.

PICTURE_COMBINATIONS and PICTURE_SEED make the long form: all of them, with other pixels.
"""

from __future__ import annotations

import asyncio
import io
import os
from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageCms

from services.common.errors import ComputeError
from services.imaging.decoder import Decoder, Limits, Original
from tests.corpora.pictures import Case, Numbers, cases

COMBINATIONS = int(os.environ.get("PICTURE_COMBINATIONS", "2000"))
# Otherwise LittleCMS prepares a few steps and guesses between them.
EXACTLY = ImageCms.Flags.NOOPTIMIZE
SEED = int(os.environ.get("PICTURE_SEED", "11"))


@pytest.mark.timeout(600)
async def test_every_combination_looks_as_it_must() -> None:
    seen: Counter[str] = Counter()
    failures: list[str] = []
    async with Decoder(Limits(), workers=2) as decoder:

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


def _difference(found: Numbers, wanted: Numbers, tolerance: float) -> str | None:
    if found.shape != wanted.shape:
        return f"{found.shape} instead of {wanted.shape}"
    # What is fully transparent has no colour.
    visible = wanted[..., 3:] > 0 if wanted.shape[2] == 4 else np.ones((*wanted.shape[:2], 1), bool)
    apart = float((np.abs(found[..., :3].astype(float) - wanted[..., :3]) * visible).max())
    apart = max(apart, float(np.abs(found[..., 3:].astype(float) - wanted[..., 3:]).max(initial=0)))
    return None if apart <= tolerance else f"{apart:.2f} apart"


def _displayed(original: Original) -> Numbers:
    """What a program that knows profiles shows of a picture in its own colours."""
    pixels = original.pixels
    grey, alpha = pixels.shape[2] < 3, pixels[..., -1:] if pixels.shape[2] in (2, 4) else None
    picture = Image.fromarray(pixels[..., 0] if grey else pixels[..., :3])
    if original.profile:
        source, target = ImageCms.ImageCmsProfile(io.BytesIO(original.profile)), ImageCms.createProfile("sRGB")
        shown = ImageCms.profileToProfile(picture, source, target, outputMode="RGB", flags=EXACTLY)
        assert shown is not None
        picture = shown
    colours = np.asarray(picture.convert("RGB")).astype(float)
    return colours if alpha is None else np.dstack([colours, alpha])
