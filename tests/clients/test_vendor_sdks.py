"""The vendors' own SDKs against our stand-ins for their servers, and their lists of words against our tables.

What a stand-in would take from our adapter alone, the vendor might refuse: so each official client must work with it.
"""

from __future__ import annotations

import base64
import importlib
import pkgutil
import typing
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from io import BytesIO

import anthropic
import fal_client
import fashn
import ollama
import openai
import pytest
from anthropic.types import shared
from fal_client import client as fal_places
from fashn.types import prediction_run_params as params
from google import genai
from google.genai import errors as google_errors
from google.genai import types as google_types
from openai.types.beta.session_turn_error import SessionTurnError
from PIL import Image

from services.providers.chat.anthropic import MOST_AT_ONCE
from services.providers.chat.anthropic_errors import CODES
from services.providers.chat.openai import EXHAUSTED
from services.providers.google.finishes import MEANINGS, FinishMeaning
from tests.fakes.vendors import fashn as fake_fashn
from tests.fakes.vendors.anthropic import Anthropic
from tests.fakes.vendors.fal import Ending, Fal
from tests.fakes.vendors.fashn import Fashn
from tests.fakes.vendors.gemini import Gemini
from tests.fakes.vendors.gemini_text import GeminiText
from tests.fakes.vendors.ollama import Ollama
from tests.fakes.vendors.openai import OpenAi
from tests.fakes.vendors.pictures import encode, noise
from tests.fakes.vendors.wire import json_answer, serving

KEY, MODEL = "key-of-a-test", "model-of-a-test"


def png(width: int = 24, height: int = 32) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (width, height), (200, 40, 40)).save(buffer, "PNG")
    return buffer.getvalue()


def data_url() -> str:
    return f"data:image/png;base64,{base64.b64encode(png()).decode()}"


def size_of(content: bytes) -> tuple[int, int]:
    with Image.open(BytesIO(content)) as picture:
        picture.load()
        return picture.size


# OpenAI


@pytest.fixture
async def openai_client() -> AsyncIterator[tuple[OpenAi, openai.AsyncOpenAI]]:
    fake = OpenAi(key=KEY, models=[MODEL])
    async with serving(fake) as url, openai.AsyncOpenAI(api_key=KEY, base_url=f"{url}/v1", max_retries=0) as client:
        yield fake, client


async def test_openai_answers_stores_lists_and_finds(openai_client: tuple[OpenAi, openai.AsyncOpenAI]) -> None:
    fake, client = openai_client
    made = await client.chat.completions.create(
        model=MODEL,
        messages=[
            {"role": "system", "content": "be brief"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "what is this"},
                    {"type": "image_url", "image_url": {"url": data_url()}},
                ],
            },
        ],
        max_completion_tokens=50,
        store=True,
        metadata={"mark": "one"},
    )
    assert made.choices[0].message.content == "I see 24x32. You said: what is this"
    assert made.choices[0].finish_reason == "stop" and made._request_id
    assert made.usage is not None and made.usage.total_tokens == 105 + 8
    assert (await client.chat.completions.retrieve(made.id)).id == made.id
    listed = [kept.id async for kept in client.chat.completions.list(metadata={"mark": "one"})]
    assert listed == [made.id]
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.retrieve("chatcmpl-gone")
    assert [model.id async for model in client.models.list()] == [MODEL]
    assert fake.heard[0].limit == 50


async def test_openai_streams(openai_client: tuple[OpenAi, openai.AsyncOpenAI]) -> None:
    _, client = openai_client
    said, usage = "", None
    stream = await client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "one two"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    async for chunk in stream:
        said += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        usage = chunk.usage or usage
    assert said == "I see nothing. You said: one two"
    assert usage is not None and usage.completion_tokens == 7


@pytest.mark.parametrize(
    ("turn", "kind"),
    [
        ("too fast", openai.RateLimitError),
        ("billing off", openai.RateLimitError),
        ("cyber", openai.BadRequestError),
        ("conflict", openai.ConflictError),
        ("overloaded", openai.InternalServerError),
        ("no permission", openai.PermissionDeniedError),
    ],
)
async def test_openai_reads_errors(
    openai_client: tuple[OpenAi, openai.AsyncOpenAI], turn: str, kind: type[openai.APIStatusError]
) -> None:
    fake, client = openai_client
    fake.plan(turn)
    with pytest.raises(kind) as caught:
        await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}])
    assert type(caught.value) is kind and caught.value.request_id == "req_test"


def test_openai_s_words_for_an_account_that_is_used_up_are_all_known() -> None:
    words = typing.get_args(SessionTurnError.model_fields["code"].annotation)
    of_account = {word for word in words if "spend" in word or "usage" in word or "billing" in word or "credit" in word}
    assert of_account and of_account <= set(EXHAUSTED)


# Anthropic


@pytest.fixture
async def messages() -> AsyncIterator[tuple[Anthropic, str]]:
    fake = Anthropic(key=KEY, models=[MODEL])
    async with serving(fake) as url:
        yield fake, url


@pytest.mark.parametrize("way", ["key", "token"])
async def test_anthropic_answers_by_key_or_token(messages: tuple[Anthropic, str], way: str) -> None:
    fake, url = messages
    access = {"api_key": KEY} if way == "key" else {"auth_token": KEY}
    async with anthropic.AsyncAnthropic(**access, base_url=url, max_retries=0) as client:
        made = await client.messages.create(
            model=MODEL,
            max_tokens=1024,
            system=[{"type": "text", "text": "be brief"}, {"type": "text", "text": "be kind"}],
            messages=[{"role": "user", "content": "one two"}],
        )
    assert [block.text for block in made.content if block.type == "text"] == ["I see nothing. You said: one two"]
    assert made._request_id and fake.heard[0].system == "be brief\nbe kind"


async def test_anthropic_sees_pictures_thinks_and_knows_newer_versions(messages: tuple[Anthropic, str]) -> None:
    fake, url = messages
    newer = {"anthropic-version": "2026-09-01"}
    picture = base64.b64encode(png()).decode()
    async with anthropic.AsyncAnthropic(api_key=KEY, base_url=url, default_headers=newer) as client:
        made = await client.messages.create(
            model=MODEL,
            max_tokens=4096,
            thinking={"type": "enabled", "budget_tokens": 1024},
            messages=[
                {"role": "user", "content": "hello"},
                {"role": "assistant", "content": [{"type": "text", "text": "hello"}]},
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "image",
                            "source": {"type": "base64", "media_type": "image/png", "data": picture},
                        },
                        {"type": "text", "text": "what is this"},
                    ],
                },
            ],
        )
    assert [block.type for block in made.content] == ["thinking", "redacted_thinking", "text"]
    assert fake.heard[0].sizes == [(24, 32)]
    assert fake.asked[0].headers["anthropic-version"] == "2026-09-01"


async def test_anthropic_streams(messages: tuple[Anthropic, str]) -> None:
    fake, url = messages
    fake.plan("thinking aloud", "overloaded midway")
    told: typing.Any = {"model": MODEL, "max_tokens": 64_000, "messages": [{"role": "user", "content": "one two"}]}
    async with anthropic.AsyncAnthropic(api_key=KEY, base_url=url, max_retries=0) as client:
        async with client.messages.stream(**told) as stream:
            made = await stream.get_final_message()
        assert [block.type for block in made.content] == ["thinking", "redacted_thinking", "text"]
        assert made.content[-1].text == "I see nothing. You said: one two"
        assert (made.stop_reason, made.usage.output_tokens) == ("end_turn", 7)
        with pytest.raises(anthropic.APIStatusError):
            async with client.messages.stream(**told) as stream:
                await stream.get_final_message()


@pytest.mark.parametrize(
    ("turn", "kind", "code"),
    [
        ("enforced limit", anthropic.RateLimitError, "enforced_spend_limit_reached"),
        ("ramp", anthropic.RateLimitError, "ramp_limit_exceeded"),
        ("on hold", anthropic.BadRequestError, "organization_on_hold"),
        ("key out of reach", anthropic.APIStatusError, "cmek_key_unreachable"),
        ("no permission", anthropic.PermissionDeniedError, None),
    ],
)
async def test_anthropic_reads_errors_and_their_codes(
    messages: tuple[Anthropic, str], turn: str, kind: type[anthropic.APIStatusError], code: str | None
) -> None:
    fake, url = messages
    fake.plan(turn)
    async with anthropic.AsyncAnthropic(api_key=KEY, base_url=url, max_retries=0) as client:
        with pytest.raises(kind) as caught:
            await client.messages.create(model=MODEL, max_tokens=10, messages=[{"role": "user", "content": "hi"}])
    assert getattr(caught.value, "error_code", None) == code
    assert caught.value.request_id == "req_test"


def test_anthropic_s_codes_that_any_answer_may_have_are_all_known() -> None:
    codes: set[str] = set()
    for module in pkgutil.iter_modules(shared.__path__):
        if module.name.endswith("_error_details"):
            found = importlib.import_module(f"{shared.__name__}.{module.name}")
            details = getattr(found, found.__all__[0])
            codes.add(*typing.get_args(details.model_fields["error_code"].annotation))
    assert len(codes) > 15 and codes <= set(CODES)


def test_anthropic_s_client_refuses_to_wait_in_silence_for_more_than_ours_does() -> None:
    client = anthropic.Anthropic(api_key=KEY)
    with pytest.raises(ValueError, match="Streaming is required"):
        client._calculate_nonstreaming_timeout(21_334, None)
    client._calculate_nonstreaming_timeout(MOST_AT_ONCE, min(anthropic._constants.MODEL_NONSTREAMING_TOKENS.values()))


# Google


@pytest.mark.parametrize("version", ["v1", "v1beta"])
async def test_gemini_answers_in_words(version: str) -> None:
    fake = GeminiText(key=KEY, models=[MODEL])
    async with serving(fake) as url, AsyncExitStack() as stack:
        options = google_types.HttpOptions(base_url=url, api_version=version)
        client = await stack.enter_async_context(genai.Client(api_key=KEY, http_options=options).aio)
        config = google_types.GenerateContentConfig(system_instruction="be brief", max_output_tokens=50)
        parts = [google_types.Part.from_bytes(data=png(), mime_type="image/png"), "what is this"]
        made = await client.models.generate_content(model=MODEL, contents=parts, config=config)
        assert made.text == "I see 24x32. You said: what is this"
        assert made.candidates is not None and made.candidates[0].finish_reason is google_types.FinishReason.STOP
        assert (fake.heard[0].system, fake.heard[0].limit) == ("be brief", 50)
        said = ""
        async for chunk in await client.models.generate_content_stream(model=MODEL, contents="one two"):
            said += chunk.text or ""
        assert said == "I see nothing. You said: one two"
        fake.plan("escalation", "too fast")
        refused = await client.models.generate_content(model=MODEL, contents="one two")
        assert refused.candidates is not None
        assert refused.candidates[0].finish_reason is google_types.FinishReason.ESCALATION
        with pytest.raises(google_errors.ClientError) as caught:
            await client.models.generate_content(model=MODEL, contents="one two")
        assert (caught.value.code, caught.value.status) == (429, "RESOURCE_EXHAUSTED")


async def test_gemini_draws_from_a_picture() -> None:
    async with Gemini(KEY).open() as fake, AsyncExitStack() as stack:
        options = google_types.HttpOptions(base_url=fake.url)
        client = await stack.enter_async_context(genai.Client(api_key=KEY, http_options=options).aio)
        # Bytes whose base64 differs between the two alphabets.
        given = google_types.Part.from_bytes(data=noisy(), mime_type="image/png")
        config = google_types.GenerateContentConfig(
            response_modalities=["TEXT", "IMAGE"],
            image_config=google_types.ImageConfig(aspect_ratio="3:2"),
        )
        made = await client.models.generate_content(
            model="gemini-3-pro-image", contents=[given, "make it blue"], config=config
        )
    assert made.parts is not None
    [picture] = [part.inline_data.data for part in made.parts if part.inline_data is not None]
    assert picture is not None and size_of(picture) == (1264, 848)


def noisy() -> bytes:
    content = encode(noise(40, 30), "PNG")
    assert set(base64.b64encode(content)) & set(b"+/")
    return content


def test_google_s_reasons_to_stop_are_all_classified() -> None:
    assert {reason.value for reason in google_types.FinishReason} == set(MEANINGS)
    refusals = {name for name, meaning in MEANINGS.items() if meaning is FinishMeaning.FORBIDDEN}
    assert {"ESCALATION", "MODEL_ARMOR", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"} <= refusals


# Ollama


async def test_ollama_chats_streams_lists_and_shows() -> None:
    fake = Ollama(models=[MODEL])
    async with serving(fake) as url, ollama.AsyncClient(host=url) as client:
        question = [{"role": "user", "content": "one two", "images": [png()]}]
        made = await client.chat(model=MODEL, messages=question)
        assert made.message.content == "I see 24x32. You said: one two"
        fake.plan("thinking aloud")
        said, thought = "", ""
        async for part in await client.chat(model=MODEL, messages=question, stream=True):
            said, thought = said + (part.message.content or ""), thought + (part.message.thinking or "")
        assert (said, thought) == ("I see 24x32. You said: one two", "Let me think.")
        assert [model.model for model in (await client.list()).models] == [MODEL]
        shown = await client.show(MODEL)
        assert shown.details is not None and shown.details.family == "llama"
        with pytest.raises(ollama.ResponseError) as caught:
            await client.chat(model="gone", messages=question)
        assert caught.value.status_code == 404


# FASHN


@pytest.fixture
async def fashn_client() -> AsyncIterator[tuple[Fashn, fashn.AsyncFashn]]:
    async with Fashn(KEY).open() as fake, fashn.AsyncFashn(api_key=KEY, base_url=fake.url, max_retries=0) as client:
        yield fake, client


@pytest.mark.parametrize("model", sorted(fake_fashn.MODELS))
async def test_fashn_runs_each_model(fashn_client: tuple[Fashn, fashn.AsyncFashn], model: str) -> None:
    fake, client = fashn_client
    known = fake_fashn.MODELS[model]
    inputs: dict[str, typing.Any] = {
        name: data_url() if name in known.pictures else "a red coat" for name in known.required
    }
    inputs |= {"aspect_ratio": "3:4"} if "aspect_ratio" in known.required else {}
    ended = await client.predictions.subscribe(model_name=model, inputs=inputs, poll_interval=10)
    assert ended.status == "completed" and ended.output[0].startswith(fake.url)
    assert ended.credits_used == known.credits


def test_fashn_s_models_are_those_of_its_client() -> None:
    models = {}
    for name in params.__all__:
        request = getattr(params, name)
        if name.endswith("Request"):
            told = typing.get_type_hints(request, include_extras=False)
            models[typing.get_args(told["model_name"])[0]] = typing.get_type_hints(told["inputs"])
    assert set(models) == set(fake_fashn.MODELS)
    for name, inputs in models.items():
        known = fake_fashn.MODELS[name]
        assert {*known.pictures, *known.texts, *known.choices, *known.required} == set(inputs), name


async def test_fashn_reads_failures(fashn_client: tuple[Fashn, fashn.AsyncFashn]) -> None:
    fake, client = fashn_client
    fake.outcomes.append(("PoseError", "no body"))
    inputs = {"image": data_url(), "prompt": "blue"}
    ended = await client.predictions.subscribe(model_name="edit", inputs=inputs, poll_interval=10)
    assert ended.status == "failed" and ended.error.name == "PoseError"
    fake.script.instead("run", fake_fashn.refusal(429, "OutOfCredits", "none left"))
    with pytest.raises(fashn.RateLimitError):
        await client.predictions.run(model_name="edit", inputs=inputs)


# fal


@pytest.fixture
async def fal(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Fal, fal_client.AsyncClient]]:
    """Its client knows its hosts by heart: they are put where the stand-in serves each of them."""
    async with Fal(KEY).open() as fake:
        places = {"RUN_URL_FORMAT": fake.run_url, "QUEUE_URL_FORMAT": fake.url, "REST_URL": fake.rest_url}
        for name, url in places.items():
            monkeypatch.setattr(fal_places, name, url if name == "REST_URL" else f"{url}/")
        monkeypatch.setattr(fal_places, "CDN_URL", fake.cdn_url)
        client = fal_client.AsyncClient(key=KEY)
        yield fake, client
        await (await client._client).aclose()


@pytest.mark.parametrize(
    "app", ["fal-ai/flux/dev", "fal-ai/flux/dev/", "acme/own", "workflows/acme/one", "comfy/acme/one/more"]
)
async def test_fal_submits_looks_and_brings(fal: tuple[Fal, fal_client.AsyncClient], app: str) -> None:
    fake, client = fal
    handle = await client.submit(app, {"prompt": "a red coat"}, start_timeout=60, priority="low")
    seen = [type(state).__name__ async for state in handle.iter_events(with_logs=True, interval=0.01)]
    assert seen == ["Queued", "InProgress", "Completed"]
    answer = await handle.get(interval=0.01)
    assert answer["images"][0]["url"].startswith(fake.url)
    # Its client builds the addresses anew from the id of the app.
    again = await client.result(app, handle.request_id)
    assert again["images"][0]["url"] == answer["images"][0]["url"]


async def test_fal_runs_at_once_and_uploads(fal: tuple[Fal, fal_client.AsyncClient]) -> None:
    fake, client = fal
    url = await client.upload(png(), "image/png", file_name="coat.png")
    answer = await client.run("fal-ai/flux/dev/image-to-image", {"prompt": "a red coat", "image_url": url})
    assert answer["images"][0]["url"].startswith(fake.url)
    assert fake.media[url.removeprefix(fake.url)] == (png(), "image/png")
    stored = await client.upload(png(), "image/png", repository="fal")
    assert fake.media[stored.removeprefix(fake.url)] == (png(), "image/png")


async def test_fal_reads_errors_and_does_not_send_again_what_failed_under_an_id(
    fal: tuple[Fal, fal_client.AsyncClient],
) -> None:
    fake, client = fal
    fake.endings.append(Ending.model(422, "content_policy_violation", "flagged"))
    handle = await client.submit("fal-ai/flux/dev", {"prompt": "x"})
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        await handle.get(interval=0.01)
    assert caught.value.status_code == 422
    fake.stumbles.append(json_answer({"detail": "full"}, 503))
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        await client.submit("fal-ai/flux/dev", {"prompt": "x"})
    assert caught.value.response_headers["x-fal-request-id"] in fake.requests
    assert fake.operations("submit") == 2


async def test_fal_cancels(fal: tuple[Fal, fal_client.AsyncClient]) -> None:
    fake, client = fal
    fake.path = ("IN_QUEUE",) * 50
    handle = await client.submit("fal-ai/flux/dev", {"prompt": "x"})
    await handle.cancel()
    assert fake.requests[handle.request_id].cancelled
