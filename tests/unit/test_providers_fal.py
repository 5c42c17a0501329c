"""The adapters of fal, beside a fal that behaves as its documentation says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from services.catalog.enums import ProviderCapability
from services.common.errors import (
    ComputeError,
    ContentRefused,
    InvalidRequest,
    OutcomeUnknown,
    ProviderExhausted,
    ProviderFailed,
    ProviderRefused,
    RateLimited,
    Unavailable,
)
from services.providers import fal, fal_garment_fixer, fal_shootify_refiner
from services.providers.calls import JOB_UNKNOWN, LostCall, SupportsCancel, SupportsJobLookup, UnrecordedCall, VendorJob
from services.providers.capabilities.animating import ANIMATING, Animation
from services.providers.capabilities.editing import EDITING, EditRequest
from services.providers.capabilities.fixing import GARMENT_FIXING, GarmentFix
from services.providers.capabilities.free_calls import FREE_CALLING, FreeCall
from services.providers.capabilities.refining import REFINING, DiffusionPass, Refinement
from services.providers.fal_apps import files_in
from services.providers.fal_queue import root_of
from services.providers.film_facts import read_facts
from services.providers.media import MediaFile, MediaSettings, open_media
from services.providers.ports import DIFFUSION, DiffusionStep, Drawing, Lora, Pixels
from tests.fakes.vendors.fal import Ending, Fal
from tests.fakes.vendors.films import FPS, FRAMES, SIZE, tiny_film, transparent_film
from tests.fakes.vendors.wire import Answer, json_answer

DRAWING = Drawing("a red coat", 7, width=96, height=64)
FLUX = {"fal_app_id": "fal-ai/flux/dev"}
SEVERAL = {"detail": "Too Many Requests", "error_type": "concurrent_requests_limit"}

# How a submission is answered, and what that is to us.
REFUSALS: list[tuple[Answer, type[ComputeError], str]] = [
    (json_answer({"detail": "no"}, 401), ProviderRefused, "PROVIDER_KEY_REFUSED"),
    (json_answer({"detail": "no permission"}, 403), ProviderRefused, "PROVIDER_KEY_REFUSED"),
    (json_answer({"detail": "User is locked. Exhausted balance."}, 403), ProviderExhausted, "PROVIDER_NO_CREDITS"),
    (json_answer({"detail": "a copy is on its way"}, 409), ProviderFailed, "PROVIDER_FAILED"),
    (json_answer({"detail": "closed"}, 499), ProviderRefused, "PROVIDER_JOB_CANCELLED"),
    (json_answer({"detail": "bad", "error_type": "bad_request"}, 400), InvalidRequest, "PROVIDER_REJECTED"),
    (json_answer({"detail": [{"loc": ["body"], "msg": "m", "type": "x"}]}, 422), InvalidRequest, "PROVIDER_REJECTED"),
    (json_answer({"detail": "plain text"}, 422), InvalidRequest, "PROVIDER_REJECTED"),
    (json_answer({"detail": "Application not found"}, 404), ProviderRefused, "PROVIDER_REFUSED"),
    (json_answer(SEVERAL, 429, Retry_After="7"), RateLimited, "RATE_LIMITED"),
    (json_answer({"detail": "oops", "error_type": "internal_error"}, 500), ProviderFailed, "PROVIDER_FAILED"),
    (json_answer({"detail": "full"}, 503), ProviderFailed, "PROVIDER_FAILED"),
]
LOSSES = {
    "the line dies": Answer(cut_at=0),
    "the answer breaks off": Answer(200, b'{"request_id": "123", "status": "IN_QUEUE"}', cut_at=12),
    "no JSON": Answer(200, b"<html>oops</html>", {"content-type": "text/html"}),
    "no id": json_answer({"status": "IN_QUEUE"}),
    "a list": json_answer([]),
    "a gateway gives up": Answer(502, b"<html>bad gateway</html>"),
    "a gateway waits in vain": Answer(504, b""),
}
# How a request ends, and what that is to us.
ENDINGS: list[tuple[Ending, type[ComputeError], str]] = [
    (Ending.model(422, "content_policy_violation", "flagged"), ContentRefused, "CONTENT_REFUSED"),
    (Ending.model(422, "no_media_generated", "nothing"), ProviderRefused, "PROVIDER_NO_MEDIA"),
    (Ending.model(422, "image_too_small", "small", retryable=False), InvalidRequest, "PROVIDER_REJECTED"),
    (Ending.model(422, "greater_than", "x", retryable=False), InvalidRequest, "PROVIDER_REJECTED"),
    (Ending.model(422, "odd_and_new", "x"), InvalidRequest, "PROVIDER_REJECTED"),
    (Ending.model(422, "odd_and_new", "x", retryable=True), ProviderFailed, "PROVIDER_FAILED"),
    (Ending.model(500, "internal_server_error", "x"), ProviderFailed, "PROVIDER_FAILED"),
    (Ending.model(504, "generation_timeout", "x"), ProviderFailed, "PROVIDER_FAILED"),
    (Ending.model(400, "downstream_service_error", "x"), ProviderFailed, "PROVIDER_FAILED"),
    (Ending.model(500, "odd_and_new", "x", retryable=False), ProviderRefused, "PROVIDER_REFUSED"),
    (Ending.model(500, "internal_server_error", "x", X_Fal_needs_retry="false"), ProviderRefused, "PROVIDER_REFUSED"),
    (Ending.model(504, "generation_timeout", "x", X_Fal_needs_retry="0"), ProviderRefused, "PROVIDER_REFUSED"),
    (Ending.model(422, "no_media_generated", "x", X_Fal_needs_retry="true"), ProviderFailed, "PROVIDER_FAILED"),
    (Ending.model(422, "odd_and_new", "x", X_Fal_needs_retry="1"), ProviderFailed, "PROVIDER_FAILED"),
    (Ending.model(422, "content_policy_violation", "x", X_Fal_needs_retry="true"), ContentRefused, "CONTENT_REFUSED"),
    (Ending.model(429, "rate_limited", "x"), ProviderFailed, "PROVIDER_FAILED"),
    (Ending.model(409, "odd_and_new", "x"), ProviderFailed, "PROVIDER_FAILED"),
    (Ending(499, {"detail": "closed"}, {}, "closed", ""), ProviderRefused, "PROVIDER_JOB_CANCELLED"),
    (Ending.platform(504, "request_timeout", "x"), ProviderFailed, "PROVIDER_FAILED"),
    (Ending.platform(503, "runner_scheduling_failure", "x"), ProviderFailed, "PROVIDER_FAILED"),
    (Ending.platform(502, "runner_incomplete_response", "x"), ProviderFailed, "PROVIDER_FAILED"),
    (Ending.platform(500, "internal_error", "x"), ProviderFailed, "PROVIDER_FAILED"),
    (Ending.platform(499, "client_cancelled", "x"), ProviderRefused, "PROVIDER_JOB_CANCELLED"),
    (
        Ending.platform(504, "request_timeout", "x", X_Fal_Request_Timeout_Type="start"),
        ProviderRefused,
        "PROVIDER_START_TIMEOUT",
    ),
    (
        Ending.platform(504, "request_timeout", "x", X_Fal_Request_Timeout_Type="user"),
        ProviderRefused,
        "PROVIDER_START_TIMEOUT",
    ),
]


@pytest.fixture
async def vendor() -> AsyncIterator[Fal]:
    async with Fal().open() as vendor:
        yield vendor


def told(vendor: Fal, **settings: Any) -> dict[str, Any]:
    return {
        "key": SecretStr(vendor.key),
        "base_url": vendor.url,
        "platform_url": f"{vendor.url}/platform/v1",
        "poll_seconds": 0.01,
        "find_seconds": 0.3,
        "usd_per_unit": 0.03,
        **settings,
    }


@pytest.fixture
async def opened(vendor: Fal) -> AsyncIterator[fal.Fal]:
    reach = MediaSettings(allow_private_urls=frozenset({vendor.url.removeprefix("http://")}))
    async with open_media(reach) as media, fal.connect(fal.Settings(**told(vendor)), media) as opened:
        yield opened


async def quiet(step: DiffusionStep) -> None:
    pass


def grey(width: int = 32, height: int = 24) -> Pixels:
    return np.full((height, width, 3), 128, np.uint8)


def sent(vendor: Fal) -> tuple[str, dict[str, Any]]:
    """The app and the inputs of the last request."""
    (*_, last) = vendor.requests.values()
    return last.app, last.inputs


async def test_it_can_do_what_it_says(opened: fal.Fal) -> None:
    for capability in (DIFFUSION, EDITING, REFINING, ANIMATING, FREE_CALLING):
        assert capability.of(opened) is opened
    assert isinstance(opened, SupportsCancel) and isinstance(opened, SupportsJobLookup)


async def test_a_picture_is_drawn_and_brought_home(vendor: Fal, opened: fal.Fal) -> None:
    call = UnrecordedCall()
    picture = await opened.configured({}, call).draw(DRAWING, quiet)
    assert picture.pixels.shape == (64, 96, 3)
    assert (picture.seed, picture.model.name) == (7, "fal-ai/flux/dev")
    app, inputs = sent(vendor)
    assert app == "fal-ai/flux/dev"
    assert inputs == {
        "prompt": "a red coat", "seed": 7, "num_images": 1, "output_format": "png",
        "image_size": {"width": 96, "height": 64},
    }  # fmt: skip
    assert call.cost == pytest.approx(0.06)
    assert len(vendor.ledger) == 1


async def test_what_it_makes_is_not_kept_for_ever_at_the_vendor(vendor: Fal, opened: fal.Fal) -> None:
    await opened.draw(DRAWING, quiet)
    [request] = vendor.requests.values()
    assert request.headers["x-fal-object-lifecycle-preference"] == '{"expiration_duration_seconds":86400}'


@pytest.mark.parametrize(
    ("changes", "app"),
    [
        ({}, "fal-ai/flux/dev"),
        ({"loras": (Lora("https://example.org/a.safetensors", 0.7),)}, "fal-ai/flux-lora"),
        ({"image": grey(), "strength": 0.4}, "fal-ai/flux/dev/image-to-image"),
        (
            {"image": grey(), "loras": (Lora("https://example.org/a.safetensors"),)},
            "fal-ai/flux-lora/image-to-image",
        ),
        ({"image": grey(), "mask": grey()[:, :, 0]}, "fal-ai/flux-lora/inpainting"),
        ({"app": "fal-ai/nano-banana/edit", "image": grey()}, "fal-ai/nano-banana/edit"),
        ({"app": "fal-ai/flux-pro/kontext", "image": grey()}, "fal-ai/flux-pro/kontext"),
    ],
)
async def test_a_drawing_goes_to_the_app_that_takes_it(
    vendor: Fal, opened: fal.Fal, changes: dict[str, Any], app: str
) -> None:
    await opened.draw(replace(DRAWING, **changes), quiet)
    assert sent(vendor)[0] == app


async def test_the_task_names_the_app_before_its_configuration_and_that_before_the_deployment(
    vendor: Fal, opened: fal.Fal
) -> None:
    configured = opened.configured({"fal_app_id": "fal-ai/flux-lora"}, UnrecordedCall())
    await configured.draw(DRAWING, quiet)
    assert sent(vendor)[0] == "fal-ai/flux-lora"
    await configured.draw(replace(DRAWING, app="acme/own-flux"), quiet)
    assert sent(vendor)[0] == "acme/own-flux"


async def test_fixed_parameters_go_before_ours(vendor: Fal, opened: fal.Fal) -> None:
    config = {"additional_static_params": {"acceleration": "high", "num_images": 2}}
    await opened.configured(config, UnrecordedCall()).draw(DRAWING, quiet)
    _, inputs = sent(vendor)
    assert (inputs["acceleration"], inputs["num_images"]) == ("high", 2)


async def test_a_lora_must_be_somewhere_fal_can_fetch_it(vendor: Fal, opened: fal.Fal) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await opened.draw(replace(DRAWING, loras=(Lora("loras/a.safetensors"),)), quiet)
    assert refused.value.reason == "LORA_NOT_FOUND"
    assert not vendor.requests


@pytest.mark.parametrize(
    ("changes", "app", "names"),
    [
        ({}, "fal-ai/flux-pro/kontext", {"image_url"}),
        ({"references": (grey(), grey())}, "fal-ai/nano-banana/edit", {"image_urls"}),
        ({"mask": grey()[:, :, 0]}, "fal-ai/flux-lora/inpainting", {"image_url", "mask_url"}),
    ],
)
async def test_an_edit_goes_to_the_app_that_takes_it(
    vendor: Fal, opened: fal.Fal, changes: dict[str, Any], app: str, names: set[str]
) -> None:
    edit = replace(EditRequest("make it blue", grey(), 3, width=90, height=160), **changes)
    await opened.edit(edit, quiet)
    asked, inputs = sent(vendor)
    assert asked == app
    assert names <= set(inputs)
    assert inputs.get("aspect_ratio", "9:16") == "9:16"


async def test_a_picture_that_could_not_be_brought_in_is_not_paid_for(vendor: Fal, opened: fal.Fal) -> None:
    wish = Refinement(np.zeros((4_200, 4_200, 3), np.uint8), factor=2, upscale=DiffusionPass(0.3, 20, 5))
    with pytest.raises(InvalidRequest) as refused:
        await opened.refine(wish, quiet)
    assert refused.value.reason == "TOO_MANY_PIXELS" and not vendor.requests


async def test_a_refinement_has_the_very_size_asked_for(vendor: Fal, opened: fal.Fal) -> None:
    wish = Refinement(grey(33, 21), width=100, height=77, upscale=DiffusionPass(0.3, 20, 5, "sharp"))
    refined = await opened.refine(wish, quiet)
    assert refined.picture.pixels.shape == (77, 100, 3)
    _, inputs = sent(vendor)
    assert inputs["upscale_factor"] == pytest.approx(77 / 21, abs=1e-3)
    assert (inputs["prompt"], inputs["creativity"], inputs["seed"]) == ("sharp", 0.3, 5)


async def test_what_the_app_cannot_enlarge_so_far_is_refused_before_anything_is_sent(
    vendor: Fal, opened: fal.Fal
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await opened.refine(Refinement(grey(), factor=8, upscale=DiffusionPass(0.3, 20, 5)), quiet)
    assert refused.value.reason == "CAPABILITY_MISSING"
    assert not vendor.requests


async def test_a_capability_that_a_task_leaves_out_is_not_used(opened: fal.Fal) -> None:
    call = UnrecordedCall(frozenset({ProviderCapability.UPSCALE_2X}))
    wish = Refinement(grey(), factor=4, upscale=DiffusionPass(0.3, 20, 5))
    with pytest.raises(InvalidRequest) as refused:
        await opened.configured({}, call).refine(wish, quiet)
    assert refused.value.reason == "CAPABILITY_MISSING"


@pytest.mark.parametrize(
    ("app", "seconds", "told_as"),
    [
        (None, 3, {"duration": "5", "cfg_scale": 0.5}),
        (None, 6, {"duration": "10"}),
        ("fal-ai/kling-video/v3/pro/image-to-video", 7, {"duration": "7"}),
        ("fal-ai/veo3.1/image-to-video", 5, {"duration": "6s"}),
    ],
)
async def test_a_film_is_at_least_as_long_as_asked_for(
    vendor: Fal, opened: fal.Fal, app: str | None, seconds: int, told_as: dict[str, Any]
) -> None:
    film = await opened.animate(Animation(grey(), "it turns", seconds, 1, guidance=1.0, app=app), quiet)
    assert film.mp4 == tiny_film()
    assert ((film.width, film.height), film.frames, film.fps) == (SIZE, FRAMES, FPS)
    assert sent(vendor)[1].items() >= told_as.items()


@pytest.mark.field("film-alpha")
async def test_a_film_of_another_kind_is_refused_by_its_name(vendor: Fal, opened: fal.Fal) -> None:
    vendor.film = transparent_film("webm", "-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p")
    with pytest.raises(ProviderRefused, match="fal's film is video/webm") as refused:
        await opened.animate(Animation(grey(), "it turns", 5, 1), quiet)
    assert refused.value.reason == "PROVIDER_RESULT_UNUSABLE"


async def test_a_film_longer_than_the_app_makes_is_refused_before_anything_is_sent(
    vendor: Fal, opened: fal.Fal
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await opened.animate(Animation(grey(), "it turns", 30, 1), quiet)
    assert refused.value.reason == "FILM_TOO_LONG"
    assert not vendor.requests


async def test_a_free_call_takes_any_parameters_and_brings_every_file(vendor: Fal, opened: fal.Fal) -> None:
    parameters = {"prompt": "x", "odd": {"nested": [1, None]}}
    answer = await opened.call_freely(FreeCall("acme/anything", parameters), quiet)
    assert sent(vendor) == ("acme/anything", parameters)
    [file] = answer.media
    assert (file.pointer, file.content_type) == ("/images/0/url", "image/png")
    assert answer.output["images"][0]["url"] == file.url
    assert answer.request_id in vendor.requests


async def test_the_files_of_a_free_call_together_are_no_larger_than_one_may_be(vendor: Fal, opened: fal.Fal) -> None:
    asked: list[int | None] = []

    class Counting:
        max_bytes = 100

        async def fetch(self, url: str, *, room: int | None = None) -> MediaFile:
            asked.append(room)
            return MediaFile(b"x" * 30, "image/png")

    vendor.more = {"images": [{"url": f"https://example.com/{number}.png"} for number in range(3)]}
    media: Any = Counting()
    answer = await replace(opened, media=media).call_freely(FreeCall("acme/anything", {}), quiet)
    assert (len(answer.media), asked) == (3, [100, 70, 40])


async def test_a_call_that_could_not_be_found_again_is_not_made(vendor: Fal, opened: fal.Fal) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await opened.call_freely(FreeCall("acme/anything", {"sync_mode": True}), quiet)
    assert refused.value.reason == "FAL_SYNC_MODE"
    assert not vendor.requests


@pytest.mark.parametrize(("answer", "kind", "reason"), REFUSALS)
async def test_a_refused_submission(
    vendor: Fal, opened: fal.Fal, answer: Answer, kind: type[ComputeError], reason: str
) -> None:
    vendor.script.instead("submit", answer)
    with pytest.raises(ComputeError) as failed:
        await opened.draw(DRAWING, quiet)
    assert (type(failed.value), failed.value.reason) == (kind, reason)
    assert vendor.operations("submit") == 1
    assert failed.value.retry_after == (7.0 if kind is RateLimited else None)


STUMBLES = {
    "an error": json_answer({"detail": "oops", "error_type": "internal_error"}, 500),
    "busy": json_answer({"detail": "full"}, 503),
    "a gateway": Answer(502, b"<html>bad gateway</html>"),
    "told to try again": json_answer({"detail": "oops"}, 500, X_Fal_needs_retry="true"),
    "a conflict": json_answer({"detail": "x"}, 409),
    "closed": json_answer({"detail": "x"}, 499),
    "no JSON": Answer(200, b"<html>oops</html>", {"content-type": "text/html"}),
    "no id in the body": json_answer({"status": "IN_QUEUE"}),
}


@pytest.mark.parametrize("stumble", STUMBLES)
async def test_a_submission_that_failed_under_an_id_is_asked_for_by_it(
    vendor: Fal, opened: fal.Fal, stumble: str
) -> None:
    vendor.stumbles.append(STUMBLES[stumble])
    picture = await opened.draw(DRAWING, quiet)
    assert picture.pixels.shape == (64, 96, 3)
    assert (vendor.operations("submit"), len(vendor.ledger)) == (1, 1)


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_submission_whose_answer_is_lost_is_not_sent_again(vendor: Fal, opened: fal.Fal, loss: str) -> None:
    vendor.script.after("submit", LOSSES[loss])
    with pytest.raises(OutcomeUnknown):
        await opened.draw(DRAWING, quiet)
    assert vendor.operations("submit") == 1
    assert len(vendor.ledger) == 1


async def test_a_submission_that_never_left_is_known_not_to_be_charged(opened: fal.Fal, vendor: Fal) -> None:
    settings = fal.Settings(**told(vendor, base_url="http://127.0.0.1:1"))
    async with fal.connect(settings, opened.media) as away:
        with pytest.raises(Unavailable) as failed:
            await away.draw(DRAWING, quiet)
    assert failed.value.reason == "PROVIDER_UNREACHABLE"


@pytest.mark.parametrize(("ending", "kind", "reason"), ENDINGS)
async def test_completed_does_not_mean_that_it_went_well(
    vendor: Fal, opened: fal.Fal, ending: Ending, kind: type[ComputeError], reason: str
) -> None:
    vendor.endings.append(ending)
    with pytest.raises(ComputeError) as failed:
        await opened.draw(DRAWING, quiet)
    assert (type(failed.value), failed.value.reason) == (kind, reason)
    assert vendor.operations("submit") == 1


async def test_what_failed_tells_what_it_cost_all_the_same(vendor: Fal, opened: fal.Fal) -> None:
    vendor.endings.append(Ending.model(422, "image_too_small", "small", units="3.00000000"))
    call = UnrecordedCall()
    with pytest.raises(InvalidRequest):
        await opened.configured({}, call).draw(DRAWING, quiet)
    assert call.cost == pytest.approx(0.09)


async def test_units_are_told_where_they_have_no_price(vendor: Fal, opened: fal.Fal) -> None:
    call = UnrecordedCall()
    async with fal.connect(fal.Settings(**told(vendor, usd_per_unit=None)), opened.media) as without:
        await without.configured({}, call).draw(DRAWING, quiet)
    assert (call.cost, call.units) == (None, 2.0)


async def test_a_job_that_was_stopped_while_it_ran_tells_what_it_cost(vendor: Fal, opened: fal.Fal) -> None:
    vendor.path = ("IN_PROGRESS",) * 100
    call = UnrecordedCall()
    job = await opened.queue.submit("fal-ai/flux/dev", {"prompt": "x"})
    stopped = json_answer({"detail": "x", "error_type": "client_cancelled"}, 499, X_Fal_Billable_Units="1")
    vendor.script.instead("result", stopped)
    assert await opened.configured({}, call).cancel(job)
    assert call.cost == pytest.approx(0.03)


async def test_an_error_that_only_the_status_names_counts(vendor: Fal, opened: fal.Fal) -> None:
    vendor.endings.append(Ending.model(500, "internal_server_error", "x"))
    vendor.script.instead("result", json_answer({"images": []}))
    with pytest.raises(ProviderFailed):
        await opened.draw(DRAWING, quiet)


async def test_a_picture_the_safety_checker_blotted_out_is_no_success(opened: fal.Fal) -> None:
    with pytest.raises(ContentRefused):
        await opened.draw(replace(DRAWING, prompt="nsfw"), quiet)


@pytest.mark.parametrize("operation", ["status", "result", "media"])
@pytest.mark.parametrize(
    "trouble",
    [
        Answer(cut_at=0),
        Answer(200, b'{"status": "COMPL', {"content-type": "application/json"}, cut_at=5),
        Answer(502, b"<html>bad gateway</html>"),
        json_answer(SEVERAL, 429, Retry_After="0"),
    ],
)
async def test_what_is_free_to_ask_is_asked_again(
    vendor: Fal, opened: fal.Fal, operation: str, trouble: Answer
) -> None:
    vendor.script.instead(operation, trouble, trouble)
    picture = await opened.draw(DRAWING, quiet)
    assert picture.pixels.shape == (64, 96, 3)
    assert vendor.operations("submit") == 1


async def test_a_picture_that_is_gone_can_be_asked_for_again(vendor: Fal, opened: fal.Fal) -> None:
    vendor.script.instead("media", *[json_answer({}, 404)] * 4)
    with pytest.raises(Unavailable) as failed:
        await opened.draw(DRAWING, quiet)
    assert failed.value.reason == "PROVIDER_RESULT_UNREACHABLE"


@pytest.mark.parametrize("body", [b"not a picture", b"", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
async def test_a_picture_that_cannot_be_read_is_told_as_the_vendors_fault(
    vendor: Fal, opened: fal.Fal, body: bytes
) -> None:
    vendor.script.instead("media", Answer(200, body, {"content-type": "image/png"}))
    with pytest.raises(ProviderRefused) as failed:
        await opened.draw(DRAWING, quiet)
    assert failed.value.reason == "PROVIDER_RESULT_UNUSABLE"


async def test_a_result_inside_the_network_is_not_fetched(vendor: Fal, opened: fal.Fal) -> None:
    inward = {"images": [{"url": "http://169.254.169.254/latest/meta-data"}]}
    vendor.script.instead("result", json_answer(inward))
    with pytest.raises(ProviderRefused) as failed:
        await opened.draw(DRAWING, quiet)
    assert failed.value.reason == "PROVIDER_RESULT_UNUSABLE"


async def test_the_key_goes_to_no_other_host_and_into_no_message(vendor: Fal, opened: fal.Fal) -> None:
    async with Fal().open() as other:
        links = {"request_id": "r", "status_url": f"{other.url}/x", "response_url": f"{other.url}/y"}
        vendor.script.instead("submit", json_answer(links))
        vendor.script.instead("status", json_answer({"detail": f"{vendor.key} is odd"}, 404))
        with pytest.raises(ProviderRefused) as failed:
            await opened.draw(DRAWING, quiet)
        assert not other.asked
    assert failed.value.reason == JOB_UNKNOWN
    vendor.script.instead("submit", json_answer({"detail": f"the key {vendor.key} is odd"}, 422))
    with pytest.raises(InvalidRequest) as refused:
        await opened.draw(DRAWING, quiet)
    assert vendor.key not in refused.value.message and "***" in refused.value.message
    assert vendor.key not in str(refused.value)


async def test_a_request_named_in_the_configuration_is_taken_up(vendor: Fal, opened: fal.Fal) -> None:
    await opened.draw(DRAWING, quiet)
    [request_id] = vendor.requests
    config = FLUX | {"fal_request_id": request_id}
    picture = await opened.configured(config, UnrecordedCall()).draw(DRAWING, quiet)
    assert picture.pixels.shape == (64, 96, 3)
    assert (vendor.operations("submit"), len(vendor.ledger)) == (1, 1)


async def test_a_request_that_is_forgotten_is_told_as_such(vendor: Fal, opened: fal.Fal) -> None:
    config = FLUX | {"fal_request_id": "11111111-1111-1111-1111-111111111111"}
    with pytest.raises(ProviderRefused) as failed:
        await opened.configured(config, UnrecordedCall()).draw(DRAWING, quiet)
    assert failed.value.reason == JOB_UNKNOWN


@pytest.mark.parametrize("removes", [True, False])
@pytest.mark.parametrize(("path", "charged"), [(("IN_QUEUE",) * 100, 0), (("IN_PROGRESS",) * 100, 1)])
async def test_what_is_cancelled_runs_no_more(
    vendor: Fal, opened: fal.Fal, path: tuple[str, ...], charged: int, removes: bool
) -> None:
    vendor.path, vendor.removes = path, removes
    job = await opened.queue.submit("fal-ai/flux/dev", {"prompt": "x"})
    assert await opened.cancel(job)
    assert (vendor.requests[job.id].cancelled, len(vendor.ledger)) == (True, charged)


async def test_what_had_ended_before_it_was_cancelled_can_be_had(vendor: Fal, opened: fal.Fal) -> None:
    vendor.path = ()
    job = await opened.queue.submit("fal-ai/flux/dev", {"prompt": "x"})
    await opened.queue.result(job)
    call = UnrecordedCall()
    assert not await opened.configured({}, call).cancel(job)
    assert call.cost == pytest.approx(0.06)


async def test_cancelling_what_is_unknown_says_nothing(opened: fal.Fal) -> None:
    with pytest.raises(ProviderRefused):
        await opened.cancel(VendorJob("nobody", {"app": "fal-ai/flux/dev"}))


class Noting(UnrecordedCall):
    """Keeps the note of what it sends."""

    note: dict[str, Any]

    async def job(self, submit: Any, note: Any = None, *, known: VendorJob | None = None) -> VendorJob:
        self.note = dict(note)
        return await super().job(submit, note, known=known)


async def lost_call(vendor: Fal, opened: fal.Fal, drawing: Drawing = DRAWING) -> LostCall:
    """A request that was taken, and whose answer was lost."""
    call, at = Noting(), time.time()
    vendor.script.after("submit", Answer(cut_at=0))
    with pytest.raises(OutcomeUnknown):
        await opened.configured({}, call).draw(drawing, quiet)
    return LostCall(call.token, call.note, at)


async def test_a_lost_request_is_found_by_its_input(vendor: Fal, opened: fal.Fal) -> None:
    await opened.draw(replace(DRAWING, seed=1), quiet)
    lost = await lost_call(vendor, opened)
    job = await opened.find(lost)
    assert job is not None
    assert vendor.requests[job.id].inputs["seed"] == DRAWING.seed
    assert (await opened.queue.result(job)).answer.member("seed") == DRAWING.seed


async def test_a_lost_request_that_still_runs_is_waited_for(vendor: Fal, opened: fal.Fal) -> None:
    vendor.holding = True
    lost = await lost_call(vendor, opened)
    search = asyncio.create_task(opened.find(lost))
    await vendor.script.arrived("list")
    vendor.release()
    assert await search is not None


@pytest.mark.parametrize("hidden", ["never sent", "twice", "payloads not kept", "another day"])
async def test_a_request_that_cannot_be_told_for_sure_is_not_found(vendor: Fal, opened: fal.Fal, hidden: str) -> None:
    lost = await lost_call(vendor, opened)
    if hidden == "never sent":
        vendor.requests.clear()
    elif hidden == "twice":
        await opened.draw(DRAWING, quiet)
    elif hidden == "payloads not kept":
        vendor.payloads_kept = False
    else:
        lost = replace(lost, at=lost.at - 86_400)
    assert await opened.find(lost) is None


async def test_without_a_key_it_says_which_setting_is_missing(opened: fal.Fal, vendor: Fal) -> None:
    async with fal.connect(fal.Settings(**told(vendor, key=None)), opened.media) as without:
        with pytest.raises(ProviderRefused, match="FAL_KEY") as refused:
            without.configured({}, UnrecordedCall())
    assert refused.value.reason == "PROVIDER_NOT_CONFIGURED"


async def test_what_cannot_be_configured_is_the_callers_fault(opened: fal.Fal) -> None:
    with pytest.raises(InvalidRequest):
        opened.configured({"fal_app_id": "no slash"}, UnrecordedCall())


async def test_the_garment_fixer_is_an_app_by_setting(vendor: Fal, opened: fal.Fal) -> None:
    settings = fal_garment_fixer.Settings(**told(vendor, garment_fixer_app="acme/garment-fixer"))
    async with fal_garment_fixer.connect(settings, opened.media) as fixer:
        able = GARMENT_FIXING.of(fixer.configured({}, UnrecordedCall()))
        assert able is not None
        fixed = await able.fix_garment(GarmentFix(grey(), grey(), 5, "shirt"), quiet)
    assert fixed.picture.pixels.shape == (24, 32, 3)
    app, inputs = sent(vendor)
    assert (app, inputs["label"], inputs["seed"]) == ("acme/garment-fixer", "shirt", 5)
    assert {"image_url", "reference_image_url"} <= set(inputs)


async def test_the_shootify_refiner_is_an_app_by_setting_or_configuration(vendor: Fal, opened: fal.Fal) -> None:
    settings = fal_shootify_refiner.Settings(**told(vendor))
    wish = Refinement(grey(), factor=2, upscale=DiffusionPass(0.3, 20, 5), faces=DiffusionPass(0.4, 20, 5))
    async with fal_shootify_refiner.connect(settings, opened.media) as refiner:
        with pytest.raises(ProviderRefused, match="FAL_SHOOTIFY_REFINER_APP"):
            await refiner.configured({}, UnrecordedCall()).refine(wish, quiet)
        named = refiner.configured({"fal_app_id": "acme/upscaler"}, UnrecordedCall())
        assert (await named.refine(wish, quiet)).picture.pixels.shape == (48, 64, 3)
    assert sent(vendor)[0] == "acme/upscaler"


def test_providers_of_one_account_share_what_limits_it() -> None:
    key = SecretStr("k")
    one, two = fal.Settings(key=key), fal_garment_fixer.Settings(key=key)
    assert one.terms("fal").account == two.terms("fal").account
    assert one.terms("fal").account != fal.Settings(key=SecretStr("other")).terms("fal").account
    assert one.terms("fal").account.removeprefix("fal.") != "k"


@pytest.mark.parametrize(
    ("app", "root"),
    [
        ("fal-ai/flux/dev/image-to-image", "fal-ai/flux"),
        ("acme/own", "acme/own"),
        ("workflows/acme/one/more", "workflows/acme/one"),
        ("comfy/acme/one", "comfy/acme/one"),
    ],
)
def test_requests_lie_below_the_root_of_an_app(app: str, root: str) -> None:
    assert root_of(app) == root


def test_files_are_found_wherever_they_are() -> None:
    output = {"a/b": [{"url": "https://x/1"}, {"url": "https://x/1"}], "c": {"url": "no", "d": {"url": "https://x/2"}}}
    assert files_in(output) == [("/a~1b/0/url", "https://x/1"), ("/c/d/url", "https://x/2")]


@pytest.mark.parametrize("film", [b"", b"not a film", tiny_film()[:200], b"\0\0\0\x08ftyp", b"\xff" * 64])
def test_what_is_no_film_is_not_read(film: bytes) -> None:
    with pytest.raises(ValueError, match="film"):
        read_facts(film)
