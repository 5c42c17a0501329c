"""Which provider runs a task: its own, its configuration's, its type's, or the deployment's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from compute.tasks.v1 import tasks_pb2 as pb

from services.common.errors import InvalidRequest
from services.inference.context import Context, Surroundings
from services.providers.directory import Providers
from services.providers.ports import DIFFUSION
from services.worker.runs import Key, Run
from tests.fakes.desk import desk_of


def context_of(task: pb.Task) -> Context:
    desk = desk_of(Providers({}), cast("Any", None))
    around = SimpleNamespace(default_provider="LOCAL", desk=desk, store=None, bus=None, images=None, threads=None)
    return Context(Run(Key("t", 1), task, cast("Any", None), 0.0), cast("Surroundings", around))


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
