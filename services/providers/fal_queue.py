"""The queue of fal: submit, status, result, cancel, and a look at the list of requests.

Sources (stored copies of 2026): fal.ai/docs/documentation/model-apis/inference/queue, …/model-apis/common-parameters,
fal.ai/docs/api-reference/inference-api, fal.ai/docs/platform-apis/v1/models/requests/by-endpoint.
Not verified: what status shows of a request that was cancelled, whether the list shows requests that still
run, and whether a request cancelled while it runs is charged.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson
import structlog
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.common.errors import ComputeError, OutcomeUnknown, ProviderRefused
from services.net.header_values import parse_number
from services.providers.adapter import ConfigT, ProviderAdapter
from services.providers.calls import AccountTerms, LostCall, VendorJob
from services.providers.fal_errors import (
    judge,
    judge_cancel,
    judge_job,
    judge_passing,
    judge_submission,
    of_status,
    request_named,
)
from services.providers.http import HttpTerms, VendorHttp, VendorResponse, open_http
from services.providers.media import Media
from services.providers.vendors import VendorSettings

log = structlog.get_logger()
_NAMESPACES = ("workflows", "comfy")
_LONGEST_POLL = 5.0
_CLOCKS_DIFFER = 60.0
_LINKS = ("status_url", "response_url", "cancel_url")


class FalSettings(VendorSettings):
    """Shared by all providers on fal.

    `start_timeout_seconds` is how long a request may wait for a runner; `media_seconds` how long fal keeps what it
    makes, which is fetched at once; `find_seconds` how long a lost request is looked for, as the list may show one only
    when it has ended. `usd_per_unit` turns X-Fal-Billable-Units into costs. `refine_max_factor` is what the refining
    apps take.
    """

    model_config = SettingsConfigDict(env_prefix="FAL_")

    base_url: str = "https://queue.fal.run"
    """fal's queue."""
    platform_url: str = "https://api.fal.ai/v1"
    """fal's list of requests."""
    poll_seconds: float = Field(default=0.5, gt=0)
    """Between two looks at a request."""
    start_timeout_seconds: float | None = Field(default=None, gt=1)
    """How long a request may wait for a runner."""
    media_seconds: int = Field(default=24 * 3600, ge=60)
    """How long fal keeps what it makes, which is fetched at once."""
    find_seconds: float = Field(default=120.0, ge=0)
    """How long a lost request is looked for: the list may show one only when it has ended."""
    refine_max_factor: float = Field(default=4.0, ge=1)
    """The largest factor that the refining apps take."""
    usd_per_unit: float | None = Field(default=None, ge=0)
    """Turns X-Fal-Billable-Units into costs."""


class QueueResult(NamedTuple):
    """A request's answer, and what went wrong where it did."""

    answer: VendorResponse
    error: ComputeError | None


class FalQueue:
    """Requests by their id; the addresses an answer names are followed only to the host that was configured."""

    def __init__(self, settings: FalSettings, http: VendorHttp) -> None:
        self._settings = settings
        self._http = http

    async def submit(self, app: str, inputs: Mapping[str, Any]) -> VendorJob:
        """What failed under an id is asked for by that id, not sent again. Raises OutcomeUnknown, or what fal said."""
        lifetime = {"expiration_duration_seconds": self._settings.media_seconds}
        headers = {"x-fal-object-lifecycle-preference": orjson.dumps(lifetime).decode()}
        if self._settings.start_timeout_seconds is not None:
            headers["x-fal-request-timeout"] = f"{self._settings.start_timeout_seconds:g}"
        url = f"{self._settings.base_url}/{app}"
        answer = await self._http.send(url, inputs, headers=headers, judge=judge_submission, blank=True)
        request_id = request_named(answer)
        if not request_id:
            raise OutcomeUnknown("fal took the request and named no id")
        links = {name: answer.member(name) for name in _LINKS if isinstance(answer.member(name), str)}
        return VendorJob(request_id, {"app": app, **links})

    async def result(self, job: VendorJob) -> QueueResult:
        """Waits until it is done. COMPLETED does not mean that it went well.

        Raises:
            Unavailable: fal cannot be asked.
            ProviderRefused: PROVIDER_JOB_UNKNOWN.
        """
        state = await self._ended(job)
        answer = await self._http.ask(self._link(job, "response_url", ""), judge=judge_passing)
        return QueueResult(answer, judge(answer) or of_status(state))

    async def cancel(self, job: VendorJob) -> QueueResult | None:
        """How it ended where it was not simply removed from the queue. Raises as `Cancelling`."""
        answer = await self._http.ask(self._link(job, "cancel_url", "/cancel"), method="PUT", judge=judge_cancel)
        if answer.member("status") == "OK":
            return None
        try:
            return await self.result(job)
        except ProviderRefused:
            # Gone without a trace.
            return None

    async def find(self, lost: LostCall) -> VendorJob | None:
        """By its input and the time it was sent; None where that fits none, or more than one. As `Finding`."""
        app, digest = lost.note.get("app"), lost.note.get("input")
        give_up = time.monotonic() + self._settings.find_seconds
        while isinstance(app, str):
            found = [item["request_id"] for item in await self._listed(app, lost.at) if digest_of(item) == digest]
            if found:
                return VendorJob(found[0], {"app": app}) if len(found) == 1 else None
            if time.monotonic() > give_up:
                return None
            await asyncio.sleep(min(_LONGEST_POLL, self._settings.poll_seconds * 4))
        return None

    async def _listed(self, app: str, at: float) -> list[dict[str, Any]]:
        """Requests sent to `app` about that time, with their inputs."""
        params: dict[str, Any] = {
            "endpoint_id": app,
            "start": _iso(at - _CLOCKS_DIFFER),
            "end": _iso(time.time() + _CLOCKS_DIFFER),
            "limit": 100,
            "expand": "payloads",
        }
        found: list[dict[str, Any]] = []
        while True:
            answer = await self._http.ask(f"{self._settings.platform_url}/models/requests/by-endpoint", params=params)
            found += [item for item in answer.member("items") or () if _sent_about(item, at)]
            if not answer.member("has_more"):
                return found
            params["cursor"] = answer.member("next_cursor")

    async def _ended(self, job: VendorJob) -> VendorResponse:
        pause = self._settings.poll_seconds
        while True:
            answer = await self._http.ask(self._link(job, "status_url", "/status"), judge=judge_job)
            state = answer.member("status")
            if state == "COMPLETED":
                return answer
            if state not in ("IN_QUEUE", "IN_PROGRESS"):
                log.warning("unknown state of a request, taken as running", provider="fal", state=str(state)[:100])
            await asyncio.sleep(pause)
            pause = min(max(_LONGEST_POLL, self._settings.poll_seconds), pause * 1.3)

    def _link(self, job: VendorJob, name: str, suffix: str) -> str:
        """As the answer named it; built where it named none, or another host, which must not see the key."""
        named, base = job.note.get(name), self._settings.base_url
        if isinstance(named, str) and urlsplit(named)[:2] == urlsplit(base)[:2]:
            return named
        return f"{base}/{root_of(str(job.note.get('app', '')))}/requests/{job.id}{suffix}"


@dataclass(frozen=True, kw_only=True)
class FalProvider(ProviderAdapter[ConfigT]):
    """What the providers on fal have in common."""

    settings: FalSettings
    queue: FalQueue
    media: Media

    @property
    def terms(self) -> AccountTerms:
        return self.settings.terms("fal")

    async def cancel(self, job: VendorJob) -> bool:
        result = await self.queue.cancel(job)
        if result is not None:
            self._charge(result.answer)
        return result is None or result.error is not None

    async def find(self, lost: LostCall) -> VendorJob | None:
        return await self.queue.find(lost)

    async def run(
        self, app: str, inputs: Mapping[str, Any], *, request_id: str | None = None
    ) -> tuple[VendorJob, VendorResponse]:
        """The app's answer. `request_id` is of a request that already runs, and is asked for instead of a new one.

        Raises:
            ComputeError: as `FalQueue` raises.
        """
        known = VendorJob(request_id, {"app": app}) if request_id else None
        note = {"app": app, "input": _digest(inputs)}
        job = await self.call.job(lambda: self.queue.submit(app, inputs), note, known=known)
        answer, error = await self.queue.result(job)
        self._charge(answer)
        if error is not None:
            raise error
        return job, answer

    def _charge(self, answer: VendorResponse) -> None:
        """What failed may have been charged too."""
        units = parse_number(answer.headers.get("x-fal-billable-units", ""))
        if units is not None:
            price = self.settings.usd_per_unit
            self.call.costs(None if price is None else units * price, units=units)


@asynccontextmanager
async def open_queue(settings: FalSettings) -> AsyncIterator[FalQueue]:
    headers = {"authorization": f"Key {settings.secret}"}
    terms = HttpTerms(connections=max(16, settings.at_once * 2))
    async with open_http("fal", headers=headers, secrets=(settings.secret,), judge=judge, terms=terms) as http:
        yield FalQueue(settings, http)


def root_of(app: str) -> str:
    """The first two parts of an app's id, three in the namespaces that have one more: what requests lie below."""
    parts = app.split("/")
    return "/".join(parts[: 3 if parts[0] in _NAMESPACES else 2])


def digest_of(item: Mapping[str, Any]) -> str | None:
    """Of what a listed request was given; None where the list does not show it."""
    inputs = item.get("json_input")
    return _digest(inputs) if isinstance(inputs, dict) else None


def _digest(inputs: Mapping[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(inputs, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _sent_about(item: Any, at: float) -> bool:
    try:
        sent = datetime.fromisoformat(item["sent_at"])
        return isinstance(item["request_id"], str) and abs(sent.timestamp() - at) <= _CLOCKS_DIFFER
    except (KeyError, TypeError, ValueError):
        return False


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
