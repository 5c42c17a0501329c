"""Progress of one run to whoever listens: the first and the last step always, between them ten a second."""

from __future__ import annotations

import asyncio
import time

import nats.errors
import structlog
from compute.tasks.v1 import tasks_pb2 as pb

from services.inference.pictures import encode_png
from services.messaging.ports import MessageBus
from services.messaging.subjects.workers import progress_subject
from services.providers.ports import DiffusionStep, OnStep, Pixels
from services.worker.runs import Run

log = structlog.get_logger()
_INTERVAL = 0.1
_SMALL = 3 * 64 * 64


class ProgressFeed:
    """Sent over core NATS and stored nowhere; a bus that is away costs the run nothing."""

    def __init__(self, run: Run, bus: MessageBus) -> None:
        self._run = run
        self._bus = bus
        self._sent_at = 0.0

    def steps(self, stage: str) -> OnStep:
        """What a provider is given to report a stage by."""

        async def show(step: DiffusionStep) -> None:
            await self.report(stage, step.step, step.of, preview=step.preview)

        return show

    async def report(self, stage: str, step: int, total: int, *, preview: Pixels | None = None) -> None:
        """`step` of `total` is done. `preview`: RGB, `[h, w, 3]`."""
        self._run.progress = 100.0 * step / total if total else 0.0
        now = time.monotonic()
        if step < total and now - self._sent_at < _INTERVAL:
            return
        self._sent_at = now
        message = pb.TaskProgress(
            task_id=self._run.key.task_id,
            attempt=self._run.key.attempt,
            progress=self._run.progress,
            stage=stage,
            step=step,
            total_steps=total,
        )
        if preview is not None:
            # Waking a thread costs more than a picture of 16×16.
            small = preview.size <= _SMALL
            message.preview_png = encode_png(preview) if small else await asyncio.to_thread(encode_png, preview)
        try:
            await self._bus.publish(progress_subject(message.task_id), message.SerializeToString())
        except nats.errors.Error as error:
            log.debug("progress not sent", error=repr(error))
