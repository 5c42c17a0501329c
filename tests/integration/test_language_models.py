"""LLM_INTERACTION tasks from their creation to their result, with a real worker and vendors on loopback."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from compute.tasks.v1 import params_pb2, tasks_pb2
from google.protobuf import json_format

from services.providers import ai_core
from services.providers.chat.anthropic import AnthropicSettings
from services.providers.chat.gemini import GeminiSettings
from services.providers.chat.ollama import OllamaSettings
from services.providers.chat.openai import OpenAiSettings
from services.providers.chat.vendor import Price
from services.providers.directory import Providers
from services.translation.messages import to_json
from tests.fakes.vendors.anthropic import Anthropic
from tests.fakes.vendors.chat import ChatVendor
from tests.fakes.vendors.gemini_text import GeminiText
from tests.fakes.vendors.ollama import Ollama
from tests.fakes.vendors.openai import OpenAi
from tests.fakes.vendors.wire import serving
from tests.integration.tasks_host import hosting
from tests.integration.worker_host import WorkerHost
from tests.waiting import until

KEY = "sk-a-key-that-nobody-may-see-41c9"
MODEL = "model-of-a-test"
COMPLETED, FAILED = tasks_pb2.TASK_STATUS_COMPLETED, tasks_pb2.TASK_STATUS_FAILED


class Vendors:
    """All four, and the provider that knows their addresses."""

    def __init__(self) -> None:
        self.fakes: dict[str, ChatVendor] = {
            "openai": OpenAi(key=KEY),
            "anthropic": Anthropic(key=KEY),
            "gemini": GeminiText(key=KEY),
            "ollama": Ollama(),
        }

    @asynccontextmanager
    async def opened(self, **chosen: Any) -> AsyncIterator[Providers]:
        """The worker's providers."""
        async with AsyncExitStack() as stack:
            urls = {name: await stack.enter_async_context(serving(fake)) for name, fake in self.fakes.items()}
            given: dict[str, Any] = {"key": KEY, "model": MODEL, "tries": 2, "timeout_seconds": 20.0, **chosen}
            settings = ai_core.Settings(
                vendor=None,
                openai=OpenAiSettings(base_url=f"{urls['openai']}/v1", find_every=0.05, find_seconds=5.0, **given),
                anthropic=AnthropicSettings(base_url=urls["anthropic"], **given),
                gemini=GeminiSettings(base_url=f"{urls['gemini']}/v1beta", **given),
                ollama=OllamaSettings(base_url=urls["ollama"], **{**given, "key": None}),
            )
            core = await stack.enter_async_context(ai_core.connect(settings, None))  # type: ignore[arg-type]
            yield Providers({"AI_CORE": core})


@pytest.fixture
def vendors() -> Vendors:
    return Vendors()


@pytest.fixture
async def host(mongodb_url: str, nats_url: str) -> AsyncIterator[WorkerHost]:
    async with hosting(mongodb_url, nats_url, f"t{uuid4().hex[:12]}", retry_first_seconds=0.05) as tasks:
        yield WorkerHost(tasks, nats_url)


def prompt(text: str = "one two three", **more: Any) -> params_pb2.TaskParams:
    images = more.pop("input_images", ())
    params = params_pb2.LlmInteractionParams(prompt=text, **more)
    if images:
        params.input_images.values.extend(images)
    return params_pb2.TaskParams(llm_interaction=params)


async def charged(fake: ChatVendor) -> bool:
    return bool(fake.charges)


@pytest.mark.parametrize("vendor", ["openai", "anthropic", "gemini", "ollama"])
async def test_a_prompt_with_pictures_is_answered_by_the_vendor_the_task_names(
    host: WorkerHost, vendors: Vendors, vendor: str
) -> None:
    host.images.pictures["inputs/shirt.png"] = np.full((30, 50, 3), 200, np.uint8)
    asked = prompt(system_prompt="be brief", input_images=["inputs/shirt.png"])
    price = {MODEL: Price(input=1.0, output=2.0)}
    async with vendors.opened(prices=price) as providers, host.worker(providers):
        task = await host.run(
            asked, provider_config={"provider_type": "AI_CORE", "ai_provider": vendor, "max_tokens": 50}
        )
    assert task.status == COMPLETED, task.errors
    result = task.result.llm_interaction
    assert result.result_text == "I see 50x30. You said: one two three"
    assert (result.ai_provider, result.input_tokens, result.output_tokens) == (vendor, 105, 8)
    assert result.model_name.startswith(MODEL) and result.finish_reason
    (call,) = task.provider_calls
    assert (call.provider, call.outcome, call.fallback) == ("AI_CORE", "SUCCEEDED", False)
    assert call.cost_usd == pytest.approx((105 + 2 * 8) / 1e6)
    assert len(vendors.fakes[vendor].charges) == 1
    assert KEY not in json_format.MessageToJson(task)


async def test_an_openai_answer_that_got_lost_is_found_and_paid_once(host: WorkerHost, vendors: Vendors) -> None:
    fake = vendors.fakes["openai"]
    fake.plan("lost")
    async with vendors.opened() as providers, host.worker(providers):
        task = await host.run(prompt(), provider_config={"provider_type": "AI_CORE", "ai_provider": "openai"})
    assert task.status == COMPLETED, task.errors
    assert (len(fake.charges), task.attempt) == (1, 1)
    assert task.provider_calls[0].request_id == "chatcmpl-run-1"


async def test_a_restarted_worker_takes_up_what_openai_has_answered(host: WorkerHost, vendors: Vendors) -> None:
    fake = vendors.fakes["openai"]
    fake.plan("silent")
    async with vendors.opened() as providers:
        async with host.worker(providers):
            task_id = await host.create(prompt(), provider_config={"provider_type": "AI_CORE", "ai_provider": "openai"})
            await until(lambda: charged(fake))
        async with host.worker(providers):
            task = await host.ended(task_id)
    assert task.status == COMPLETED, task.errors
    assert (len(fake.charges), task.attempt) == (1, 2)


@pytest.mark.parametrize("vendor", ["anthropic", "gemini"])
@pytest.mark.parametrize("mishap", ["lost", "torn", "garbled"])
async def test_a_lost_answer_nobody_can_look_up_is_never_paid_twice_in_silence(
    host: WorkerHost, vendors: Vendors, vendor: str, mishap: str
) -> None:
    fake = vendors.fakes[vendor]
    fake.plan(mishap)
    async with vendors.opened() as providers, host.worker(providers):
        task = await host.run(
            prompt(),
            provider_config={"provider_type": "AI_CORE", "ai_provider": vendor},
            fallback_provider_type="AI_CORE",
            fallback_provider_config={"ai_provider": "ollama"},
        )
    assert (task.status, len(fake.charges)) == (FAILED, 1)
    assert task.provider_calls[0].outcome == "UNKNOWN"
    assert "may have been charged" in task.errors[-1]
    assert vendors.fakes["ollama"].heard == []


async def test_a_local_model_s_lost_answer_is_simply_asked_for_again(host: WorkerHost, vendors: Vendors) -> None:
    vendors.fakes["ollama"].plan("lost")
    async with vendors.opened() as providers, host.worker(providers):
        task = await host.run(prompt(), provider_config={"provider_type": "AI_CORE", "ai_provider": "ollama"})
    assert task.status == COMPLETED, task.errors
    assert task.attempt == 1


async def test_an_overloaded_vendor_gives_way_to_the_fallback(host: WorkerHost, vendors: Vendors) -> None:
    vendors.fakes["anthropic"].plan("overloaded", "overloaded")
    async with vendors.opened() as providers, host.worker(providers):
        task = await host.run(
            prompt(),
            provider_config={"provider_type": "AI_CORE", "ai_provider": "anthropic"},
            fallback_provider_type="AI_CORE",
            fallback_provider_config={"ai_provider": "ollama"},
        )
    assert task.status == COMPLETED, task.errors
    assert task.result.llm_interaction.ai_provider == "ollama"
    assert [(call.outcome, call.fallback) for call in task.provider_calls] == [
        ("FAILED", False),
        ("FAILED", False),
        ("SUCCEEDED", True),
    ]


async def test_a_refusal_is_final_and_no_fallback_is_asked(host: WorkerHost, vendors: Vendors) -> None:
    vendors.fakes["openai"].plan("refused")
    async with vendors.opened() as providers, host.worker(providers):
        task = await host.run(
            prompt(),
            provider_config={"provider_type": "AI_CORE", "ai_provider": "openai"},
            fallback_provider_type="AI_CORE",
            fallback_provider_config={"ai_provider": "ollama"},
        )
    assert (task.status, task.attempt, task.error_reason) == (FAILED, 1, "CONTENT_REFUSED")
    assert task.error_category == "CONTENT_POLICY"
    assert vendors.fakes["ollama"].asked == []


async def test_a_very_long_answer_is_kept_as_a_file(host: WorkerHost, vendors: Vendors) -> None:
    vendors.fakes["gemini"].says = "word " * 60_000
    async with vendors.opened() as providers, host.worker(providers):
        task = await host.run(prompt(), provider_config={"provider_type": "AI_CORE", "ai_provider": "gemini"})
    assert task.status == COMPLETED, task.errors
    result = task.result.llm_interaction
    assert result.result_text_path == f"llm_interactions/{task.id}/answer-1.txt"
    whole = host.objects.kept["acme", result.result_text_path].decode()
    assert whole == vendors.fakes["gemini"].says and whole.startswith(result.result_text)


@pytest.mark.field("49")
async def test_what_a_model_thought_is_a_field_of_its_own(host: WorkerHost, vendors: Vendors) -> None:
    thoughts = "It is a shirt. " * 3_000
    vendors.fakes["ollama"].says = f"<think>\n{thoughts}</think>\n\nA shirt."
    async with vendors.opened() as providers, host.worker(providers):
        task = await host.run(prompt(), provider_config={"provider_type": "AI_CORE", "ai_provider": "ollama"})
    assert task.status == COMPLETED, task.errors
    result = task.result.llm_interaction
    assert result.result_text == "A shirt."
    assert thoughts.startswith(result.reasoning_text) and len(result.reasoning_text) == 20_000
    assert host.objects.kept["acme", result.reasoning_text_path].decode() == thoughts.strip()
    assert json.loads(to_json(task))["reasoning_text"] == result.reasoning_text


async def test_without_a_vendor_the_error_names_the_settings(host: WorkerHost) -> None:
    nothing: dict[str, Any] = {"key": None, "base_url": ""}
    settings = ai_core.Settings(
        vendor=None,
        openai=OpenAiSettings(**nothing),
        anthropic=AnthropicSettings(**nothing),
        gemini=GeminiSettings(**nothing),
        ollama=OllamaSettings(**nothing),
    )
    async with ai_core.connect(settings, None) as core, host.worker(Providers({"AI_CORE": core})):  # type: ignore[arg-type]
        task = await host.run(prompt())
    assert (task.status, task.attempt, task.error_reason) == (FAILED, 1, "PROVIDER_NOT_CONFIGURED")
    assert "OLLAMA_URL" in task.errors[-1] and "OPENAI_API_KEY" in task.errors[-1]
