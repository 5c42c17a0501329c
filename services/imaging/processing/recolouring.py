"""A picture's background takes on another colour, its lit parts wholly, its shadows not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from services.imaging.processing.arrays import Pixels
from services.imaging.processing.colours import dominant
from services.imaging.processing.lab import from_lab, to_lab
from services.imaging.processing.layers import Layers
from services.imaging.processing.protection import Shares

Colour: TypeAlias = tuple[int, int, int]
# Rows are worked on in strips of about so many pixels: a picture as floats would take twelve times its bytes.
_STRIP_PIXELS = 1 << 20
# Of a palette picture's sides: its outer frame counts more, as a backdrop shows there.
_FRAME = 0.08
_FRAME_WEIGHT = 4.0
# Distance in CIE L*a*b* that still belongs to a backdrop with its shading.
_NEAR = 25.0
# What is left of a place's contrast where there is no room for more.
_LEAST_CONTRAST = 0.25
_SAMPLES = 1 << 18
# Of the way from the light threshold to the shadow threshold: after it a shadow has all of its depth.
_PENUMBRA = 0.25
_LEVELS = 256


class Strategy(Enum):
    """How the background takes on the colour; the formulas stand at `recolour`."""

    COLOR_SHIFT = "COLOR_SHIFT"
    LUMINANCE_PRESERVING = "LUMINANCE_PRESERVING"
    HISTOGRAM_MATCH = "HISTOGRAM_MATCH"
    FLAT_FILL = "FLAT_FILL"


@dataclass(frozen=True, slots=True)
class BrightnessThresholds:
    """Brightness 0 to 255 (luma of ITU-R BT.601) from which on a background changes wholly, and below which not."""

    light: float = 220.0
    shadow: float = 150.0


@dataclass(frozen=True, slots=True)
class ColourChange:
    """The colour a background has, the one it takes on, and for HISTOGRAM_MATCH a palette's pixels `[N, 3]`."""

    before: Colour
    after: Colour
    palette: Pixels | None = None


def replace_background(
    layers: Layers, alpha: Pixels, shadow: Shares, change: ColourChange, strategy: Strategy
) -> Pixels:
    """The subject as it is, before its background in the new colour; edges mixed anew by `alpha` `[H, W]`.

    All of the background changes, however bright. FLAT_FILL, which leaves nothing else of it, keeps `shadow` `[H, W]`:
    the share of the light that the subject takes.
    """
    inside = (alpha == 255).astype(np.float32)
    ground = recolour(layers.ground, inside, change, None, strategy)
    if strategy is Strategy.FLAT_FILL and shadow.any():
        ground = np.rint(ground * (1 - shadow[..., np.newaxis])).astype(np.uint8)
    return Layers(layers.subject, ground).mixed(alpha)


def darkening(change: ColourChange, thresholds: BrightnessThresholds, strategy: Strategy) -> float:
    """1 where a channel of the new colour is so dark that shadows would glow if they stayed; 0 from half-light on.

    LUMINANCE_PRESERVING makes no backdrop darker.
    """
    if strategy is Strategy.LUMINANCE_PRESERVING:
        return 0.0
    reach = max((thresholds.light - thresholds.shadow) / 2, 1.0)
    return float(np.clip(1 - (min(change.after) - thresholds.shadow) / reach, 0, 1))


def darken_backdrop(
    layers: Layers, alpha: Pixels, change: ColourChange, thresholds: BrightnessThresholds, strategy: Strategy
) -> Pixels:
    """The subject as it is, before a backdrop in a darker colour, each shadow in proportion: after · seen / before.

    COLOR_SHIFT takes that of each channel, light and shade alike. The others have their own colours in the light.
    Edges are mixed anew by `alpha` `[H, W]`, as the old backdrop would shine in them.
    """
    before, after = np.maximum(np.array(change.before, np.float32), 1), np.array(change.after, np.float32)
    inside = (alpha == 255).astype(np.float32)
    shift = strategy is Strategy.COLOR_SHIFT
    # Where a shadow begins its colour is still the new one alone, nothing of the old.
    full = thresholds.light - _penumbra(thresholds)
    lit = BrightnessThresholds(full, min(thresholds.shadow, full))
    ground = layers.ground.copy() if shift else recolour(layers.ground, inside, change, lit, strategy)
    for rows in _strips(ground):
        seen = layers.ground[rows]
        if shift:
            ground[rows] = np.rint(np.minimum(seen * (after / before), 255)).astype(np.uint8)
            continue
        shade = _shade(seen, thresholds)[..., np.newaxis]
        left = np.minimum(_lumas(seen) / max(_luma(change.before), 1.0), 1)[..., np.newaxis]
        ground[rows] = np.rint(ground[rows] + shade * (after * left - ground[rows])).astype(np.uint8)
    return Layers(layers.subject, ground).mixed(alpha)


def blend(one: Pixels, other: Pixels, share: float) -> Pixels:
    """`one` with that share of `other`."""
    return np.asarray(cv2.addWeighted(one, 1 - share, other, share, 0), np.uint8)


def palette_colour(pixels: Pixels) -> Colour:
    """The dominant colour of what can be seen of `[H, W, 3 or 4]`, where the outer frame counts four times."""
    return dominant(pixels[:, :, :3], _palette_weights(pixels))


def palette_sample(pixels: Pixels, shown: Colour, colour: Colour) -> Pixels:
    """`[N, 3]`: what of a palette picture lies near its dominant colour `shown`, moved to `colour` with it."""
    flat = _sampled(pixels.reshape(-1, pixels.shape[2]))
    if flat.shape[1] == 4:
        flat = flat[flat[:, 3] > 0][:, :3]
    if not len(flat):
        return np.array([colour], np.uint8)
    lab = to_lab(flat)
    near = lab[np.linalg.norm(lab - _lab(shown), axis=1) <= _NEAR]
    moved = from_lab(near + (_lab(colour) - _lab(shown)))
    return moved.round().astype(np.uint8) if len(near) else np.array([colour], np.uint8)


def background_colour(pixels: Pixels, protection: Shares, thresholds: BrightnessThresholds) -> Colour | None:
    """The dominant colour of the background that may change; None when there is none bright enough."""
    weights = np.where(protection < 0.05, light_share(pixels, thresholds), np.float32(0))
    return dominant(pixels, weights) if (weights > 0).any() else None


def mean_colour(pixels: Pixels, alpha: Pixels) -> Colour | None:
    """Of what `alpha` `[H, W]` calls background, in CIE L*a*b*; None where it calls nothing so."""
    behind = _sampled(pixels[alpha == 0])
    if not len(behind):
        return None
    red, green, blue = from_lab(to_lab(behind).mean(axis=0, dtype=np.float64).astype(np.float32).reshape(1, 3)).round()[
        0
    ]
    return int(red), int(green), int(blue)


def light_share(pixels: Pixels, thresholds: BrightnessThresholds | None) -> Shares:
    """0 up to the shadow threshold, 1 from the light threshold, between them 3t² - 2t³ (smoothstep); 1 without any."""
    if thresholds is None:
        return np.ones(pixels.shape[:2], np.float32)
    luma = _lumas(pixels)
    width = thresholds.light - thresholds.shadow
    if width <= 0:
        return (luma >= thresholds.light).astype(np.float32)
    rise = np.clip((luma - np.float32(thresholds.shadow)) / np.float32(width), 0, 1)
    return np.asarray(rise * rise * (3 - 2 * rise), np.float32)


def recolour(
    pixels: Pixels,
    protection: Shares,
    change: ColourChange,
    thresholds: BrightnessThresholds | None,
    strategy: Strategy,
) -> Pixels:
    """`[H, W, 3]`, its background in the new colour; `protection` `[H, W]` is 1 on the subject.

    With w = (1 - protection) · light_share, and the colours before and after in CIE L*a*b*:
    - COLOR_SHIFT: Lab + w · (after - before): the difference of means of Reinhard et al., "Color Transfer between
      Images" (2001), without its scaling of deviations; without thresholds, with as much of it as keeps most
      colours between black and white.
    - LUMINANCE_PRESERVING: the same for a* and b* alone.
    - HISTOGRAM_MATCH: each of L*, a*, b* goes to the same quantile of the palette (Gonzalez and Woods, "Digital Image
      Processing", 3.3.2), by the share w.
    - FLAT_FILL: the new colour itself, by the share w.
    Where w is 0 every pixel stays bit-equal. The same input gives the same output.
    """
    transform = _TRANSFORMS[strategy](pixels, protection, change, thresholds)
    result = pixels.copy()
    for rows in _strips(pixels):
        part = pixels[rows]
        share = (1 - protection[rows]) * light_share(part, thresholds)
        changed = share > 0
        if changed.any():
            lab, by = to_lab(part[changed]), share[changed][:, np.newaxis]
            result[rows][changed] = from_lab(lab + by * (transform(lab) - lab)).round().astype(np.uint8)
    return result


Transform: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def _shift(
    pixels: Pixels, protection: Shares, change: ColourChange, thresholds: BrightnessThresholds | None
) -> Transform:
    before, after = _lab(change.before), _lab(change.after)
    scale = np.float32(1.0) if thresholds is not None else _fitting_scale(pixels[protection < 1], before, after)
    return lambda lab: after + scale * (lab - before)


def _fitting_scale(flat: Pixels, before: NDArray[np.float32], after: NDArray[np.float32]) -> np.float32:
    """How much of a place's contrast there is room for round the new lightness, as a share; never less than a quarter.

    A bright backdrop moves by little. What moves by much would else end in white or black with its hue left over.
    """
    low, high = np.percentile(to_lab(_sampled(flat))[:, 0], [2, 98]) if len(flat) else (before[0], before[0])
    rooms = (100 - after[0]) / max(high - before[0], 1), after[0] / max(before[0] - low, 1)
    return np.float32(np.clip(min(rooms), _LEAST_CONTRAST, 1))


def _shift_hue(_: Pixels, __: Shares, change: ColourChange, ___: BrightnessThresholds | None) -> Transform:
    difference = (_lab(change.after) - _lab(change.before)) * np.array([0, 1, 1], np.float32)
    return lambda lab: lab + difference


def _fill(_: Pixels, __: Shares, change: ColourChange, ___: BrightnessThresholds | None) -> Transform:
    colour = _lab(change.after)
    return lambda lab: np.broadcast_to(colour, lab.shape)


def _match(
    pixels: Pixels, protection: Shares, change: ColourChange, thresholds: BrightnessThresholds | None
) -> Transform:
    """Quantiles of the lit background and of the palette."""
    lit = (1 - protection) * light_share(pixels, thresholds) > 0.5
    own = _sampled(pixels[lit]) if lit.any() else np.array([change.before], np.uint8)
    wanted = np.array([change.after], np.uint8) if change.palette is None else _sampled(change.palette)
    steps = np.linspace(0, 1, _LEVELS)
    sources, targets = (np.quantile(to_lab(part).astype(np.float64), steps, axis=0) for part in (own, wanted))

    def matched(lab: NDArray[np.float32]) -> NDArray[np.float32]:
        channels = [_by_quantile(lab[:, index], sources[:, index], targets[:, index]) for index in range(3)]
        return np.stack(channels, axis=1).astype(np.float32)

    return matched


def _by_quantile(values: Shares, source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Beyond the source's range values keep their distance from its end."""
    inside = np.clip(values, source[0], source[-1])
    positions, first = np.unique(source, return_index=True)
    last = len(source) - 1 - np.unique(source[::-1], return_index=True)[1]
    middle = (target[first] + target[last]) / 2
    return np.interp(inside, positions, middle) + (values - inside)


_TRANSFORMS: dict[Strategy, Callable[[Pixels, Shares, ColourChange, BrightnessThresholds | None], Transform]] = {
    Strategy.COLOR_SHIFT: _shift,
    Strategy.LUMINANCE_PRESERVING: _shift_hue,
    Strategy.HISTOGRAM_MATCH: _match,
    Strategy.FLAT_FILL: _fill,
}


def _shade(pixels: Pixels, thresholds: BrightnessThresholds) -> Shares:
    """0 from the light threshold up, and soon 1 below."""
    rise = np.clip((np.float32(thresholds.light) - _lumas(pixels)) / np.float32(_penumbra(thresholds)), 0, 1)
    return np.asarray(rise * rise * (3 - 2 * rise), np.float32)


def _penumbra(thresholds: BrightnessThresholds) -> float:
    return max(_PENUMBRA * (thresholds.light - thresholds.shadow), 1.0)


def _lumas(pixels: Pixels) -> Shares:
    return cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY).astype(np.float32)


def _luma(colour: Colour) -> float:
    return float(_lumas(np.array([[colour]], np.uint8))[0, 0])


def _lab(colour: Colour) -> NDArray[np.float32]:
    return to_lab(np.array([colour], np.uint8)).reshape(3)


def _sampled(flat: Pixels) -> Pixels:
    return flat[:: -(-len(flat) // _SAMPLES)]


def _palette_weights(pixels: Pixels) -> Shares:
    height, width = pixels.shape[:2]
    weights = np.full((height, width), _FRAME_WEIGHT, np.float32)
    deep, wide = round(_FRAME * height), round(_FRAME * width)
    weights[deep : height - deep, wide : width - wide] = 1
    if pixels.shape[2] == 4:
        weights *= pixels[:, :, 3]
    return weights


def _strips(pixels: Pixels) -> Iterator[slice]:
    height, width = pixels.shape[:2]
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))
