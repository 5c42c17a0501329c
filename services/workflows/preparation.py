"""Between the engine and the tasks service: steps are given what they need before their tasks are made.

The engine's order of writes stays as it is. To it a step whose pictures are still being fetched is one whose task is
not there yet: it asks again when it looks again, and repeating is safe.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import structlog

from services.catalog.enums import CacheMode
from services.catalog.tasks import TYPES
from services.common.bounded_cache import BoundedCache
from services.common.errors import ComputeError, InvalidRequest, NotFound, PayloadTooLarge, PermissionDenied, name_of
from services.workflows.pictures import foreign
from services.workflows.pinning import Pins
from services.workflows.ports import NewStepTask, StepName, StepTask, StepTasks
from services.workflows.step_cache import StepCache

log = structlog.get_logger()
# Those who asked while nobody had told the engine yet; it hears at once.
_FAILED = 10_000
_LASTING = (InvalidRequest, NotFound, PayloadTooLarge, PermissionDenied)
_SOONEST, _LATEST = 0.5, 15.0


class PreparedTasks:
    """StepTasks whose tasks have all their pictures in storage, and are only made where no identical step was."""

    def __init__(self, tasks: StepTasks, pins: Pins, cache: StepCache, wake: Callable[[StepName], None]) -> None:
        """`wake` has the engine look at a step of which there is something new."""
        self._tasks = tasks
        self._pins = pins
        self._cache = cache
        self._wake = wake
        self._jobs: dict[StepName, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._failed: BoundedCache[StepName, StepTask] = BoundedCache(entries=_FAILED, size=_FAILED)

    def task_id(self, tenant: str, name: StepName) -> str:
        return self._tasks.task_id(tenant, name)

    async def create(self, tenant: str, wanted: Sequence[NewStepTask]) -> dict[StepName, ComputeError]:
        ready: list[NewStepTask] = []
        looked_for: list[NewStepTask] = []
        for new in wanted:
            if foreign(new.task_type, new.task):
                self._start([new], partial(self._prepare, tenant))
            else:
                (looked_for if _is_cached(new) else ready).append(new)
        if looked_for:
            self._start(looked_for, partial(self._begin, tenant))
        return await self._tasks.create(tenant, ready) if ready else {}

    def _start(
        self, wanted: Sequence[NewStepTask], work: Callable[[Sequence[NewStepTask]], Coroutine[Any, Any, None]]
    ) -> None:
        """What is not under way yet; of what has failed the engine is about to hear."""
        idle = [new for new in wanted if new.name not in self._jobs and self._failed.get(new.name) is None]
        if not idle:
            return
        job = asyncio.create_task(work(idle), name="step prepared")
        for new in idle:
            self._jobs[new.name] = job
            job.add_done_callback(partial(self._over, new.name))

    def _over(self, name: StepName, job: asyncio.Task[None]) -> None:
        self._jobs.pop(name, None)

    def heard(self, name: StepName) -> None:
        """That its task is over: others may wait for it."""
        if self._cache.leads(name):
            self._ending.add(job := asyncio.create_task(self._end(name), name="cached step ended"))
            job.add_done_callback(self._ending.discard)

    async def get(self, tenant: str, names: Sequence[StepName]) -> dict[StepName, StepTask]:
        found = await self._tasks.get(tenant, names)
        missing = [name for name in names if name not in found]
        if not missing:
            return found
        failed = {name: task for name in missing if (task := self._failed.get(name)) is not None}
        hits = await self._cache.hits(missing)
        given = {name: StepTask(over=True, result=hit.result, cached=True) for name, hit in hits.items()}
        return found | failed | given

    async def cancel(self, tenant: str, names: Sequence[StepName]) -> None:
        for job in {job for name in names if (job := self._jobs.get(name)) is not None}:
            job.cancel()
        await self._tasks.cancel(tenant, await self._cache.leave(tenant, names))

    async def clean(self, tenant: str, name: StepName) -> tuple[list[str], list[str]]:
        if await self._cache.keeps(name):
            return [], ["steps of other workflows wait for what its task makes: it goes after that"]
        return await self._tasks.clean(tenant, name)

    async def close(self) -> None:
        """What is not done yet the next leader does."""
        jobs = {*self._jobs.values(), *self._ending}
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    async def _prepare(self, tenant: str, wanted: Sequence[NewStepTask]) -> None:
        (new,) = wanted
        try:
            ready = await self._with_pictures(tenant, new)
        except _LASTING as error:
            self._fail(new.name, error)
        except ComputeError as error:
            self._put_off(new, error)
        else:
            await self._begin(tenant, [ready])

    async def _begin(self, tenant: str, wanted: Sequence[NewStepTask]) -> None:
        try:
            cached = [new for new in wanted if _is_cached(new)]
            plain = [new for new in wanted if not _is_cached(new)]
            refused = await self._tasks.create(tenant, plain) if plain else {}
            refused |= await self._cache.begin(tenant, cached) if cached else {}
        except ComputeError as error:
            self._put_off(wanted[0], error)
            return
        for name, why in refused.items():
            if isinstance(why, _LASTING):
                self._fail(name, why)

    async def _end(self, name: StepName) -> None:
        try:
            await self._cache.ended(name)
        except ComputeError as error:
            log.warning("end of a cached step not seen to", workflow=name.workflow_id, error=name_of(error))

    def _put_off(self, new: NewStepTask, error: ComputeError) -> None:
        """Some service of ours is away: the engine asks again when it looks again."""
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


def _is_cached(new: NewStepTask) -> bool:
    """What draws at random without a seed only where somebody asks for it."""
    if new.cache is None:
        return TYPES[new.task_type].repeatable
    return new.cache is not CacheMode.OFF
