"""A picture's background takes on the colour of another's; subject and shadows stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from services.catalog.tasks.background_fix import BackgroundFixParams, BackgroundFixResult
from services.inference.context import Context
from services.inference.imaging.protection import Shares, protect, release_backdrop
from services.inference.imaging.recolouring import (
    Change,
    Colour,
    Strategy,
    Thresholds,
    background_colour,
    light_share,
    palette_colour,
    palette_sample,
    recolour,
)
from services.inference.originals import OriginalPicture
from services.inference.pictures import encode_png
from services.inference.provenance import DigitalSource
from services.inference.subjects import Subject, find_subject
from services.providers.ports import Pixels

_STAGES = 4


async def run(params: BackgroundFixParams, context: Context) -> BackgroundFixResult:
    """PNG with the base picture's ICC profile and transparency, and the mask of what was protected.

    A background too dark for the thresholds stays as it is; `background_color` is then null.

    Raises:
        InvalidRequest: a picture cannot be read.
        Unavailable: the model that finds subjects is away; may pass.
    """
    base = await context.load_original(params.base_image, local=True, grey=False)
    palette = await _palette(params.palette_image, base.profile, context)
    await context.progress.report("loaded", 1, _STAGES)
    subject = await find_subject(base, context)
    await context.progress.report("subject found", 2, _STAGES)
    fix = await context.work(_fix, base, subject, palette, params)
    files = await context.work(_encode, base, fix, _recipe(params, palette, fix, subject))
    await context.progress.report("recoloured", 3, _STAGES)
    result_path = await context.outputs.save("fixed.png", files[0])
    mask_path = await context.outputs.save("mask.png", files[1])
    await context.progress.report("stored", _STAGES, _STAGES)
    width, height = base.size
    return BackgroundFixResult(
        result_image_path=result_path,
        base_image_path=params.base_image,
        palette_image_path=params.palette_image,
        mask_path=mask_path,
        palette_color=_hex(palette.shown),
        background_color=_hex(fix.before) if fix.before else None,
        width=width,
        height=height,
    )


@dataclass(frozen=True, slots=True)
class Palette:
    """`shown` is its colour in sRGB, `colour` the same in the base's numbers, `sample` some of its pixels `[N, 3]`."""

    shown: Colour
    colour: Colour
    sample: Pixels


@dataclass(frozen=True, slots=True)
class Fix:
    """The new colours `[H, W, 3]`, what was protected `[H, W]`, and the colour before; None where nothing changed."""

    colours: Pixels
    protection: Shares
    before: Colour | None


async def _palette(reference: str, profile: bytes | None, context: Context) -> Palette:
    """Both pictures may have profiles of their own: the palette's colours are seen in sRGB."""
    pixels = await context.load_image(reference, local=True)
    shown = await context.work(palette_colour, pixels)
    colour = await context.colour_in_profile(shown, profile)
    return Palette(shown, colour, await context.work(palette_sample, pixels, shown, colour))


def _fix(base: OriginalPicture, subject: Subject, palette: Palette, params: BackgroundFixParams) -> Fix:
    colours = np.ascontiguousarray(base.pixels[:, :, :3])
    growth, sigma = params.mask_expansion_percentage, params.edge_blur_sigma
    thresholds = Thresholds(params.light_threshold, params.shadow_threshold)
    light = light_share(colours, thresholds)
    protection = protect(subject.alpha, growth=growth, sigma=sigma)
    reach = growth * max(base.size) + 2 * sigma
    protection = release_backdrop(colours, subject.alpha, protection, light, reach=reach)
    before = background_colour(colours, protection, thresholds)
    if before is None:
        return Fix(colours, protection, None)
    change, strategy = Change(before, palette.colour, palette.sample), Strategy(params.strategy.value)
    return Fix(recolour(colours, protection, change, thresholds, strategy), protection, before)


def _encode(base: OriginalPicture, fix: Fix, recipe: dict[str, Any]) -> tuple[bytes, bytes]:
    """The picture and the mask."""
    pixels = fix.colours if base.alpha is None else np.dstack([fix.colours, base.alpha])
    mask = (fix.protection * 255).round().astype(np.uint8)
    return encode_png(pixels, recipe, source=DigitalSource.ENHANCED, icc=base.profile), encode_png(mask)


def _recipe(params: BackgroundFixParams, palette: Palette, fix: Fix, subject: Subject) -> dict[str, Any]:
    """Everything asked for but the pictures, whose names are the caller's."""
    asked = params.model_dump(mode="json", exclude={"base_image", "palette_image"})
    before = _hex(fix.before) if fix.before else None
    return {**asked, "palette_color": _hex(palette.shown), "background_color": before, **subject.facts}


def _hex(colour: Colour) -> str:
    return "#{:02X}{:02X}{:02X}".format(*colour)
