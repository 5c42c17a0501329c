"""The wide update: every field the contract lists for it, though only priority and config can change."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from services.catalog.enums import ErrorCategory, ProviderType, TaskType
from services.catalog.public import TaskPublicUpdate


class WideTaskUpdate(TaskPublicUpdate):
    """A field that cannot change must be null or as the task has it."""

    created_at: datetime | None = Field(None, description="When the task was created")
    updated_at: datetime | None = Field(None, description="When the task last changed")
    task_type: TaskType | None = Field(None, description="Type of the task")
    origin_instance: str | None = Field(None, description="Instance the task came from")
    origin_zone: str | None = Field(None, description="Zone the task came from")
    origin_tenant_id: str | None = Field(None, description="Tenant the task came from")
    origin_reference: str | None = Field(None, description="Caller's own id or text for the task, if any")
    started_at: datetime | None = Field(None, description="When the task started")
    completed_at: datetime | None = Field(None, description="When the task completed")
    celery_task_id: str | None = Field(None, description="Always null")
    service_task_id: str | None = Field(None, description="Id of the task at the outside service")
    retry_count: int | None = Field(None, description="How often the task was retried")
    progress: float | None = Field(None, description="Progress, 0.0 to 100.0")
    is_resumed: bool | None = Field(None, description="True while the task is being resumed")
    provider_type: ProviderType | None = Field(None, description="Provider that runs the task")
    active_provider_capabilities: list[str] | None = Field(None, description="Provider capabilities switched on")
    queue_name: str | None = Field(None, description="Queue of the task")
    fallback_provider_type: ProviderType | None = Field(None, description="Type of the fallback provider")
    fallback_provider_config: dict[str, Any] | None = Field(None, description="Settings of the fallback provider")
    fallback_provider_capabilities: list[str] | None = Field(None, description="Capabilities of the fallback provider")
    resume_attempt_count: int | None = Field(None, description="How often a resume was tried")
    last_resume_attempt: datetime | None = Field(None, description="When it was last resumed")
    error_category: ErrorCategory | None = Field(None, description="Class of the error")
    service_requests: list[dict[str, Any]] | None = Field(None, description="Log of calls to outside services")
