"""One replica of the tasks service: what is told of writes, and the loops that run beside the server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial

import structlog
from compute.tasks.v1 import tasks_pb2 as pb
from nats.aio.client import Client

from services.common.errors import Unavailable
from services.durable.change_feed import ChangeFeed
from services.durable.checkpoints import RelayCheckpoints
from services.durable.leadership import Leadership
from services.durable.relay import OutboxRelay
from services.durable.store import Database
from services.durable.watchers import WatchedName, Watchers
from services.messaging.event_schemas import schemas_at
from services.messaging.publishing import Publisher
from services.messaging.streams import ensure_streams
from services.messaging.subjects.steps import STEPS_STREAM
from services.messaging.subjects.tasks import EVENTS_STREAM
from services.messaging.subjects.webhooks import WEBHOOKS_STREAM
from services.tasks.attempts import AttemptStarter
from services.tasks.changes import TaskNews
from services.tasks.children import ChildTasks
from services.tasks.clock import SteadyClock
from services.tasks.dispatcher import Dispatcher, DispatchTiming
from services.tasks.domain import Task, TaskState
from services.tasks.due import orphaned_calls_list, removals
from services.tasks.heartbeats import HeartbeatReceiver
from services.tasks.messages import Messages
from services.tasks.metrics import count_write
from services.tasks.orders import NatsWorkerOrders
from services.tasks.orphan_reaper import OrphanReaper, OrphanRecorder, OrphanTiming
from services.tasks.outgoing import outgoing, together
from services.tasks.ports import Assignment, AttemptStart, FileStore
from services.tasks.queue_history import QueueHistories
from services.tasks.queue_records import QueueRecords
from services.tasks.queues import KnownQueues
from services.tasks.reload import Reload
from services.tasks.removal import RemovalDetails, Remover
from services.tasks.repository import MongoTaskRepository, remains_of
from services.tasks.service import RetryPolicy, RunReport, TaskService, lease_expired
from services.tasks.settings import TasksSettings
from services.tasks.step_hints import StepHints

log = structlog.get_logger()
# Those it publishes to.
_STREAMS = (EVENTS_STREAM, STEPS_STREAM, WEBHOOKS_STREAM)


class TasksReplica:
    """Connects the parts. A durable write goes to dispatcher, watchers and replicas; its events go to the relay."""

    def __init__(self, database: Database, bus: Client, files: FileStore, settings: TasksSettings) -> None:
        self.messages = Messages(settings.reference_policy)
        self.histories = QueueHistories()
        self.watchers: Watchers[Task] = Watchers(self._stored)
        clock = SteadyClock()
        self._relay: OutboxRelay[Task] = OutboxRelay(
            Publisher(bus),
            partial(ensure_streams, bus, *_STREAMS),
            partial(outgoing, schemas=schemas_at(settings.public_url)),
            hold=settings.event_hold_seconds,
            combine=together,
        )
        self.repository = MongoTaskRepository(database, self._relay, self._written)
        self._checkpoints = RelayCheckpoints(
            database["relays"],
            self._relay,
            self.repository,
            Publisher(bus),
            patience=settings.leader_timeout_seconds,
            hold=settings.event_hold_seconds,
        )
        retry = RetryPolicy(settings.task_attempts, settings.retry_first_seconds, settings.retry_longest_seconds)
        self._orders = NatsWorkerOrders(bus, self.messages.fill)
        owner = self._relay.owner
        self._leadership = Leadership(
            database, "dispatcher", owner, lambda: self._reload.load(), patience=settings.leader_timeout_seconds
        )
        timing = DispatchTiming(settings.lease_seconds, settings.claim_seconds)
        queues = KnownQueues(settings.task_queues)
        self._queue_records = QueueRecords(database["queues"], queues)
        self.dispatcher = Dispatcher(self._orders, self, clock, lambda: self._leadership.held, timing, queues)
        self._reload = Reload(self.dispatcher, self.repository.in_state)
        self._orphans = orphaned_calls_list(database)
        patience = OrphanTiming(
            settings.orphan_grace_seconds, settings.orphan_retry_seconds, last=settings.orphan_give_up_seconds
        )
        notes = OrphanRecorder(self._orphans, clock, patience)
        self.service = TaskService(
            self.repository,
            clock,
            retry,
            reservations=self.dispatcher,
            completion_hook=notes,
            queues=self.dispatcher,
        )
        self.children = ChildTasks(self.service, self.repository, clock)
        self.starter = AttemptStarter(self.service, self.repository, self.messages.spec)
        self.orphan_reaper = OrphanReaper(self._orphans, self.service, self.repository, self._orders, clock, patience)
        self._removals = removals(database)
        self.remover = Remover(
            self.service,
            self.repository,
            self._removals,
            files,
            RemovalDetails(self.messages.folders, self.messages.last_words),
            clock,
            lambda task: self._checkpoints.bury(task, remains_of(task)),
            patience=settings.removal_patience_seconds,
            grace=settings.removal_grace_seconds,
        )
        self._feed = ChangeFeed(bus, TaskNews(self.messages), owner, self._heard, self.watchers.missed)
        self._hints = StepHints(bus)
        self.heartbeats = HeartbeatReceiver(bus, self.dispatcher, owner)
        self._stopping: set[asyncio.Task[None]] = set()
        self._bus = bus
        self._by_tenant = settings.metrics_by_tenant

    async def prepare(self) -> None:
        """Before the first call is taken."""
        await ensure_streams(self._bus, *_STREAMS)
        await self.repository.prepare()
        await self._removals.prepare()
        await self._orphans.prepare()
        await self._queue_records.load()
        await self._checkpoints.write()
        await self._orders.listen(self.dispatcher.undelivered)
        await self._feed.listen()
        await self.heartbeats.listen()

    def loops(self) -> dict[str, Callable[[], Awaitable[None]]]:
        return {
            "relay": self._relay.run,
            "announce": self._feed.announce,
            "watchers": self.watchers.run,
            "settle": self._relay.settle,
            "checkpoint": self._checkpoints.run,
            "leadership": self._leadership.run,
            "assign": self.dispatcher.run,
            "sweep": self.dispatcher.sweep,
            "queues": self._leadership.every(1.0, self._queue_records.keep),
            "adopt": self._leadership.every(1.0, self._checkpoints.adopt_dead),
            "removals": self._leadership.every(2.0, self.remover.sweep),
            "tidying": self._leadership.every(5.0, self.orphan_reaper.sweep),
            "reload": self._leadership.every(5.0, self._reload.load_when_due),
        }

    async def close(self) -> None:
        """Everything written is published, then others may lead at once. What cannot be done now the next one does."""
        await self.repository.drain()
        try:
            async with asyncio.timeout(5.0):
                await self.repository.settled()
                await self._relay.drain()
                await self._leadership.release()
                await self._checkpoints.close()
        except (TimeoutError, Unavailable) as error:
            log.warning("left to the next replica", waiting=self._relay.waiting, error=repr(error))

    async def begin(self, attempts: Sequence[Assignment]) -> Sequence[AttemptStart]:
        return await self.starter.begin(attempts)

    async def expire(self, runs: Sequence[tuple[str, int]]) -> None:
        await self.service.finish_all([lease_expired(*run) for run in runs])

    async def give_back(self, runs: Sequence[tuple[str, int]]) -> None:
        await self.service.finish_all([RunReport(*run) for run in runs])

    def _written(self, task: Task) -> None:
        count_write(task, by_tenant=self._by_tenant)
        self._notice(task)
        self._feed.noticed(task)
        self._hints.noticed(task)

    def _notice(self, task: Task) -> None:
        self.histories.noticed(task)
        self.dispatcher.noticed(task)
        self.watchers.noticed(task)
        if task.state is TaskState.CANCELLED and task.attempt:
            self._soon(self._orders.stop(task.id, task.attempt))

    def _heard(self, message: pb.Task) -> None:
        """Another replica wrote this."""
        task = self.messages.from_brief(message)
        if not self.repository.forget(task.id, task.version):
            return  # overtaken on its way
        self.histories.noticed(task)
        self.dispatcher.noticed(task)
        self.watchers.noticed(task)

    async def _stored(self, names: Sequence[WatchedName]) -> dict[WatchedName, Task]:
        found = await self.repository.get_many([name.id for name in names], fresh=True)
        return {WatchedName(task.tenant, task.id): task for task in found.values()}

    def _soon(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)
