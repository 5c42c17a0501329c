"""One replica of the workflows service: how its parts are connected, and the loops that run beside the server."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Protocol

import structlog
from compute.workflows.v1 import workflows_pb2 as pb
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.common.errors import Unavailable
from services.durable.change_feed import ChangeFeed
from services.durable.checkpoints import RelayCheckpoints
from services.durable.intake import QueueIntake
from services.durable.leadership import Leadership
from services.durable.relay import OutboxRelay
from services.durable.store import Database
from services.messaging.event_schemas import schemas_at
from services.messaging.publishing import Publisher
from services.messaging.streams import ensure_streams
from services.messaging.subjects.steps import STEPS_STREAM, intake_of_steps, step_hint_subject
from services.messaging.subjects.tasks import EVENTS_STREAM
from services.messaging.subjects.webhooks import WEBHOOKS_STREAM
from services.net.guarded_http import GuardedHttp
from services.workflows.cache_identity import Identities, Models, ObjectHeads, WeightFiles
from services.workflows.cache_store import MongoCacheRepository, MongoHitRepository
from services.workflows.cached_files import CachedFiles
from services.workflows.changes import WorkflowNews
from services.workflows.domain import SECOND, Workflow
from services.workflows.engine import Engine
from services.workflows.estimate_records import EstimateRecords
from services.workflows.estimates import StepEstimates
from services.workflows.events import WorkflowEvents
from services.workflows.files import WorkflowFiles, WorkflowFileStore
from services.workflows.intake import StepIntake
from services.workflows.mailboxes import Mailboxes
from services.workflows.metrics import count_write
from services.workflows.pin_records import MongoPinRepository
from services.workflows.pinning import Pins, PinStore
from services.workflows.ports import StepName, StepTasks, ToldEnd
from services.workflows.preparation import PreparedTasks
from services.workflows.repository import MongoDefinitionRepository, MongoResultRepository, MongoWorkflowRepository
from services.workflows.served_models import software
from services.workflows.service import WorkflowService
from services.workflows.settings import WorkflowsSettings
from services.workflows.step_cache import StepCache

log = structlog.get_logger()
# Those it publishes to.
_STREAMS = (EVENTS_STREAM, WEBHOOKS_STREAM)
_DUE, _CACHE_SECONDS = 256, 30.0
_WHOLE = 2**53


def now() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1_000


class PictureStorage(WorkflowFileStore, PinStore, ObjectHeads, Protocol):
    """The storage service, as far as workflows need it."""


class WorkflowsReplica:
    """Every replica answers calls; the one that leads moves workflows on."""

    def __init__(
        self,
        database: Database,
        bus: Client,
        tasks: StepTasks,
        store: PictureStorage,
        models: Callable[[str], Awaitable[Models]],
        settings: WorkflowsSettings,
    ) -> None:
        """`models` answers those that serve a tenant now."""
        events = WorkflowEvents(tasks.task_id, schemas_at(settings.public_url))
        hold, patience = settings.workflow_event_hold_seconds, settings.workflow_leader_patience_seconds
        self._relay: OutboxRelay[Workflow] = OutboxRelay(
            Publisher(bus), partial(ensure_streams, bus, *_STREAMS), events.outgoing, hold=hold, linger=0.0
        )
        self._repository = MongoWorkflowRepository(database, self._relay, self._written)
        self._checkpoints = RelayCheckpoints(
            database["workflow_relays"], self._relay, self._repository, Publisher(bus), patience=patience, hold=hold
        )
        owner = self._relay.owner
        self._leadership = Leadership(database, "workflows", owner, self._load, patience=patience)
        definitions, results = MongoDefinitionRepository(database), MongoResultRepository(database, store)
        self.definitions = definitions
        self._pin_records = MongoPinRepository(database)
        files, http = WorkflowFiles(store), partial(GuardedHttp, settings.reach)
        pins = Pins(self._pin_records, store, http, now, max_bytes=settings.max_image_bytes)
        self._cache_records, hits = MongoCacheRepository(database), MongoHitRepository(database)
        weights = WeightFiles(settings.models_root)
        identities = Identities(store, models, weights, default_provider=settings.default_provider, software=software)
        self._cache = StepCache(
            self._cache_records,
            hits,
            tasks,
            CachedFiles(files, store),
            identities,
            now,
            self._wake,
            self._repository.ended,
            most_entries=settings.workflow_cache_entries,
            most_age=int(settings.workflow_cache_days * 24 * 3600 * SECOND),
        )
        self._tasks = PreparedTasks(tasks, pins, self._cache, self._wake)
        estimates = StepEstimates()
        self._estimates = EstimateRecords(database, estimates, lambda: self._leadership.held)
        self._engine = Engine(self._repository, definitions, results, self._tasks, now, files, estimates.learn)
        self._mailboxes: Mailboxes[StepName, ToldEnd] = Mailboxes(self._advance, at_once=settings.workflow_concurrency)
        self.service = WorkflowService(
            self._repository,
            definitions,
            results,
            self._tasks,
            now,
            files,
            pins,
            hits,
            on_due=self._due,
            foresee=estimates.foreseen,
        )
        self._steps = StepIntake(self._mailboxes, self._tasks.heard)
        self._intake = QueueIntake(
            bus,
            STEPS_STREAM,
            intake_of_steps("workflow", ack_seconds=settings.workflow_ack_seconds),
            self._steps.take,
            lambda: self._leadership.held,
        )
        self._feed: ChangeFeed[Workflow, pb.WorkflowChange] = ChangeFeed(bus, WorkflowNews(), owner, self._heard)
        self._bus = bus

    async def prepare(self) -> None:
        """Before the first call is taken."""
        await ensure_streams(self._bus, *_STREAMS)
        await self._repository.prepare()
        await self._pin_records.prepare()
        await self._estimates.load()
        await self._cache_records.prepare()
        await self._checkpoints.write()
        await self._feed.listen()
        await self._bus.subscribe(step_hint_subject("workflow"), cb=self._hinted)

    async def _hinted(self, message: Msg) -> None:
        if self._leadership.held:
            self._steps.hear(message.data)

    def loops(self) -> dict[str, Callable[[], Awaitable[None]]]:
        return {
            "relay": self._relay.run,
            "settle": self._relay.settle,
            "checkpoint": self._checkpoints.run,
            "announce": self._feed.announce,
            "estimates": self._estimates.run,
            "leadership": self._leadership.run,
            "intake": self._intake.run,
            "sweep": self._leadership.every(1.0, self._sweep),
            "cache": self._leadership.every(_CACHE_SECONDS, self._cache.sweep),
            "adopt": self._leadership.every(1.0, self._checkpoints.adopt_dead),
        }

    async def close(self) -> None:
        """Everything written is published, then others may lead at once. What cannot be done now the next one does."""
        try:
            await self._mailboxes.drain(5.0)
            await self._tasks.close()
            await self._intake.close(1.0)
            await self._repository.drain()
            await self._repository.settled()
            await self._relay.drain()
            await self._leadership.release()
            await self._checkpoints.close()
        except (TimeoutError, Unavailable) as error:
            log.warning("left to the next replica", error=repr(error))

    async def _advance(self, workflow_id: str, news: Mapping[StepName, ToldEnd | None] | None) -> None:
        if self._leadership.held:
            told = {name: end for name, end in (news or {}).items() if end is not None}
            await self._engine.advance(workflow_id, news, told)

    async def _load(self) -> None:
        """Whoever begins to lead looks at all that is under way: nobody knows what was told to whom."""
        for workflow_id in await self._repository.due(_WHOLE, limit=0):
            self._mailboxes.put(workflow_id)

    async def _sweep(self) -> None:
        await self._mailboxes.sweep(lambda most: self._repository.due(now(), limit=most), _DUE)

    def _wake(self, name: StepName) -> None:
        if self._leadership.held:
            self._mailboxes.put(name.workflow_id, name)

    def _due(self, workflow: Workflow) -> None:
        """A caller changed it, here."""
        if self._leadership.held:
            self._mailboxes.put(workflow.id)

    def _heard(self, change: pb.WorkflowChange) -> None:
        """Another replica wrote this: a caller changed it there."""
        if self._repository.forget(change.id, change.version) and self._leadership.held:
            self._mailboxes.put(change.id)

    def _written(self, workflow: Workflow) -> None:
        count_write(workflow)
        self._feed.noticed(workflow)
