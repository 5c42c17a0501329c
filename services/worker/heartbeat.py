"""Keeps the leases of this worker's runs, and stops what it has lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

import structlog
from compute.tasks.v1 import worker_pb2 as pb
from compute.tasks.v1.tasks_pb2 import ServedModel

from services.clients.tasks_client import WorkerFacts, WorkerTasksClient
from services.common.errors import ComputeError, ModelUnusable
from services.common.memory import memory_in_use
from services.rpc.health import Check
from services.worker.reports import Reports
from services.worker.runs import AttemptKey, Runs, StopReason

log = structlog.get_logger()
_LOOK_SECONDS = 0.5


class Heartbeat:
    """Three heartbeats to a lease. The lease is judged by this process' monotonic clock, never by wall time."""

    def __init__(
        self,
        client: WorkerTasksClient,
        runs: Runs,
        reports: Reports,
        *,
        queues: Sequence[str],
        inbox: Callable[[], str],
        models: Mapping[str, Check],
        served: Callable[[], Sequence[ServedModel]] = tuple,
    ) -> None:
        """`inbox` answers where this worker hears of attempts that were begun for it; nothing while it hears none.
        `models` raise where they did not answer a moment ago; `served` are the facts of those that do.
        """
        self._client = client
        self._runs = runs
        self._reports = reports
        self._queues = queues
        self._inbox = inbox
        self._models = models
        self._served = served
        self._answering = True
        self._told = ""
        self._told_unwell: dict[str, str] = {}
        self._began = time.monotonic()
        self.draining = False

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            answered = await self.beat()
            period = self._reports.lease / 3
            await self._pause(period if answered else min(1.0, period))

    async def _pause(self, seconds: float) -> None:
        """Ends early when this worker hears again or no more, or a model of its comes or goes: what it is given depends
        on that.
        """
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not await self._has_news():  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(min(_LOOK_SECONDS, left))

    async def _has_news(self) -> bool:
        return self._inbox() != self._told or await self._unwell() != self._told_unwell

    async def watch_leases(self) -> None:
        """Stops, until cancelled, every run whose lease nobody renewed: another worker may have it by now."""
        while True:
            await asyncio.sleep(min(1.0, self._reports.lease / 10))
            if late := self._runs.stop_expired(time.monotonic() - self._reports.lease):
                log.warning("leases lost without an answer", runs=late)

    async def beat(self) -> bool:
        """One heartbeat; False when it was not answered."""
        running = [
            pb.RunningTask(task_id=run.key.task_id, attempt=run.key.attempt, progress=run.progress)
            for run in self._runs
        ]
        sent_at, self._told = time.monotonic(), self._inbox()
        self._told_unwell = await self._unwell()
        try:
            answer = await self._client.heartbeat(
                self._queues,
                self._runs.capacity,
                running,
                inbox=self._told,
                draining=self.draining,
                unwell=self._told_unwell,
                models=self._served(),
                facts=WorkerFacts(memory_in_use(), self._runs.completed, time.monotonic() - self._began),
                timeout=max(1.0, self._reports.lease / 3),
            )
        except ComputeError as error:
            if self._answering:
                log.warning("heartbeat not answered", error=repr(error))
            self._answering = False
            return False
        self._answering = True
        self._apply(answer, {AttemptKey(item.task_id, item.attempt) for item in running}, sent_at)
        return True

    async def _unwell(self) -> dict[str, str]:
        """The models that do not answer; with the reason where one cannot be used."""
        found = {}
        for name, check in self._models.items():
            try:
                await check()
            except ModelUnusable as error:
                found[name] = error.why
            except ComputeError:
                found[name] = ""
        return found

    def _apply(self, answer: pb.HeartbeatTasksResponse, sent: set[AttemptKey], sent_at: float) -> None:
        if answer.HasField("lease"):
            self._reports.lease = answer.lease.ToMilliseconds() / 1000
        lost = {AttemptKey(item.task_id, item.attempt) for item in answer.lost}
        self._runs.keep(sent - lost, sent_at)
        for key in lost:
            log.info("run lost", task_id=key.task_id, attempt=key.attempt)
            self._runs.stop(key, StopReason.LOST)
