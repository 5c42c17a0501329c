"""One upscaler of Magnific: a task is submitted, looked at until it is done, and its picture is brought in.

Sources: docs.magnific.com and the older docs.freepik.com (image-upscaler, -precision-v2, ratelimits), in stored copies
of 2026; a relay's mirror of the schema. A FAILED task gives no reason; nothing can be cancelled or listed, so a
submission whose answer is lost stays unknown, and so does one answered 5xx: the vendor does not say that nothing was
started. Not verified: whether api.freepik.com still answers (with the header x-freepik-api-key), so host and header are
settings; the fields of errors; how long a picture's address lives; whether a FAILED task is charged.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.common.errors import ComputeError, OutcomeUnknown, ProviderFailed, ProviderRefused
from services.providers.calls import VendorCall, VendorJob
from services.providers.http import VendorHttp, VendorResponse, judge_by_status, open_http
from services.providers.jobs import bring_picture, judge_job, until_done
from services.providers.media import Media, as_base64
from services.providers.ports import DrawnPicture, ModelCard, Pixels
from services.providers.vendors import VendorSettings

log = structlog.get_logger()
_WAITING = 0.85
_RUNNING = frozenset({"CREATED", "IN_PROGRESS"})


class MagnificSettings(VendorSettings):
    """Shared by all providers on Magnific. `usd_per_picture` is what an upscale is taken to cost.

    Two tries, not more: a failure comes without a reason, and may have been charged. A picture of more than
    `max_base64` characters is sent as JPEG; what the vendor takes at most is not documented.
    """

    model_config = SettingsConfigDict(env_prefix="FREEPIK_")

    base_url: str = "https://api.magnific.com"
    """Where Magnific is reached."""
    key_header: str = "x-magnific-api-key"
    """The header that carries the key."""
    tries: int = Field(default=2, ge=1)
    """How often one call may be sent: a failure comes without a reason, and may have been charged."""
    timeout_seconds: float = Field(default=900.0, gt=0)
    """How long one try may take."""
    max_base64: int = Field(default=20_000_000, gt=0)
    """A picture of more characters is sent as JPEG; what the vendor takes at most is not documented."""
    poll_seconds: float = Field(default=3.0, gt=0)
    """Between two looks at a job."""
    usd_per_picture: float | None = Field(default=None, ge=0)
    """What an upscale is taken to cost."""


@dataclass(frozen=True)
class Upscaler:
    settings: MagnificSettings
    http: VendorHttp
    media: Media

    async def enlarge(self, path: str, image: Pixels, options: Mapping[str, Any], call: VendorCall) -> DrawnPicture:
        """`path` names the upscaler; `image` is RGB `[H, W, 3]`.

        Raises:
            ProviderFailed: the task failed.
            DeadlineExceeded: PROVIDER_TOO_SLOW; the task goes on.
            ComputeError: as `VendorHttp` and `Media` raise.
        """
        job = await call.job(partial(self._submit, path, image, options), {"path": path})
        look = partial(self._look, path, job)
        # The rest of the try's time is for bringing the picture in.
        seconds = _WAITING * self.settings.timeout_seconds
        url = await until_done(look, every=self.settings.poll_seconds, seconds=seconds)
        self._charge(call)
        made = await bring_picture(self.media, url, partial(self._look_again, path, job))
        return made.by(ModelCard(name=path.rpartition("/")[2], sha256="", licence=""))

    async def ended(self, job: VendorJob, call: VendorCall) -> bool:
        """As `Watching`."""
        if await self._look(str(job.note.get("path", "")), job) is None:
            return False
        self._charge(call)
        return True

    def _charge(self, call: VendorCall) -> None:
        if self.settings.usd_per_picture is not None:
            call.costs(self.settings.usd_per_picture)

    async def _submit(self, path: str, image: Pixels, options: Mapping[str, Any]) -> VendorJob:
        body = {"image": await self._packed(image), **options}
        answer = await self.http.send(self.settings.base_url + path, body, judge=judge_submit)
        task = _member(answer, "task_id")
        if not isinstance(task, str) or not task:
            raise OutcomeUnknown("Magnific took the request and named no task")
        return VendorJob(task, {"path": path})

    async def _packed(self, image: Pixels) -> str:
        """Without loss where that is not too long."""
        png = await as_base64(image)
        return png if len(png) <= self.settings.max_base64 else await as_base64(image, "JPEG", quality=95)

    async def _look(self, path: str, job: VendorJob) -> str | None:
        """The address of its picture; None while it runs."""
        judge = partial(judge_job, vendor="Magnific")
        answer = await self.http.ask(f"{self.settings.base_url}{path}/{job.id}", judge=judge)
        state = _member(answer, "status") or _member(answer, "task_status")
        if state == "COMPLETED":
            generated = _member(answer, "generated")
            if not isinstance(generated, list) or not generated or not isinstance(generated[0], str):
                raise ProviderRefused("Magnific completed without a picture", reason="PROVIDER_RESULT_UNUSABLE")
            return generated[0]
        if state == "FAILED":
            raise ProviderFailed("Magnific says that the task failed, and gives no reason")
        if state not in _RUNNING:
            log.warning("unknown state of a task, taken as running", provider="magnific", state=str(state)[:100])
        return None

    async def _look_again(self, path: str, job: VendorJob) -> str:
        return await self._look(path, job) or ""


@asynccontextmanager
async def open_upscaler(settings: MagnificSettings, media: Media) -> AsyncIterator[Upscaler]:
    headers = {settings.key_header: settings.secret}
    async with open_http("Magnific", headers=headers, secrets=(settings.secret,)) as http:
        yield Upscaler(settings, http, media)


def judge_submit(answer: VendorResponse) -> ComputeError | None:
    error = judge_by_status(answer)
    return OutcomeUnknown(error.message) if isinstance(error, ProviderFailed) else error


def _member(answer: VendorResponse, name: str) -> Any:
    """Newer answers are wrapped in `data`, older ones are not."""
    found = answer.member("data", name)
    return answer.member(name) if found is None else found
