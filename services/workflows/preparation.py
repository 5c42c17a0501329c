"""Between the engine and the tasks service: steps are given what they need before their tasks are made.

The engine's order of writes stays as it is. To it a step whose pictures are still being fetched is one whose task is
not there yet: it asks again when it looks again, and repeating is safe.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from services.common.bounded_cache import BoundedCache
from services.common.errors import ComputeError, InvalidRequest, NotFound, PayloadTooLarge, PermissionDenied, name_of
from services.workflows.pictures import foreign
from services.workflows.pinning import Pins
from services.workflows.ports import NewStepTask, StepName, StepTask, StepTasks

log = structlog.get_logger()
# Those who asked while nobody had told the engine yet; it hears at once.
_FAILED = 10_000
_LASTING = (InvalidRequest, NotFound, PayloadTooLarge, PermissionDenied)
_SOONEST, _LATEST = 0.5, 15.0


class PreparedTasks:
    """StepTasks whose tasks have all their pictures in storage."""

    def __init__(self, tasks: StepTasks, pins: Pins, wake: Callable[[StepName], None]) -> None:
        """`wake` has the engine look at a step of which there is something new."""
        self._tasks = tasks
        self._pins = pins
        self._wake = wake
        self._jobs: dict[StepName, asyncio.Task[None]] = {}
        self._failed: BoundedCache[StepName, StepTask] = BoundedCache(entries=_FAILED, size=_FAILED)

    def task_id(self, tenant: str, name: StepName) -> str:
        return self._tasks.task_id(tenant, name)

    async def create(self, tenant: str, wanted: Sequence[NewStepTask]) -> dict[StepName, ComputeError]:
        unready = [new for new in wanted if foreign(new.task_type, new.task)]
        for new in unready:
            if new.name not in self._jobs and self._failed.get(new.name) is None:
                job = asyncio.create_task(self._prepare(tenant, new), name="step prepared")
                self._jobs[new.name] = job
                job.add_done_callback(partial(self._over, new.name))
        names = {new.name for new in unready}
        ready = [new for new in wanted if new.name not in names] if names else wanted
        return await self._tasks.create(tenant, ready) if ready else {}

    def _over(self, name: StepName, job: asyncio.Task[None]) -> None:
        self._jobs.pop(name, None)

    async def get(self, tenant: str, names: Sequence[StepName]) -> dict[StepName, StepTask]:
        found = await self._tasks.get(tenant, names)
        failed = {name: task for name in names if name not in found and (task := self._failed.get(name)) is not None}
        return found | failed if failed else found

    async def cancel(self, tenant: str, names: Sequence[StepName]) -> None:
        for name in names:
            if (job := self._jobs.get(name)) is not None:
                job.cancel()
        await self._tasks.cancel(tenant, names)

    async def clean(self, tenant: str, name: StepName) -> tuple[list[str], list[str]]:
        return await self._tasks.clean(tenant, name)

    async def close(self) -> None:
        """What is not done yet the next leader does."""
        jobs = list(self._jobs.values())
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    async def _prepare(self, tenant: str, new: NewStepTask) -> None:
        try:
            ready = await self._with_pictures(tenant, new)
            errors = await self._tasks.create(tenant, [ready])
            if errors:
                raise errors[new.name]
        except _LASTING as error:
            self._fail(new.name, error)
        except ComputeError as error:  # of our own services: the engine asks again when it looks again
            log.warning("step not prepared", workflow=new.name.workflow_id, error=name_of(error))

    async def _with_pictures(self, tenant: str, new: NewStepTask) -> NewStepTask:
        """Tried as often as its task would be, where the server of a picture does not answer."""
        tries = 0
        while True:
            try:
                task = await self._pins.pinned(tenant, new.name.workflow_id, new.task_type, new.task)
                return new._replace(task=task)
            except ComputeError as error:
                tries += 1
                if error.reason != "URL_UNAVAILABLE":
                    raise
                if tries >= new.max_attempts:
                    raise InvalidRequest(error.message, reason=error.reason) from error
                pause = max(_SOONEST * 2.0 ** (tries - 1), error.retry_after or 0.0)
                await asyncio.sleep(min(pause, _LATEST))

    def _fail(self, name: StepName, error: ComputeError) -> None:
        self._failed.put(name, StepTask(over=True, reason=error.reason, message=error.message), 1)
        self._wake(name)
