"""How far a redrawn picture strayed from the one before, and whether that is near enough.

SSIM comes from scikit-image. LPIPS and DISTS need trained networks that this repository cannot hold: `LPIPS_MODEL` and
`DISTS_MODEL` name ONNX files with two inputs, `reference` and `image`, each float32 `[1, 3, 256, 256]`, RGB, from -1 to
1 for LPIPS and from 0 to 1 for DISTS (as the `lpips` and `DISTS_pytorch` packages take them), and one output, a number.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import FilePath
from pydantic_settings import BaseSettings

from services.imaging.processing.colour_matching import blurred
from services.imaging.processing.detail import resized
from services.imaging.processing.lab import to_lab
from services.providers.capabilities.measures import COLOUR, DETAIL, DISTS, LPIPS, REFERENCE, SSIM, SimilarityScore
from services.providers.ports import Pixels

# The shorter side SSIM is measured at; see `measure_ssim`.
_SSIM_SIDE = 256
_SSIM_WINDOW, _LEAST_WINDOW = 7, 3
# As fine as before, but for roundings.
_LEAST_DETAIL, _NEAR = 0.99, 0.9
# In a* and b* of CIE Lab, of parts as large as a 16th of the shorter side, all but the worst hundredth. Faces of
# photographs that came out well had 2.2 and 2.6, one with orange streaks 4.2, and one with green in its hair 7.8.
_MOST_DISCOLOURED, _COLOUR_PARTS, _COLOUR_SHARE = 3.5, 16, 99
_NETWORK_SIDE = 256


class MeasureSettings(BaseSettings):
    """A file that is named must be there."""

    lpips_model: FilePath | None = None
    """ONNX network that measures LPIPS; without one that measure is not taken."""
    dists_model: FilePath | None = None
    """ONNX network that measures DISTS; without one that measure is not taken."""


@dataclass(frozen=True, slots=True)
class SimilarityThresholds:
    """SSIM at least, LPIPS and DISTS at most; 0 turns a check off."""

    ssim: float = 0.0
    lpips: float = 0.0
    dists: float = 0.0

    def asked(self) -> dict[str, float]:
        every = {SSIM: self.ssim, LPIPS: self.lpips, DISTS: self.dists}
        return {name: limit for name, limit in every.items() if limit}


@dataclass(frozen=True, slots=True)
class SimilarityVerdict:
    """`accepted` when every measure that was taken passed, and at least one was, if any was asked for.

    `worth` is asked of every attempt, whatever the caller's thresholds.
    """

    measures: tuple[SimilarityScore, ...] = ()
    worth: tuple[SimilarityScore, ...] = ()

    @property
    def accepted(self) -> bool:
        judged = [measure.passed for measure in self.measures if measure.value is not None]
        is_worse = any(measure.passed is False for measure in self.worth)
        return not is_worse and all(judged) and (bool(judged) or not self.measures)

    @property
    def taken(self) -> tuple[SimilarityScore, ...]:
        return (*self.measures, *self.worth)

    @property
    def can_change(self) -> bool:
        """Another attempt may be judged otherwise."""
        return not self.measures or any(measure.value is not None for measure in self.measures)


def worst(measured: Iterable[Sequence[SimilarityScore]]) -> tuple[SimilarityScore, ...]:
    """Of several pieces, for each measure the piece that strayed farthest."""
    by_name: dict[str, list[SimilarityScore]] = {}
    for measure in chain.from_iterable(measured):
        by_name.setdefault(measure.name, []).append(measure)
    return tuple(max(found, key=_straying) for found in by_name.values())


def _straying(measure: SimilarityScore) -> float:
    value = measure.value or 0.0
    return measure.threshold - value if measure.is_similarity else value - measure.threshold


class Worth(Protocol):
    def __call__(self, before: Pixels, start: Pixels, after: Pixels) -> tuple[SimilarityScore, ...]: ...


def keeps_colours(before: Pixels, start: Pixels, after: Pixels) -> tuple[SimilarityScore, ...]:
    """No part takes on another colour, which SSIM, of the luminance alone, does not see."""
    moved = blurred(to_lab(after)[:, :, 1:] - to_lab(before)[:, :, 1:], _COLOUR_PARTS)
    strayed = float(np.percentile(np.hypot(moved[:, :, 0], moved[:, :, 1]), _COLOUR_SHARE))
    return (SimilarityScore(COLOUR, strayed, _MOST_DISCOLOURED),)


def keeps_detail(before: Pixels, start: Pixels, after: Pixels) -> tuple[SimilarityScore, ...]:
    """What is to become finer does not become softer: the mean gradient of the luminance, as a share of that before.

    Nor does it take on other colours.
    """
    had, has = (_mean_gradient(_luminance(part)) for part in (before, after))
    detail = SimilarityScore(DETAIL, has / had if had else 1.0, _LEAST_DETAIL)
    return (detail, *keeps_colours(before, start, after))


def _mean_gradient(grey: Pixels) -> float:
    return float(np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)).mean())


def comes_nearer(before: Pixels, start: Pixels, after: Pixels) -> tuple[SimilarityScore, ...]:
    """SSIM with `start`, which shows what was wanted: at least what it was before, or as near as makes no matter."""
    return (SimilarityScore(REFERENCE, measure_ssim(start, after), min(measure_ssim(start, before), _NEAR)),)


class Distance(Protocol):
    def __call__(self, before: Pixels, after: Pixels) -> float: ...


@dataclass(frozen=True)
class SimilarityJudge:
    """`networks` by the name of their measure; one that is missing is not measured, and said so. For a thread."""

    networks: Mapping[str, Distance] = field(default_factory=dict)

    def compare(self, before: Pixels, after: Pixels, thresholds: SimilarityThresholds) -> SimilarityVerdict:
        """Two RGB pictures `[H, W, 3]` of one size."""
        asked = thresholds.asked().items()
        return SimilarityVerdict(tuple(self._measure(name, limit, before, after) for name, limit in asked))

    def _measure(self, name: str, limit: float, before: Pixels, after: Pixels) -> SimilarityScore:
        if name == SSIM:
            return SimilarityScore(name, measure_ssim(before, after), limit)
        if name not in self.networks:
            note = f"not measured, so its threshold was not checked: {name.upper()}_MODEL names no network"
            return SimilarityScore(name, None, limit, note)
        return SimilarityScore(name, self.networks[name](before, after), limit)


def judge(settings: MeasureSettings) -> SimilarityJudge:
    """With the networks the deployment has. Raises cv2.error when a file is no ONNX network."""
    files = {LPIPS: (settings.lpips_model, 2.0, -1.0), DISTS: (settings.dists_model, 1.0, 0.0)}
    return SimilarityJudge(
        {name: OnnxDistance(str(file), span, low) for name, (file, span, low) in files.items() if file}
    )


def _structure(first: NDArray[Any], second: NDArray[Any], **how: Any) -> Any:
    from skimage.metrics import structural_similarity  # brings SciPy: 25 MB that a worker at rest needs not

    return structural_similarity(first, second, **how)


def measure_ssim(before: Pixels, after: Pixels) -> float:
    """-1 to 1, 1 for the same picture; of the luminance, shrunk as Wang et al. suggest for pictures seen as a whole.

    That is by the whole number nearest to the shorter side by 256 (the notes to ssim_index.m).
    """
    first, second = _with_room(_grey(before)), _with_room(_grey(after))
    window = min(_SSIM_WINDOW, (min(first.shape) - 1) // 2 * 2 + 1)
    return float(_structure(first, second, win_size=window, data_range=255))


def keep_alike(before: Pixels, after: Pixels, threshold: float) -> Pixels:
    """`after` where it resembles `before`, `before` where it does not: a mean hides the spot that went wrong.

    Fully kept where the SSIM is what is asked for on average, not at all where it is two thirds of that; 0 keeps all.
    """
    first, second = _grey(before), _grey(after)
    if not threshold or min(first.shape) < _SSIM_WINDOW:
        return after
    _, local = _structure(first, second, win_size=_SSIM_WINDOW, data_range=255, full=True)
    smooth = cv2.GaussianBlur(local.astype(np.float32), (0, 0), _SSIM_WINDOW / 2)
    share = np.clip(smooth * 3 / threshold - 2, 0, 1)
    weights = cv2.resize(share, (before.shape[1], before.shape[0]), interpolation=cv2.INTER_LINEAR)[:, :, None]
    mixed: Pixels = np.rint(before + (after.astype(np.float32) - before) * weights).astype(np.uint8)
    return mixed


def _grey(pixels: Pixels) -> Pixels:
    grey = _luminance(pixels)
    factor = max(1, round(min(grey.shape) / _SSIM_SIDE))
    if factor > 1:
        size = max(grey.shape[1] // factor, 1), max(grey.shape[0] // factor, 1)
        return resized(grey, *size)
    return grey


def _with_room(grey: Pixels) -> Pixels:
    """For the smallest window: the pixels of a picture that is thinner are repeated."""
    times = -(-_LEAST_WINDOW // min(grey.shape))
    return grey if times == 1 else grey.repeat(times, 0).repeat(times, 1)


def _luminance(pixels: Pixels) -> Pixels:
    return cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)


class OnnxDistance:
    """A network that compares two pictures, with the layout this module's docstring gives."""

    def __init__(self, file: str, span: float, low: float) -> None:
        """Colours reach from `low` to `low + span`. Raises cv2.error."""
        self._network = cv2.dnn.readNetFromONNX(file)
        self._span, self._low = span, low
        self._lock = threading.Lock()

    def __call__(self, before: Pixels, after: Pixels) -> float:
        """Raises cv2.error when the network is laid out otherwise."""
        with self._lock:
            for name, pixels in (("reference", before), ("image", after)):
                self._network.setInput(self._blob(pixels), name)
            return float(np.ravel(self._network.forward())[0])

    def _blob(self, pixels: Pixels) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        scaled = resized(pixels, _NETWORK_SIDE, _NETWORK_SIDE).astype(np.float32) / 255 * self._span + self._low
        return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])
