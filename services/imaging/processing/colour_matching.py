"""The colours of one picture given to another, or taken from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from services.imaging.processing.arrays import Pixels
from services.imaging.processing.detail import strips
from services.imaging.processing.lab import pixels_of, to_lab

# Takes a picture and the one it is to look like.
Match: TypeAlias = Callable[[Pixels, Pixels], Pixels]
Mask: TypeAlias = NDArray[np.bool_]
_LARGEST_STRETCH = 1.5
# Points across a picture that its broad run is told by.
_BROAD = 32
# The blur of a broad run, as parts of the shorter side: the eye is led by light, and sees colours more coarsely.
_LIGHT_PARTS, _COLOUR_PARTS = 32, 64
# What is finer than that, in pixels, is detail; with less of it, in levels squared, there is none.
_FINE_SIGMA, _NO_DETAIL = 3.0, 0.25
# All of it is put back where more than a sixteenth was lost.
_PUT_BACK = 16.0
# In pixels; a blur of more is worked out on a smaller copy, as its time grows with it.
_LEAST_SIGMA, _ENOUGH_SIGMA = 0.5, 2.0
# Levels between the channels that codecs and profiles leave of what is grey.
_TINT = 2


def match_lab(
    pixels: Pixels, like: Pixels, where: Mask | None = None, like_where: Mask | None = None, *, channels: int = 3
) -> Pixels:
    """Gives the first `channels` of Lab the mean and spread that `like` has; both RGB `[H, W, 3]`, of any sizes.

    Reinhard et al., Color Transfer between Images, 2001, in CIE Lab; a spread grows or shrinks by half at most, so that
    noise stays small. Statistics are taken, and colours changed, `where` given, else everywhere.
    """
    if pixels is like or np.array_equal(pixels, like):
        return pixels
    source, wanted = to_lab(pixels), to_lab(like)
    here = source.reshape(-1, 3) if where is None else source[where]
    there = wanted.reshape(-1, 3) if like_where is None else wanted[like_where]
    if not len(here) or not len(there):
        return pixels
    mean, spread = here.mean(0, dtype=np.float64), here.std(0, dtype=np.float64)
    stretch = there.std(0, dtype=np.float64) / np.maximum(spread, 1e-6)
    stretch = np.clip(stretch, 1 / _LARGEST_STRETCH, _LARGEST_STRETCH)
    moved = (source - mean) * stretch + there.mean(0, dtype=np.float64)
    moved[:, :, channels:] = source[:, :, channels:]
    matched = pixels_of(moved.astype(np.float32))
    if where is not None:
        matched[~where] = pixels[~where]
    return matched


def match_histogram(pixels: Pixels, like: Pixels) -> Pixels:
    """Brings each RGB channel of `pixels` to the histogram of `like` (scikit-image), both `[H, W, 3]`.

    Only the broad run of that correction is used: pixel by pixel it would make specks of what is rare.
    """
    from skimage.exposure import match_histograms  # 2 MB that a worker at rest needs not

    matched = match_histograms(pixels, like, channel_axis=2)
    correction = matched.astype(np.float32) - pixels
    few = cv2.resize(correction, (_BROAD, _BROAD), interpolation=cv2.INTER_AREA)
    broad = cv2.resize(cv2.GaussianBlur(few, (0, 0), 1.0), pixels.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    corrected: Pixels = np.clip(np.rint(pixels + broad), 0, 255).astype(np.uint8)
    return corrected


def is_colourless(pixels: Pixels) -> bool:
    """Whether `[H, W, 1 to 4]` has none but greys, where it can be seen."""
    height, width, channels = pixels.shape
    return channels < 3 or all(_most_tint(pixels[rows]) <= _TINT for rows, _, _ in strips(height, width))


def _most_tint(pixels: Pixels) -> int:
    red, green, blue, *alpha = cv2.split(np.ascontiguousarray(pixels))
    tint = cv2.subtract(cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue))
    return int(cv2.minMaxLoc(tint, alpha[0] if alpha else None)[1])


def without_colours(pixels: Pixels) -> Pixels:
    """`[H, W, 3 or 4]` with the luminance of each pixel in all its channels; what is grey stays as it is."""
    grey = cv2.cvtColor(np.ascontiguousarray(pixels[:, :, :3]), cv2.COLOR_RGB2GRAY)
    return np.dstack([grey, grey, grey, pixels[:, :, 3:]]).astype(np.uint8, copy=False)


def keep_run(pixels: Pixels, like: Pixels) -> Pixels:
    """`pixels` with the broad run of light and colours that `like` has, both RGB `[H, W, 3]` of one size.

    What is finer, the drawing itself, stays. A mean and a spread are right for a whole that has an orange eyebrow.
    """
    if pixels is like or np.array_equal(pixels, like):
        return pixels
    lab, size = to_lab(pixels), (pixels.shape[1], pixels.shape[0])
    apart = to_lab(like) - lab
    for channels, parts in ((slice(0, 1), _LIGHT_PARTS), (slice(1, 3), _COLOUR_PARTS)):
        broad = cv2.resize(blurred(apart[:, :, channels], parts), size, interpolation=cv2.INTER_LINEAR)
        lab[:, :, channels] += broad.reshape(lab[:, :, channels].shape)
    return pixels_of(lab)


def keep_fine(pixels: Pixels, like: Pixels) -> Pixels:
    """`pixels`, nowhere softer than `like`, both RGB `[H, W, 3]` of one size: what is lost of fine detail is put back.

    Where both have as much of it, `pixels` stay as they are, whatever it shows.
    """
    if pixels is like or np.array_equal(pixels, like):
        return pixels
    fine, was = _fine(pixels), _fine(like)
    share = np.sqrt(_energy(fine) / np.maximum(_energy(was), _NO_DETAIL))
    lost = np.clip((1 - share) * _PUT_BACK, 0, 1)[..., np.newaxis]
    kept: Pixels = np.clip(np.rint(pixels + lost * (was - fine)), 0, 255).astype(np.uint8)
    return kept


def _fine(pixels: Pixels) -> NDArray[np.float32]:
    sharp = pixels.astype(np.float32)
    return np.asarray(sharp - cv2.GaussianBlur(sharp, (0, 0), _FINE_SIGMA), np.float32)


def _energy(fine: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur((fine * fine).mean(axis=2), (0, 0), 2 * _FINE_SIGMA), np.float32)


def blurred(field: NDArray[np.float32], parts: int) -> NDArray[np.float32]:
    """`[H, W, C]` without what is finer than one of so many parts of the shorter side; smaller, where that suffices."""
    height, width = field.shape[:2]
    sigma = max(min(height, width) / parts, _LEAST_SIGMA)
    factor = max(int(sigma / _ENOUGH_SIGMA), 1)
    few = max(width // factor, 1), max(height // factor, 1)
    small = cv2.resize(field, few, interpolation=cv2.INTER_AREA) if factor > 1 else field
    return cv2.GaussianBlur(small, (0, 0), sigma / factor).astype(np.float32, copy=False)
