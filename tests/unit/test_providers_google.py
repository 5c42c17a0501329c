"""VERTEX and NANO_BANANA_UPSCALER against Google's image models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import SecretStr, ValidationError
from structlog.testing import capture_logs

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
from services.providers import nano_banana_upscaler, vertex
from services.providers.calls import SupportsCancel, UnrecordedCall
from services.providers.capabilities.editing import EDITING, EditRequest
from services.providers.capabilities.refining import REFINING, DiffusionPass, Refinement
from services.providers.google.images import RATIOS, inline_picture, nearest_ratio
from services.providers.google.settings import GoogleSettings
from services.providers.media import MediaSettings, open_media
from services.providers.nano_banana_upscaler import NanoBananaUpscaler
from services.providers.ports import DIFFUSION, DiffusionStep, Drawing, Lora, Pixels
from services.providers.vertex import Vertex
from tests.fakes.vendors.gemini import (
    Gemini,
    answered,
    blocked,
    faithful,
    out_of_quota,
    refusal,
    stopped,
    unlike,
)
from tests.fakes.vendors.pictures import open_base64
from tests.fakes.vendors.wire import Answer, json_answer

KEY = "gemini-key-of-a-test"
TEXT = {"text": "I would rather describe it."}
KEY_DETAIL = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
UPSCALE = DiffusionPass(denoise=0.3, steps=20, seed=5)
# The vendor's answers, and what each is to us: the class, its reason, the pause it names.
REFUSALS = {
    "a bad argument": (refusal(400, "INVALID_ARGUMENT", "no"), InvalidRequest, "PROVIDER_REJECTED", None),
    "a bad key": (refusal(400, "INVALID_ARGUMENT", "no", KEY_DETAIL), ProviderRefused, "PROVIDER_KEY_REFUSED", None),
    "a region": (refusal(400, "FAILED_PRECONDITION", "no"), ProviderRefused, "PROVIDER_REFUSED", None),
    "no credit": (refusal(402, "RESOURCE_EXHAUSTED", "no"), ProviderExhausted, "PROVIDER_NO_CREDITS", None),
    "no permission": (refusal(403, "PERMISSION_DENIED", "no"), ProviderRefused, "PROVIDER_KEY_REFUSED", None),
    "a retired model": (refusal(404, "NOT_FOUND", "no"), ProviderRefused, "PROVIDER_MODEL_UNKNOWN", None),
    "the minute's quota": (out_of_quota("PerMinute", "25.5s"), RateLimited, "RATE_LIMITED", 25.5),
    "the day's quota": (out_of_quota("PerDay", "3600s"), ProviderExhausted, "PROVIDER_QUOTA_EXHAUSTED", None),
    "a shared quota": (refusal(429, "RESOURCE_EXHAUSTED", "no"), RateLimited, "RATE_LIMITED", None),
    "in an array": (refusal(429, "RESOURCE_EXHAUSTED", "no", wrapped=True), RateLimited, "RATE_LIMITED", None),
    "internal": (refusal(500, "INTERNAL", "no"), ProviderFailed, "PROVIDER_FAILED", None),
    "overloaded": (refusal(503, "UNAVAILABLE", "no"), ProviderFailed, "PROVIDER_FAILED", None),
    "out of time": (refusal(504, "DEADLINE_EXCEEDED", "no"), ProviderFailed, "PROVIDER_DEADLINE_EXCEEDED", None),
}
POLICIES = (
    "SAFETY",
    "RECITATION",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "ESCALATION",
    "MODEL_ARMOR",
)
EMPTY = {
    **{finish: (stopped(finish, "because"), ContentRefused) for finish in POLICIES},
    **{
        f"prompt {reason}": (blocked(reason), ContentRefused)
        for reason in ("SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY", "MODEL_ARMOR", "JAILBREAK")
    },
    **{finish: (stopped(finish), ProviderFailed) for finish in ("NO_IMAGE", "IMAGE_OTHER", "OTHER", "A_NEW_WORD")},
    **{finish: (stopped(finish), ProviderRefused) for finish in ("LANGUAGE", "MAX_TOKENS", "CONTINUATION")},
    "PUP_LIMITED_DISABLED": (stopped("PUP_LIMITED_DISABLED"), ProviderExhausted),
    "words alone": (answered(TEXT), ProviderFailed),
    "a thought alone": (answered({"thought": True, "inlineData": {"mimeType": "image/png", "data": "eA=="}}), None),
    "nothing at all": ({}, ProviderFailed),
    "no candidates": ({"candidates": []}, ProviderFailed),
}
LOSSES = {
    "the line dies": Answer(cut_at=0),
    "the answer breaks off": Answer(200, b'{"candidates": []}', cut_at=9),
    "nothing comes": Answer(silent=True),
    "no JSON": Answer(200, b"<html>oops</html>"),
    "a gateway gives up": Answer(502, b"<html>bad gateway</html>"),
}


@pytest.fixture
async def vendor() -> AsyncIterator[Gemini]:
    async with Gemini(KEY).open() as vendor:
        yield vendor


@asynccontextmanager
async def drawing_adapter(vendor: Gemini, **settings: Any) -> AsyncIterator[Vertex]:
    told = vertex.Settings(**{"base_url": vendor.url, "key": SecretStr(KEY), **settings})
    async with open_media(MediaSettings()) as pictures, vertex.connect(told, pictures) as provider:
        yield provider


@asynccontextmanager
async def upscaler(vendor: Gemini, **settings: Any) -> AsyncIterator[NanoBananaUpscaler]:
    told = nano_banana_upscaler.Settings(**{"base_url": vendor.url, "key": SecretStr(KEY), **settings})
    async with open_media(MediaSettings()) as pictures, nano_banana_upscaler.connect(told, pictures) as provider:
        yield provider


def scene(width: int = 120, height: int = 90) -> Pixels:
    """A picture with structure to lose."""
    down, across = np.mgrid[:height, :width]
    discs = ((down - height / 2) ** 2 + (across - width / 3) ** 2 < (height / 4) ** 2) * 120
    stripes = (across // 8 % 2) * 60
    return np.stack([discs + 40, stripes + 60, down * 200 // height], 2).astype(np.uint8)


def coat(**more: Any) -> Drawing:
    return Drawing(**{"prompt": "a red coat", "seed": 9, **more})


def wanted(**more: Any) -> Refinement:
    return Refinement(**{"image": scene(), "factor": 2, "upscale": UPSCALE, **more})


async def quiet(step: DiffusionStep) -> None:
    pass


def parts(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    (content,) = body["contents"]
    found: list[dict[str, Any]] = content["parts"]
    return found


async def test_a_picture_is_drawn_from_words(vendor: Gemini) -> None:
    call = UnrecordedCall()
    async with drawing_adapter(vendor, usd_per_picture=0.134) as provider:
        given = await provider.configured({}, call).draw(coat(negative_prompt="hats", width=1600, height=900), quiet)
    assert given.pixels.shape == (768, 1376, 3) and (given.seed, given.model.name) == (9, "gemini-3-pro-image")
    assert len(vendor.ledger) == 1 and call.cost == 0.134
    (body,) = vendor.bodies
    assert parts(body) == [{"text": "a red coat\n\nThe picture must not show: hats"}]
    assert body["systemInstruction"] == {"parts": [{"text": vertex.SYSTEM}]}
    assert body["generationConfig"] == {
        "responseModalities": ["TEXT", "IMAGE"],
        "temperature": 1.0,
        "topP": 0.95,
        "seed": 9,
        "imageConfig": {"aspectRatio": "16:9"},
    }


async def test_the_configuration_of_a_task_is_heeded(vendor: Gemini) -> None:
    config = {
        "model": "gemini-nano-banana-2.1",
        "aspect_ratio": "4:5",
        "image_size": "2K",
        "temperature": 0.2,
        "top_p": 0.5,
        "system_instructions": "You draw shoes.",
    }
    async with drawing_adapter(vendor) as provider:
        given = await provider.configured(config, UnrecordedCall()).draw(coat(width=64, height=64), quiet)
    assert given.pixels.shape == (2304, 1856, 3) and given.model.name == "gemini-nano-banana-2.1"
    (body,) = vendor.bodies
    assert body["systemInstruction"]["parts"][0]["text"] == "You draw shoes."
    assert body["generationConfig"]["imageConfig"] == {"aspectRatio": "4:5", "imageSize": "2K"}
    assert (body["generationConfig"]["temperature"], body["generationConfig"]["topP"]) == (0.2, 0.5)


async def test_a_picture_is_edited_with_its_references(vendor: Gemini) -> None:
    edit = EditRequest("make it blue", scene(200, 100), seed=2**40 + 3, references=(scene(30, 40),))
    async with drawing_adapter(vendor) as provider:
        given = await provider.configured({}, UnrecordedCall()).edit(edit, quiet)
    first, second, words = parts(vendor.bodies[0])
    assert np.array_equal(np.asarray(open_base64(first["inlineData"]["data"])), scene(200, 100))
    assert open_base64(second["inlineData"]["data"]).size == (30, 40) and words == {"text": "make it blue"}
    assert "imageConfig" not in vendor.bodies[0]["generationConfig"]
    assert given.seed == 3 and given.pixels.shape[1] > given.pixels.shape[0]


@pytest.mark.parametrize(
    ("size", "ratio"),
    [((1024, 1024), "1:1"), ((832, 1216), "2:3"), ((2000, 1000), "16:9"), ((512, 4096), "9:16"), ((4096, 64), "21:9")],
)
def test_the_ratio_nearest_to_a_size_is_taken(size: tuple[int, int], ratio: str) -> None:
    assert nearest_ratio(*size) == ratio


def test_each_ratio_is_its_own_nearest() -> None:
    assert all(nearest_ratio(*(int(part) * 50 for part in ratio.split(":"))) == ratio for ratio in RATIOS)


def test_a_picture_too_large_to_send_is_packed_until_it_fits() -> None:
    noisy = np.random.default_rng(1).integers(0, 256, (2600, 2600, 3), np.uint8)
    inline = inline_picture(noisy)["inlineData"]
    assert inline["mimeType"] == "image/jpeg" and len(inline["data"]) * 3 // 4 <= 7_000_000
    assert open_base64(inline["data"]).size[0] >= 1300


@pytest.mark.parametrize(
    ("wish", "named"),
    [(coat(loras=(Lora("x"),)), "LORA"), (coat(image=scene(), mask=np.zeros((90, 120), np.uint8)), "INPAINTING")],
)
async def test_what_it_cannot_do_is_named_and_never_sent(vendor: Gemini, wish: Drawing, named: str) -> None:
    async with drawing_adapter(vendor) as provider:
        with pytest.raises(InvalidRequest, match=named) as caught:
            await provider.configured({}, UnrecordedCall()).draw(wish, quiet)
    assert caught.value.reason == "CAPABILITY_MISSING" and not vendor.asked


async def test_more_pictures_than_it_takes_are_never_sent(vendor: Gemini) -> None:
    edit = EditRequest("all of them", scene(), 1, references=(scene(),) * 14)
    async with drawing_adapter(vendor) as provider:
        with pytest.raises(InvalidRequest, match="at most 14"):
            await provider.configured({}, UnrecordedCall()).edit(edit, quiet)
    assert not vendor.asked


@pytest.mark.parametrize("case", REFUSALS)
async def test_each_refusal_has_its_meaning(vendor: Gemini, case: str) -> None:
    answer, kind, reason, pause = REFUSALS[case]
    vendor.script.instead("generate", answer)
    async with drawing_adapter(vendor) as provider:
        with pytest.raises(kind) as caught:
            await provider.configured({}, UnrecordedCall()).draw(coat(), quiet)
    assert (type(caught.value), caught.value.reason, caught.value.retry_after) == (kind, reason, pause)


@pytest.mark.parametrize("case", EMPTY)
async def test_each_answer_without_a_picture_has_its_meaning(vendor: Gemini, case: str) -> None:
    body, kind = EMPTY[case]
    vendor.replies.append(body)
    async with drawing_adapter(vendor) as provider:
        with pytest.raises(kind or ProviderFailed) as caught:
            await provider.configured({}, UnrecordedCall()).draw(coat(), quiet)
    assert type(caught.value) is (kind or ProviderFailed)
    assert len(vendor.bodies) == 1


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_lost_answer_leaves_the_outcome_unknown(vendor: Gemini, loss: str) -> None:
    vendor.script.after("generate", LOSSES[loss])
    async with drawing_adapter(vendor, timeout_seconds=1.5) as provider:
        with pytest.raises(OutcomeUnknown):
            await provider.configured({}, UnrecordedCall()).draw(coat(), quiet)
    assert len(vendor.ledger) == 1 and not isinstance(provider, SupportsCancel)


async def test_a_vendor_that_is_not_there_has_charged_nothing(vendor: Gemini) -> None:
    async with drawing_adapter(vendor, base_url="http://127.0.0.1:9") as provider:
        with pytest.raises(Unavailable):
            await provider.configured({}, UnrecordedCall()).draw(coat(), quiet)


@pytest.mark.parametrize("data", ["bm8gcGljdHVyZQ==", "!!"], ids=["no picture", "no base64"])
async def test_a_picture_that_cannot_be_read_is_unusable(vendor: Gemini, data: str) -> None:
    vendor.replies.append(answered(TEXT, {"inlineData": {"mimeType": "image/png", "data": data}}))
    async with drawing_adapter(vendor) as provider:
        with pytest.raises(ProviderRefused) as caught:
            await provider.configured({}, UnrecordedCall()).draw(coat(), quiet)
    assert caught.value.reason == "PROVIDER_RESULT_UNUSABLE"


@pytest.mark.parametrize(
    "body", [{"candidates": 5}, {"candidates": [None]}, {"candidates": [{"content": {"parts": "x"}}]}, {"a": 1}]
)
async def test_an_answer_of_another_shape_has_failed(vendor: Gemini, body: dict[str, Any]) -> None:
    vendor.script.after("generate", json_answer(body))
    async with drawing_adapter(vendor) as provider:
        with pytest.raises(ComputeError) as caught:
            await provider.configured({}, UnrecordedCall()).draw(coat(), quiet)
    assert caught.value.reason == "PROVIDER_NO_IMAGE"


async def test_a_picture_in_the_other_alphabet_of_base64_is_read(vendor: Gemini) -> None:
    async with drawing_adapter(vendor) as provider:
        for padded in (True, False):
            part = inline_picture(scene())
            data = part["inlineData"]["data"].replace("+", "-").replace("/", "_")
            part["inlineData"]["data"] = data if padded else data.rstrip("=")
            vendor.replies.append(answered(part))
            given = await provider.configured({}, UnrecordedCall()).draw(coat(), quiet)
            assert np.array_equal(given.pixels, scene())


@pytest.mark.parametrize("access_token", ["token-1", None])
async def test_the_project_whose_quota_is_used_is_named_beside_a_token(
    vendor: Gemini, access_token: str | None
) -> None:
    told: dict[str, Any] = {"key": None, "project": "atelier", "user_project": "payer", "location": "global"}
    told |= {"access_token": SecretStr(access_token)} if access_token else {}
    told["token_url"] = f"{vendor.url}/service-accounts/default/token"
    async with drawing_adapter(vendor, **told) as provider:
        await provider.configured({}, UnrecordedCall()).draw(coat(), quiet)
    assert vendor.asked[-1].headers["x-goog-user-project"] == "payer"
    async with drawing_adapter(vendor, user_project="payer") as provider:
        await provider.configured({}, UnrecordedCall()).draw(coat(), quiet)
    assert "x-goog-user-project" not in vendor.asked[-1].headers


async def test_drafts_of_its_thinking_are_passed_over(vendor: Gemini) -> None:
    vendor.mime_type = "image/jpeg"
    draft = {"thought": True, "inlineData": {"mimeType": "image/png", "data": "ZHJhZnQ="}}
    async with drawing_adapter(vendor) as provider:
        good = await provider.configured({}, UnrecordedCall()).draw(coat(), quiet)
        final = inline_picture(scene())
        vendor.replies.append(answered(draft, TEXT, final))
        given = await provider.configured({}, UnrecordedCall()).draw(coat(), quiet)
    assert good.pixels.shape == (1024, 1024, 3) and np.array_equal(given.pixels, scene())


async def test_a_model_that_the_task_named_is_the_callers_fault(vendor: Gemini) -> None:
    async with drawing_adapter(vendor, model="imagen-4") as provider:
        with pytest.raises(InvalidRequest, match="gemini-0"):
            await provider.configured({"model": "gemini-0"}, UnrecordedCall()).draw(coat(), quiet)
        with pytest.raises(ProviderRefused, match="imagen-4"):
            await provider.configured({}, UnrecordedCall()).draw(coat(), quiet)


async def test_a_project_on_vertex_is_asked_with_a_token(vendor: Gemini) -> None:
    token = SecretStr("token-1")
    async with drawing_adapter(vendor, key=None, project="atelier", location="eu", access_token=token) as provider:
        await provider.configured({}, UnrecordedCall()).draw(coat(), quiet)
    path = "/v1/projects/atelier/locations/eu/publishers/google/models/gemini-3-pro-image:generateContent"
    assert [asked.path for asked in vendor.asked] == [path]


async def test_the_machines_token_is_fetched_once_and_renewed_when_refused(vendor: Gemini) -> None:
    place = f"{vendor.url}/computeMetadata/v1/instance/service-accounts/default/token"
    async with drawing_adapter(vendor, key=None, project="atelier", token_url=place) as provider:
        for _ in range(2):
            await provider.configured({}, UnrecordedCall()).draw(coat(), quiet)
        assert sum(asked.path.endswith("/token") for asked in vendor.asked) == 1
        vendor.renew_token()
        await provider.configured({}, UnrecordedCall()).draw(coat(), quiet)
        assert sum(asked.path.endswith("/token") for asked in vendor.asked) == 2
        assert len(vendor.ledger) == 3
        vendor.tokens = {"token-9"}
        vendor.script.instead("token", json_answer({"access_token": "token-2", "expires_in": 3599}))
        with pytest.raises(ProviderRefused) as caught:
            await provider.configured({}, UnrecordedCall()).draw(coat(), quiet)
    assert caught.value.reason == "PROVIDER_KEY_REFUSED"


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ({"key": "k"}, "https://generativelanguage.googleapis.com/v1beta/models/m:generateContent"),
        (
            {"key": "k", "surface": "vertex"},
            "https://aiplatform.googleapis.com/v1/publishers/google/models/m:generateContent",
        ),
        (
            {"project": "p"},
            "https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/google/models/m:generateContent",
        ),
        (
            {"project": "p", "location": "us"},
            "https://aiplatform.us.rep.googleapis.com/v1/projects/p/locations/us/publishers/google/models/m"
            ":generateContent",
        ),
        (
            {"project": "p", "location": "europe-west4", "api_version": "v1beta1"},
            "https://europe-west4-aiplatform.googleapis.com/v1beta1/projects/p/locations/europe-west4/publishers/google"
            "/models/m:generateContent",
        ),
    ],
)
def test_settings_say_where_a_model_is_asked(told: dict[str, Any], address: str) -> None:
    assert GoogleSettings(**told).address("m") == address


def test_a_project_on_the_gemini_api_is_a_mistake() -> None:
    with pytest.raises(ValidationError, match="VERTEX_PROJECT"):
        GoogleSettings(project="p", surface="gemini")


async def test_the_key_stands_in_no_error_and_no_log(vendor: Gemini) -> None:
    vendor.script.instead("generate", refusal(400, "INVALID_ARGUMENT", f"the key {KEY} may not do this"))
    with capture_logs() as logs:
        async with drawing_adapter(vendor) as provider:
            with pytest.raises(InvalidRequest) as caught:
                await provider.configured({}, UnrecordedCall()).draw(coat(), quiet)
            assert KEY not in repr(provider.google.settings) and KEY not in provider.terms.account
    assert KEY not in f"{caught.value} {caught.value!r} {caught.value.message} {logs}"
    assert not any(KEY in asked.path or asked.query for asked in vendor.asked)


async def test_without_a_key_the_settings_are_named() -> None:
    async with open_media(MediaSettings()) as pictures:
        async with vertex.connect(vertex.Settings(), pictures) as draws:
            assert DIFFUSION.of(draws) is not None and EDITING.of(draws) is not None
            with pytest.raises(ProviderRefused, match="VERTEX_KEY"):
                draws.configured({}, UnrecordedCall())
        async with nano_banana_upscaler.connect(nano_banana_upscaler.Settings(), pictures) as refines:
            assert REFINING.of(refines) is not None
            with pytest.raises(ProviderRefused, match="VERTEX_KEY"):
                refines.configured({}, UnrecordedCall())


async def test_a_wrong_configuration_names_its_field(vendor: Gemini) -> None:
    async with drawing_adapter(vendor) as provider:
        with pytest.raises(InvalidRequest) as caught:
            provider.configured({"image_size": "8K"}, UnrecordedCall())
    assert caught.value.violations[0].field == "provider_config.image_size"


@pytest.mark.parametrize(
    ("wish", "size", "asked_for"),
    [
        (wanted(), (240, 180), None),
        (wanted(factor=4), (480, 360), None),
        (wanted(factor=2.5), (300, 225), None),
        (wanted(factor=None, width=1600, height=1200), (1600, 1200), "2K"),
        (wanted(factor=None, width=1600), (1600, 1200), "2K"),
        (wanted(factor=None, width=3200), (3200, 2400), "4K"),
        (wanted(factor=None), (120, 90), None),
    ],
)
async def test_a_picture_is_made_as_large_as_was_asked_for(
    vendor: Gemini, wish: Refinement, size: tuple[int, int], asked_for: str | None
) -> None:
    async with upscaler(vendor) as provider:
        given = await provider.configured({}, UnrecordedCall()).refine(wish, quiet)
    assert given.picture.pixels.shape == (size[1], size[0], 3)
    assert vendor.bodies[0]["generationConfig"]["imageConfig"].get("imageSize") == asked_for
    (measure,) = given.measures
    assert measure.name == "ssim" and measure.passed and (measure.value or 0) > 0.8


async def test_nothing_moves_where_the_ratio_is_not_one_of_the_models(vendor: Gemini) -> None:
    """The canvas around the picture is cut off again: what lay at a place lies there still."""
    image = scene(300, 110)
    async with upscaler(vendor) as provider:
        given = await provider.configured({}, UnrecordedCall()).refine(wanted(image=image), quiet)
    larger = np.asarray(Image.fromarray(image).resize((600, 220), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(given.picture.pixels.astype(int) - larger).mean() < 6


async def test_a_picture_that_strays_is_drawn_again_with_another_seed(vendor: Gemini) -> None:
    vendor.painters.extend([unlike, faithful])
    call = UnrecordedCall()
    async with upscaler(vendor, usd_per_picture=0.1) as provider:
        given = await provider.configured({"max_retries": 2, "ssim_threshold": 0.6}, call).refine(wanted(), quiet)
    assert [body["generationConfig"]["seed"] for body in vendor.bodies] == [5, 6]
    assert len(vendor.ledger) == 2 and call.cost == pytest.approx(0.2)
    assert given.picture.seed == 6 and given.measures[0].passed


async def test_a_try_lasts_as_long_as_all_its_pictures_may(vendor: Gemini) -> None:
    async with upscaler(vendor, timeout_seconds=60) as provider:
        assert [provider.terms_of({"max_retries": retries}).seconds for retries in (0, 2.0, "many")] == [60, 180, 60]


async def test_pictures_that_all_stray_are_never_passed_on(vendor: Gemini) -> None:
    vendor.painters.extend([unlike] * 3)
    async with upscaler(vendor) as provider:
        with pytest.raises(ProviderRefused, match="of 3 pictures none") as caught:
            await provider.configured({"max_retries": 2}, UnrecordedCall()).refine(wanted(), quiet)
    assert caught.value.reason == "PROVIDER_NOT_CONSISTENT" and len(vendor.ledger) == 3


async def test_a_threshold_of_nothing_turns_the_check_off(vendor: Gemini) -> None:
    vendor.painters.append(unlike)
    async with upscaler(vendor) as provider:
        given = await provider.configured({"ssim_threshold": 0}, UnrecordedCall()).refine(wanted(), quiet)
    assert given.measures == () and len(vendor.ledger) == 1


async def test_a_refusal_ends_the_attempts(vendor: Gemini) -> None:
    vendor.replies.append(stopped("IMAGE_SAFETY"))
    async with upscaler(vendor) as provider:
        with pytest.raises(ContentRefused):
            await provider.configured({"max_retries": 5}, UnrecordedCall()).refine(wanted(), quiet)
    assert len(vendor.bodies) == 1


async def test_its_own_prompt_can_be_replaced_and_the_tasks_is_added(vendor: Gemini) -> None:
    wish = wanted(upscale=DiffusionPass(0.3, 20, 5, "a striped shirt"))
    async with upscaler(vendor) as provider:
        await provider.configured({"default_prompt": "Sharper, please."}, UnrecordedCall()).refine(wish, quiet)
        await provider.configured({}, UnrecordedCall()).refine(wish, quiet)
    first, second = (parts(body)[-1]["text"] for body in vendor.bodies)
    assert first == "Sharper, please.\n\nThe picture shows: a striped shirt"
    assert second == f"{nano_banana_upscaler.PROMPT}\n\nThe picture shows: a striped shirt"


async def test_faces_alone_are_not_its_business(vendor: Gemini) -> None:
    async with upscaler(vendor) as provider:
        with pytest.raises(InvalidRequest, match="FACE_DETAIL"):
            await provider.configured({}, UnrecordedCall()).refine(wanted(upscale=None, faces=UPSCALE), quiet)


async def test_more_than_it_can_draw_is_never_sent(vendor: Gemini) -> None:
    async with upscaler(vendor) as provider:
        with pytest.raises(InvalidRequest) as caught:
            await provider.configured({}, UnrecordedCall()).refine(wanted(factor=8, image=scene(900, 800)), quiet)
    assert caught.value.reason == "TOO_MANY_PIXELS" and not vendor.asked


async def test_a_picture_as_thin_as_a_thread_is_laid_on_no_canvas(vendor: Gemini) -> None:
    thread = np.zeros((30_000, 1, 3), np.uint8)
    async with upscaler(vendor) as provider:
        with pytest.raises(InvalidRequest) as caught:
            await provider.configured({}, UnrecordedCall()).refine(wanted(factor=2, image=thread), quiet)
    assert caught.value.reason == "TOO_MANY_PIXELS" and not vendor.asked
