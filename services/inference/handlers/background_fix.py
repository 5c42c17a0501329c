"""A picture's background takes on another colour; subject and shadows stay."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from services.catalog.colours import rgb_of
from services.catalog.quality import Reason
from services.catalog.tasks.background_fix import BackgroundFixParams, BackgroundFixResult
from services.imaging.processing.backdrops import is_evenly_lit, is_plain, left_over
from services.imaging.processing.detail import span
from services.imaging.processing.layers import take_apart
from services.imaging.processing.protection import Shares, protect, release_backdrop
from services.imaging.processing.recolouring import (
    BrightnessThresholds,
    Colour,
    ColourChange,
    Strategy,
    background_colour,
    blend,
    darken_backdrop,
    darkening,
    light_share,
    mean_colour,
    palette_colour,
    palette_sample,
    recolour,
    replace_background,
)
from services.imaging.processing.shadows import shadow_below
from services.imaging.processing.transparency import check_visible, opaque_colours
from services.inference.context import RunContext
from services.inference.generation_facts import result_model
from services.inference.lineage import Lineage
from services.inference.originals import OriginalPicture
from services.inference.pictures import encode_png
from services.inference.provenance import DigitalSource
from services.inference.similarity import judged
from services.inference.subjects import PictureSubject, find_subject
from services.providers.ports import Pixels

_STAGES = 4
# Background is what is protected less than that, and seen; it counts from a hundredth of the picture on.
_PROTECTED, _SEEN, _LEAST_BACKGROUND = 0.5, 128, 0.01
# Alpha above which there is a subject.
_SUBJECT = 127
# Of the background's light: below the first nearly nothing changed, from the second on most of it did.
_LEAST_CHANGED, _MOSTLY_CHANGED = 0.02, 0.5
# Of the backdrop; more of it in its old colour is not what was asked for.
_LEFT_OVER = 0.05
# In a channel; what a lossy file makes of a colour.
_SAME = 3


async def run(params: BackgroundFixParams, context: RunContext) -> BackgroundFixResult:
    """PNG with the base picture's ICC profile and transparency, and the mask of what was protected.

    A backdrop too dark for the thresholds stays as it is; `background_color_before` is then null, and `quality` says
    so.

    Raises:
        InvalidRequest: a picture cannot be read; RESULT_EMPTY, as nothing of one can be seen.
        Unavailable: the model that finds subjects is away; may pass.
    """
    base = await context.load_original(params.base_image, called="base_image", local=True, grey=False)
    palette = await _palette(params, base.profile, context)
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
        background_color_before=_hex(fix.before) if fix.before else None,
        width=width,
        height=height,
        **result_model(subject.card),
        notes=context.notes,
        quality=judged((*subject.model_warnings, *fix.model_warnings)),
    )


@dataclass(frozen=True, slots=True)
class Palette:
    """`shown` is its colour in sRGB, `colour` the same in the base's numbers.

    `sample` is some of its pixels `[N, 3]`, None where the colour was named.
    """

    shown: Colour
    colour: Colour
    sample: Pixels | None = None


@dataclass(frozen=True, slots=True)
class BackgroundChange:
    """The new colours `[H, W, 3]`, what was protected `[H, W]`, and the colour before; None where nothing changed."""

    colours: Pixels
    protection: Shares
    before: Colour | None
    model_warnings: tuple[Reason, ...] = ()


async def _palette(params: BackgroundFixParams, profile: bytes | None, context: RunContext) -> Palette:
    """Both pictures may have profiles of their own: the palette's colours are seen in sRGB."""
    if params.palette_image is None:
        shown = rgb_of(params.background_color or "")
        return Palette(shown, await context.colour_in_profile(shown, profile))
    picture = await context.load_picture(params.palette_image, called="palette_image", local=True, colours=False)
    await asyncio.to_thread(check_visible, picture.pixels, "the palette picture is transparent everywhere")
    shown = await context.work(palette_colour, picture.pixels)
    colour = await context.colour_in_profile(shown, profile)
    return Palette(shown, colour, await context.work(palette_sample, picture.pixels, shown, colour))


def _fix(
    base: OriginalPicture, subject: PictureSubject, palette: Palette, params: BackgroundFixParams
) -> BackgroundChange:
    """A plain, even backdrop changes where its light says so; anything else wherever the matte says so."""
    colours = opaque_colours(base.pixels)
    if subject.matte is not None and not _is_studio(colours, subject.alpha, _thresholds(params)):
        return _fix_place(colours, subject.alpha, palette, Strategy(params.strategy.value))
    return _fix_backdrop(np.ascontiguousarray(base.pixels[:, :, :3]), base, subject, palette, params)


def _thresholds(params: BackgroundFixParams) -> BrightnessThresholds:
    return BrightnessThresholds(params.light_threshold, params.shadow_threshold)


def _is_studio(colours: Pixels, alpha: Pixels, thresholds: BrightnessThresholds) -> bool:
    return is_plain(colours, alpha) and is_evenly_lit(colours, alpha, thresholds)


def _fix_place(colours: Pixels, alpha: Pixels, palette: Palette, strategy: Strategy) -> BackgroundChange:
    protection = alpha.astype(np.float32) / np.float32(255)
    before = mean_colour(colours, alpha)
    if before is None:
        return BackgroundChange(colours, protection, None, (Reason.BACKGROUND_NOT_FOUND,))
    change, shadow = ColourChange(before, palette.colour, palette.sample), shadow_below(colours, alpha)
    model_warnings = (
        (Reason.BACKGROUND_NOT_FOUND,) if float((protection < _PROTECTED).mean()) < _LEAST_BACKGROUND else ()
    )
    replaced = replace_background(take_apart(colours, alpha), alpha, shadow, change, strategy)
    return BackgroundChange(replaced, protection, before, model_warnings)


def _fix_backdrop(
    colours: Pixels, base: OriginalPicture, subject: PictureSubject, palette: Palette, params: BackgroundFixParams
) -> BackgroundChange:
    growth, sigma = params.mask_expansion_percentage, params.edge_blur_sigma
    thresholds = _thresholds(params)
    light = light_share(colours, thresholds)
    protection = protect(subject.alpha, growth=growth, sigma=sigma)
    reach = growth * span(*base.size) + 2 * sigma
    protection = release_backdrop(colours, subject.alpha, protection, light, reach=reach)
    before, doubts = background_colour(colours, protection, thresholds), _doubts(protection, light, base.alpha)
    if before is None:
        is_wanted = _has_colour(colours, base.alpha, subject.alpha, palette.colour)
        return BackgroundChange(colours, protection, None, () if is_wanted else _why_unchanged(doubts))
    change, strategy = ColourChange(before, palette.colour, palette.sample), Strategy(params.strategy.value)
    recoloured = recolour(colours, protection, change, thresholds, strategy)
    share = darkening(change, thresholds, strategy)
    if not share or subject.matte is None or not (subject.alpha > _SUBJECT).any():
        doubts = doubts or _leftovers(colours, subject.alpha, change, thresholds, strategy)
        return BackgroundChange(recoloured, protection, before, doubts)
    layers = take_apart(colours, subject.alpha)
    darkened = darken_backdrop(layers, subject.alpha, change, thresholds, strategy)
    return _darkened(BackgroundChange(recoloured, protection, before, doubts), darkened, subject.alpha, share)


def _leftovers(
    colours: Pixels, alpha: Pixels, change: ColourChange, thresholds: BrightnessThresholds, strategy: Strategy
) -> tuple[Reason, ...]:
    """Whether the old colour still shows beyond the subject's shadow."""
    left = left_over(colours, alpha, change, thresholds, strategy)
    return (Reason.BACKGROUND_PARTLY_CHANGED,) if left > _LEFT_OVER else ()


def _darkened(fix: BackgroundChange, colours: Pixels, alpha: Pixels, share: float) -> BackgroundChange:
    """On a darker colour what is protected round the subject would be a halo: there the matte alone protects."""
    protection = fix.protection + np.float32(share) * (alpha.astype(np.float32) / np.float32(255) - fix.protection)
    return replace(fix, colours=blend(fix.colours, colours, share), protection=protection)


def _doubts(protection: Shares, light: Shares, alpha: Pixels | None) -> tuple[Reason, ...]:
    """Whether there was a background, and how much of what can be seen of it was light enough to change."""
    open_to_change = (protection < _PROTECTED) & (alpha >= _SEEN if alpha is not None else True)
    if float(open_to_change.mean()) < _LEAST_BACKGROUND:
        return (Reason.BACKGROUND_NOT_FOUND,)
    changed = float(light[open_to_change].mean())
    if changed < _LEAST_CHANGED:
        return (Reason.BACKGROUND_TOO_DARK,)
    return (Reason.BACKGROUND_PARTLY_CHANGED,) if changed < _MOSTLY_CHANGED else ()


def _why_unchanged(doubts: tuple[Reason, ...]) -> tuple[Reason, ...]:
    """Where no background is left that is far enough from the subject to change, as in a narrow picture."""
    return doubts if Reason.BACKGROUND_TOO_DARK in doubts else (Reason.BACKGROUND_NOT_FOUND,)


def _has_colour(colours: Pixels, seen: Pixels | None, subject: Pixels, colour: Colour) -> bool:
    """Whether there is a background, and all of it but specks is of that colour already."""
    background = colours[(subject == 0) & (seen >= _SEEN if seen is not None else True)]
    if len(background) < _LEAST_BACKGROUND * subject.size:
        return False
    far = np.abs(background.astype(np.int16) - np.array(colour, np.int16)).max(axis=1) > _SAME
    return float(far.mean()) < _LEAST_BACKGROUND


def _encode(base: OriginalPicture, fix: BackgroundChange, recipe: dict[str, Any]) -> tuple[bytes, bytes]:
    """The picture and the mask."""
    pixels = fix.colours if base.alpha is None else np.dstack([fix.colours, base.alpha])
    mask = (fix.protection * 255).round().astype(np.uint8)
    lineage = Lineage.of({"base_image": base})
    png = encode_png(base.in_own_mode(pixels), recipe, source=DigitalSource.ENHANCED, icc=base.profile, lineage=lineage)
    return png, encode_png(mask)


def _recipe(
    params: BackgroundFixParams, palette: Palette, fix: BackgroundChange, subject: PictureSubject
) -> dict[str, Any]:
    """Everything asked for but the pictures, whose names are the caller's."""
    asked = params.model_dump(mode="json", exclude={"base_image", "palette_image"}, exclude_none=True)
    before = _hex(fix.before) if fix.before else None
    return {**asked, "palette_color": _hex(palette.shown), "background_color_before": before, **subject.facts}


def _hex(colour: Colour) -> str:
    return "#{:02X}{:02X}{:02X}".format(*colour)
