"""Tasks on FASHN, Magnific and Google's image models, from creation to result: real worker, vendors on loopback."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from compute.tasks.v1 import params_pb2, tasks_pb2
from google.protobuf import json_format
from PIL import Image
from pydantic import SecretStr

from services.providers import fashn, freepik_magnific, freepik_magnific_precision, nano_banana_upscaler, vertex
from services.providers.directory import Providers
from services.providers.media import MediaSettings, open_media
from services.providers.ports import Pixels
from tests.fakes.vendors.fashn import Fashn
from tests.fakes.vendors.fashn import refusal as fashn_refusal
from tests.fakes.vendors.gemini import Gemini, out_of_quota, stopped, unlike
from tests.fakes.vendors.magnific import Magnific
from tests.fakes.vendors.magnific import refusal as magnific_refusal
from tests.fakes.vendors.script import Script
from tests.fakes.vendors.wire import Answer
from tests.integration.tasks_host import hosting
from tests.integration.worker_host import WorkerHost

KEY = "an-image-key-that-nobody-may-see-93b7"
COMPLETED, FAILED = tasks_pb2.TASK_STATUS_COMPLETED, tasks_pb2.TASK_STATUS_FAILED
SHIRT = "inputs/shirt.png"


@dataclass
class Vendors:
    """All three, and the providers that know their addresses."""

    fashn: Fashn = field(default_factory=lambda: Fashn(KEY))
    magnific: Magnific = field(default_factory=lambda: Magnific(KEY))
    gemini: Gemini = field(default_factory=lambda: Gemini(KEY))

    @property
    def charges(self) -> int:
        return len(self.fashn.ledger) + len(self.magnific.ledger) + len(self.gemini.ledger)

    def script_of(self, provider: str) -> tuple[Script, str]:
        """Who answers that provider's submissions, and what the operation is called there."""
        if provider == "FASHN":
            return self.fashn.script, "run"
        if provider.startswith("FREEPIK"):
            return self.magnific.script, "submit"
        return self.gemini.script, "generate"

    @asynccontextmanager
    async def providers(self) -> AsyncIterator[Providers]:
        """The worker's own."""
        async with AsyncExitStack() as stack:
            for fake in (self.fashn, self.magnific, self.gemini):
                await stack.enter_async_context(fake.open())
            own = frozenset(fake.url.removeprefix("http://") for fake in (self.fashn, self.magnific))
            media = await stack.enter_async_context(open_media(MediaSettings(allow_private_urls=own)))
            key: dict[str, Any] = {"key": SecretStr(KEY)}
            upscaling = {**key, "base_url": self.magnific.url, "poll_seconds": 0.05, "usd_per_picture": 0.2}
            drawing = {**key, "base_url": self.gemini.url, "usd_per_picture": 0.1}
            opened = (
                (fashn, fashn.Settings(**key, base_url=self.fashn.url, usd_per_credit=0.075)),
                (freepik_magnific, freepik_magnific.Settings(**upscaling)),
                (freepik_magnific_precision, freepik_magnific_precision.Settings(**upscaling)),
                (vertex, vertex.Settings(**drawing)),
                (nano_banana_upscaler, nano_banana_upscaler.Settings(**drawing)),
            )
            found = {
                module.NAME: await stack.enter_async_context(module.connect(settings, media))
                for module, settings in opened
            }
            yield Providers(found)


@pytest.fixture
def vendors() -> Vendors:
    return Vendors()


@pytest.fixture
async def host(mongodb_url: str, nats_url: str) -> AsyncIterator[WorkerHost]:
    async with hosting(mongodb_url, nats_url, f"t{uuid4().hex[:12]}", retry_first_seconds=0.05) as tasks:
        host = WorkerHost(tasks, nats_url)
        host.images.pictures[SHIRT] = shirt()
        yield host


def shirt() -> Pixels:
    pixels = np.full((180, 240, 3), 230, np.uint8)
    pixels[40:150, 60:180] = (40, 60, 160)
    pixels[40:150, 60:180:12] = 250
    return pixels


def editing() -> params_pb2.TaskParams:
    return params_pb2.TaskParams(editing=params_pb2.EditingParams(prompt="make it red", base_image=SHIRT, seed=3))


def generation() -> params_pb2.TaskParams:
    return params_pb2.TaskParams(
        generation=params_pb2.GenerationParams(prompt="a red coat", width=1024, height=1024, seed=3)
    )


def refine(**fields: Any) -> params_pb2.TaskParams:
    given = {"base_image_url": SHIRT, "upscale_factor": 2.0, "upscale_seed": 3, **fields}
    return params_pb2.TaskParams(refine=params_pb2.RefineParams(**given))


def result_of(task: tasks_pb2.Task) -> Any:
    return getattr(task.result, task.result.WhichOneof("result") or "")


# Parameters, provider, (width, height) of the result, what it costs.
EACH: dict[str, tuple[Callable[[], params_pb2.TaskParams], str, tuple[int, int], float]] = {
    "editing on FASHN": (editing, "FASHN", (240, 180), 0.075),
    "editing on VERTEX": (editing, "VERTEX", (1200, 896), 0.1),
    "generation on VERTEX": (generation, "VERTEX", (1024, 1024), 0.1),
    "refine on FREEPIK_MAGNIFIC": (refine, "FREEPIK_MAGNIFIC", (480, 360), 0.2),
    "refine on FREEPIK_MAGNIFIC_PRECISION": (refine, "FREEPIK_MAGNIFIC_PRECISION", (480, 360), 0.2),
    "refine on NANO_BANANA_UPSCALER": (refine, "NANO_BANANA_UPSCALER", (480, 360), 0.1),
}
EVERY = pytest.mark.parametrize("case", EACH)


@EVERY
async def test_a_task_is_done_by_its_provider_for_one_charge(host: WorkerHost, vendors: Vendors, case: str) -> None:
    params, provider, size, cost = EACH[case]
    vendors.fashn.path = ("processing",)
    async with vendors.providers() as providers, host.worker(providers):
        task = await host.run(params(), provider_type=provider)
    assert task.status == COMPLETED, task.errors
    picture = Image.open(io.BytesIO(host.objects.kept["acme", result_of(task).result_image_path]))
    assert picture.size == size == (result_of(task).width, result_of(task).height)
    (call,) = task.provider_calls
    assert (call.provider, call.outcome, call.attempt) == (provider, "SUCCEEDED", 1)
    assert call.cost_usd == pytest.approx(cost) and vendors.charges == 1
    assert bool(call.request_id) == (provider not in ("VERTEX", "NANO_BANANA_UPSCALER"))
    assert KEY not in json_format.MessageToJson(task)


@EVERY
async def test_a_lost_answer_is_never_paid_twice_in_silence(host: WorkerHost, vendors: Vendors, case: str) -> None:
    params, provider, _, _ = EACH[case]
    script, operation = vendors.script_of(provider)
    script.after(operation, Answer(cut_at=0))
    async with vendors.providers() as providers, host.worker(providers):
        task = await host.run(params(), provider_type=provider, fallback_provider_type="VERTEX")
    assert (task.status, task.error_reason, vendors.charges) == (FAILED, "PROVIDER_OUTCOME_UNKNOWN", 1)
    (call,) = task.provider_calls
    assert call.outcome == "UNKNOWN" and "may have been charged" in task.errors[-1]


@pytest.mark.parametrize("case", ["editing on FASHN", "refine on FREEPIK_MAGNIFIC"])
async def test_a_restarted_worker_takes_up_what_runs_at_the_vendor(
    host: WorkerHost, vendors: Vendors, case: str
) -> None:
    params, provider, _, _ = EACH[case]
    script, _ = vendors.script_of(provider)
    release = script.hold("status")
    async with vendors.providers() as providers:
        async with host.worker(providers):
            task_id = await host.create(params(), provider_type=provider)
            await script.arrived("status")
        release.set()
        async with host.worker(providers):
            task = await host.ended(task_id)
    assert task.status == COMPLETED, task.errors
    assert (vendors.charges, task.attempt) == (1, 2)
    assert len({call.request_id for call in task.provider_calls}) == 1


async def test_a_worker_that_dies_while_google_draws_leaves_the_charge_in_the_open(
    host: WorkerHost, vendors: Vendors
) -> None:
    vendors.gemini.script.hold("generate")
    async with vendors.providers() as providers:
        async with host.worker(providers):
            task_id = await host.create(generation(), provider_type="VERTEX")
            await vendors.gemini.script.arrived("generate")
        async with host.worker(providers):
            task = await host.ended(task_id)
    assert (task.status, task.error_reason, vendors.charges) == (FAILED, "PROVIDER_OUTCOME_UNKNOWN", 1)


async def test_a_prediction_named_by_the_task_costs_nothing_more(host: WorkerHost, vendors: Vendors) -> None:
    async with vendors.providers() as providers, host.worker(providers):
        first = await host.run(editing(), provider_type="FASHN")
        resumed = {"fashn_task_id": first.provider_calls[0].request_id}
        second = await host.run(editing(), provider_type="FASHN", provider_config=resumed)
    assert second.status == COMPLETED, second.errors
    assert vendors.charges == 1
    assert second.provider_calls[0].request_id == first.provider_calls[0].request_id


async def test_a_vendor_that_fails_gives_way_to_the_fallback(host: WorkerHost, vendors: Vendors) -> None:
    for _ in range(3):
        vendors.fashn.script.instead("run", fashn_refusal(500, "InternalServerError", "Server error"))
    async with vendors.providers() as providers, host.worker(providers):
        task = await host.run(
            editing(),
            provider_type="FASHN",
            fallback_provider_type="VERTEX",
            fallback_provider_config={"image_size": "2K"},
        )
    assert task.status == COMPLETED, task.errors
    assert [(call.provider, call.outcome, call.fallback) for call in task.provider_calls] == [
        ("FASHN", "FAILED", False),
        ("FASHN", "FAILED", False),
        ("FASHN", "FAILED", False),
        ("VERTEX", "SUCCEEDED", True),
    ]
    assert result_of(task).width == 2400 and vendors.charges == 1


async def test_an_account_without_credits_gives_way_at_once(host: WorkerHost, vendors: Vendors) -> None:
    vendors.fashn.balance = 0
    async with vendors.providers() as providers, host.worker(providers):
        task = await host.run(editing(), provider_type="FASHN", fallback_provider_type="VERTEX")
    assert task.status == COMPLETED, task.errors
    assert [(call.provider, call.reason) for call in task.provider_calls] == [
        ("FASHN", "PROVIDER_NO_CREDITS"),
        ("VERTEX", ""),
    ]


async def test_pictures_that_stray_give_way_to_the_fallback_and_its_capabilities(
    host: WorkerHost, vendors: Vendors
) -> None:
    vendors.gemini.painters.extend([unlike, unlike])
    async with vendors.providers() as providers, host.worker(providers):
        task = await host.run(
            refine(),
            provider_type="NANO_BANANA_UPSCALER",
            provider_config={"max_retries": 1},
            fallback_provider_type="FREEPIK_MAGNIFIC_PRECISION",
        )
    assert task.status == COMPLETED, task.errors
    first, second = task.provider_calls
    assert first.reason == "PROVIDER_NOT_CONSISTENT" and first.cost_usd == pytest.approx(0.2)
    assert (second.provider, second.outcome, len(vendors.magnific.ledger)) == (
        "FREEPIK_MAGNIFIC_PRECISION",
        "SUCCEEDED",
        1,
    )


REFUSED: dict[str, tuple[Callable[[Vendors], None], Callable[[], params_pb2.TaskParams], str, str]] = {
    "content at FASHN": (
        lambda vendors: vendors.fashn.outcomes.append(("ContentModerationError", "no")),
        editing,
        "FASHN",
        "CONTENT_REFUSED",
    ),
    "content at Google": (
        lambda vendors: vendors.gemini.replies.append(stopped("IMAGE_SAFETY")),
        generation,
        "VERTEX",
        "CONTENT_REFUSED",
    ),
    "a capability": (
        lambda vendors: None,
        lambda: refine(upscale_factor=3.0),
        "FREEPIK_MAGNIFIC",
        "CAPABILITY_MISSING",
    ),
    "an argument": (
        lambda vendors: vendors.magnific.script.instead("submit", magnific_refusal(400, "no")),
        refine,
        "FREEPIK_MAGNIFIC_PRECISION",
        "PROVIDER_REJECTED",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_refused_for_good_is_asked_of_nobody_else(host: WorkerHost, vendors: Vendors, case: str) -> None:
    refuse, params, provider, reason = REFUSED[case]
    refuse(vendors)
    async with vendors.providers() as providers, host.worker(providers):
        task = await host.run(params(), provider_type=provider, fallback_provider_type="VERTEX")
    assert (task.status, task.attempt, task.error_reason) == (FAILED, 1, reason)
    assert {call.provider for call in task.provider_calls} <= {provider} and vendors.charges == 0


LIMITED: dict[str, tuple[str, Answer]] = {
    "editing on FASHN": ("run", fashn_refusal(429, "RateLimitExceeded", "Too many requests", retry_after="1")),
    "refine on FREEPIK_MAGNIFIC": ("submit", magnific_refusal(429, "Too many requests", retry_after="1")),
    "editing on VERTEX": ("generate", out_of_quota("PerMinute", "1s")),
}


@pytest.mark.parametrize("case", LIMITED)
async def test_a_limit_is_sat_out_and_costs_no_try(host: WorkerHost, vendors: Vendors, case: str) -> None:
    params, provider, _, _ = EACH[case]
    operation, answer = LIMITED[case]
    vendors.script_of(provider)[0].instead(operation, answer)
    async with vendors.providers() as providers, host.worker(providers):
        task = await host.run(params(), provider_type=provider)
    assert task.status == COMPLETED, task.errors
    assert (vendors.charges, task.attempt) == (1, 1)
    assert [call.reason for call in task.provider_calls] == ["RATE_LIMITED", ""]
