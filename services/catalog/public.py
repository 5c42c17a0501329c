"""What tasks of every type show, and what a change of one may say."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.catalog.enums import ErrorCategory, ProviderType, TaskStatus
from services.catalog.webhook_events import TaskConfig


class TaskPublic(BaseModel):
    """What every task shows; times in UTC."""

    model_config = ConfigDict(protected_namespaces=())

    priority: int = Field(description="Priority of the task")
    config: dict[str, Any] | None = Field(None, description="Free-form settings")
    origin_instance: str = Field(description="Instance the task came from")
    origin_zone: str | None = Field(None, description="Zone the task came from")
    origin_version: str | None = Field(None, description="Version of that instance's software")
    origin_tenant_id: str | None = Field(None, description="Tenant the task came from")
    origin_reference: str | None = Field(None, description="Caller's own id or text for the task, if any")
    id: UUID = Field(description="Identifier")
    created_at: datetime = Field(description="Creation time")
    updated_at: datetime = Field(description="Time of the last change")
    status: TaskStatus = Field(description="Status")
    started_at: datetime | None = Field(None, description="Start time of the last run")
    completed_at: datetime | None = Field(None, description="Completion time")
    executor_type: str | None = Field(None, description="Kind of executor")
    executor_instance: str | None = Field(None, description="Instance that runs it")
    celery_task_id: str | None = Field(None, description="Always null: tasks are not run by Celery")
    service_task_id: str | None = Field(None, description="Id at the outside service")
    provider_type: ProviderType | None = Field(None, description="Provider type")
    active_provider_capabilities: list[str] | None = Field(None, description="Provider capabilities switched on")
    fallback_provider_type: ProviderType | None = Field(None, description="Fallback provider")
    fallback_provider_config: dict[str, Any] | None = Field(None, description="Settings of the fallback provider")
    fallback_provider_capabilities: list[str] | None = Field(None, description="Capabilities of the fallback provider")
    errors: list[str] | None = Field(None, description="Error texts")
    error_category: ErrorCategory | None = Field(None, description="Class of the error")
    error_reason: str | None = Field(None, description="Stable code of the last error, for programs")
    retry_count: int = Field(0, description="Retries so far")
    progress: float = Field(0.0, description="Progress, 0 to 100")
    provider_config: dict[str, Any] | None = Field(None, description="Settings of the provider")
    is_deleted: bool = Field(False, description="True when the task was cleaned up: its files are gone")
    deleted_at: datetime | None = Field(None, description="Time of the clean-up")
    is_resumed: bool = Field(False, description="True when it failed and was resumed")
    resume_attempt_count: int = Field(0, description="How often it was resumed")
    last_resume_attempt: datetime | None = Field(None, description="Time of the last resume")


class TaskPublicUpdate(BaseModel):
    """What a change may say. Only priority and config of a PENDING task can change; null leaves a field as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    status: TaskStatus | None = Field(None, description="Status")
    priority: int | None = Field(None, ge=0, le=100, description="Priority")
    executor_type: str | None = Field(None, description="Kind of executor")
    executor_instance: str | None = Field(None, description="Instance that runs it")
    errors: list[str] | None = Field(None, description="Error texts")
    config: TaskConfig | None = Field(None, description="Free-form settings")
