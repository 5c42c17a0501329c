"""Tasks, workflows, queues and workers as `/api/v1/monitoring` shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from compute.tasks.v1 import monitor_pb2 as pb
from compute.tasks.v1 import tasks_pb2
from compute.workflows.v1 import monitor_pb2 as workflows_monitor
from compute.workflows.v1 import workflows_pb2
from fastapi import Request
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.files import link_to
from gateway.surfaces.compute.provenance import call_of, result_files
from gateway.upstream import caller_of, upstream_of
from services.catalog.enums import TaskStatus, WorkflowStatus
from services.catalog.monitoring import (
    AggregateStats,
    MediaItem,
    MonitoringWorkflowListResponse,
    QueueStats,
    QueueStatsResponse,
    TaskDetailResponse,
    TaskListItem,
    TaskListResponse,
    TaskMediaResponse,
    WorkerHealthResponse,
    WorkerInfo,
    WorkerStatsResponse,
    WorkflowAggregateStats,
    WorkflowDetailResponse,
    WorkflowListItem,
    WorkflowStepMonitor,
)
from services.catalog.tasks import TYPES
from services.common.errors import NotFound
from services.rpc.proto import optional
from services.translation.messages import optional_time, particular, public_status, public_time, to_public
from services.translation.workflows import to_public as workflow_to_public

_FILM = (".mp4", ".webm", ".mov", ".mkv")
_ENDINGS = ("_urls", "_url", "_paths", "_path")


def task_page(found: pb.ListMonitoredTasksResponse, page: int, size: int) -> TaskListResponse:
    items = [_task_item(task) for task in found.tasks if task.task_type in TYPES]
    return TaskListResponse(
        items=items,
        total=found.total,
        total_is_lower_bound=found.bounded,
        page=page,
        page_size=size,
        pages=-(-found.total // size),
    )


def _task_item(task: pb.MonitoredTask) -> TaskListItem:
    started, completed = optional_time(task, "started_at"), optional_time(task, "completed_at")
    return TaskListItem(
        id=task.id,
        task_type=task.task_type,
        provider_type=optional(task, "provider_type"),
        status=public_status(task.status),
        progress=task.progress,
        origin_instance=task.origin.instance,
        origin_zone=optional(task.origin, "zone"),
        origin_tenant_id=optional(task.origin, "tenant_id"),
        created_at=public_time(task.created_at),
        started_at=started,
        completed_at=completed,
        duration_ms=_milliseconds(started, completed),
        has_error=task.has_error,
        queue_name=task.queue,
        priority=task.priority,
        workflow_id=optional(task, "workflow_id"),
    )


def task_detail(task: tasks_pb2.Task) -> TaskDetailResponse:
    """Raises NotFound for a task of a type this version does not know."""
    shown = to_public(task)
    known = {name: shown[name] for name in TaskDetailResponse.model_fields if name in shown}
    known |= {
        "duration_ms": _milliseconds(shown["started_at"], shown["completed_at"]),
        "queue_name": task.queue,
        "webhook_url": optional(task.spec, "webhook_url"),
        "service_requests": [call_of(call).model_dump() for call in task.provider_calls] or None,
        "task_data": particular(task),
    }
    return TaskDetailResponse(**known)


async def task_media(request: Request, task: tasks_pb2.Task) -> TaskMediaResponse:
    """Raises NotFound as `task_detail`; what is no longer stored is left out."""
    shown = to_public(task)
    inputs = [await _media(request, name, path) for name, path in _inputs(task.task_type, shown)]
    outputs = [await _media(request, _role(name), path) for name, path in result_files(shown)]
    return TaskMediaResponse(
        task_id=UUID(task.id),
        inputs=[item for item in inputs if item],
        outputs=[item for item in outputs if item],
    )


def _inputs(task_type: str, shown: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Role and place of each picture that was given, as it was stored where it was fetched."""
    kind = TYPES[task_type]
    for name in kind.alpha:
        role = _role(name)
        given = shown.get(f"{role}_path") or shown.get(kind.shown_as.get(name, name))
        for place in given if isinstance(given, list) else [given] if given else []:
            yield role, place


def _role(name: str) -> str:
    """base_image, of base_image_url."""
    return next((name.removesuffix(ending) for ending in _ENDINGS if name.endswith(ending)), name)


async def _media(request: Request, name: str, place: str) -> MediaItem | None:
    """None where it is gone."""
    kind = "video" if place.lower().partition("?")[0].endswith(_FILM) else "image"
    if "://" in place:
        return MediaItem(name=name, media_type=kind, path=place, url=place)
    try:
        made = await upstream_of(request).storage.create_link(place, tenant=caller_of(request).tenant)
    except NotFound:
        return None
    return MediaItem(name=name, media_type=kind, path=made.object.path, url=link_to(request, made.token))


def task_stats(found: pb.GetTaskStatsResponse) -> AggregateStats:
    return AggregateStats(
        total_tasks=found.total,
        by_status=dict.fromkeys(TaskStatus, 0) | dict(found.by_status),
        by_provider=dict(sorted(found.by_provider.items())),
        by_task_type=dict(sorted(found.by_task_type.items())),
        tasks_last_hour=found.last_hour,
        tasks_last_24h=found.last_day,
        total_is_lower_bound=found.bounded,
    )


def queue_stats(found: pb.ListQueuesResponse) -> QueueStatsResponse:
    return QueueStatsResponse(
        queues=[
            QueueStats(
                name=queue.name,
                depth=queue.depth,
                active_workers=queue.workers,
                active_tasks=queue.active,
                reserved_tasks=queue.reserved,
                avg_wait_time_ms=1_000 * queue.wait_seconds if queue.HasField("wait_seconds") else None,
                tasks_completed_last_hour=queue.completed_last_hour,
            )
            for queue in found.queues
        ],
        total_pending=sum(queue.depth for queue in found.queues),
        total_active=sum(queue.active for queue in found.queues),
        timestamp=public_time(found.at),
    )


def worker_stats(found: pb.ListWorkersResponse) -> WorkerStatsResponse:
    workers = [_worker(worker) for worker in found.workers]
    capacity, active = sum(one.concurrency for one in workers), sum(one.active_tasks for one in workers)
    return WorkerStatsResponse(
        workers=workers,
        total_workers=len(workers),
        total_capacity=capacity,
        total_active=active,
        total_utilization_pct=_percent(active, capacity),
        workers_at_capacity=sum(not one.has_capacity for one in workers),
        timestamp=public_time(found.at),
    )


def _worker(worker: pb.WorkerState) -> WorkerInfo:
    memory = optional(worker, "memory_bytes")
    return WorkerInfo(
        name=worker.name,
        queues=list(worker.queues),
        concurrency=worker.capacity,
        active_tasks=worker.active,
        utilization_pct=_percent(worker.active, worker.capacity),
        has_capacity=worker.active < worker.capacity,
        tasks_completed_total=worker.tasks_completed,
        tasks_per_minute=round(worker.tasks_per_minute, 3),
        memory_mb=None if memory is None else round(memory / 1e6, 1),
    )


def workers_health(workers: pb.ListWorkersResponse, queues: pb.ListQueuesResponse) -> WorkerHealthResponse:
    able = sum(worker.active < worker.capacity for worker in workers.workers)
    return WorkerHealthResponse(
        healthy=able > 0,
        total_workers=len(workers.workers),
        workers_with_capacity=able,
        queues_with_workers=[queue.name for queue in queues.queues if queue.workers],
        queues_without_workers=[queue.name for queue in queues.queues if not queue.workers],
        timestamp=public_time(workers.at),
    )


def workflow_page(
    found: workflows_monitor.ListMonitoredWorkflowsResponse, page: int, size: int
) -> MonitoringWorkflowListResponse:
    return MonitoringWorkflowListResponse(
        items=[_workflow_item(workflow) for workflow in found.workflows],
        total=found.total,
        total_is_lower_bound=found.bounded,
        page=page,
        page_size=size,
        pages=-(-found.total // size),
    )


def _workflow_item(workflow: workflows_pb2.Workflow) -> WorkflowListItem:
    shown = _workflow(workflow, WorkflowListItem.model_fields)
    return WorkflowListItem(**shown, has_error=bool(workflow.errors))


def workflow_detail(workflow: workflows_pb2.Workflow) -> WorkflowDetailResponse:
    shown = _workflow(workflow, WorkflowDetailResponse.model_fields)
    steps = {step["step_id"]: _step(step) for step in shown["steps"]}
    return WorkflowDetailResponse(**shown | {"steps": [steps[name] for name in _order(shown["steps"])]})


def _workflow(workflow: workflows_pb2.Workflow, names: Iterable[str]) -> dict[str, Any]:
    shown = workflow_to_public(workflow)
    duration = _milliseconds(shown["started_at"], shown["completed_at"])
    return {name: shown[name] for name in names if name in shown} | {"duration_ms": duration}


def _step(shown: Mapping[str, Any]) -> WorkflowStepMonitor:
    known = {name: shown[name] for name in WorkflowStepMonitor.model_fields if name in shown}
    duration = _milliseconds(shown["started_at"], shown["completed_at"])
    return WorkflowStepMonitor(**known, duration_ms=duration)


def _order(steps: list[Mapping[str, Any]]) -> list[str]:
    """Each behind those it waits for; else as they were written."""
    found: dict[str, None] = {}
    waiting = {step["step_id"]: set(step["dependencies"]) for step in steps}
    while waiting:
        ready = [name for name, behind in waiting.items() if behind <= found.keys()]
        found |= dict.fromkeys(ready)
        waiting = {name: behind for name, behind in waiting.items() if name not in found}
    return list(found)


def workflow_stats(found: workflows_monitor.GetWorkflowStatsResponse) -> WorkflowAggregateStats:
    return WorkflowAggregateStats(
        total_workflows=found.total,
        by_status=dict.fromkeys(WorkflowStatus, 0) | dict(found.by_status),
        workflows_last_hour=found.last_hour,
        workflows_last_24h=found.last_day,
        total_is_lower_bound=found.bounded,
        avg_steps_per_workflow=round(found.average_steps, 3),
    )


def moment(given: datetime | None) -> Timestamp | None:
    """In UTC where it names no zone."""
    if given is None:
        return None
    made = Timestamp()
    made.FromDatetime(given if given.tzinfo else given.replace(tzinfo=UTC))
    return made


def _milliseconds(started: datetime | None, completed: datetime | None) -> float | None:
    return round((completed - started).total_seconds() * 1_000, 3) if started and completed else None


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 2) if whole else 0.0
