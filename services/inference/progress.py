"""Progress of one run to whoever listens: the first and the last step always, between them ten a second.

While nobody listens it is one a second; whoever begins to is shown the newest at once.
"""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

import nats.errors
import structlog
from compute.tasks.v1 import tasks_pb2 as pb

from services.inference.audience import Audience
from services.inference.pictures import encode_png
from services.messaging.ports import MessageBus
from services.messaging.subjects.workers import progress_subject
from services.providers.ports import DiffusionStep, OnStep, Pixels
from services.worker.runs import Run

log = structlog.get_logger()
_INTERVAL, _UNHEARD_INTERVAL = 0.1, 1.0
_SMALL = 3 * 64 * 64


class _Report(NamedTuple):
    stage: str
    step: int
    total: int
    preview: Pixels | None


class ProgressFeed:
    """Sent over core NATS and stored nowhere; a bus that is away costs the run nothing."""

    def __init__(self, run: Run, bus: MessageBus, audience: Audience) -> None:
        self._run = run
        self._bus = bus
        self._audience = audience
        self._reply: str | None = None
        self._newest: _Report | None = None
        self._sent_at = 0.0
        self.is_heard = True

    def steps(self, stage: str) -> OnStep:
        """What a provider is given to report a stage by."""

        async def show(step: DiffusionStep) -> None:
            await self.report(stage, step.step, step.of, preview=step.preview)

        return show

    async def report(self, stage: str, step: int, total: int, *, preview: Pixels | None = None) -> None:
        """`step` of `total` is done. `preview`: RGB, `[h, w, 3]`."""
        self._run.progress = 100.0 * step / total if total else 0.0
        self._newest = _Report(stage, step, total, preview)
        interval = _INTERVAL if self.is_heard else _UNHEARD_INTERVAL
        if step >= total or time.monotonic() - self._sent_at >= interval:
            await self._send(self._newest)

    async def tell_again(self) -> None:
        """The newest that was reported, to somebody who begins to listen."""
        if self._newest is not None:
            await self._send(self._newest)

    async def _send(self, report: _Report) -> None:
        task_id = self._run.key.task_id
        self._sent_at = time.monotonic()
        # Until NATS says otherwise.
        self.is_heard = True
        if self._reply is None:
            self._reply = self._audience.admit(task_id, self)
        payload = (await self._message(report)).SerializeToString()
        try:
            await self._bus.publish(progress_subject(task_id), payload, self._reply)
        except nats.errors.Error as error:
            log.debug("progress not sent", error=repr(error))

    async def _message(self, report: _Report) -> pb.TaskProgress:
        message = pb.TaskProgress(
            task_id=self._run.key.task_id,
            attempt=self._run.key.attempt,
            progress=self._run.progress,
            stage=report.stage,
            step=report.step,
            total_steps=report.total,
        )
        if (preview := report.preview) is not None:
            # Waking a thread costs more than a picture of 16×16.
            small = preview.size <= _SMALL
            message.preview_png = encode_png(preview) if small else await asyncio.to_thread(encode_png, preview)
        return message
