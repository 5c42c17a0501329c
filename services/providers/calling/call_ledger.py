"""What a run knows of its calls to outside providers: those of earlier attempts, and its own as it makes them."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

from compute.tasks.v1 import tasks_pb2 as pb

from services.common.errors import ComputeError, IllegalTransition
from services.providers.calls import LostCall, VendorJob
from services.providers.metrics import count_call
from services.rpc.proto import struct_to_dict, timestamp
from services.worker.runs import AttemptKey, Run

AnswerT = TypeVar("AnswerT")
INTENDED, SUBMITTED, UNKNOWN = "INTENDED", "SUBMITTED", "UNKNOWN"
SUCCEEDED, FAILED, CANCELLED = "SUCCEEDED", "FAILED", "CANCELLED"
_ERROR_LIMIT = 500
# What is being sent while the run is stopped is waited for that long, less than a worker takes to drain.
_LAST_SECONDS = 4.0


class CallSlot(NamedTuple):
    """The number of a run's request, and the provider it goes to."""

    sequence: int
    provider: str
    fallback: bool


class CallRecorder(Protocol):
    """The tasks service, as far as calls are concerned."""

    async def record(self, key: AttemptKey, call: pb.ProviderCall) -> bool:
        """False when the attempt is lost. Raises IllegalTransition when the call is new besides."""
        ...


class RecordedProviderCall:
    """A call whose every step is stored before the next is taken. `answered`: synchronously, and paid for."""

    def __init__(self, entry: pb.ProviderCall, record: Callable[[pb.ProviderCall], Awaitable[None]]) -> None:
        self.entry = entry
        self.capabilities: frozenset[str] | None = None
        self.answered = False
        self._counted = False
        self._record = record

    @property
    def token(self) -> str:
        return self.entry.call_id

    @property
    def known_job(self) -> VendorJob | None:
        if not self.entry.request_id:
            return None
        return VendorJob(self.entry.request_id, struct_to_dict(self.entry.job_details))

    @property
    def lost(self) -> LostCall | None:
        """What may have been sent without an answer; None when nothing was, or its answer is known."""
        if self.entry.request_id or self.entry.outcome not in (INTENDED, UNKNOWN):
            return None
        return LostCall(
            self.token, struct_to_dict(self.entry.job_details), self.entry.started_at.ToMicroseconds() / 1e6
        )

    async def job(
        self,
        submit: Callable[[], Awaitable[VendorJob]],
        note: Mapping[str, Any] | None = None,
        *,
        known: VendorJob | None = None,
    ) -> VendorJob:
        if self.known_job is not None:
            return self.known_job
        if known is not None:
            await self.adopt(known)
            return known

        async def submit_and_keep() -> VendorJob:
            job = await submit()
            await self.adopt(job)
            return job

        await self._intend(note)
        return await _to_its_end(submit_and_keep())

    async def once(self, send: Callable[[], Awaitable[AnswerT]], note: Mapping[str, Any] | None = None) -> AnswerT:
        await self._intend(note)
        answer = await _to_its_end(send())
        self.answered = True
        return answer

    def costs(self, usd: float | None, *, units: float | None = None) -> None:
        if usd is not None:
            self.entry.cost_usd = usd
        if units is not None:
            self.entry.job_details["billable_units"] = units

    async def adopt(self, job: VendorJob) -> None:
        """From here on this job is the one to ask for."""
        self._begin()
        self.entry.request_id = job.id
        self.entry.outcome = SUBMITTED
        if job.note:
            self.entry.job_details.update(job.note)
        await self._record(self.entry)

    def settle(self, outcome: str, error: BaseException | None = None) -> None:
        """Told with the end of the run, so that a crash before it asks for the answer again.

        What was never sent costs nothing, and is not counted as a try.
        """
        if not self.entry.outcome:
            self.entry.call_id = ""
        self.entry.outcome = outcome
        _describe(self.entry, error)
        if self.entry.HasField("started_at"):
            self.entry.duration_seconds = max(0.0, time.time() - self.entry.started_at.ToMicroseconds() / 1e6)
            if not self._counted:
                count_call(self.entry)
            self._counted = True

    async def settle_now(self, outcome: str, error: BaseException | None = None) -> None:
        """Stored too: something else may be sent next, or nobody hears of the run again."""
        self.settle(outcome, error)
        if self.token:
            with contextlib.suppress(ComputeError, TimeoutError):
                async with asyncio.timeout(_LAST_SECONDS):
                    await self._record(self.entry)

    async def _intend(self, note: Mapping[str, Any] | None) -> None:
        if self.entry.outcome:
            raise AssertionError("one call is sent once")
        self._begin()
        self.entry.outcome = INTENDED
        if note:
            self.entry.job_details.update(note)
        try:
            await self._record(self.entry)
        except ComputeError:
            self.entry.outcome = ""  # nothing was sent
            raise

    def _begin(self) -> None:
        if not self.entry.HasField("started_at"):
            self.entry.started_at.CopyFrom(timestamp(time.time_ns() // 1000))


class CallLedger:
    """The calls of one run. `entries` are those it made or changed; they are reported when it ends."""

    def __init__(self, run: Run, recorder: CallRecorder) -> None:
        self.entries: list[pb.ProviderCall] = []
        self._run = run
        self._recorder = recorder
        self._earlier = list(run.task.provider_calls)

    def begin(self, slot: CallSlot) -> RecordedProviderCall:
        """A new call; nothing of it is stored until it is meant to be sent."""
        entry = pb.ProviderCall(
            provider=slot.provider,
            attempt=self._run.key.attempt,
            call_id=secrets.token_urlsafe(24),
            sequence=slot.sequence,
            fallback=slot.fallback,
        )
        return self._opened(entry)

    def reopen(self, slot: CallSlot) -> RecordedProviderCall | None:
        """The last call of earlier attempts that has to be asked for, or looked for, before another one is made."""
        entry = next((entry for entry in reversed(self._earlier) if _slot_of(entry) == slot and _open(entry)), None)
        if entry is None:
            return None
        self._earlier.remove(entry)
        return self._opened(entry)

    def is_open(self, slot: CallSlot) -> bool:
        return any(_slot_of(entry) == slot and _open(entry) for entry in self._earlier)

    def goes_on(self, slot: CallSlot) -> bool:
        """Whether a job of this run is left running there."""
        return any(_slot_of(entry) == slot and entry.outcome == SUBMITTED for entry in self.entries)

    def tries(self, slot: CallSlot) -> int:
        """How often it was sent since the task was made or replayed; refusals by a rate limit do not count."""
        return sum(
            bool(entry.call_id) and not entry.before_replay and entry.reason != "RATE_LIMITED"
            for entry in (*self._earlier, *self.entries)
            if _slot_of(entry) == slot
        )

    def note_own(self, slot: CallSlot, seconds: float, outcome: str, error: BaseException | None) -> None:
        """A call to a provider of ours: kept for the record."""
        entry = pb.ProviderCall(
            provider=slot.provider,
            attempt=self._run.key.attempt,
            sequence=slot.sequence,
            fallback=slot.fallback,
            outcome=outcome,
            duration_seconds=seconds,
        )
        _describe(entry, error)
        count_call(entry)
        self.entries.append(entry)

    def _opened(self, entry: pb.ProviderCall) -> RecordedProviderCall:
        self.entries.append(entry)
        return RecordedProviderCall(entry, self._record)

    async def _record(self, entry: pb.ProviderCall) -> None:
        if not await self._recorder.record(self._run.key, entry):
            raise IllegalTransition(f"attempt {self._run.key.attempt} is lost", reason="ATTEMPT_LOST")


def _slot_of(entry: pb.ProviderCall) -> CallSlot:
    return CallSlot(entry.sequence, entry.provider, entry.fallback)


def _open(entry: pb.ProviderCall) -> bool:
    """Whether money may have been spent on it whose worth can still be had, or must be answered for."""
    if not entry.call_id:
        return False
    if entry.outcome == UNKNOWN or (entry.outcome == SUCCEEDED and entry.before_replay):
        return bool(entry.request_id)
    return entry.outcome in (INTENDED, SUBMITTED, SUCCEEDED)


def _describe(entry: pb.ProviderCall, error: BaseException | None) -> None:
    if isinstance(error, ComputeError):
        entry.reason, entry.error = error.reason, error.message[:_ERROR_LIMIT]
    elif error is not None:
        entry.reason = type(error).__name__
    else:
        entry.ClearField("reason")
        entry.ClearField("error")


async def _to_its_end(sending: Awaitable[AnswerT]) -> AnswerT:
    """What costs money is not cut off half-way: a cancelled caller waits a little to learn what came of it."""
    work = asyncio.ensure_future(sending)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        try:
            await asyncio.wait({work}, timeout=_LAST_SECONDS)
        finally:
            work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        raise
