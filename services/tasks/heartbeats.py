"""Workers' heartbeats: passed to the dispatcher here, and to the other replicas on `heartbeats.v1`."""

from __future__ import annotations

from itertools import zip_longest

import structlog
from compute.tasks.v1 import tasks_pb2 as pb
from compute.tasks.v1 import worker_pb2 as wire
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.messaging.subjects.tasks import HEARTBEATS_SUBJECT
from services.tasks.dispatcher import Dispatcher
from services.tasks.worker_registry import RegisteredFacts, RegisteredModel

log = structlog.get_logger()
_SENDER = "Atelier-Sender"


class HeartbeatReceiver:
    def __init__(self, client: Client, dispatcher: Dispatcher, sender: str) -> None:
        self._client = client
        self._dispatcher = dispatcher
        self._sender = sender

    async def listen(self) -> None:
        await self._client.subscribe(HEARTBEATS_SUBJECT, cb=self._receive)

    async def take(self, beat: wire.HeartbeatTasksRequest) -> list[wire.TaskRef]:
        """Returns the runs that are not known here as this worker's."""
        unknown = self._note(beat)
        try:
            await self._client.publish(HEARTBEATS_SUBJECT, beat.SerializeToString(), headers={_SENDER: self._sender})
        except Exception as error:  # noqa: BLE001  # the next heartbeat comes soon
            log.warning("beat not passed on", error=repr(error))
        return unknown

    async def _receive(self, message: Msg) -> None:
        if (message.headers or {}).get(_SENDER) != self._sender:
            self._note(wire.HeartbeatTasksRequest.FromString(message.data))

    def _note(self, beat: wire.HeartbeatTasksRequest) -> list[wire.TaskRef]:
        self._dispatcher.heard(
            beat.worker_id,
            beat.queues or [beat.queue],
            beat.capacity,
            running=len(beat.running),
            draining=beat.draining,
            inbox=beat.inbox,
            unwell=dict(zip_longest(beat.unavailable_models, beat.unavailable_reasons, fillvalue="")),
            models=tuple(map(_model, beat.models)),
            facts=RegisteredFacts(beat.memory_bytes, beat.tasks_completed, beat.uptime_seconds),
        )
        return [
            wire.TaskRef(task_id=run.task_id, attempt=run.attempt)
            for run in beat.running
            if not self._dispatcher.confirm(run.task_id, run.attempt, run.progress)
        ]


def _model(said: pb.ServedModel) -> RegisteredModel:
    return RegisteredModel(said.serves, said.name, said.sha256, said.licence, said.made_for, said.source, said.upstream)
