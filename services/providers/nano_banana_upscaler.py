"""NANO_BANANA_UPSCALER: Google's image model draws a picture again, larger, and is held to the original's structure.

Source: ai.google.dev/gemini-api/docs/image-generation (sizes 1K, 2K and 4K, ten ratios); see `vertex` for what is not
verified. The picture is laid on a canvas of the nearest ratio, so that the model has no reason to crop or to invent
borders, and the canvas is cut off afterwards. Denoise and steps of a task are not told to it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image
from pydantic import ValidationError

from services.catalog.enums import ProviderCapability, ProviderType
from services.catalog.providers.nano_banana_upscaler import NanoBananaUpscalerConfig
from services.common.errors import InvalidRequest, ProviderRefused
from services.providers.adapter import ProviderAdapter, defaults
from services.providers.calls import AccountTerms
from services.providers.capabilities.measures import SSIM, SimilarityScore
from services.providers.capabilities.refining import Refinement, RefineResultPicture
from services.providers.capabilities.upscaling import check_capabilities, target_size
from services.providers.google.access import access
from services.providers.google.failures import judge
from services.providers.google.images import GoogleImages, ImageRequest, nearest_ratio, pack
from services.providers.google.settings import GoogleSettings
from services.providers.http import HttpTerms, open_http
from services.providers.media import Media
from services.providers.pipelines.measures import measure_ssim
from services.providers.ports import OnStep, Pixels

NAME = ProviderType.NANO_BANANA_UPSCALER.value
OFFERED = frozenset(
    {
        ProviderCapability.UPSCALE_2X,
        ProviderCapability.UPSCALE_4X,
        ProviderCapability.UPSCALE_8X,
        ProviderCapability.UPSCALE_FLOAT,
        ProviderCapability.OUTPUT_SIZE,
    }
)
PROMPT = (
    "Reproduce this picture at a higher resolution. Keep its framing, composition, proportions, people, faces, "
    "garments, patterns, lettering, colours and light exactly as they are: nothing is added, removed, moved or "
    "restyled. Only sharpness and fine detail grow: the weave of fabrics, seams, hair and skin as a better camera "
    "would have shown them. Answer with the finished picture only."
)
# Pixels of a picture of each size, of any ratio; the sizes themselves are what third parties measured.
_LARGEST_CANVAS = 1 << 27
_PIXELS = {"1K": 1 << 20, "2K": 1 << 22, "4K": 1 << 24}
_SEEDS = 2**31


class Settings(GoogleSettings):
    upscaler_model: str = "gemini-3-pro-image"
    """The model that enlarges."""


class Canvas(NamedTuple):
    """`left` and `top` are where the picture lies on `pixels`."""

    pixels: Pixels
    ratio: str
    left: int
    top: int


@dataclass(frozen=True, kw_only=True)
class NanoBananaUpscaler(ProviderAdapter[NanoBananaUpscalerConfig]):
    settings: Settings
    google: GoogleImages
    config: NanoBananaUpscalerConfig = defaults(NanoBananaUpscalerConfig)

    @property
    def terms(self) -> AccountTerms:
        return self.terms_of({})

    def terms_of(self, config: Mapping[str, Any]) -> AccountTerms:
        """One try may be as many pictures as the task allows for."""
        try:
            pictures = NanoBananaUpscalerConfig.model_validate(config).max_retries + 1
        except ValidationError:
            # Told by `configured`.
            pictures = 1
        terms = self.settings.terms("google")
        return replace(terms, seconds=terms.seconds * pictures)

    def require_settings(self) -> None:
        self.settings.require_access(NAME)

    async def refine(self, refinement: Refinement, on_step: OnStep) -> RefineResultPicture:
        """Pays for each picture until one is near enough to the original.

        Raises:
            InvalidRequest: CAPABILITY_MISSING, or TOO_MANY_PIXELS for more than 4K.
            ProviderRefused: PROVIDER_NOT_CONSISTENT, when none was.
            ComputeError: as `GoogleImages.paint`.
        """
        check_capabilities(refinement, OFFERED, self.call)
        size = target_size(refinement)
        canvas = await asyncio.to_thread(lay_out, refinement.image)
        body = await pack(self._wish(refinement, canvas, size))
        model = self.settings.upscaler_model

        async def until_alike() -> RefineResultPicture:
            return await self._until_alike(model, body, refinement.image, canvas, size)

        return await self.call.once(until_alike, {"model": model})

    async def _until_alike(
        self, model: str, body: Mapping[str, Any], image: Pixels, canvas: Canvas, size: tuple[int, int]
    ) -> RefineResultPicture:
        found: list[SimilarityScore] = []
        for attempt in range(self.config.max_retries + 1):
            picture = await self.google.paint(model, reseeded(body, attempt))
            if self.settings.usd_per_picture is not None:
                self.call.costs((attempt + 1) * self.settings.usd_per_picture)
            pixels = await asyncio.to_thread(cut_out, picture.pixels, canvas, image.shape, size)
            if picture.alpha is not None:
                alpha = await asyncio.to_thread(cut_out, picture.alpha, canvas, image.shape, size)
                picture = replace(picture, alpha=alpha)
            measure = await asyncio.to_thread(self._measure, image, pixels)
            if measure is None or measure.passed:
                return RefineResultPicture(replace(picture, pixels=pixels), measures=(measure,) if measure else ())
            found.append(measure)
        best = max(measure.value or 0.0 for measure in found)
        message = f"of {len(found)} pictures none was like the original: SSIM {best:.3f} at best"
        message += f", {self.config.ssim_threshold:g} wanted"
        raise ProviderRefused(message, reason="PROVIDER_NOT_CONSISTENT")

    def _wish(self, refinement: Refinement, canvas: Canvas, size: tuple[int, int]) -> ImageRequest:
        words = self.config.default_prompt or PROMPT
        if refinement.upscale and refinement.upscale.prompt:
            words += f"\n\nThe picture shows: {refinement.upscale.prompt}"
        height, width = refinement.image.shape[:2]
        # What is asked for, with the canvas around it.
        pixels = size[0] * size[1] * canvas.pixels.shape[0] * canvas.pixels.shape[1] / (width * height)
        enough = [name for name, count in _PIXELS.items() if count >= pixels]
        if not enough:
            message = f"{NAME} makes at most 4K, which is too little for {size[0]}x{size[1]}"
            raise InvalidRequest(message, reason="TOO_MANY_PIXELS")
        seed = refinement.upscale.seed if refinement.upscale else 0
        return ImageRequest(words, (canvas.pixels,), canvas.ratio, enough[0], seed=seed)

    def _measure(self, before: Pixels, after: Pixels) -> SimilarityScore | None:
        """None where the check is turned off."""
        if not self.config.ssim_threshold:
            return None
        height, width = before.shape[:2]
        small = np.asarray(cv2.resize(after, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        return SimilarityScore(SSIM, measure_ssim(before, small), self.config.ssim_threshold)


@asynccontextmanager
async def connect(settings: Settings, media: Media) -> AsyncIterator[NanoBananaUpscaler]:
    terms = HttpTerms(request_seconds=settings.timeout_seconds)
    async with open_http("google", secrets=(settings.secret, settings.token), terms=terms, judge=judge) as http:
        yield NanoBananaUpscaler(settings=settings, google=GoogleImages(settings, http, access(settings, http), media))


def reseeded(body: Mapping[str, Any], attempt: int) -> dict[str, Any]:
    """The same request with another seed, for every attempt but the first."""
    config = body["generationConfig"]
    return {**body, "generationConfig": {**config, "seed": (config["seed"] + attempt) % _SEEDS}}


def lay_out(image: Pixels) -> Canvas:
    """`[H, W, 3]` in the middle of a canvas of the nearest ratio, its edges continued outwards.

    Raises:
        InvalidRequest: TOO_MANY_PIXELS; the canvas of a very long picture is far larger than the picture.
    """
    height, width = image.shape[:2]
    ratio = nearest_ratio(width, height)
    wide, high = (int(part) for part in ratio.split(":"))
    wider, higher = max(width, math.ceil(height * wide / high)), max(height, math.ceil(width * high / wide))
    if wider * higher > _LARGEST_CANVAS:
        message = f"{width}x{height} needs a canvas of {wider}x{higher} pixels, more than {NAME} can use"
        raise InvalidRequest(message, reason="TOO_MANY_PIXELS")
    left, top = (wider - width) // 2, (higher - height) // 2
    right, bottom = wider - width - left, higher - height - top
    pixels = cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_REPLICATE)
    return Canvas(np.asarray(pixels, np.uint8), ratio, left, top)


def cut_out(drawn: Pixels, canvas: Canvas, shape: tuple[int, ...], size: tuple[int, int]) -> Pixels:
    """The part of `drawn` where the picture of that `shape` lay on the canvas, as (width, height)."""
    across, down = drawn.shape[1] / canvas.pixels.shape[1], drawn.shape[0] / canvas.pixels.shape[0]
    box = (canvas.left * across, canvas.top * down, (canvas.left + shape[1]) * across, (canvas.top + shape[0]) * down)
    return np.asarray(Image.fromarray(drawn).resize(size, Image.Resampling.LANCZOS, box=box))
