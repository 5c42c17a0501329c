"""/api/v1/monitoring: what there is, what runs, and who works."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from compute.tasks.v1 import monitor_pb2 as pb
from compute.workflows.v1 import monitor_pb2 as workflows_monitor
from compute.workflows.v1 import workflows_pb2
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from gateway.edge.paging import SAID_ONCE
from gateway.edge.refusals import OF_A_TASK, OF_A_WORKFLOW, refused
from gateway.surfaces.compute import monitoring
from gateway.upstream import caller_of, upstream_of
from services.catalog.enums import ProviderType, TaskStatus, TaskType, WorkflowStatus
from services.catalog.monitoring import (
    AggregateStats,
    MonitoringWorkflowListResponse,
    QueueStatsResponse,
    SortOrder,
    TaskDetailResponse,
    TaskListResponse,
    TaskMediaResponse,
    TaskSort,
    WorkerHealthResponse,
    WorkerStatsResponse,
    WorkflowAggregateStats,
    WorkflowDetailResponse,
    WorkflowSort,
)
from services.common.numbered_pages import LAST_PAGE, MOST_PAGE_SIZE, PAGE_SIZE
from services.common.scopes import ANY_KEY, TO_READ, needs
from services.translation.messages import status_number
from services.translation.workflows import status_number as workflow_status_number

router = APIRouter(prefix="/api/v1/monitoring", tags=["Monitoring"])
Label = Annotated[str, Field(max_length=512)]


class OfOrigin(BaseModel):
    """Filters of statistics; an unknown parameter is refused."""

    model_config = ConfigDict(extra="forbid")

    origin_instance: Label | None = Field(None, description="Filter by origin instance")
    origin_zone: Label | None = Field(None, description="Filter by origin zone")


class _Page(OfOrigin):
    """What pages of tasks and of workflows have in common."""

    page: int = Field(1, ge=1, le=LAST_PAGE, description="Page number (1-indexed)")
    page_size: int = Field(PAGE_SIZE, ge=1, le=MOST_PAGE_SIZE, description="Items per page")
    created_after: datetime | None = Field(None, description="Later than this; in UTC where it names no zone")
    created_before: datetime | None = Field(None, description="Earlier than this; in UTC where it names no zone")
    origin_tenant_id: Label | None = Field(None, description="Filter by origin tenant ID")
    sort_order: SortOrder = Field(SortOrder.DESC, description="Sort order")
    include_deleted: bool = Field(False, description="With those that were cleaned up")

    def common(self) -> dict[str, Any]:
        """As the messages have it."""
        names = ("page", "page_size", "origin_instance", "origin_zone", "origin_tenant_id", "include_deleted")
        return {
            **{name: getattr(self, name) for name in names},
            "created_after": monitoring.moment(self.created_after),
            "created_before": monitoring.moment(self.created_before),
            "ascending": self.sort_order is SortOrder.ASC,
        }


class MonitoredTasks(_Page):
    status: TaskStatus | None = Field(None, description="Filter by status")
    task_type: TaskType | None = Field(None, description="Filter by task type")
    provider_type: ProviderType | None = Field(None, description="Filter by the provider that was asked for")
    search: str = Field("", max_length=64, description="Search by task ID prefix")
    sort_by: TaskSort = Field(TaskSort.CREATED_AT, description="Sort field")


class MonitoredWorkflows(_Page):
    status: WorkflowStatus | None = Field(None, description="Filter by status")
    search: str = Field("", max_length=255, description="Search by a part of the name, or by ID prefix")
    sort_by: WorkflowSort = Field(WorkflowSort.CREATED_AT, description="Sort field")


@router.get("/tasks", summary="List Monitored Tasks", dependencies=SAID_ONCE, response_model=TaskListResponse)
@needs(TO_READ)
async def list_monitored_tasks(request: Request, page: Annotated[MonitoredTasks, Query()]) -> TaskListResponse:
    """Returns tasks in numbered pages, with duration and error status; all filters can be combined."""
    wanted = pb.ListMonitoredTasksRequest(
        **page.common(),
        status=status_number(page.status) if page.status else None,
        task_type=page.task_type,
        provider_type=page.provider_type,
        search=page.search,
        sort_by=page.sort_by,
        public_types_only=_public_only(request),
    )
    found = await upstream_of(request).tasks_monitor.call("ListMonitoredTasks", wanted, request)
    return monitoring.task_page(found, page.page, page.page_size)


@router.get(
    "/tasks/{task_id}",
    summary="Get Monitored Task",
    response_model=TaskDetailResponse,
    responses=refused(*OF_A_TASK),
)
@needs(TO_READ)
async def get_monitored_task(request: Request, task_id: str) -> TaskDetailResponse:
    """Returns all that is known of one task, with the fields of its type under task_data."""
    return monitoring.task_detail(await upstream_of(request).tasks.get(request, task_id))


@router.get(
    "/tasks/{task_id}/media",
    summary="Get Task Media",
    response_model=TaskMediaResponse,
    responses=refused(*OF_A_TASK, "STORAGE_UNAVAILABLE"),
)
@needs(TO_READ)
async def get_task_media(request: Request, task_id: str) -> TaskMediaResponse:
    """Returns what went into a task and what came out of it, with URLs for `<img>` and `<video>` that need no key."""
    return await monitoring.task_media(request, await upstream_of(request).tasks.get(request, task_id))


@router.get("/stats", summary="Get Monitoring Stats", dependencies=SAID_ONCE, response_model=AggregateStats)
@needs(TO_READ)
async def get_task_stats(request: Request, query: Annotated[OfOrigin, Query()]) -> AggregateStats:
    """Returns how many tasks there are by status, provider and type, and how many were created of late."""
    wanted = pb.GetTaskStatsRequest(**query.model_dump(), public_types_only=_public_only(request))
    return monitoring.task_stats(await upstream_of(request).tasks_monitor.call("GetTaskStats", wanted, request))


@router.get(
    "/workflows",
    summary="List Monitored Workflows",
    dependencies=SAID_ONCE,
    response_model=MonitoringWorkflowListResponse,
)
@needs(TO_READ)
async def list_monitored_workflows(
    request: Request, page: Annotated[MonitoredWorkflows, Query()]
) -> MonitoringWorkflowListResponse:
    """Returns workflows in numbered pages, with duration and error status; all filters can be combined."""
    wanted = workflows_monitor.ListMonitoredWorkflowsRequest(
        **page.common(),
        status=workflow_status_number(page.status) if page.status else None,
        search=page.search,
        sort_by=page.sort_by,
    )
    found = await upstream_of(request).workflows_monitor.call("ListMonitoredWorkflows", wanted, request)
    return monitoring.workflow_page(found, page.page, page.page_size)


@router.get(
    "/workflows/stats",
    summary="Get Workflow Monitoring Stats",
    dependencies=SAID_ONCE,
    response_model=WorkflowAggregateStats,
)
@needs(TO_READ)
async def get_workflow_stats(request: Request, query: Annotated[OfOrigin, Query()]) -> WorkflowAggregateStats:
    """Returns how many workflows there are by status, and how many were created of late."""
    wanted = workflows_monitor.GetWorkflowStatsRequest(**query.model_dump())
    found = await upstream_of(request).workflows_monitor.call("GetWorkflowStats", wanted, request)
    return monitoring.workflow_stats(found)


@router.get(
    "/workflows/{workflow_id}",
    summary="Get Monitored Workflow",
    response_model=WorkflowDetailResponse,
    responses=refused(*OF_A_WORKFLOW),
)
@needs(TO_READ)
async def get_monitored_workflow(request: Request, workflow_id: str) -> WorkflowDetailResponse:
    """Returns one workflow with its steps in topological order."""
    wanted = workflows_pb2.GetWorkflowRequest(workflow_id=workflow_id)
    found = await upstream_of(request).workflows.call("GetWorkflow", wanted, request)
    return monitoring.workflow_detail(found.workflow)


@router.get("/queues", summary="Get Queue Stats", response_model=QueueStatsResponse)
@needs(ANY_KEY)
async def get_queues(request: Request) -> QueueStatsResponse:
    """Returns what waits and runs in each queue of the deployment, how long tasks waited, how many were completed."""
    return monitoring.queue_stats(await _queues(request))


@router.get("/workers", summary="Get Worker Stats", response_model=WorkerStatsResponse)
@needs(ANY_KEY)
async def get_workers(request: Request) -> WorkerStatsResponse:
    """Returns what each worker of the deployment does and can do."""
    return monitoring.worker_stats(await _workers(request))


@router.get("/workers/health", summary="Get Workers Health", response_model=WorkerHealthResponse)
@needs(ANY_KEY)
async def get_workers_health(request: Request) -> WorkerHealthResponse:
    """Says whether some worker can take more, and which queues nobody serves: for alerts."""
    return monitoring.workers_health(await _workers(request), await _queues(request))


async def _queues(request: Request) -> pb.ListQueuesResponse:
    found: pb.ListQueuesResponse = await upstream_of(request).tasks_monitor.call(
        "ListQueues", pb.ListQueuesRequest(), request
    )
    return found


async def _workers(request: Request) -> pb.ListWorkersResponse:
    found: pb.ListWorkersResponse = await upstream_of(request).tasks_monitor.call(
        "ListWorkers", pb.ListWorkersRequest(), request
    )
    return found


def _public_only(request: Request) -> bool:
    return "admin" not in caller_of(request).scopes
