"""FAL: apps of fal, for drawing, editing, refining, animating, and calls with parameters of the caller's own.

See `fal_queue` for the protocol, `fal_apps` for the apps, and what of them is not verified. A picture is sent inside
the request; LoRAs must be addresses of the web, as fal fetches them itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from services.catalog.enums import ProviderCapability, ProviderType
from services.catalog.providers.fal import FalStandardConfig
from services.common.errors import InvalidRequest, ProviderRefused
from services.imaging.sniffing import HEAD_BYTES, told_type_of
from services.providers.adapter import defaults
from services.providers.capabilities.animating import Animation, Film
from services.providers.capabilities.editing import EditRequest
from services.providers.capabilities.free_calls import FreeAnswer, FreeCall, MadeFile
from services.providers.capabilities.refining import Refinement, RefineResultPicture
from services.providers.capabilities.upscaling import check_capabilities
from services.providers.fal_apps import (
    animating_inputs,
    check_parameters,
    drawing_inputs,
    editing_inputs,
    files_in,
    film_url,
    picture_url,
)
from services.providers.fal_queue import FalProvider, FalSettings, open_queue
from services.providers.fal_refining import fit_to, refining_inputs
from services.providers.film_facts import read_facts
from services.providers.http import VendorResponse
from services.providers.media import Media, as_data_url
from services.providers.ports import Drawing, DrawnPicture, ModelCard, OnStep, Pixels

NAME = ProviderType.FAL.value
_OFFERED = frozenset(
    {
        ProviderCapability.UPSCALE_2X,
        ProviderCapability.UPSCALE_4X,
        ProviderCapability.UPSCALE_8X,
        ProviderCapability.UPSCALE_FLOAT,
        ProviderCapability.OUTPUT_SIZE,
    }
)


class Settings(FalSettings):
    """The apps asked where neither a task nor its configuration names one."""

    text_app: str = "fal-ai/flux/dev"
    """Draws from a text."""
    lora_app: str = "fal-ai/flux-lora"
    """Draws from a text with LoRAs."""
    image_app: str = "fal-ai/flux/dev/image-to-image"
    """Draws from a picture."""
    image_lora_app: str = "fal-ai/flux-lora/image-to-image"
    """Draws from a picture with LoRAs."""
    inpaint_app: str = "fal-ai/flux-lora/inpainting"
    """Edits inside a mask."""
    edit_app: str = "fal-ai/flux-pro/kontext"
    """Edits by instruction."""
    edit_many_app: str = "fal-ai/nano-banana/edit"
    """Edits by instruction with several pictures."""
    refine_app: str = "fal-ai/clarity-upscaler"
    """Enlarges and refines."""
    film_app: str = "fal-ai/kling-video/v2.1/master/image-to-video"
    """Makes films."""


@dataclass(frozen=True, kw_only=True)
class Fal(FalProvider[FalStandardConfig]):
    settings: Settings
    config: FalStandardConfig = defaults(FalStandardConfig)

    def require_settings(self) -> None:
        self.settings.require_key(NAME)

    async def draw(self, drawing: Drawing, on_step: OnStep) -> DrawnPicture:
        """Raises InvalidRequest, or as `FalProvider.run` and `Media` raise."""
        app = drawing.app or self.config.fal_app_id or self._drawing_app(drawing)
        image, mask = await self._url(drawing.image), await self._url(drawing.mask)
        answer = await self._run(app, drawing_inputs(app, drawing, image, mask))
        return await self._picture(app, answer, drawing.seed)

    async def edit(self, edit: EditRequest, on_step: OnStep) -> DrawnPicture:
        """Raises InvalidRequest, or as `FalProvider.run` and `Media` raise."""
        app = edit.app or self.config.fal_app_id or self._editing_app(edit)
        images = [await as_data_url(pixels) for pixels in (edit.image, *edit.references)]
        answer = await self._run(app, editing_inputs(app, edit, images, await self._url(edit.mask)))
        return await self._picture(app, answer, edit.seed)

    async def refine(self, refinement: Refinement, on_step: OnStep) -> RefineResultPicture:
        """The answer has the very size asked for. Raises InvalidRequest, or as `FalProvider.run` and `Media` raise."""
        check_capabilities(refinement, _OFFERED, self.call)
        app = refinement.app or self.config.fal_app_id or self.settings.refine_app
        image, largest = await as_data_url(refinement.image), self.settings.refine_max_factor
        answer = await self._run(app, refining_inputs(refinement, image, max_factor=largest))
        seed = refinement.upscale.seed if refinement.upscale else None
        picture = await self._picture(app, answer, seed)
        return RefineResultPicture(replace(picture, pixels=await fit_to(refinement, picture.pixels)))

    async def animate(self, animation: Animation, on_step: OnStep) -> Film:
        """Raises InvalidRequest, or as `FalProvider.run` and `Media` raise."""
        app = animation.app or self.config.fal_app_id or self.settings.film_app
        answer = await self._run(app, animating_inputs(app, animation, await as_data_url(animation.image)))
        mp4 = (await self.media.fetch(film_url(answer))).content
        try:
            facts = read_facts(mp4)
        except ValueError as error:
            came = told_type_of(mp4[:HEAD_BYTES])
            message = f"fal's film is {came}, and films are taken as MP4 or QuickTime: {error}"
            raise ProviderRefused(message, reason="PROVIDER_RESULT_UNUSABLE") from error
        seed = answer.member("seed")
        return Film(
            mp4=mp4,
            width=facts.width,
            height=facts.height,
            frames=facts.frames,
            fps=facts.fps,
            seed=seed if isinstance(seed, int) else None,
            model=card_of(app),
        )

    async def call_freely(self, wanted: FreeCall, on_step: OnStep) -> FreeAnswer:
        """Whatever the app takes and makes; its files together are no larger than one may be.

        Raises:
            InvalidRequest, or as `FalProvider.run` and `Media` raise.
        """
        check_parameters(wanted.parameters)
        inputs = {**wanted.parameters, **(self.config.additional_static_params or {})}
        job, answer = await self.run(wanted.app, inputs, request_id=self.config.fal_request_id)
        if not isinstance(answer.body, dict):
            raise ProviderRefused("fal's answer is no object", reason="PROVIDER_RESULT_UNUSABLE")
        made, room = [], self.media.max_bytes
        for pointer, url in files_in(answer.body):
            file = await self.media.fetch(url, room=room)
            room -= len(file.content)
            made.append(MadeFile(pointer, url, file.content, file.content_type))
        return FreeAnswer(job.id, answer.body, tuple(made))

    async def _run(self, app: str, inputs: Mapping[str, Any]) -> VendorResponse:
        told = {**inputs, **(self.config.additional_static_params or {})}
        check_parameters(told)
        _, answer = await self.run(app, told, request_id=self.config.fal_request_id)
        return answer

    async def _picture(self, app: str, answer: VendorResponse, seed: int | None) -> DrawnPicture:
        told = answer.member("seed")
        made = await self.media.fetch_picture(picture_url(answer))
        return made.by(card_of(app), told if isinstance(told, int) else seed)

    async def _url(self, pixels: Pixels | None) -> str | None:
        return None if pixels is None else await as_data_url(pixels)

    def _drawing_app(self, drawing: Drawing) -> str:
        if drawing.mask is not None:
            return self.settings.inpaint_app
        if drawing.image is not None:
            return self.settings.image_lora_app if drawing.loras else self.settings.image_app
        return self.settings.lora_app if drawing.loras else self.settings.text_app

    def _editing_app(self, edit: EditRequest) -> str:
        if edit.mask is not None and edit.references:
            raise InvalidRequest("FAL takes a mask or references, not both", reason="CAPABILITY_MISSING")
        if edit.mask is not None:
            return self.settings.inpaint_app
        return self.settings.edit_many_app if edit.references else self.settings.edit_app


def card_of(app: str) -> ModelCard:
    return ModelCard(name=app, sha256="", licence="")


@asynccontextmanager
async def connect(settings: Settings, media: Media) -> AsyncIterator[Fal]:
    async with open_queue(settings) as queue:
        yield Fal(settings=settings, queue=queue, media=media)
