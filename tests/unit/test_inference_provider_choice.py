"""Which provider runs a task: its own, its configuration's, its type's, or the deployment's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from compute.tasks.v1 import tasks_pb2 as pb

from services.common.errors import InvalidRequest
from services.inference.context import RunContext
from services.providers.directory import Providers
from services.providers.ports import DIFFUSION
from services.worker.runs import AttemptKey, Run
from tests.fakes.provider_context import provider_context_of


def context_of(task: pb.Task) -> RunContext:
    provider_context = provider_context_of(Providers({}), cast("Any", None))
    resources = SimpleNamespace(
        default_provider="LOCAL",
        provider_context=provider_context,
        store=None,
        bus=None,
        audience=None,
        images=None,
        threads=None,
        signer=None,
    )
    return RunContext(Run(AttemptKey("t", 1), task, cast("Any", None), 0.0), cast("Any", resources))


@pytest.mark.parametrize(
    ("task_type", "provider_type", "config", "asked"),
    [
        ("GENERATION", None, {}, "LOCAL"),
        ("GENERATION", "FAL", {}, "FAL"),
        ("REFINE", None, {"provider_type": "SARTIQ_ULTIMATE_REFINER"}, "SARTIQ_ULTIMATE_REFINER"),
        ("LLM_INTERACTION", None, {}, "AI_CORE"),
        ("EXPERIMENTAL_FAL", None, {}, "FAL"),
        ("LLM_INTERACTION", "LOCAL", {}, "LOCAL"),
    ],
)
async def test_the_nearest_that_names_a_provider_decides(
    task_type: str, provider_type: str | None, config: dict[str, str], asked: str
) -> None:
    task = pb.Task(task_type=task_type)
    task.spec.provider_config.update(config)
    if provider_type is not None:
        task.spec.provider_type = provider_type
    with pytest.raises(InvalidRequest, match=f"no provider '{asked}' here"):
        await context_of(task).ask(DIFFUSION, cast("Any", None))
