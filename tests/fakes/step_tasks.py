"""The tasks service as workflows see it: what they made and buried; it outlives the processes that ask it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.common.errors import ComputeError, NotFound
from services.workflows.ports import NewStepTask, StepName, StepTask, TaskFacts
from tests.fakes.mongo import Life

LIVE = StepTask(over=False)


@dataclass
class TaskWorld:
    """What every process shares. `on_made` hears of each task that is really made, `on_again` of one that is asked for
    once more, after how it was asked for first.
    """

    on_made: Callable[[NewStepTask], None] = lambda _: None
    on_again: Callable[[NewStepTask, NewStepTask], None] = lambda *_: None
    tasks: dict[StepName, StepTask | None] = field(default_factory=dict)
    wanted: dict[StepName, NewStepTask] = field(default_factory=dict)
    cleaned: list[StepName] = field(default_factory=list)
    refuse: dict[str, ComputeError] = field(default_factory=dict)
    """By step id: what a create of it is answered with."""

    @property
    def alive(self) -> list[StepName]:
        return [name for name, task in self.tasks.items() if task is not None and not task.over]

    def end(self, name: StepName, *, result: Mapping[str, Any] | None = None, reason: str | None = None) -> None:
        if result is not None:
            self.tasks[name] = StepTask(over=True, result=result, facts=TaskFacts())
        else:
            self.tasks[name] = StepTask(over=True, retries=2, reason=reason or "FAKE_FAILED", message="it failed")

    def delete(self, name: StepName) -> None:
        """By its owner, though it was a step's."""
        self.tasks[name] = StepTask(over=True, reason="STEP_TASK_DELETED", message="its task was deleted")


class FakeStepTasks:
    """One process's connection to it."""

    def __init__(self, world: TaskWorld, life: Life) -> None:
        self._world = world
        self._life = life

    def task_id(self, tenant: str, name: StepName) -> str:
        return f"{tenant}/{'/'.join(map(str, name))}"

    async def create(self, tenant: str, wanted: Sequence[NewStepTask]) -> dict[StepName, ComputeError]:
        refused = {}
        for new in wanted:
            await self._life.step()
            if (error := self._world.refuse.get(new.name.step_id)) is not None:
                refused[new.name] = error
            elif new.name not in self._world.tasks:
                self._world.on_made(new)
                self._world.tasks[new.name] = LIVE
                self._world.wanted[new.name] = new
            elif new.name in self._world.wanted:
                self._world.on_again(self._world.wanted[new.name], new)
        await self._life.step()
        return refused

    async def get(self, tenant: str, names: Sequence[StepName]) -> dict[StepName, StepTask]:
        await self._life.step()
        return {name: task for name in names if (task := self._world.tasks.get(name)) is not None}

    async def cancel(self, tenant: str, names: Sequence[StepName]) -> None:
        for name in names:
            await self._life.step()
            task = self._world.tasks.get(name)
            if task is None or not task.over:
                self._world.tasks[name] = StepTask(over=True, reason="STEP_TASK_CANCELLED", message="cancelled")
        await self._life.step()

    async def clean(self, tenant: str, name: StepName) -> tuple[list[str], list[str]]:
        await self._life.step()
        self._world.cleaned.append(name)
        if name not in self._world.wanted:
            raise NotFound("never made", reason="TASK_NOT_FOUND")
        self._world.delete(name)
        return [f"diagnostics/{self.task_id(tenant, name)}/picture.png"], []
