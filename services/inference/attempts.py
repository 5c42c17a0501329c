"""An attempt at a task of a public type: its handler, what it has around it, and what is announced of it."""

from __future__ import annotations

from collections.abc import Sequence

from compute.tasks.v1 import params_pb2, tasks_pb2, worker_pb2

from services.inference.announcements import Announcements
from services.inference.context import RunContext, WorkerResources
from services.inference.registry import Handlers
from services.worker.runs import Run


class HandlerAttempt:
    """What nobody accepts leaves no file behind."""

    def __init__(self, run: Run, handlers: Handlers, resources: WorkerResources) -> None:
        self._params = run.task.spec.params
        self._handlers = handlers
        self._context = RunContext(run, resources)
        self._announcements = Announcements(run, resources.bus, resources.schemas)

    @property
    def calls(self) -> Sequence[tasks_pb2.ProviderCall]:
        return self._context.provider_calls

    async def begun(self) -> None:
        await self._announcements.begun()

    async def result(self) -> params_pb2.TaskResult:
        """Raises InvalidRequest when nothing here runs such tasks, and whatever the handler raises."""
        result = await self._handlers.of(self._params)(self._params, self._context)
        for path, sha256 in self._context.outputs.files.items():
            result.files.add(path=path, sha256=sha256)
        return result

    async def ended(self, finished: worker_pb2.FinishedTask | None, *, accepted: bool) -> None:
        await self._announcements.ended(finished, accepted=accepted)
        if finished is None or not accepted or not finished.HasField("result"):
            await self._context.outputs.discard()
