"""The step cache with everything around it that outlives a process."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection
from typing import Any

from services.workflows.cache_identity import Identities
from services.workflows.cache_store import MongoCacheRepository, MongoHitRepository
from services.workflows.cached_files import CachedFiles
from services.workflows.domain import SECOND
from services.workflows.files import WorkflowFiles
from services.workflows.pin_records import MongoPinRepository
from services.workflows.pinning import Pins
from services.workflows.ports import StepName, StepTask, TaskFacts
from services.workflows.preparation import PreparedTasks
from services.workflows.step_cache import StepCache
from tests.fakes.mongo import Database, Life, Store
from tests.fakes.objects import Shelf
from tests.fakes.step_tasks import FakeStepTasks, TaskWorld
from tests.waiting import turns

TENANT, MODELS = "acme", [("diffusion", "starter", "aa")]


class NoWeights:
    async def sha256(self, path: str) -> str | None:
        return None


class World:
    """What outlives a process."""

    def __init__(self) -> None:
        self.store = Store()
        self.made: Counter[StepName] = Counter()
        self.tasks = TaskWorld(lambda new: self.made.update([new.name]))
        self.objects = Shelf()
        self.models = MODELS
        self.now = 1_000 * SECOND
        self.woken: list[StepName] = []
        self.cleaned: list[StepName] = []
        self.over: set[str] = set()

    def process(self, steps_left: int | None = None) -> PreparedTasks:
        life = Life(steps_left)
        return self.prepared(Database(self.store, life), life)

    def prepared(self, database: Any, life: Life) -> PreparedTasks:
        tasks = FakeStepTasks(self.tasks, life)
        records, hits = MongoCacheRepository(database), MongoHitRepository(database)
        files = CachedFiles(WorkflowFiles(self.objects), self.objects)
        weights: Any = NoWeights()
        identities = Identities(self.objects, self._models, weights, default_provider="LOCAL", software=self._software)
        clock = lambda: self.now  # noqa: E731
        self.cache = StepCache(
            records,
            hits,
            tasks,
            files,
            identities,
            clock,
            self.woken.append,
            self._over,
            most_entries=9,
            most_age=10**12,
        )
        pins = Pins(MongoPinRepository(database), self.objects, _nothing, clock, max_bytes=9)
        return PreparedTasks(tasks, pins, self.cache, self.woken.append)

    async def _over(self, workflow_ids: Collection[str]) -> set[str]:
        return self.over & set(workflow_ids)

    async def _models(self, tenant: str) -> list[tuple[str, str, str]]:
        return self.models

    async def _software(self) -> str:
        return "code"

    def end(self, name: StepName, *, good: bool = True, **facts: Any) -> None:
        """As its worker does, with a picture."""
        path = f"generations/{'/'.join(map(str, name))}/picture.png".replace("generations/w", "generations/task-w", 1)
        if not good:
            return self.tasks.end(name)
        self.objects.kept[TENANT, path] = b"picture"
        sha256 = _sha256(self.objects, path)
        told = TaskFacts(((path, sha256),), 0.04)._replace(**facts)
        self.tasks.tasks[name] = StepTask(
            over=True, result={"result_image_path": path, "width": 8}, seconds=12.0, facts=told
        )
        return None

    @property
    def alive(self) -> list[StepName]:
        return self.tasks.alive


def _sha256(objects: Shelf, path: str) -> str:
    return hashlib.sha256(objects.kept[TENANT, path]).hexdigest()


def _nothing() -> Any:
    raise AssertionError("nothing here lies elsewhere")


async def idle(process: PreparedTasks) -> bool:
    await turns()
    return not process._jobs and not process._ending
