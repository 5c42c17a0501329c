"""FASHN edits fashion pictures, and puts garments on models.

Sources: docs.fashn.ai, api-overview (fundamentals, error-handling), utility-endpoints/credits, guides
(image-preprocessing-best-practices) and api-reference, in stored copies of 2026, and the types of the vendor's SDKs. An
API-level error means that there is no prediction; one that fails costs nothing. There is no cancelling, no list of
predictions, and the webhook is not signed, so a submission whose answer is lost stays unknown. Not verified: the
status of an expired picture, Retry-After.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import structlog
from PIL import Image
from pydantic import Field, ValidationError
from pydantic_settings import SettingsConfigDict

from services.catalog.enums import ProviderType
from services.catalog.providers.fashn import FashnStandardConfig
from services.common.errors import (
    ComputeError,
    ContentRefused,
    InvalidRequest,
    OutcomeUnknown,
    ProviderExhausted,
    ProviderFailed,
    ProviderRefused,
)
from services.net.header_values import parse_number
from services.providers.adapter import ProviderAdapter, defaults
from services.providers.calls import AccountTerms, VendorJob
from services.providers.capabilities.editing import EditRequest
from services.providers.http import VendorHttp, VendorResponse, judge_by_status, open_http
from services.providers.jobs import bring_picture, judge_job, until_done
from services.providers.media import Media, as_data_url
from services.providers.ports import DrawnPicture, ModelCard, OnStep, Pixels
from services.providers.ratios import nearest
from services.providers.vendors import VendorSettings

NAME = ProviderType.FASHN.value
log = structlog.get_logger()

_RUNNING = frozenset({"starting", "in_queue", "processing"})
_CALLERS = frozenset({"ImageLoadError", "PoseError", "InputValidationError", "LoRALoadError", "PhotoTypeError"})
# The third party is one that describes pictures, and what stops it are restrictions of content.
_POLICY = frozenset({"ContentModerationError", "ThirdPartyError", "NSFWError"})
_ENDED = frozenset({"failed", "canceled", "time_out"})
_RATIOS = ("21:9", "1:1", "4:3", "3:2", "2:3", "5:4", "4:5", "3:4", "16:9", "9:16")
_V1_MODES = {"fast": "performance"}
# The input that takes a garment, of the models that put one on a person.
_GARMENT = {"tryon-max": "product_image", "tryon-v1.6": "garment_image"}
_SEEDS = 2**32
_BRINGING_SECONDS = 120.0


class Settings(VendorSettings):
    """`model` is asked where a task names none of FASHN's; `usd_per_credit` turns credits into costs."""

    model_config = SettingsConfigDict(env_prefix="FASHN_")

    base_url: str = "https://api.fashn.ai"
    """Where FASHN is reached."""
    model: str = "edit"
    """Asked where a task names none of FASHN's."""
    at_once: int = Field(default=6, ge=1)
    """Calls of one worker at the same time: the vendor's own limit, as integrators report it."""
    usd_per_credit: float | None = Field(default=None, ge=0)
    """Turns credits into costs."""
    editing_task_timeout: float = Field(default=600.0, gt=0, validation_alias="EDITING_TASK_TIMEOUT")
    """How long an edit may take, in seconds."""


@dataclass(frozen=True, kw_only=True)
class Fashn(ProviderAdapter[FashnStandardConfig]):
    settings: Settings
    http: VendorHttp
    media: Media
    config: FashnStandardConfig = defaults(FashnStandardConfig)

    @property
    def terms(self) -> AccountTerms:
        return self.terms_of({})

    def terms_of(self, config: Mapping[str, Any]) -> AccountTerms:
        """One try lasts as long as the task is ready to wait, and then some to bring the picture in."""
        try:
            wait = self._wait(FashnStandardConfig.model_validate(config))
        except ValidationError:
            # Told by `configured`.
            wait = self.settings.editing_task_timeout
        return replace(self.settings.terms("fashn"), seconds=wait + _BRINGING_SECONDS)

    def require_settings(self) -> None:
        self.settings.require_key(NAME)

    async def edit(self, edit: EditRequest, on_step: OnStep) -> DrawnPicture:
        """`fashn_task_id` is taken up instead of paying for a new prediction.

        Raises:
            InvalidRequest: CAPABILITY_MISSING, or FASHN cannot use the pictures.
            DeadlineExceeded: PROVIDER_TOO_SLOW; the prediction goes on.
            ComputeError: as `VendorHttp` and `Media` raise, or what became of the prediction.
        """
        model = edit.app if edit.app in _GARMENT or edit.app == "edit" else self.settings.model
        known = VendorJob(self.config.fashn_task_id) if self.config.fashn_task_id else None
        job = await self.call.job(lambda: self._submit(model, edit), {"model": model}, known=known)
        seconds = self._wait(self.config)
        url = await until_done(partial(self._look, job), every=self.config.poll_interval, seconds=seconds)
        made = await bring_picture(self.media, url, partial(self._look_again, job))
        return made.by(ModelCard(name=f"fashn/{model}", sha256="", licence=""), edit.seed % _SEEDS)

    async def ended(self, job: VendorJob) -> bool:
        """As `Watching`."""
        return await self._look(job) is not None

    def _wait(self, config: FashnStandardConfig) -> float:
        return float(config.max_wait_seconds or self.settings.editing_task_timeout)

    async def _submit(self, model: str, edit: EditRequest) -> VendorJob:
        inputs = await self._inputs(model, edit)
        answer = await self.http.send(f"{self.settings.base_url}/v1/run", {"model_name": model, "inputs": inputs})
        prediction = answer.member("id")
        if not isinstance(prediction, str) or not prediction:
            if said := answer.member("error"):
                # Said with a good status too, and without a prediction nothing is charged.
                raise ProviderFailed(f"FASHN began no prediction: {said}"[:500])
            raise OutcomeUnknown("FASHN took the request and named no prediction")
        return VendorJob(prediction, {"model": model})

    async def _inputs(self, model: str, edit: EditRequest) -> dict[str, Any]:
        common = {"seed": edit.seed % _SEEDS, "output_format": "png"}
        garment = _GARMENT.get(model)
        if len(edit.references) > 1 or (garment and not edit.references):
            message = f"FASHN's {model} takes {'exactly' if garment else 'at most'} one reference picture"
            raise InvalidRequest(message, reason="CAPABILITY_MISSING")
        if garment and edit.mask is not None:
            raise InvalidRequest(f"FASHN's {model} cannot do INPAINTING", reason="CAPABILITY_MISSING")
        common |= self._mode(model)
        if garment:
            prompt = {"prompt": edit.prompt, **_shape(edit)} if model == "tryon-max" else {}
            person, piece = await self._picture(edit.image), await self._picture(edit.references[0])
            return {"model_image": person, garment: piece, **prompt, **common}
        inputs = {"image": await self._picture(edit.image), "prompt": edit.prompt, "resolution": _resolution(edit)}
        inputs |= _shape(edit)
        if edit.mask is not None:
            inputs["mask"] = await self._picture(edit.mask)
        if edit.references:
            inputs["image_context"] = await self._picture(edit.references[0])
        return inputs | common

    def _mode(self, model: str) -> dict[str, str]:
        """Raises InvalidRequest: CAPABILITY_MISSING."""
        mode = self.config.generation_mode
        if mode is None:
            return {}
        if model == "tryon-v1.6":
            return {"mode": _V1_MODES.get(mode, mode)}
        if model == "tryon-max" and mode == "fast":
            raise InvalidRequest(f"FASHN's {model} has no mode {mode!r}", reason="CAPABILITY_MISSING")
        return {"generation_mode": mode}

    async def _picture(self, pixels: Pixels) -> str:
        """As the vendor advises: no higher than it looks at, JPEG of quality 95. Masks stay lossless."""
        small = await asyncio.to_thread(shrink, pixels, self.config.max_image_height)
        return await as_data_url(small, "PNG") if pixels.ndim == 2 else await as_data_url(small, "JPEG", quality=95)

    async def _look(self, job: VendorJob) -> str | None:
        """The address of its picture; None while it runs."""
        seen = partial(judge_job, vendor=NAME)
        answer = await self.http.ask(f"{self.settings.base_url}/v1/status/{job.id}", judge=seen)
        state = answer.member("status")
        if state not in _RUNNING:
            # Failures are not charged, says the vendor; should one be, its header would tell.
            self._charge(answer)
        if state == "completed":
            url = answer.member("output", 0)
            if not isinstance(url, str):
                raise ProviderRefused("FASHN completed without a picture", reason="PROVIDER_RESULT_UNUSABLE")
            return url
        if state in _ENDED or (state not in _RUNNING and isinstance(answer.member("error"), dict)):
            raise failure(answer)
        if state not in _RUNNING:
            log.warning("unknown state of a prediction, taken as running", provider=NAME, state=str(state)[:100])
        return None

    async def _look_again(self, job: VendorJob) -> str:
        return await self._look(job) or ""

    def _charge(self, answer: VendorResponse) -> None:
        credits = parse_number(answer.headers.get("x-fashn-credits-used", ""))
        if credits is not None:
            price = self.settings.usd_per_credit
            self.call.costs(None if price is None else credits * price, units=credits)


@asynccontextmanager
async def connect(settings: Settings, media: Media) -> AsyncIterator[Fashn]:
    headers = {"authorization": f"Bearer {settings.secret}"}
    async with open_http("FASHN", headers=headers, secrets=(settings.secret,), judge=judge) as http:
        yield Fashn(settings=settings, http=http, media=media)


def judge(answer: VendorResponse) -> ComputeError | None:
    """Three errors share the status 429, and only two of them pass."""
    error = judge_by_status(answer)
    if error is not None and answer.member("error") == "OutOfCredits":
        return ProviderExhausted(error.message)
    return error


def failure(answer: VendorResponse) -> ComputeError:
    """What a prediction that came to nothing means; it was not charged."""
    name = answer.member("error", "name") or answer.member("status")
    message = f"FASHN: {name}: {answer.member('error', 'message') or 'no explanation'}"
    if name in _POLICY:
        return ContentRefused(message)
    if name in _CALLERS:
        return InvalidRequest(message, reason="PROVIDER_REJECTED")
    return ProviderFailed(message)


def shrink(pixels: Pixels, max_height: int) -> Pixels:
    """`[H, W, 3]` or `[H, W]`, at most `max_height` high, its proportions kept."""
    height, width = pixels.shape[:2]
    if height <= max_height:
        return pixels
    size = max(1, round(width * max_height / height)), max_height
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def _shape(edit: EditRequest) -> dict[str, str]:
    """The nearest ratio to the sides asked for; a picture painted within a mask keeps its own."""
    if edit.mask is not None or not edit.width or not edit.height:
        return {}
    return {"aspect_ratio": nearest(edit.width, edit.height, _RATIOS), "resolution": _resolution(edit)}


def _resolution(edit: EditRequest) -> str:
    """About 1, 4 or 16 megapixels: the least that has as many as were asked for."""
    height, width = edit.image.shape[:2]
    pixels = (edit.width or width) * (edit.height or height)
    return "1k" if pixels <= 1_500_000 else "2k" if pixels <= 6_000_000 else "4k"
