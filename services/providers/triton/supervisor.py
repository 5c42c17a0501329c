"""Watches one model by a canary inference, brings it back when it died, and wakes the requests that died with it.

Triton's own readiness stays true after a crash, and open streams hang without an error: only an inference tells.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple, TypeVar

import structlog

from services.common.errors import Internal, ModelUnusable, Overloaded, Unavailable
from services.providers.metrics import MODEL, MODEL_LOSSES, model_request
from services.providers.ports import LoadedModel
from services.providers.triton.connection import ModelState, TritonConnection
from services.providers.triton.failures import ModelLost
from services.providers.triton.reloads import Reloads
from services.telemetry import tracing
from services.telemetry.tracing import SpanKind

log = structlog.get_logger()
AnswerT = TypeVar("AnswerT")


class CanaryReply(NamedTuple):
    """A canary's answer: how many requests wait in the model's own queue, the process that answered, and its models."""

    queued: int = 0
    process: int = 0
    models: tuple[LoadedModel, ...] = ()


# Raises ModelLost.
Canary = Callable[[], Awaitable[CanaryReply]]
_RESUBMITS = 2
# Nobody waits for a model that cannot be used.
_LOOK_SECONDS = 5.0


class WatchedRequest:
    """One request under watch. `heard` must be called with every response."""

    __slots__ = ("heard_at", "limit", "process", "started")

    def __init__(self, limit: asyncio.Timeout, process: int) -> None:
        self.limit = limit
        self.process = process
        self.heard_at = time.monotonic()
        self.started = False

    def heard(self) -> None:
        self.heard_at = time.monotonic()
        self.started = True

    def wake(self) -> None:
        self.limit.reschedule(asyncio.get_running_loop().time())


class ModelSupervisor:
    """`every` seconds a canary; a request silent for `silence` seconds is taken for dead; a dead model is reloaded.

    A model that stays dead however often it is loaded, or that never worked and says itself that it is broken, cannot
    be used: whoever needs it is told at once, and it is loaded anew now and then.
    """

    def __init__(
        self,
        model: str,
        connection: TritonConnection,
        canary: Canary,
        *,
        every: float = 1.5,
        silence: float = 30.0,
        recovery: float = 120.0,
        end_process: Callable[[int, str], bool] | None = None,
    ) -> None:
        """`recovery`: how long a request waits for the model to come back before its task is tried again later.

        `end_process` kills the model's process, where that can be done from here; false when there was none.
        """
        self.model = model
        MODEL.declare(model)
        self.epoch = 0
        self._connection = connection
        self._canary = canary
        self._end_process = end_process
        self._every = every
        self._silence = silence
        self._recovery = recovery
        # Set while it answers, and while it is known that it cannot be used.
        self._known = asyncio.Event()
        self._up = False
        self._unusable: ModelUnusable | None = None
        self._down = True
        # As the last canary said.
        self.served: tuple[LoadedModel, ...] = ()
        self._process = 0
        self._reloads = Reloads(every)
        self._suspected = asyncio.Event()
        self._guards: set[WatchedRequest] = set()
        self._why = "no canary has answered yet"

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._look()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds_to_next):
                    await self._suspected.wait()
            self._suspected.clear()

    @property
    def _seconds_to_next(self) -> float:
        return (
            self._every if self._unusable is None else max(self._every, min(_LOOK_SECONDS, self._reloads.seconds_left))
        )

    async def check(self) -> None:
        """How the last canary went. Raises Unavailable while the model does not answer, ModelUnusable where waiting
        mends nothing.
        """
        if not self._up:
            raise self._unavailable()

    async def ask(self) -> None:
        """A canary now, unless the model cannot be used. Raises as `check` does."""
        if self._unusable is not None:
            raise self._unavailable()
        try:
            await self._canary()
        except ModelLost as error:
            self._suspect(str(error))
            raise self._unavailable() from error

    def _unavailable(self) -> Unavailable:
        if known := self._unusable:
            return ModelUnusable(self.model, known.why, known.detail)
        return Unavailable(f"{self.model}: {self._why}", reason="MODEL_UNAVAILABLE", retry_after=5.0)

    async def carry(self, ask: Callable[[WatchedRequest], Awaitable[AnswerT]]) -> AnswerT:
        """Runs one request, and again where the model was lost under it.

        Raises:
            Unavailable: the model stays away, or is lost each time.
            ModelUnusable: it cannot be used, which is known at once.
        """
        losses, give_up = 0, time.monotonic() + self._recovery
        while losses <= _RESUBMITS and time.monotonic() < give_up:
            await self._ready()
            try:
                with model_request(self.model), tracing.span(f"model {self.model}", SpanKind.CLIENT):
                    return await self._guarded(ask)
            except ModelLost as error:
                log.warning("model lost under a request", model=self.model, error=str(error))
                self._suspect(str(error))
                losses += not error.refused
        raise Unavailable(f"{self.model} was lost under this request", reason="MODEL_LOST", retry_after=5.0)

    async def carry_patiently(
        self, ask: Callable[[WatchedRequest], Awaitable[AnswerT]], *, busy_seconds: float
    ) -> AnswerT:
        """`carry` that waits out a full queue, and tries what failed inside the model one more time."""
        give_up, failed = time.monotonic() + busy_seconds, False
        while True:
            try:
                return await self.carry(ask)
            except Overloaded:
                if time.monotonic() > give_up:
                    raise
                await asyncio.sleep(random.uniform(0.1, 0.6))
            except Internal:
                if failed:
                    raise
                failed = True

    async def _ready(self) -> None:
        try:
            async with asyncio.timeout(self._recovery):
                while not self._up and self._unusable is None:
                    await self._known.wait()
        except TimeoutError:
            pass
        await self.check()

    async def _guarded(self, ask: Callable[[WatchedRequest], Awaitable[AnswerT]]) -> AnswerT:
        limit = asyncio.timeout(None)
        try:
            async with limit:
                with self._guarding(limit) as guard:
                    return await ask(guard)
        except TimeoutError as error:
            if limit.expired():
                raise ModelLost("the stream fell silent") from error
            raise

    @contextmanager
    def _guarding(self, limit: asyncio.Timeout) -> Iterator[WatchedRequest]:
        guard = WatchedRequest(limit, self._process)
        self._guards.add(guard)
        try:
            yield guard
        finally:
            self._guards.discard(guard)

    def _suspect(self, why: str) -> None:
        self._note_lost(why)
        self._suspected.set()

    def _note_lost(self, why: str) -> None:
        self._up = False
        self._why = why
        if self._unusable is None:
            self._known.clear()

    async def _look(self) -> None:
        """One canary, and what follows from it."""
        try:
            pulse = await self._canary()
        except ModelLost as error:
            news = self._fall(error)
            if not error.server:
                await self._repair(error, certain=news)
        else:
            self._rise(pulse)
            self._note_process(pulse.process)
            self._wake_silent(pulse.queued)

    def _rise(self, pulse: CanaryReply) -> None:
        if self._down:
            log.info("model answers", model=self.model)
        self._down, self._unusable, self._up = False, None, True
        self._known.set()
        self._reloads.well()
        self.served = pulse.models

    def _fall(self, error: ModelLost) -> bool:
        """Whatever was running there is gone. True when it was up until now."""
        news = not self._down
        if news:
            MODEL_LOSSES.count(self.model)
            log.warning("model does not answer", model=self.model, error=str(error), requests=len(self._guards))
        self._down = True
        self.served = ()
        self._note_lost(str(error))
        for guard in list(self._guards):
            guard.wake()
        return news

    def _note_process(self, process: int) -> None:
        """Another process than before: somebody reloaded the model, and what ran in the old one hangs for ever."""
        if process != self._process:
            self._process = process
            self.epoch += 1
        for guard in list(self._guards):
            if guard.process != process:
                guard.wake()

    def _wake_silent(self, queued: int) -> None:
        # A request that never started may still wait its turn, for as long as anything waits.
        before = time.monotonic() - self._silence
        for guard in list(self._guards):
            if guard.heard_at < before and (guard.started or queued == 0):
                guard.wake()

    async def _repair(self, error: ModelLost, *, certain: bool) -> None:
        """Reloads when it is time, unless another worker is at it: the first of them is enough.

        What failed just after it had worked is `certain`; else the failure may be older than somebody's reload.
        """
        await asyncio.sleep(random.uniform(0.0, 0.3))
        try:
            state = await self._connection.state(self.model)
            if state.in_passing:
                return
            self._judge(state, error)
            if self._reloads.is_due and (certain or not await self._lives()):
                await self._reload()
        except ModelLost as failure:
            log.warning("model not reloaded", model=self.model, error=str(failure))

    def _judge(self, state: ModelState, error: ModelLost) -> None:
        """Whether it cannot be used."""
        if not self._reloads.is_given_up(told=error.told or state.failed):
            return
        why, detail = ("it could not be loaded", state.reason) if state.failed else (str(error), str(error))
        if self._unusable is None:
            log.error("model cannot be used", model=self.model, why=detail)
        self._unusable = ModelUnusable(self.model, why, detail)
        self._known.set()

    async def _lives(self) -> bool:
        try:
            await self._canary()
        except ModelLost:
            return False
        self._suspected.set()
        return True

    async def _reload(self) -> None:
        log.warning("reloading model", model=self.model)
        began = time.monotonic()
        # Unloading would wait for the requests of a process that hangs.
        if self._process and self._end_process is not None and self._end_process(self._process, self.model):
            log.warning("hanging model process ended", model=self.model, pid=self._process)
        self._reloads.begun()
        try:
            await self._connection.reload(self.model)
        finally:
            self._reloads.ended()
            self._suspected.set()
        log.info("model reloaded", model=self.model, seconds=round(time.monotonic() - began, 1))
