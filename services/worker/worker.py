"""The worker: runs the attempts that are assigned to it, and reports."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import structlog
from compute.tasks.v1 import params_pb2, tasks_pb2
from compute.tasks.v1 import worker_pb2 as pb

from services.common.errors import ComputeError
from services.telemetry import trace_context, tracing
from services.telemetry.tracing import SpanKind
from services.worker.metrics import count_run
from services.worker.outcomes import failure_of, fault, timeout_failure
from services.worker.reports import AssignedTask, Reports
from services.worker.runs import AttemptKey, Run, Runs, StopReason

log = structlog.get_logger()


class NoFreeSlot(Exception):
    """No slot became free here for a while."""


class Attempt(Protocol):
    """One run as its kind of work carries it out; the worker knows nothing else of it."""

    async def begun(self) -> None:
        """Tells whoever listens; never fails."""
        ...

    async def result(self) -> params_pb2.TaskResult:
        """Does the work. Raises ComputeError, or whatever a fault of ours raises."""
        ...

    @property
    def calls(self) -> Sequence[tasks_pb2.ProviderCall]:
        """To outside providers, as far as they went."""
        ...

    async def ended(self, finished: pb.FinishedTask | None, *, accepted: bool) -> None:
        """Tells whoever listens, and removes what a result leaves behind that nobody accepted; never fails.

        `finished` is None when the run was stopped by those who own the task.
        """
        ...


class Worker:
    """Each attempt in an asyncio task of its own. Times are seconds.

    `timeout` bounds one run; what finds no free slot within `patience` is given back: others may have one.
    """

    def __init__(
        self,
        runs: Runs,
        reports: Reports,
        attempts: Callable[[Run], Attempt],
        *,
        timeout: float,
        patience: float = 1.0,
    ) -> None:
        self._runs = runs
        self._reports = reports
        self._attempts = attempts
        self._timeout = timeout
        self._patience = patience
        self._jobs: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(runs.capacity)
        self._open = True

    def assign(self, key: AttemptKey, task: tasks_pb2.Task | None) -> None:
        """An attempt that was begun for this worker. Without its task it is asked for: it may be over."""
        told = task if task is not None and (task.id, task.attempt) == key else None
        if not self._runs.knows(key) and not (told and self._runs.had(key)):
            self._runs.expect(key)
            job = asyncio.create_task(self._serve(key, told))
            self._jobs.add(job)
            job.add_done_callback(self._jobs.discard)

    async def drain(self, grace: float) -> None:
        """Takes no more, waits `grace` seconds for what runs, and gives the rest back."""
        self._open = False
        await self._wait(grace)
        if self._jobs:
            log.info("runs given back", runs=len(self._jobs))
            self._runs.stop_all(StopReason.DRAINED)
            await self._wait(5.0)

    async def _wait(self, seconds: float) -> None:
        if self._jobs:
            await asyncio.wait(set(self._jobs), timeout=seconds)

    async def _serve(self, key: AttemptKey, task: tasks_pb2.Task | None) -> None:
        try:
            await self._run(key, task)
        except ComputeError as error:
            log.warning("attempt not reported", task_id=key.task_id, attempt=key.attempt, error=repr(error))
        except Exception:
            log.exception("worker failed", task_id=key.task_id, attempt=key.attempt)
        finally:
            self._runs.forget(key)

    async def _run(self, key: AttemptKey, task: tasks_pb2.Task | None) -> None:
        """Its lease runs already, so it is told of in heartbeats while it still waits for a place."""
        granted = AssignedTask(task, time.monotonic()) if task is not None else await self._reports.assigned(key)
        if granted is None:
            return
        run = self._runs.begin(key, granted.task, granted.sent_at)
        if not self._open and run.stopped is None:
            run.stopped = StopReason.DRAINED
        await self._carry_out(run)

    def _slot(self) -> AbstractAsyncContextManager[object]:
        return self._slot_soon() if self._slots.locked() else self._slots

    @asynccontextmanager
    async def _slot_soon(self) -> AsyncIterator[None]:
        """Raises NoFreeSlot where others may have had room for long."""
        try:
            async with asyncio.timeout(self._patience):
                await self._slots.acquire()
        except TimeoutError as error:
            raise NoFreeSlot from error
        try:
            yield
        finally:
            self._slots.release()

    async def _carry_out(self, run: Run) -> None:
        """Makes the attempt and tells what came of it."""
        structlog.contextvars.bind_contextvars(task_id=run.key.task_id, attempt=run.key.attempt)
        if traceparent := run.task.traceparent:
            structlog.contextvars.bind_contextvars(trace_id=trace_context.trace_id(traceparent))
        trace_context.enter(traceparent)
        with tracing.span("run task", SpanKind.CONSUMER, task_id=run.key.task_id, attempt=run.key.attempt):
            await self._carry_out_traced(run)

    async def _carry_out_traced(self, run: Run) -> None:
        attempt = self._attempts(run)
        await attempt.begun()
        finished = await self._finished(run, attempt)
        run.reporting = True
        accepted = False
        if finished is not None:
            finished.task_id, finished.attempt = run.key
            finished.provider_calls.extend(attempt.calls)
            accepted = await self._reports.finish(finished)
        count_run(finished, accepted=accepted)
        if accepted and finished is not None and finished.HasField("result"):
            self._runs.completed += 1
        await attempt.ended(finished, accepted=accepted)

    async def _finished(self, run: Run, attempt: Attempt) -> pb.FinishedTask | None:
        """None when the run was stopped by those who own the task: there is nobody to tell."""
        try:
            async with asyncio.timeout(self._timeout) as limit:
                if run.stopped is not None:
                    raise asyncio.CancelledError
                async with self._slot():
                    return pb.FinishedTask(result=await attempt.result())
        except asyncio.CancelledError:
            return self._stopped(run)
        except NoFreeSlot:
            return pb.FinishedTask(returned=pb.TaskReturn(reason_text="the worker is full"))
        except ComputeError as error:
            return pb.FinishedTask(failure=failure_of(error))
        except Exception as error:
            if limit.expired():
                return pb.FinishedTask(failure=timeout_failure(self._timeout))
            log.exception("attempt failed")
            return pb.FinishedTask(failure=fault(error))

    def _stopped(self, run: Run) -> pb.FinishedTask | None:
        job = asyncio.current_task()
        if run.stopped is None or job is None:
            raise asyncio.CancelledError
        # The attempt was cancelled, this task goes on: it still has to tidy up.
        job.uncancel()
        log.info("run stopped", why=run.stopped.name)
        if run.stopped is StopReason.DRAINED:
            return pb.FinishedTask(returned=pb.TaskReturn(reason_text="the worker shuts down"))
        return None
