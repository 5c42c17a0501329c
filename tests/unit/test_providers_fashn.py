from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import SecretStr
from structlog.testing import capture_logs

from services.common.errors import (
    ComputeError,
    ContentRefused,
    DeadlineExceeded,
    InvalidRequest,
    OutcomeUnknown,
    ProviderExhausted,
    ProviderFailed,
    ProviderRefused,
    RateLimited,
    Unavailable,
)
from services.providers import fashn, media
from services.providers.calls import SupportsCancel, SupportsJobStatus, UnrecordedCall, VendorJob
from services.providers.capabilities.editing import EDITING, EditRequest
from services.providers.http import HttpTerms, open_http
from services.providers.media import MediaSettings, open_media
from services.providers.ports import DiffusionStep, Pixels
from tests.fakes.calls import Remembered
from tests.fakes.vendors.fashn import Fashn, refusal
from tests.fakes.vendors.pictures import open_data_url
from tests.fakes.vendors.wire import Answer, json_answer

KEY = "fashn-key-of-a-test"
# Vendor's answers to a submission, and what each is to us: the class, its reason, whether it was charged.
REFUSALS = [
    (refusal(400, "BadRequest", "Invalid request"), InvalidRequest, "PROVIDER_REJECTED"),
    (refusal(401, "UnauthorizedAccess", "Unauthorized: Invalid token"), ProviderRefused, "PROVIDER_KEY_REFUSED"),
    (refusal(404, "NotFound", "Resource not found"), ProviderRefused, "PROVIDER_REFUSED"),
    (refusal(429, "RateLimitExceeded", "Too many requests"), RateLimited, "RATE_LIMITED"),
    (refusal(429, "ConcurrencyLimitExceeded", "Too many predictions"), RateLimited, "RATE_LIMITED"),
    (refusal(429, "OutOfCredits", "No credits"), ProviderExhausted, "PROVIDER_NO_CREDITS"),
    (refusal(500, "InternalServerError", "Server error"), ProviderFailed, "PROVIDER_FAILED"),
]
LOSSES = {
    "the line dies": Answer(cut_at=0),
    "the answer breaks off": Answer(200, b'{"id": "123", "error": null}', cut_at=9),
    "nothing comes": Answer(silent=True),
    "no JSON": Answer(200, b"<html>oops</html>", {"content-type": "text/html"}),
    "an empty object": json_answer({}),
    "a list": json_answer([]),
    "a gateway gives up": Answer(502, b"<html>bad gateway</html>"),
    "a gateway waits in vain": Answer(504, b""),
}
FAILURES = [
    ("ImageLoadError", InvalidRequest, "PROVIDER_REJECTED"),
    ("PoseError", InvalidRequest, "PROVIDER_REJECTED"),
    ("LoRALoadError", InvalidRequest, "PROVIDER_REJECTED"),
    ("InputValidationError", InvalidRequest, "PROVIDER_REJECTED"),
    ("ContentModerationError", ContentRefused, "CONTENT_REFUSED"),
    ("ThirdPartyError", ContentRefused, "CONTENT_REFUSED"),
    ("PipelineError", ProviderFailed, "PROVIDER_FAILED"),
    ("3rdPartyProviderError", ProviderFailed, "PROVIDER_FAILED"),
    ("InternalServerError", ProviderFailed, "PROVIDER_FAILED"),
    ("a new word", ProviderFailed, "PROVIDER_FAILED"),
]


@pytest.fixture
async def vendor() -> AsyncIterator[Fashn]:
    async with Fashn(KEY).open() as vendor:
        vendor.path = ()
        yield vendor


@asynccontextmanager
async def adapter(vendor: Fashn, *, seconds: float = 20.0, **settings: Any) -> AsyncIterator[fashn.Fashn]:
    """As `connect` makes it; a request takes at most `seconds`."""
    told = fashn.Settings(key=SecretStr(vendor.key), base_url=vendor.url, usd_per_credit=0.075, **settings)
    reach = MediaSettings(allow_private_urls=frozenset({vendor.url.removeprefix("http://")}))
    headers = {"authorization": f"Bearer {told.secret}"}
    terms = HttpTerms(request_seconds=seconds, patience=10.0)
    async with (
        open_media(reach) as pictures,
        open_http("FASHN", headers=headers, secrets=(told.secret,), terms=terms, judge=fashn.judge) as http,
    ):
        yield fashn.Fashn(settings=told, http=http, media=pictures)


def picture(width: int = 48, height: int = 64) -> Pixels:
    return np.full((height, width, 3), (200, 120, 40), np.uint8)


def edit(**changes: Any) -> EditRequest:
    return replace(EditRequest("make it blue", picture(), seed=7), **changes)


async def quiet(step: DiffusionStep) -> None:
    pass


def sent(vendor: Fashn) -> dict[str, Any]:
    """The inputs of the last submission."""
    (*_, last) = [asked for asked in vendor.asked if asked.path == "/v1/run"]
    inputs: dict[str, Any] = last.json()["inputs"]
    return inputs


async def test_a_picture_is_edited_and_charged_once(vendor: Fashn) -> None:
    call = UnrecordedCall()
    async with adapter(vendor) as provider:
        given = await provider.configured({}, call).edit(edit(), quiet)
    assert np.abs(given.pixels.astype(int) - (255 - picture().astype(int))).max() <= 4
    assert (given.seed, given.model.name) == (7, "fashn/edit")
    assert len(vendor.ledger) == 1 and call.cost == pytest.approx(0.075)
    assert {**sent(vendor), "image": ""} == {
        "image": "",
        "prompt": "make it blue",
        "resolution": "1k",
        "seed": 7,
        "output_format": "png",
    }


async def test_it_connects_with_its_own_settings(vendor: Fashn) -> None:
    told = fashn.Settings(key=SecretStr(KEY), base_url=vendor.url)
    async with open_media(MediaSettings()) as pictures, fashn.connect(told, pictures) as provider:
        assert EDITING.of(provider.configured({}, UnrecordedCall())) is not None
        assert provider.terms.account.startswith("fashn.") and KEY not in provider.terms.account


async def test_the_states_before_the_end_are_waited_through(vendor: Fashn) -> None:
    vendor.path = ("starting", "processing")
    async with adapter(vendor) as provider:
        await provider.configured({"poll_interval": 1}, UnrecordedCall()).edit(edit(), quiet)
    assert sum(asked.path.startswith("/v1/status/") for asked in vendor.asked) == 3


async def test_pictures_are_sent_at_most_as_high_as_the_task_says(vendor: Fashn) -> None:
    async with adapter(vendor) as provider:
        tall = provider.configured({"max_image_height": 100}, UnrecordedCall())
        await tall.edit(edit(image=picture(90, 300)), quiet)
    received = open_data_url(sent(vendor)["image"])
    assert received.size == (30, 100) and received.format == "JPEG"


async def test_a_mask_and_a_reference_go_along(vendor: Fashn) -> None:
    mask = np.zeros((64, 48), np.uint8)
    mask[:32] = 255
    async with adapter(vendor) as provider:
        await provider.configured({}, UnrecordedCall()).edit(edit(mask=mask, references=(picture(),)), quiet)
    assert np.array_equal(np.asarray(open_data_url(sent(vendor)["mask"])), mask)
    assert open_data_url(sent(vendor)["image_context"]).size == (48, 64)


@pytest.mark.parametrize(("model", "garment"), [("tryon-max", "product_image"), ("tryon-v1.6", "garment_image")])
async def test_a_garment_is_put_on_a_model(vendor: Fashn, model: str, garment: str) -> None:
    async with adapter(vendor) as provider:
        await provider.configured({}, UnrecordedCall()).edit(edit(app=model, references=(picture(20, 30),)), quiet)
    assert open_data_url(sent(vendor)["model_image"]).size == (48, 64)
    assert open_data_url(sent(vendor)[garment]).size == (20, 30)


async def test_the_sides_and_the_care_asked_for_are_told_to_the_model(vendor: Fashn) -> None:
    async with adapter(vendor) as provider:
        careful = provider.configured({"generation_mode": "quality"}, UnrecordedCall())
        await careful.edit(edit(width=1600, height=2000), quiet)
        told = {"aspect_ratio": "4:5", "generation_mode": "quality", "resolution": "2k"}
        assert sent(vendor).items() >= told.items()
        await careful.edit(edit(app="tryon-max", references=(picture(),), width=3200, height=1800), quiet)
        assert sent(vendor).items() >= {**told, "aspect_ratio": "16:9"}.items()
        fast = provider.configured({"generation_mode": "fast"}, UnrecordedCall())
        await fast.edit(edit(app="tryon-v1.6", references=(picture(),), width=1600, height=2000), quiet)
        assert sent(vendor)["mode"] == "performance" and not {"aspect_ratio", "generation_mode"} & set(sent(vendor))
        await fast.edit(edit(mask=np.zeros((64, 48), np.uint8), width=1600, height=2000), quiet)
        assert sent(vendor)["generation_mode"] == "fast" and "aspect_ratio" not in sent(vendor)
        with pytest.raises(InvalidRequest) as caught:
            await fast.edit(edit(app="tryon-max", references=(picture(),)), quiet)
    assert caught.value.reason == "CAPABILITY_MISSING"


async def test_another_vendors_model_is_not_asked_for(vendor: Fashn) -> None:
    async with adapter(vendor) as provider:
        given = await provider.configured({}, UnrecordedCall()).edit(edit(app="fal-ai/flux/dev"), quiet)
    assert given.model.name == "fashn/edit"


@pytest.mark.parametrize(
    "wish",
    [
        edit(references=(picture(), picture())),
        edit(app="tryon-max"),
        edit(app="tryon-max", references=(picture(),), mask=np.zeros((64, 48), np.uint8)),
    ],
    ids=["two references", "no garment", "a mask on a garment"],
)
async def test_what_no_model_can_do_is_never_sent(vendor: Fashn, wish: EditRequest) -> None:
    async with adapter(vendor) as provider:
        with pytest.raises(InvalidRequest) as caught:
            await provider.configured({}, UnrecordedCall()).edit(wish, quiet)
    assert caught.value.reason == "CAPABILITY_MISSING" and not vendor.asked


@pytest.mark.parametrize(("answer", "kind", "reason"), REFUSALS, ids=lambda value: str(getattr(value, "status", "")))
async def test_each_refusal_has_its_meaning(
    vendor: Fashn, answer: Answer, kind: type[ComputeError], reason: str
) -> None:
    vendor.script.instead("run", answer)
    async with adapter(vendor) as provider:
        with pytest.raises(kind) as caught:
            await provider.configured({}, UnrecordedCall()).edit(edit(), quiet)
    assert type(caught.value) is kind and caught.value.reason == reason
    assert not vendor.ledger


async def test_the_vendors_own_check_of_a_request_is_the_callers_fault(vendor: Fashn) -> None:
    async with adapter(vendor, model="no such model") as provider:
        with pytest.raises(InvalidRequest, match="Invalid model_name"):
            await provider.configured({}, UnrecordedCall()).edit(edit(), quiet)


async def test_the_pause_that_a_limit_names_is_passed_on(vendor: Fashn) -> None:
    vendor.script.instead("run", refusal(429, "RateLimitExceeded", "Too many requests", retry_after="17"))
    async with adapter(vendor) as provider:
        with pytest.raises(RateLimited) as caught:
            await provider.configured({}, UnrecordedCall()).edit(edit(), quiet)
    assert caught.value.retry_after == 17


async def test_one_prediction_too_many_at_once_has_to_wait(vendor: Fashn) -> None:
    vendor.path, vendor.concurrency = ("processing",), 1
    async with adapter(vendor) as provider:
        slow = provider.configured({"poll_interval": 60}, UnrecordedCall())
        first = asyncio.create_task(slow.edit(edit(), quiet))
        await vendor.script.arrived("status")
        with pytest.raises(RateLimited):
            await slow.edit(edit(), quiet)
        first.cancel()
        await asyncio.wait([first])


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_lost_answer_leaves_the_outcome_unknown(vendor: Fashn, loss: str) -> None:
    vendor.script.after("run", LOSSES[loss])
    async with adapter(vendor, seconds=0.5) as provider:
        with pytest.raises(OutcomeUnknown):
            await provider.configured({}, UnrecordedCall()).edit(edit(), quiet)
    assert len(vendor.ledger) == 1


async def test_a_vendor_that_is_not_there_has_charged_nothing(vendor: Fashn) -> None:
    async with adapter(vendor) as provider:
        nowhere = replace(provider, settings=provider.settings.model_copy(update={"base_url": "http://127.0.0.1:9"}))
        with pytest.raises(Unavailable):
            await nowhere.configured({}, UnrecordedCall()).edit(edit(), quiet)


@pytest.mark.parametrize(("name", "kind", "reason"), FAILURES, ids=[name for name, *_ in FAILURES])
async def test_each_failure_of_a_prediction_has_its_meaning(
    vendor: Fashn, name: str, kind: type[ComputeError], reason: str
) -> None:
    vendor.outcomes.append((name, "what went wrong"))
    async with adapter(vendor) as provider:
        with pytest.raises(kind, match="what went wrong") as caught:
            await provider.configured({}, UnrecordedCall()).edit(edit(), quiet)
    assert type(caught.value) is kind and caught.value.reason == reason and not vendor.ledger


async def test_a_job_named_by_the_task_is_taken_up_instead_of_paying_again(vendor: Fashn) -> None:
    vendor.script.after("run", Answer(cut_at=0))
    async with adapter(vendor) as provider:
        with pytest.raises(OutcomeUnknown):
            await provider.configured({}, UnrecordedCall()).edit(edit(), quiet)
        (prediction,) = vendor.predictions
        given = await provider.configured({"fashn_task_id": prediction}, UnrecordedCall()).edit(edit(), quiet)
    assert given.pixels.shape == (64, 48, 3) and len(vendor.ledger) == 1


async def test_a_worker_that_died_while_waiting_pays_once(vendor: Fashn) -> None:
    vendor.path, call = ("processing",), Remembered()
    async with adapter(vendor) as provider:
        slow = provider.configured({"poll_interval": 60}, call)
        run = asyncio.create_task(slow.edit(edit(), quiet))
        await vendor.script.arrived("status")
        run.cancel()
        await asyncio.wait([run])
        given = await slow.edit(edit(), quiet)
    assert given.pixels.shape == (64, 48, 3) and len(vendor.ledger) == 1


async def test_a_forgotten_prediction_is_told_clearly(vendor: Fashn) -> None:
    async with adapter(vendor) as provider:
        with pytest.raises(ProviderRefused) as caught:
            await provider.configured({"fashn_task_id": "long-gone-u1"}, UnrecordedCall()).edit(edit(), quiet)
    assert caught.value.reason == "PROVIDER_JOB_UNKNOWN"


async def test_a_prediction_that_takes_too_long_goes_on(vendor: Fashn) -> None:
    vendor.path = ("in_queue",) * 100
    async with adapter(vendor) as provider:
        with pytest.raises(DeadlineExceeded) as caught:
            await provider.configured({"max_wait_seconds": 1}, UnrecordedCall()).edit(edit(), quiet)
    assert caught.value.reason == "PROVIDER_TOO_SLOW"
    assert not isinstance(provider, SupportsCancel)


async def test_a_try_lasts_as_long_as_the_task_is_ready_to_wait(vendor: Fashn) -> None:
    async with adapter(vendor, EDITING_TASK_TIMEOUT=50) as provider:
        assert provider.terms.seconds == 170
        assert provider.terms_of({"max_wait_seconds": 4000.0}).seconds == 4120
        assert provider.terms_of({"max_wait_seconds": "soon"}).seconds == 170


async def test_a_status_that_stumbles_is_asked_again(vendor: Fashn) -> None:
    vendor.script.instead(
        "status",
        refusal(500, "InternalServerError", "Server error"),
        refusal(429, "RateLimitExceeded", "Too many requests", retry_after="0.1"),
        Answer(cut_at=0),
        Answer(200, b"<html>"),
    )
    async with adapter(vendor) as provider:
        given = await provider.configured({}, UnrecordedCall()).edit(edit(), quiet)
    assert given.pixels.shape == (64, 48, 3)


async def test_an_unknown_state_is_reported_and_taken_as_running(vendor: Fashn) -> None:
    vendor.path = ("pondering",)
    with capture_logs() as logs:
        async with adapter(vendor) as provider:
            await provider.configured({"poll_interval": 1}, UnrecordedCall()).edit(edit(), quiet)
    assert [entry["state"] for entry in logs if "unknown state" in entry["event"]] == ["pondering"]


async def test_what_was_not_begun_has_failed_and_costs_nothing(vendor: Fashn) -> None:
    vendor.script.instead("run", json_answer({"id": "", "error": "no worker took it"}))
    async with adapter(vendor) as provider:
        with pytest.raises(ProviderFailed, match="no worker took it"):
            await provider.configured({}, UnrecordedCall()).edit(edit(), quiet)


async def test_a_failure_that_was_charged_tells_what_it_cost(vendor: Fashn) -> None:
    error = {"name": "PipelineError", "message": "x"}
    told = {"id": "x", "status": "failed", "output": None, "error": error}
    vendor.script.instead("status", json_answer(told, x_fashn_credits_used="2"))
    call = UnrecordedCall()
    async with adapter(vendor) as provider:
        with pytest.raises(ProviderFailed):
            await provider.configured({}, call).edit(edit(), quiet)
    assert call.cost == pytest.approx(0.15)


async def test_an_unknown_state_with_an_error_is_an_end(vendor: Fashn) -> None:
    error = {"name": "ImageLoadError", "message": "no picture"}
    vendor.script.instead("status", json_answer({"id": "x", "status": "rejected", "output": None, "error": error}))
    async with adapter(vendor) as provider:
        with pytest.raises(InvalidRequest, match="no picture"):
            await provider.configured({}, UnrecordedCall()).edit(edit(), quiet)


@pytest.mark.parametrize("status", [401, 403, 409])
async def test_what_keeps_us_from_looking_says_nothing_of_the_prediction(vendor: Fashn, status: int) -> None:
    vendor.script.instead("status", refusal(status, "UnauthorizedAccess", "no"))
    async with adapter(vendor) as provider:
        given = await provider.configured({}, UnrecordedCall()).edit(edit(), quiet)
    assert given.pixels.shape == (64, 48, 3) and len(vendor.ledger) == 1


@pytest.mark.parametrize("state", ["canceled", "time_out"])
async def test_a_prediction_stopped_over_there_has_failed(vendor: Fashn, state: str) -> None:
    vendor.script.instead("status", json_answer({"id": "x", "status": state, "output": None, "error": None}))
    async with adapter(vendor) as provider:
        with pytest.raises(ProviderFailed, match=state):
            await provider.configured({}, UnrecordedCall()).edit(edit(), quiet)


async def test_a_prediction_nobody_waits_for_is_asked_how_it_went(vendor: Fashn) -> None:
    vendor.path = ("processing", "processing")
    call = Remembered()
    async with adapter(vendor) as provider:
        given = provider.configured({"poll_interval": 1}, call)
        run = asyncio.create_task(given.edit(edit(), quiet))
        await vendor.script.arrived("status")
        run.cancel()
        [prediction] = vendor.predictions
        assert isinstance(given, SupportsJobStatus)
        assert not await given.ended(VendorJob(prediction))
        assert await given.ended(VendorJob(prediction))
    assert call.cost and len(vendor.ledger) == 1


async def test_an_expired_address_fails_clearly(vendor: Fashn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "_PAUSES", (0.0,))
    call = Remembered()
    async with adapter(vendor) as provider:
        await provider.configured({}, call).edit(edit(), quiet)
        vendor.expire_pictures()
        with pytest.raises(Unavailable) as caught:
            await provider.configured({}, call).edit(edit(), quiet)
    assert caught.value.reason == "PROVIDER_RESULT_UNREACHABLE" and len(vendor.ledger) == 1


@pytest.mark.parametrize("output", [None, [], [7], ["data:image/png;base64,bm8gcGljdHVyZQ=="], ["ftp://x/y.png"]])
async def test_a_result_that_is_no_picture_is_unusable(vendor: Fashn, output: Any) -> None:
    vendor.script.instead("status", json_answer({"id": "x", "status": "completed", "output": output, "error": None}))
    async with adapter(vendor) as provider:
        with pytest.raises(ProviderRefused) as caught:
            await provider.configured({}, UnrecordedCall()).edit(edit(), quiet)
    assert caught.value.reason == "PROVIDER_RESULT_UNUSABLE"


async def test_a_result_inside_the_answer_is_taken(vendor: Fashn) -> None:
    buffer = BytesIO()
    Image.new("RGB", (5, 4), "white").save(buffer, "PNG")
    data = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    vendor.script.instead("status", json_answer({"id": "x", "status": "completed", "output": [data], "error": None}))
    async with adapter(vendor) as provider:
        given = await provider.configured({}, UnrecordedCall()).edit(edit(), quiet)
    assert given.pixels.shape == (4, 5, 3)


async def test_the_key_stands_in_no_error_and_no_log(vendor: Fashn) -> None:
    vendor.script.instead("run", refusal(400, "BadRequest", f"the key {KEY} may not do this"))
    with capture_logs() as logs:
        async with adapter(vendor) as provider:
            with pytest.raises(InvalidRequest) as caught:
                await provider.configured({}, UnrecordedCall()).edit(edit(), quiet)
            assert KEY not in repr(provider.settings)
    assert KEY not in f"{caught.value} {caught.value!r} {caught.value.message} {logs}"


async def test_without_a_key_the_setting_is_named() -> None:
    async with open_media(MediaSettings()) as pictures, fashn.connect(fashn.Settings(), pictures) as provider:
        with pytest.raises(ProviderRefused, match="FASHN_KEY") as caught:
            provider.configured({}, UnrecordedCall())
    assert caught.value.reason == "PROVIDER_NOT_CONFIGURED"


async def test_a_wrong_configuration_names_its_field(vendor: Fashn) -> None:
    async with adapter(vendor) as provider:
        with pytest.raises(InvalidRequest) as caught:
            provider.configured({"poll_interval": 0}, UnrecordedCall())
    assert caught.value.violations[0].field == "provider_config.poll_interval"
