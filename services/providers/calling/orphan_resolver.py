"""Resolves orphaned calls: the vendor's job is stopped, or its outcome is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple, Protocol

import structlog
from compute.inference.v1 import inference_pb2 as pb
from compute.tasks.v1 import tasks_pb2, worker_pb2
from google.protobuf.message import DecodeError
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.common.errors import (
    ComputeError,
    ContentRefused,
    DeadlineExceeded,
    InvalidRequest,
    OutcomeUnknown,
    ProviderFailed,
    name_of,
)
from services.messaging.subjects.tasks import orphans_subject
from services.providers.calling.call_ledger import CANCELLED, FAILED, SUCCEEDED, UNKNOWN, RecordedProviderCall
from services.providers.calling.provider_retries import ProviderContext
from services.providers.calls import JOB_UNKNOWN, SupportsCancel, SupportsJobLookup, SupportsJobStatus, VendorJob
from services.rpc.proto import get_object
from services.worker.runs import AttemptKey

log = structlog.get_logger()
# The reason of a job that was paid for in vain.
UNUSED = "PROVIDER_RESULT_UNUSED"
# What a vendor says of a job that ended badly; everything else says nothing of it.
_JOB_FAILED = (ProviderFailed, ContentRefused, InvalidRequest)
# For one call, and for one that has to be looked for. What takes longer is tried again later.
_SECONDS, _FIND_SECONDS = 20.0, 180.0
_AT_ONCE = 4


class OrphanSource(Protocol):
    """The tasks service, as far as open calls are concerned."""

    async def take_orphaned(self, task_id: str) -> Sequence[worker_pb2.OrphanedCall]: ...


class CallEnd(NamedTuple):
    """What became of a call, and what there is to say of it."""

    outcome: str
    why: ComputeError | None = None


class OrphanResolver:
    def __init__(self, source: OrphanSource, provider_context: ProviderContext) -> None:
        self._source = source
        self._provider_context = provider_context
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)

    @asynccontextmanager
    async def listening(self, bus: Client, queues: Sequence[str]) -> AsyncIterator[None]:
        """Takes orders for as long as the block lasts, each one by one worker; what it leaves others take up later."""
        subscriptions = [
            await bus.subscribe(orphans_subject(queue), queue="orphan-resolvers", cb=self._receive) for queue in queues
        ]
        try:
            yield
        finally:
            for subscription in subscriptions if bus.is_connected else ():
                await subscription.unsubscribe()
            for job in self._jobs.values():
                job.cancel()
            await asyncio.gather(*self._jobs.values(), return_exceptions=True)

    async def _receive(self, message: Msg) -> None:
        try:
            task_id = pb.ResolveOrphansOrder.FromString(message.data).task_id
        except DecodeError:
            log.warning("not an order to tidy up", size=len(message.data))
            return
        if task_id and task_id not in self._jobs:
            self._jobs[task_id] = job = asyncio.create_task(self._serve(task_id))
            job.add_done_callback(lambda _: self._jobs.pop(task_id))

    async def _serve(self, task_id: str) -> None:
        try:
            async with self._slots:
                await self.resolve(task_id)
        except ComputeError as error:
            log.warning("not tidied up", task_id=task_id, error=name_of(error))
        except Exception:
            log.exception("orphaned call not resolved", task_id=task_id)

    async def resolve(self, task_id: str) -> None:
        """Asks anew what is open, as the order may be old. Raises ComputeError when nobody answers that."""
        for orphan in await self._source.take_orphaned(task_id):
            call = RecordedProviderCall(orphan.call, partial(self._record, task_id))
            try:
                async with asyncio.timeout(_SECONDS if call.known_job is not None else _FIND_SECONDS):
                    config = get_object(orphan, "provider_config", {})
                    provider = self._provider_context.providers.configured(orphan.call.provider, config, call)
                    end = await _end_of(provider, call)
            except (ComputeError, TimeoutError) as error:
                log.warning("call still open", task_id=task_id, provider=orphan.call.provider, error=name_of(error))
                continue
            log.info("call ended", task_id=task_id, provider=orphan.call.provider, outcome=end.outcome)
            await call.settle_now(end.outcome, end.why)

    async def _record(self, task_id: str, entry: tasks_pb2.ProviderCall) -> None:
        await self._provider_context.recorder.record(AttemptKey(task_id, entry.attempt), entry)


async def _end_of(provider: object, call: RecordedProviderCall) -> CallEnd:
    """Raises ComputeError while nothing can be said."""
    job = call.known_job or await _found(provider, call)
    if job is None:
        return _given_up(call, "the vendor shows no such job")
    try:
        if isinstance(provider, SupportsCancel):
            return CallEnd(CANCELLED) if await provider.cancel(job) else _unused()
        if isinstance(provider, SupportsJobStatus):
            return await _watched(provider.ended, job)
    except ComputeError as error:
        if error.reason == JOB_UNKNOWN:
            return _given_up(call, "the vendor no longer knows that job")
        raise
    return _given_up(call, "the vendor has no way to stop a job, or to ask for it alone")


async def _watched(ended: Callable[[VendorJob], Awaitable[bool]], job: VendorJob) -> CallEnd:
    try:
        if await ended(job):
            return _unused()
    except _JOB_FAILED as error:
        return CallEnd(FAILED, error)
    raise DeadlineExceeded("the job still runs", reason="PROVIDER_TOO_SLOW")


async def _found(provider: object, call: RecordedProviderCall) -> VendorJob | None:
    """That of a call whose answer was lost; put on record together with its end."""
    job = await provider.find(call.lost) if isinstance(provider, SupportsJobLookup) and call.lost is not None else None
    if job is not None:
        call.entry.request_id = job.id
        call.entry.job_details.update(job.note)
    return job


def _unused() -> CallEnd:
    message = "it was done before it could be stopped: paid for, and its result is not used"
    return CallEnd(SUCCEEDED, OutcomeUnknown(message, reason=UNUSED))


def _given_up(call: RecordedProviderCall, why: str) -> CallEnd:
    said = call.entry.error or "it may have been charged"
    return CallEnd(UNKNOWN, OutcomeUnknown(f"{said}; {why}", reason=OutcomeUnknown.GIVEN_UP))
