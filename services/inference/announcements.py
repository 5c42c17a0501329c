"""Says how a run goes, to whoever listens: CloudEvents whose data is an InferenceStatusEvent, stored nowhere."""

from __future__ import annotations

import time
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import nats.errors
import orjson
import structlog
from compute.tasks.v1 import worker_pb2 as pb
from google.protobuf.message import Message

from services.catalog.enums import EventType
from services.catalog.tasks import PUBLIC_TYPES
from services.messaging.event_schemas import NAMELESS, schema_address
from services.messaging.ports import MessageBus
from services.messaging.subjects.workers import inference_subject
from services.rpc.proto import iso
from services.worker.runs import Run, StopReason

log = structlog.get_logger()
SOURCE, TYPE = "/atelier/inference", "atelier.inference.status.v1"
_STOPPED = {StopReason.CANCELLED: "CANCELLED", StopReason.LOST: "LOST", StopReason.DRAINED: "RETURNED"}
_PICTURES = ("result_image_path", "result_video_path", "result_image_paths", "result_paths")


class Announcements:
    """Of one run. Internal types are silent: they probe the path, and are too quick for words."""

    def __init__(self, run: Run, bus: MessageBus, schemas: str = NAMELESS) -> None:
        """`schemas` begins the addresses of the events' schemas."""
        self._run = run
        self._bus = bus
        self._schemas = schemas
        self._silent = run.task.task_type not in PUBLIC_TYPES

    async def begun(self) -> None:
        if not self._silent:
            await self._publish("EXECUTING", 1, {})

    async def ended(self, finished: pb.FinishedTask | None, *, accepted: bool) -> None:
        """`finished` is what was reported, None when there was nobody to tell; `accepted` whether it counts."""
        if self._silent:
            return
        now = iso(time.time_ns() // 1000)
        status, said = _outcome(self._run, finished, accepted)
        await self._publish(status, 2, {"completed_at": now, **said})

    async def _publish(self, status: str, number: int, said: dict[str, Any]) -> None:
        envelope = render(self._run, status, number, said, self._schemas)
        subject = inference_subject(self._run.task.tenant, self._run.key.task_id)
        try:
            await self._bus.publish(subject, orjson.dumps(envelope))
        except nats.errors.Error as error:
            log.debug("run not announced", error=repr(error))


def render(run: Run, status: str, number: int, said: dict[str, Any], schemas: str = NAMELESS) -> dict[str, Any]:
    """The CloudEvent; `number` counts those of one run."""
    (task_id, attempt), origin, now = run.key, run.task.spec.origin, iso(time.time_ns() // 1000)
    data = {
        "event_type": EventType.INFERENCE_STATUS,
        "task_id": task_id,
        "status": status,
        "timestamp": now,
        "entity_id": task_id,
        "origin_instance": origin.instance,
        "metadata": {"attempt": attempt},
        "backend_generation_id": task_id,
        "backend_prediction_id": str(uuid5(NAMESPACE_URL, f"atelier:run:{task_id}:{attempt}")),
        **said,
    }
    if origin.HasField("zone"):
        data["origin_zone"] = origin.zone
    if origin.HasField("version"):
        data["origin_version"] = origin.version
    return {
        "specversion": "1.0",
        "id": f"{task_id}.run.{attempt}.{number}",
        "source": SOURCE,
        "type": TYPE,
        "subject": task_id,
        "time": now,
        "datacontenttype": "application/json",
        "dataschema": schema_address(schemas, "InferenceStatusEvent"),
        "tenant": run.task.tenant,
        "data": data,
    }


def _outcome(run: Run, finished: pb.FinishedTask | None, accepted: bool) -> tuple[str, dict[str, Any]]:
    if finished is None:
        return _STOPPED[run.stopped or StopReason.LOST], {}
    if not accepted:
        return "LOST", {}
    calls = {"prompt_id": finished.provider_calls[-1].request_id} if _named(finished) else {}
    kind = finished.WhichOneof("outcome")
    if kind == "result":
        return "COMPLETED", calls | _paths(finished)
    if kind == "failure":
        why = finished.failure
        return "FAILED", calls | {"error_message": why.message, "error_reason": why.reason}
    return "RETURNED", calls


def _named(finished: pb.FinishedTask) -> bool:
    return bool(finished.provider_calls) and bool(finished.provider_calls[-1].request_id)


def _paths(finished: pb.FinishedTask) -> dict[str, Any]:
    """Where the result lies; of several the first."""
    kind = finished.result.WhichOneof("result") or ""
    result: Message = getattr(finished.result, kind)
    for name in _PICTURES:
        if name in result.DESCRIPTOR.fields_by_name and result.HasField(name):
            value = getattr(result, name)
            path = value if isinstance(value, str) else next(iter(value.values), None)
            return {"result_image_path": path} | ({"refined_image_path": path} if kind == "refine" else {})
    return {}
