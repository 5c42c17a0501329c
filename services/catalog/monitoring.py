"""What the API shows to those who look after a deployment, or after what they sent to it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from services.catalog.enums import ProviderType, StepStatus, TaskStatus, TaskType, WorkflowStatus


class TaskSort(StrEnum):
    """What a list of tasks may be sorted by"""

    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"
    STARTED_AT = "started_at"
    COMPLETED_AT = "completed_at"
    PRIORITY = "priority"
    STATUS = "status"
    TASK_TYPE = "task_type"
    QUEUE_NAME = "queue_name"


class WorkflowSort(StrEnum):
    """What a list of workflows may be sorted by"""

    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"
    STARTED_AT = "started_at"
    COMPLETED_AT = "completed_at"
    NAME = "name"
    STATUS = "status"


class SortOrder(StrEnum):
    """asc: smallest, oldest and what is not there first; desc: the other way round"""

    ASC = "asc"
    DESC = "desc"


class Monitored(BaseModel):
    """What tasks and workflows have in common"""

    origin_instance: str = Field(description="Instance it came from")
    origin_zone: str | None = Field(None, description="Zone it came from")
    origin_tenant_id: str | None = Field(None, description="Tenant it came from")
    created_at: datetime = Field(description="Creation time")
    started_at: datetime | None = Field(None, description="Start time, of a task that of its last run")
    completed_at: datetime | None = Field(None, description="When it ended")
    duration_ms: float | None = Field(None, description="Duration in milliseconds, from started_at to completed_at")


class MonitoredTaskPublic(Monitored):
    """What lists and details of tasks have in common"""

    id: UUID = Field(description="Identifier")
    task_type: TaskType = Field(description="Type of the task")
    provider_type: ProviderType | None = Field(None, description="Provider that was asked for")
    status: TaskStatus = Field(description="Status")
    progress: float = Field(0.0, description="Progress, 0 to 100")


class TaskListItem(MonitoredTaskPublic):
    """A task in a list"""

    queue_name: str = Field(description="Queue it waits or waited in")
    priority: int = Field(description="Priority; a higher number goes first")
    workflow_id: str | None = Field(None, description="Workflow it is a step of")
    has_error: bool = Field(description="Whether a run of it has failed, be it that a later one succeeded")


class PageOf(BaseModel):
    """Where a page stands in its list"""

    page: int = Field(description="Current page number (1-indexed)")
    page_size: int = Field(description="Number of items per page")
    pages: int = Field(description="Total number of pages")
    total_is_lower_bound: bool = Field(
        description="Whether more match than the 10,000 that are counted; what is searched or sorted by anything but"
        " its creation is then among the newest 10,000"
    )


class TaskListResponse(PageOf):
    """Paginated task list response"""

    items: list[TaskListItem] = Field(description="Tasks of this page")
    total: int = Field(description="Total number of tasks matching filters")


class TaskDetailResponse(MonitoredTaskPublic):
    """A task with all that is known of it"""

    origin_reference: str | None = Field(None, description="Caller's own id or text for it")
    updated_at: datetime = Field(description="Time of the last change")
    queue_name: str = Field("inference", description="Queue it waits or waited in")
    priority: int = Field(0, description="Priority; a higher number goes first")
    celery_task_id: str | None = Field(None, description="Always null: there is no Celery")
    service_task_id: str | None = Field(None, description="Id at the provider that was asked last")
    executor_type: str | None = Field(None, description="worker, once one ran it")
    executor_instance: str | None = Field(None, description="Worker that ran it last")
    config: dict[str, Any] | None = Field(None, description="Settings given with the task")
    webhook_url: str | None = Field(None, description="Called when it ends")
    errors: list[str] | None = Field(None, description="Why runs of it failed")
    retry_count: int = Field(0, description="Runs after the first")
    is_resumed: bool = Field(False, description="Whether it was resumed after it had failed")
    resume_attempt_count: int = Field(0, description="How often it was resumed")
    last_resume_attempt: datetime | None = Field(None, description="When it was resumed last")
    service_requests: list[dict[str, Any]] | None = Field(None, description="Calls to providers, in their order")
    task_data: dict[str, Any] = Field({}, description="Fields of its type: what was asked for, and what came of it")


class MediaItem(BaseModel):
    """A picture or film that went into a task, or came out of it"""

    name: str = Field(description="Its role, such as base_image or result_image")
    media_type: str = Field(description="image or video")
    path: str = Field(description="Path in storage; where it was fetched from, for what is not stored here")
    url: str = Field(description="Opens it without a key, for an hour")


class TaskMediaResponse(BaseModel):
    """What went into a task and what came out of it"""

    task_id: UUID = Field(description="The task")
    inputs: list[MediaItem] = Field([], description="What went in, as far as it is still there")
    outputs: list[MediaItem] = Field([], description="What came out, as far as it is still there")


class AggregateStats(BaseModel):
    """How many tasks there are, cleaned ones left out"""

    total_tasks: int = Field(description="Count of all tasks")
    by_status: dict[str, int] = Field({}, description="Tasks per status; each status is named")
    by_provider: dict[str, int] = Field({}, description="Tasks per provider that was asked for; none without tasks")
    by_task_type: dict[str, int] = Field({}, description="Tasks per type; none without tasks")
    tasks_last_hour: int = Field(0, description="Created within the last hour")
    tasks_last_24h: int = Field(0, description="Created within the last 24 hours")
    total_is_lower_bound: bool = Field(False, description="Whether there are more, and the newest 10,000 are counted")


class QueueStats(BaseModel):
    """A queue now"""

    name: str = Field(description="Name of the queue")
    depth: int = Field(description="Tasks that wait for a worker")
    active_workers: int = Field(description="Workers that serve the queue")
    active_tasks: int = Field(description="Tasks that workers say they run")
    reserved_tasks: int = Field(description="Tasks given to a worker that has not confirmed them yet")
    avg_wait_time_ms: float | None = Field(
        None,
        description="Mean time from creation to first start, of tasks completed at their first run within the last"
        " hour, as far as the service was up; null without any",
    )
    tasks_completed_last_hour: int = Field(description="Tasks completed within the last hour, as far as it was up")


class QueueStatsResponse(BaseModel):
    """All queues that tasks may be created in"""

    queues: list[QueueStats] = Field([], description="By name")
    total_pending: int = Field(0, description="Waiting tasks over all queues")
    total_active: int = Field(0, description="Running tasks over all queues")
    timestamp: datetime = Field(description="When the numbers were taken")


class WorkerInfo(BaseModel):
    """A worker as it was last heard of"""

    name: str = Field(description="Name of the worker")
    queues: list[str] = Field(description="Queues it serves")
    concurrency: int = Field(description="Most tasks at once")
    active_tasks: int = Field(description="Tasks it has now")
    utilization_pct: float = Field(description="active_tasks / concurrency * 100")
    has_capacity: bool = Field(description="Whether it can take more tasks")
    tasks_completed_total: int = Field(description="Tasks it has completed since it started")
    tasks_per_minute: float = Field(description="Tasks completed per minute since it started, on average")
    memory_mb: float | None = Field(None, description="Memory of the worker and its child processes in MB")


class WorkerStatsResponse(BaseModel):
    """All workers heard of lately"""

    workers: list[WorkerInfo] = Field([], description="By name")
    total_workers: int = Field(0, description="How many workers")
    total_capacity: int = Field(0, description="Sum of every worker's concurrency")
    total_active: int = Field(0, description="Running tasks over all workers")
    total_utilization_pct: float = Field(0.0, description="total_active / total_capacity * 100")
    workers_at_capacity: int = Field(0, description="Workers without a free place")
    timestamp: datetime = Field(description="When the numbers were taken")


class WorkerHealthResponse(BaseModel):
    """Whether somebody can take a task"""

    healthy: bool = Field(description="Whether at least one worker can take more tasks")
    total_workers: int = Field(0, description="How many workers")
    workers_with_capacity: int = Field(0, description="Workers that can take more tasks")
    queues_with_workers: list[str] = Field([], description="Queues that one worker or more serves")
    queues_without_workers: list[str] = Field([], description="Queues that nobody serves")
    timestamp: datetime = Field(description="When it was looked at")


class MonitoredWorkflow(Monitored):
    """What lists and details of workflows have in common"""

    id: UUID = Field(description="Identifier")
    name: str = Field(description="Name for people")
    description: str | None = Field(None, description="More about it")
    status: WorkflowStatus = Field(description="Status")
    total_steps: int = Field(0, description="Steps that were written")
    completed_steps: int = Field(0, description="Steps that are COMPLETED")
    progress: float = Field(0.0, description="Progress, 0 to 100")
    current_step: str | None = Field(None, description="First running step in topological order")
    final_step_id: str | None = Field(
        None, description="The only step nothing depends on; null where there are several"
    )


class WorkflowListItem(MonitoredWorkflow):
    """A workflow in a list"""

    has_error: bool = Field(description="Whether a step of it has failed")


class MonitoringWorkflowListResponse(PageOf):
    """Paginated workflow list response"""

    items: list[WorkflowListItem] = Field(description="Workflows of this page")
    total: int = Field(description="Total number of workflows matching filters")


class WorkflowAggregateStats(BaseModel):
    """How many workflows there are, cleaned ones left out"""

    total_workflows: int = Field(description="Count of all workflows")
    by_status: dict[str, int] = Field({}, description="Workflows per status; each status is named")
    workflows_last_hour: int = Field(0, description="Created within the last hour")
    workflows_last_24h: int = Field(0, description="Created within the last 24 hours")
    total_is_lower_bound: bool = Field(False, description="Whether there are more, and the newest 10,000 are counted")
    avg_steps_per_workflow: float = Field(0.0, description="Mean number of steps, as they were written")


class WorkflowStepMonitor(BaseModel):
    """A step of a workflow"""

    id: UUID = Field(description="Identifier")
    step_id: str = Field(description="Unique within the workflow")
    task_type: str = Field(description="Type of its task")
    status: StepStatus = Field(description="Status")
    config: dict[str, Any] = Field(description="What it says of its task")
    dependencies: list[str] = Field(description="Ids of the steps it waits for")
    input_mappings: list[dict[str, Any]] = Field(description="Outputs of earlier steps that become inputs of it")
    task_id: UUID | None = Field(None, description="Its task, the latest of several")
    result: dict[str, Any] | None = Field(None, description="What its task made")
    error_message: str | None = Field(None, description="Why it failed")
    retry_count: int = Field(description="Retries of its task")
    max_retries: int = Field(description="Retries before it fails")
    started_at: datetime | None = Field(None, description="When its task was asked for")
    completed_at: datetime | None = Field(None, description="When it ended")
    duration_ms: float | None = Field(None, description="Duration in milliseconds")


class WorkflowDetailResponse(MonitoredWorkflow):
    """A workflow with its steps"""

    canvas_task_id: str | None = Field(None, description="Always null: a workflow is no task")
    origin_reference: str | None = Field(None, description="Caller's own id or text for it")
    config: dict[str, Any] = Field({}, description="Settings of the workflow")
    webhook_url: str | None = Field(None, description="Called when it ends")
    updated_at: datetime = Field(description="Time of the last change")
    error_message: str | None = Field(None, description="Why it failed: the first of the errors")
    errors: list[str] = Field([], description="What failed, step by step")
    steps: list[WorkflowStepMonitor] = Field([], description="Steps in topological order")
