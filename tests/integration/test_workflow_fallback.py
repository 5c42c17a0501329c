"""A step through an outside provider that fails: its fallback does it, and what both did and cost is on record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import pytest
from compute.workflows.v1 import workflows_pb2 as pb

from services.providers import fal
from services.providers.directory import Providers
from services.providers.media import MediaSettings, open_media
from services.providers.ports import Provider
from tests.fakes.vendors.fal import Ending, Fal
from tests.integration.tasks_host import hosting
from tests.integration.test_workflow_replicas import Flows, replica
from tests.integration.worker_host import WorkerHost

BROKEN, OTHER = Ending.model(500, "internal_server_error", "broke"), "acme/other"


@pytest.fixture
async def vendor() -> AsyncIterator[Fal]:
    async with Fal().open() as vendor:
        yield vendor


@pytest.fixture
async def flows(mongodb_url: str, nats_url: str, vendor: Fal) -> AsyncIterator[Flows]:
    told: dict[str, Any] = {
        "key": vendor.key,
        "base_url": vendor.url,
        "platform_url": f"{vendor.url}/platform/v1",
        "poll_seconds": 0.01,
        "find_seconds": 2.0,
        "usd_per_unit": 0.02,
    }
    reach = MediaSettings(allow_private_urls=frozenset({vendor.url.removeprefix("http://")}))
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(
            hosting(mongodb_url, nats_url, f"t{uuid4().hex[:12]}", retry_first_seconds=0.05)
        )
        media = await stack.enter_async_context(open_media(reach))
        opened: Provider = await stack.enter_async_context(fal.connect(fal.Settings(**told), media))
        await stack.enter_async_context(WorkerHost(host, nats_url).worker(Providers({fal.NAME: opened})))
        yield await stack.enter_async_context(replica(mongodb_url, nats_url, host))


def draw(flows: Flows, *, fallback: bool = True) -> pb.StepDefinition:
    step = pb.StepDefinition(id="draw", max_retries=0)
    step.spec.queue_name, step.spec.provider_type = flows.host.queue, "FAL"
    drawn = step.spec.params.generation
    drawn.prompt, drawn.seed, drawn.width, drawn.height = "a red coat", 7, 96, 64
    if fallback:
        step.spec.fallback_provider_type = "FAL"
        step.spec.fallback_provider_config_json = f'{{"fal_app_id": "{OTHER}"}}'
    return step


def say(flows: Flows) -> pb.StepDefinition:
    """What the model of the picture before is called."""
    step = pb.StepDefinition(id="say", depends_on=["draw"])
    step.spec.queue_name = flows.host.queue
    step.spec.params.diagnostic.SetInParent()
    step.input_mappings.add(from_step="draw", from_field="model_name", to_field="payload")
    return step


async def test_a_step_whose_provider_fails_is_done_by_its_fallback_and_both_are_on_record(
    flows: Flows, vendor: Fal
) -> None:
    vendor.endings.extend([BROKEN] * 3)
    done = await flows.ended(await flows.create(draw(flows), say(flows)))
    assert done.final_step_result_json == f'{{"payload":"{OTHER}"}}', "later steps take what the fallback made"
    task = await flows.host.get(done.steps[0].task_id)
    assert [request.app for request in vendor.requests.values()] == ["fal-ai/flux/dev"] * 3 + [OTHER]
    assert [(call.outcome, call.fallback) for call in task.provider_calls] == [
        ("FAILED", False),
        ("FAILED", False),
        ("FAILED", False),
        ("SUCCEEDED", True),
    ]
    assert task.provider_calls[-1].cost_usd == pytest.approx(0.04)
    assert task.cost_usd == pytest.approx(sum(call.cost_usd for call in task.provider_calls))
    assert (task.attempt, task.max_attempts) == (1, 1), "the provider's own tries are not the step's"
    # what a fallback made is kept for nobody: the same again asks the provider first
    again = await flows.ended(await flows.create(draw(flows), say(flows)))
    assert again.steps[0].status == pb.STEP_STATUS_COMPLETED
    assert [*vendor.requests.values()][4].app == "fal-ai/flux/dev"


async def test_without_a_fallback_the_step_fails_with_the_providers_reason(flows: Flows, vendor: Fal) -> None:
    vendor.endings.extend([BROKEN] * 3)
    failed = await flows.ended(await flows.create(draw(flows, fallback=False)), pb.WORKFLOW_STATUS_FAILED)
    task = await flows.host.get(failed.steps[0].task_id)
    assert failed.steps[0].error_reason == task.error_reason != ""
    assert len(task.provider_calls) == 3
