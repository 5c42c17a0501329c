from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import pytest
from PIL import Image
from pydantic import SecretStr
from structlog.testing import capture_logs

from services.common.errors import (
    ComputeError,
    DeadlineExceeded,
    InvalidRequest,
    OutcomeUnknown,
    ProviderFailed,
    ProviderRefused,
    RateLimited,
    Unavailable,
)
from services.providers import freepik_magnific, freepik_magnific_precision, media
from services.providers.calls import SupportsJobStatus, UnrecordedCall, VendorJob
from services.providers.capabilities.refining import REFINING, DiffusionPass, Refinement
from services.providers.freepik_magnific import FreepikMagnific
from services.providers.freepik_magnific_precision import FreepikMagnificPrecision
from services.providers.magnific import upscaler
from services.providers.media import MediaSettings, open_media
from services.providers.ports import DiffusionStep, Pixels
from tests.fakes.calls import Remembered
from tests.fakes.vendors.magnific import CREATIVE, PRECISION_V2, Magnific, refusal
from tests.fakes.vendors.pictures import open_base64
from tests.fakes.vendors.wire import Answer, json_answer

KEY = "magnific-key-of-a-test"
Either: TypeAlias = FreepikMagnific | FreepikMagnificPrecision
BOTH = pytest.mark.parametrize("module", [freepik_magnific, freepik_magnific_precision], ids=["creative", "precision"])
PASS = DiffusionPass(denoise=0.3, steps=20, seed=5)
REFUSALS = [
    (refusal(400, "scale_factor: invalid value"), InvalidRequest, "PROVIDER_REJECTED"),
    (refusal(401, "Invalid API key"), ProviderRefused, "PROVIDER_KEY_REFUSED"),
    (refusal(403, "Forbidden"), ProviderRefused, "PROVIDER_KEY_REFUSED"),
    (refusal(429, "Too many requests"), RateLimited, "RATE_LIMITED"),
]
LOSSES = {
    "the line dies": Answer(cut_at=0),
    "the answer breaks off": Answer(200, b'{"data": {"task_id": "1"}}', cut_at=9),
    "no JSON": Answer(200, b"<html>oops</html>"),
    "an empty object": json_answer({}),
    "a list": json_answer([]),
    "a task without id": json_answer({"data": {"status": "CREATED", "generated": []}}),
    "a server error": refusal(500, "Internal Server Error"),
    "out of service": refusal(503, "Service Unavailable"),
    "a gateway gives up": Answer(504, b""),
}


@pytest.fixture
async def vendor() -> AsyncIterator[Magnific]:
    async with Magnific(KEY).open() as vendor:
        vendor.path = ()
        yield vendor


@asynccontextmanager
async def adapter(vendor: Magnific, module: ModuleType = freepik_magnific, **settings: Any) -> AsyncIterator[Either]:
    told = module.Settings(key=SecretStr(vendor.key), base_url=vendor.url, **{"poll_seconds": 0.01, **settings})
    reach = MediaSettings(allow_private_urls=frozenset({vendor.url.removeprefix("http://")}))
    async with AsyncExitStack() as stack:
        pictures = await stack.enter_async_context(open_media(reach))
        yield await stack.enter_async_context(module.connect(told, pictures))


def picture(width: int = 200, height: int = 160) -> Pixels:
    across = np.linspace(0, 255, width, dtype=np.uint8)
    return np.repeat(np.repeat(across[None, :, None], height, 0), 3, 2)


def wanted(factor: float | None = 2, **more: Any) -> Refinement:
    return Refinement(**{"image": picture(), "factor": factor, "upscale": PASS, **more})


async def quiet(step: DiffusionStep) -> None:
    pass


def sent(vendor: Magnific) -> Mapping[str, Any]:
    """The last submission without its picture."""
    (*_, last) = vendor.tasks.values()
    return {name: value for name, value in last.body.items() if name != "image"}


@pytest.mark.parametrize("factor", [2, 4, 8])
async def test_the_creative_upscaler_enlarges_by_the_factor(vendor: Magnific, factor: int) -> None:
    config = {"creativity": 3, "hdr": -2, "engine": "magnific_sharpy", "optimized_for": "3d_renders"}
    async with adapter(vendor) as provider:
        given = await provider.configured(config, UnrecordedCall()).refine(wanted(factor), quiet)
    assert given.picture.pixels.shape == (160 * factor, 200 * factor, 3)
    assert given.picture.model.name == "image-upscaler" and len(vendor.ledger) == 1
    assert sent(vendor) == {
        "scale_factor": f"{factor}x",
        "optimized_for": "3d_renders",
        "creativity": 3,
        "hdr": -2,
        "resemblance": 0,
        "fractality": 0,
        "engine": "magnific_sharpy",
    }


@pytest.mark.parametrize(
    ("own", "configured", "told"), [("a coat", "a dress", "a coat"), (None, "a dress", "a dress"), (None, None, None)]
)
async def test_the_tasks_prompt_comes_before_the_configured_one(
    vendor: Magnific, own: str | None, configured: str | None, told: str | None
) -> None:
    async with adapter(vendor) as provider:
        wish = wanted(upscale=DiffusionPass(0.3, 20, 5, own))
        await provider.configured({"defaultPrompt": configured}, UnrecordedCall()).refine(wish, quiet)
    assert sent(vendor).get("prompt") == told


@pytest.mark.parametrize("module", [freepik_magnific, freepik_magnific_precision])
async def test_a_task_nobody_waits_for_is_asked_how_it_went(vendor: Magnific, module: ModuleType) -> None:
    vendor.path = ("CREATED", "IN_PROGRESS")
    call = UnrecordedCall()
    async with adapter(vendor, module, usd_per_picture=0.2, poll_seconds=60) as provider:
        given = provider.configured({}, call)
        run = asyncio.create_task(given.refine(wanted(), quiet))
        await vendor.script.arrived("status")
        run.cancel()
        [task] = vendor.tasks.values()
        task.states.appendleft("IN_PROGRESS")
        job = VendorJob(task.id, {"path": task.endpoint})
        assert isinstance(given, SupportsJobStatus)
        assert not await given.ended(job) and call.cost is None
        task.states.clear()
        task.states.append("COMPLETED")
        assert await given.ended(job) and call.cost == 0.2


@pytest.mark.parametrize(("factor", "whole"), [(2, 2), (3, 3), (1.5, 2), (2.25, 3), (7, 7)])
async def test_the_precise_upscaler_makes_every_size_in_between(vendor: Magnific, factor: float, whole: int) -> None:
    call = UnrecordedCall()
    async with adapter(vendor, freepik_magnific_precision, usd_per_picture=0.2) as provider:
        given = await provider.configured({"sharpen": 20}, call).refine(wanted(factor), quiet)
    assert given.picture.pixels.shape == (round(160 * factor), round(200 * factor), 3)
    assert sent(vendor) == {
        "scale_factor": whole,
        "flavor": "photo",
        "sharpen": 20,
        "smart_grain": 7,
        "ultra_detail": 30,
    }
    assert call.cost == 0.2


@pytest.mark.parametrize(
    ("module", "wish", "named"),
    [
        (freepik_magnific, wanted(3), "UPSCALE_FLOAT"),
        (freepik_magnific, wanted(2.5), "UPSCALE_FLOAT"),
        (freepik_magnific, wanted(None), "OUTPUT_SIZE"),
        (freepik_magnific, wanted(None, width=500, height=400), "OUTPUT_SIZE"),
        (freepik_magnific, wanted(2, faces=PASS), "FACE_DETAIL"),
        (freepik_magnific_precision, wanted(None), "OUTPUT_SIZE"),
        (freepik_magnific_precision, wanted(None, upscale=None, faces=PASS), "FACE_DETAIL"),
        (freepik_magnific_precision, wanted(1), "more than 1"),
        (freepik_magnific_precision, wanted(16.5), "at most 16"),
    ],
)
async def test_what_it_cannot_do_is_named_and_never_sent(
    vendor: Magnific, module: ModuleType, wish: Refinement, named: str
) -> None:
    async with adapter(vendor, module) as provider:
        with pytest.raises(InvalidRequest, match=named) as caught:
            await provider.configured({}, UnrecordedCall()).refine(wish, quiet)
    assert caught.value.reason == "CAPABILITY_MISSING" and not vendor.asked


async def test_a_capability_the_task_leaves_out_is_missing(vendor: Magnific) -> None:
    async with adapter(vendor) as provider:
        some = provider.configured({}, UnrecordedCall(frozenset({"UPSCALE_2X"})))
        with pytest.raises(InvalidRequest, match="UPSCALE_4X"):
            await some.refine(wanted(4), quiet)
        assert (await some.refine(wanted(2), quiet)).picture.pixels.shape == (320, 400, 3)


@BOTH
async def test_more_pixels_than_it_makes_are_never_sent(vendor: Magnific, module: ModuleType) -> None:
    async with adapter(vendor, module) as provider:
        with pytest.raises(InvalidRequest) as caught:
            await provider.configured({}, UnrecordedCall()).refine(wanted(8, image=picture(1200, 900)), quiet)
    assert caught.value.reason == "TOO_MANY_PIXELS" and not vendor.asked


async def test_what_the_vendor_finds_too_small_is_the_callers_fault(vendor: Magnific) -> None:
    async with adapter(vendor, freepik_magnific_precision) as provider:
        with pytest.raises(InvalidRequest, match="too small"):
            await provider.configured({}, UnrecordedCall()).refine(wanted(2, image=picture(100, 100)), quiet)


async def test_a_picture_too_long_as_png_is_sent_as_jpeg(vendor: Magnific) -> None:
    noisy = np.random.default_rng(1).integers(0, 256, (160, 160, 3), np.uint8)
    async with adapter(vendor, max_base64=90_000) as provider:
        for image in (picture(), noisy):
            await provider.configured({}, UnrecordedCall()).refine(wanted(image=image), quiet)
    formats = [open_base64(task.body["image"]).format for task in vendor.tasks.values()]
    assert formats == ["PNG", "JPEG"]


@pytest.mark.parametrize("wrapped", [True, False])
async def test_both_shapes_of_answers_are_read(vendor: Magnific, wrapped: bool) -> None:
    vendor.path, vendor.wrapped = ("CREATED", "IN_PROGRESS", "IN_PROGRESS"), wrapped
    async with adapter(vendor) as provider:
        given = await provider.configured({}, UnrecordedCall()).refine(wanted(), quiet)
    assert given.picture.pixels.shape == (320, 400, 3)


async def test_the_older_host_and_header_are_settings() -> None:
    async with (
        Magnific("an-older-key", header="x-freepik-api-key").open() as vendor,
        adapter(vendor, key_header="x-freepik-api-key") as provider,
    ):
        assert (await provider.configured({}, UnrecordedCall()).refine(wanted(), quiet)).picture.pixels.size


@pytest.mark.parametrize(("answer", "kind", "reason"), REFUSALS, ids=lambda value: str(getattr(value, "status", "")))
async def test_each_refusal_has_its_meaning(
    vendor: Magnific, answer: Answer, kind: type[ComputeError], reason: str
) -> None:
    vendor.script.instead("submit", answer)
    async with adapter(vendor) as provider:
        with pytest.raises(kind) as caught:
            await provider.configured({}, UnrecordedCall()).refine(wanted(), quiet)
    assert type(caught.value) is kind and caught.value.reason == reason and not vendor.ledger


async def test_the_pause_that_a_limit_names_is_passed_on(vendor: Magnific) -> None:
    vendor.script.instead("submit", refusal(429, "Too many requests", retry_after="30"))
    async with adapter(vendor) as provider:
        with pytest.raises(RateLimited) as caught:
            await provider.configured({}, UnrecordedCall()).refine(wanted(), quiet)
    assert caught.value.retry_after == 30


@BOTH
@pytest.mark.parametrize("loss", LOSSES)
async def test_a_lost_answer_leaves_the_outcome_unknown(vendor: Magnific, module: ModuleType, loss: str) -> None:
    vendor.script.after("submit", LOSSES[loss])
    async with adapter(vendor, module) as provider:
        with pytest.raises(OutcomeUnknown):
            await provider.configured({}, UnrecordedCall()).refine(wanted(), quiet)
    assert len(vendor.ledger) == 1


async def test_a_failed_task_may_be_tried_again_once(vendor: Magnific) -> None:
    vendor.outcomes.append(False)
    async with adapter(vendor) as provider:
        with pytest.raises(ProviderFailed, match="gives no reason"):
            await provider.configured({}, UnrecordedCall()).refine(wanted(), quiet)
        assert provider.terms.tries == 2


async def test_a_worker_that_died_while_waiting_pays_once(vendor: Magnific) -> None:
    vendor.path, call = ("CREATED", "IN_PROGRESS"), Remembered()
    async with adapter(vendor, poll_seconds=60) as provider:
        slow = provider.configured({}, call)
        run = asyncio.create_task(slow.refine(wanted(), quiet))
        await vendor.script.arrived("status")
        run.cancel()
        await asyncio.wait([run])
        given = await slow.refine(wanted(), quiet)
    assert given.picture.pixels.shape == (320, 400, 3) and len(vendor.ledger) == 1


async def test_a_task_that_takes_too_long_goes_on(vendor: Magnific) -> None:
    vendor.path = ("IN_PROGRESS",) * 10_000
    async with adapter(vendor, timeout_seconds=0.5) as provider:
        with pytest.raises(DeadlineExceeded) as caught:
            await provider.configured({}, UnrecordedCall()).refine(wanted(), quiet)
    assert caught.value.reason == "PROVIDER_TOO_SLOW"


async def test_a_status_that_stumbles_is_asked_again(vendor: Magnific) -> None:
    vendor.script.instead("status", refusal(503, "Service Unavailable"), Answer(cut_at=0))
    async with adapter(vendor) as provider:
        given = await provider.configured({}, UnrecordedCall()).refine(wanted(), quiet)
    assert given.picture.pixels.size


async def test_a_forgotten_task_is_told_clearly(vendor: Magnific) -> None:
    call = Remembered()
    async with adapter(vendor) as provider:
        await provider.configured({}, call).refine(wanted(), quiet)
        vendor.tasks.clear()
        with pytest.raises(ProviderRefused) as caught:
            await provider.configured({}, call).refine(wanted(), quiet)
    assert caught.value.reason == "PROVIDER_JOB_UNKNOWN"


async def test_an_unknown_state_is_reported_and_taken_as_running(vendor: Magnific) -> None:
    vendor.script.instead("status", json_answer({"data": {"task_id": "1", "status": "PAUSED", "generated": []}}))
    with capture_logs() as logs:
        async with adapter(vendor) as provider:
            await provider.configured({}, UnrecordedCall()).refine(wanted(), quiet)
    assert [entry["state"] for entry in logs if "unknown state" in entry["event"]] == ["PAUSED"]


async def test_an_expired_address_is_asked_for_again(vendor: Magnific, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "_PAUSES", (0.0,))
    old = json_answer({"data": {"status": "COMPLETED", "generated": [f"{vendor.url}/statics/old.png"]}})
    vendor.script.instead("status", old)
    async with adapter(vendor) as provider:
        given = await provider.configured({}, UnrecordedCall()).refine(wanted(), quiet)
    assert given.picture.pixels.shape == (320, 400, 3) and len(vendor.ledger) == 1


async def test_an_address_that_stays_expired_fails_clearly(vendor: Magnific, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "_PAUSES", (0.0,))
    call = Remembered()
    async with adapter(vendor) as provider:
        await provider.configured({}, call).refine(wanted(), quiet)
        vendor.expire_pictures()
        with pytest.raises(Unavailable) as caught:
            await provider.configured({}, call).refine(wanted(), quiet)
    assert caught.value.reason == "PROVIDER_RESULT_UNREACHABLE" and len(vendor.ledger) == 1


@pytest.mark.parametrize("generated", [None, [], "x", [5]])
async def test_completed_without_a_picture_is_unusable(vendor: Magnific, generated: Any) -> None:
    vendor.script.instead("status", json_answer({"data": {"status": "COMPLETED", "generated": generated}}))
    async with adapter(vendor) as provider:
        with pytest.raises(ProviderRefused) as caught:
            await provider.configured({}, UnrecordedCall()).refine(wanted(), quiet)
    assert caught.value.reason == "PROVIDER_RESULT_UNUSABLE"


async def test_a_result_that_is_no_picture_is_unusable(vendor: Magnific) -> None:
    vendor.script.instead("media", Answer(200, b"<html>soon</html>", {"content-type": "image/png"}))
    async with adapter(vendor) as provider:
        with pytest.raises(ProviderRefused) as caught:
            await provider.configured({}, UnrecordedCall()).refine(wanted(), quiet)
    assert caught.value.reason == "PROVIDER_RESULT_UNUSABLE"


async def test_the_key_goes_to_the_vendor_and_nowhere_else(vendor: Magnific) -> None:
    vendor.script.instead("submit", refusal(401, f"unknown key {KEY}"))
    with capture_logs() as logs:
        async with adapter(vendor) as provider:
            with pytest.raises(ProviderRefused) as caught:
                await provider.configured({}, UnrecordedCall()).refine(wanted(), quiet)
            await provider.configured({}, UnrecordedCall()).refine(wanted(), quiet)
    assert KEY not in f"{caught.value} {caught.value!r} {logs}"
    fetches = [asked for asked in vendor.asked if asked.path.startswith("/statics/")]
    assert fetches and not any(KEY in str(asked.headers) for asked in fetches)


@BOTH
async def test_without_a_key_the_setting_is_named(module: ModuleType) -> None:
    async with open_media(MediaSettings()) as pictures, module.connect(module.Settings(), pictures) as provider:
        assert REFINING.of(provider) is not None
        with pytest.raises(ProviderRefused, match="FREEPIK_KEY"):
            provider.configured({}, UnrecordedCall())


async def test_both_providers_share_one_account(vendor: Magnific) -> None:
    async with adapter(vendor) as creative, adapter(vendor, freepik_magnific_precision) as precise:
        assert creative.terms.account == precise.terms.account
    assert (freepik_magnific.Settings().creative_path, freepik_magnific_precision.Settings().precision_path) == (
        CREATIVE,
        PRECISION_V2,
    )
    assert upscaler.MagnificSettings().base_url == "https://api.magnific.com"


async def test_the_result_is_the_picture_the_vendor_made(vendor: Magnific) -> None:
    async with adapter(vendor) as provider:
        given = await provider.configured({}, UnrecordedCall()).refine(wanted(), quiet)
    bicubic = Image.fromarray(picture()).resize((400, 320), Image.Resampling.BICUBIC)
    assert np.array_equal(given.picture.pixels, np.asarray(bicubic))
