"""LOCAL: the deployment's own models on Triton."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from pydantic import PositiveInt, ValidationError
from pydantic_settings import BaseSettings

from services.catalog.enums import ProviderType, RefineStrategy
from services.catalog.providers.local import REMBG_MODELS, LocalProviderConfig
from services.common.background import running
from services.common.errors import InvalidRequest
from services.common.sharing import shared
from services.imaging.processing.scaling import crop, fit
from services.providers.calls import AccountTerms, UnrecordedCall, VendorCall
from services.providers.capabilities.animating import Animation, Film
from services.providers.capabilities.detecting import People, Text
from services.providers.capabilities.editing import EditRequest
from services.providers.capabilities.fixing import FaceFix, FixResult, GarmentFix
from services.providers.capabilities.refining import Refinement, RefineResultPicture
from services.providers.capabilities.upscaling import check_capabilities, target_size
from services.providers.lora_files import find_lora
from services.providers.media import Media
from services.providers.pipelines import animating, editing, enlarging, face_fixing, garment_fixing, measures, refining
from services.providers.pipelines.face_fixing import FaceSettings
from services.providers.pipelines.faces import Faces, by_detector
from services.providers.pipelines.garment_fixing import GarmentSettings
from services.providers.pipelines.measures import SimilarityJudge
from services.providers.pipelines.redrawing import ModelSizes, Redrawer
from services.providers.pipelines.refining import RefinerSettings
from services.providers.ports import Check, Drawing, DrawnPicture, LoadedModel, Lora, Matte, OnStep, Pixels
from services.providers.triton import connection
from services.providers.triton.detection import TritonDetection
from services.providers.triton.diffusion import ModelDescription, TritonDiffusion
from services.providers.triton.failures import MATTE_MODEL_MISSING
from services.providers.triton.optional import OptionalModel
from services.providers.triton.segmentation import TritonSegmentation
from services.providers.triton.supervisor import ModelSupervisor
from services.providers.triton.upscaling import TritonUpscaling
from services.rpc.proto import invalid

NAME = ProviderType.LOCAL.value


class Settings(BaseSettings):
    """`models_root` is the folder that `…_model_path` of a task is relative to; Triton sees it under the same path."""

    triton_target: str = "127.0.0.1:8001"
    """host:port of Triton's gRPC."""
    models_root: Path = Path("models")
    """Folder that `…_model_path` of a task is relative to; Triton sees it under the same path."""
    faithful_max_pixels: PositiveInt = 1_100_000
    """Largest picture, before it grows, that the `upscale` model enlarges; a million pixels take five minutes of CPU
    time. With more, raise TASK_TIMEOUT_SECONDS, too."""


@dataclass(frozen=True)
class Local:
    """Diffusion and matting on Triton, and what can be made of them."""

    diffusion: TritonDiffusion
    segmentation: TritonSegmentation
    upscaling: TritonUpscaling
    detection: TritonDetection
    models_root: Path
    judge: SimilarityJudge
    config: LocalProviderConfig = field(default_factory=lambda: LocalProviderConfig.model_validate({}))
    call: VendorCall = field(default_factory=UnrecordedCall)

    @property
    def checks(self) -> Mapping[str, Check]:
        return {watch.model: watch.check for watch in self._watches}

    @property
    def canaries(self) -> Mapping[str, Check]:
        return {watch.model: watch.ask for watch in self._watches}

    @property
    def served(self) -> tuple[LoadedModel, ...]:
        """The models that answer, as their last canaries said."""
        supervisors = (watch.supervisor if isinstance(watch, OptionalModel) else watch for watch in self._watches)
        return tuple(model for supervisor in supervisors for model in supervisor.served)

    @property
    def _watches(self) -> tuple[ModelSupervisor | OptionalModel, ...]:
        return self.diffusion.supervisor, self.segmentation.supervisor, self.upscaling, self.detection

    @property
    def terms(self) -> AccountTerms | None:
        return None

    def configured(self, config: Mapping[str, Any], call: VendorCall) -> Self:
        """Raises InvalidRequest."""
        try:
            return replace(self, config=LocalProviderConfig.model_validate(config), call=call)
        except ValidationError as error:
            raise invalid(error, prefix="provider_config.") from error

    async def draw(self, drawing: Drawing, on_step: OnStep) -> DrawnPicture:
        """Sides the model cannot draw are drawn a little larger and cropped.

        Raises:
            InvalidRequest: too large, or a LoRA that is not there or does not fit.
            Overloaded, Unavailable, Internal: the model has no room, is away, or fails.
        """
        model = await self.diffusion.describe()
        loras = tuple(Lora(str(find_lora(self.models_root, lora.path)), lora.weight) for lora in drawing.loras)
        width, height = drawing.width or model.width, drawing.height or model.height
        sized = _fitting(replace(drawing, loras=loras), width, height, model)
        if sized.image is not None:
            sized = await asyncio.to_thread(_with_fitting_pictures, sized)
        picture = await self.diffusion.draw(self._with_choices(sized), on_step)
        return replace(picture, pixels=crop(picture.pixels, width, height))

    async def matte(self, pixels: Pixels) -> Matte:
        """Raises InvalidRequest, also for a network that this deployment does not have, or Unavailable."""
        wanted = self.config.rembg_model
        try:
            return await self.segmentation.matte(pixels, network=wanted)
        except InvalidRequest as error:
            if wanted is None or error.reason != MATTE_MODEL_MISSING:
                raise
            message = f"rembg_model {wanted}: {error.message}; it is {REMBG_MODELS[wanted]}"
            raise InvalidRequest(message, reason=error.reason) from error

    async def find_people(self, pixels: Pixels, *, faces_alone: bool = False) -> People | None:
        """None where the deployment has no network for it. Raises InvalidRequest or Unavailable."""
        return await self.detection.find_people(pixels, faces_alone=faces_alone)

    async def find_faces(self, pixels: Pixels) -> Faces:
        """Raises InvalidRequest or Unavailable."""
        return await by_detector(pixels, self)

    async def read_text(self, pixels: Pixels) -> Text:
        """Raises InvalidRequest, also where the deployment has no network for it, or Unavailable."""
        return await self.detection.read_text(pixels)

    async def edit(self, edit: EditRequest, on_step: OnStep) -> DrawnPicture:
        """Raises InvalidRequest, also for reference pictures, which this model cannot go by; and what `draw` raises."""
        if edit.references:
            raise InvalidRequest(
                f"{NAME} cannot go by reference pictures; choose a provider that can, or leave them out",
                reason="CAPABILITY_MISSING",
            )
        sized = await asyncio.to_thread(_fitting_edit, edit)
        return await editing.edit(self, sized, on_step, native_pixels=await self._native_pixels())

    async def animate(self, animation: Animation, on_step: OnStep) -> Film:
        """Raises what `draw` and `matte` raise."""
        return await animating.animate(self, animation, on_step, self, native_pixels=await self._native_pixels())

    async def refine(self, refinement: Refinement, on_step: OnStep) -> RefineResultPicture:
        """Raises InvalidRequest, also for a capability that the task leaves out; and what `draw` raises."""
        check_capabilities(refinement, refining.CAPABILITIES, self.call, faithful=True)
        if await self._is_faithful(refinement):
            tools = enlarging.EnlargingTools(self.upscaling, self.judge, self.redrawer, self.find_faces)
            return await enlarging.refine_faithfully(refinement, RefinerSettings(), tools, on_step)
        return await refining.refine(refinement, RefinerSettings(), await self.redrawer(), on_step)

    async def _is_faithful(self, refinement: Refinement) -> bool:
        """As the task says; else where there are no words to go by and the picture is to grow.

        Raises:
            InvalidRequest: it is to be, and this deployment has no model for it.
            Unavailable: Triton cannot be asked.
        """
        if refinement.upscale is None or refinement.strategy is RefineStrategy.CREATIVE:
            return False
        if refinement.strategy is RefineStrategy.FAITHFUL:
            if not await self.upscaling.served():
                raise InvalidRequest(
                    "this deployment has no `upscale` model, so it cannot enlarge faithfully; `make setup` fetches it",
                    reason="CAPABILITY_MISSING",
                )
            return True
        height, width, _ = refinement.image.shape
        wide, high = target_size(refinement)
        grows = wide >= width and high >= height and (wide, high) != (width, height)
        wanted = grows and not refinement.upscale.prompt and height * width <= self.upscaling.most_pixels
        return wanted and await self.upscaling.served()

    async def fix_garment(self, fix: GarmentFix, on_step: OnStep) -> FixResult:
        """Raises what `draw` and `matte` raise."""
        return await garment_fixing.fix_garment(fix, GarmentSettings(), await self.redrawer(), self, on_step)

    async def fix_faces(self, fix: FaceFix, on_step: OnStep) -> FixResult:
        """Raises what `draw` raises."""
        return await face_fixing.fix_faces(fix, FaceSettings(), await self.redrawer(), on_step)

    async def redrawer(self) -> Redrawer:
        """What our pipelines redraw and judge with. Raises Unavailable."""
        model = await self.diffusion.describe()
        sizes = ModelSizes(model.width * model.height, model.multiple_of, model.max_pixels)
        redrawer = Redrawer(self, sizes, self.judge, find_faces=self.find_faces)
        said = "guidance" in self.config.model_fields_set
        return replace(redrawer, guidance=self.config.guidance) if said else redrawer

    async def _native_pixels(self) -> int:
        model = await self.diffusion.describe()
        return model.width * model.height

    def _with_choices(self, drawing: Drawing) -> Drawing:
        """What the task's configuration says and its parameters leave open; unsaid, the model's own defaults hold."""
        said = self.config.model_fields_set
        return replace(
            drawing,
            steps=self.config.steps if drawing.steps is None and "steps" in said else drawing.steps,
            guidance=self.config.guidance if drawing.guidance is None and "guidance" in said else drawing.guidance,
            negative_prompt=drawing.negative_prompt or self.config.negative_prompt,
            exact=drawing.exact or self.config.exact,
            preview_every=self.config.preview_every,
        )


@asynccontextmanager
async def connect(settings: Settings, media: Media | None = None) -> AsyncIterator[Local]:
    """Watches the models while it is open; for several who want the same there is one."""
    wanted = settings.triton_target, settings.models_root, settings.faithful_max_pixels
    async with shared((NAME, *wanted), lambda: _open(settings)) as opened:
        yield opened


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[Local]:
    judge = await asyncio.to_thread(measures.judge, measures.MeasureSettings())
    async with connection.connect(settings.triton_target) as triton:
        diffusion, segmentation = TritonDiffusion(triton), TritonSegmentation(triton)
        upscaling = TritonUpscaling(triton, most_pixels=settings.faithful_max_pixels)
        detection = TritonDetection(triton)
        async with running(
            diffusion=diffusion.supervisor.run,
            segmentation=segmentation.supervisor.run,
            upscaling=upscaling.run,
            detection=detection.run,
        ):
            yield Local(diffusion, segmentation, upscaling, detection, settings.models_root.absolute(), judge)


def _fitting(drawing: Drawing, width: int, height: int, model: ModelDescription) -> Drawing:
    step = model.multiple_of
    wide, high = -(-width // step) * step, -(-height // step) * step
    if wide * high > model.max_pixels:
        message = f"{width}x{height} is more than the model's {model.max_pixels} pixels"
        raise InvalidRequest(message, reason="TOO_MANY_PIXELS")
    return replace(drawing, width=wide, height=high)


def _with_fitting_pictures(drawing: Drawing) -> Drawing:
    width, height = drawing.width or 0, drawing.height or 0
    image = None if drawing.image is None else fit(drawing.image, width, height)
    mask = None if drawing.mask is None else fit(drawing.mask, width, height)
    return replace(drawing, image=image, mask=mask)


def _fitting_edit(edit: EditRequest) -> EditRequest:
    """With its pictures at the size that is wanted."""
    height, width = edit.image.shape[:2]
    width, height = edit.width or width, edit.height or height
    mask = None if edit.mask is None else fit(edit.mask, width, height)
    return replace(edit, image=fit(edit.image, width, height), mask=mask, width=None, height=None)
