"""The public REST models of every task type, derived from the catalog: Create…Task, …TaskPublic, …TaskPublicUpdate."""
from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast, get_origin
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.fields import FieldInfo

from services.catalog.base import CommonFields, TaskType
from services.catalog.enums import ErrorCategory, ProviderType, TaskStatus
from services.catalog.free_json import JsonObject
from services.catalog.images import ImageData, ImageInput, InlineAllowed
from services.catalog.tasks import TYPES


class TaskPublic(BaseModel):
    """What every task shows; times in UTC."""

    model_config = ConfigDict(protected_namespaces=())

    priority: int = Field(description="Priority of the task")
    config: dict[str, Any] | None = Field(None, description="Free-form settings")
    origin_instance: str = Field(description="Instance the task came from")
    origin_zone: str | None = Field(None, description="Zone the task came from")
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
    retry_count: int = Field(0, description="Retries so far")
    progress: float = Field(0.0, description="Progress, 0 to 100")
    provider_config: dict[str, Any] | None = Field(None, description="Settings of the provider")


class TaskPublicUpdate(BaseModel):
    """What a change may say. Only priority and config of a PENDING task can change; null leaves a field as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    status: TaskStatus | None = Field(None, description="Status")
    priority: int | None = Field(None, ge=0, le=100, description="Priority")
    executor_type: str | None = Field(None, description="Kind of executor")
    executor_instance: str | None = Field(None, description="Instance that runs it")
    errors: list[str] | None = Field(None, description="Error texts")
    config: JsonObject | None = Field(None, description="Free-form settings")


@dataclass(frozen=True, slots=True)
class Schemas:
    """The public models of one task type."""

    kind: TaskType
    create: type[CommonFields]
    public: type[TaskPublic]
    update: type[TaskPublicUpdate]


def derive(kind: TaskType) -> Schemas:
    words = kind.name.replace("_", " ").lower()
    return Schemas(
        kind=kind,
        create=create_model(
            f"Create{kind.title}Task",
            __base__=(CommonFields, cast("type[CommonFields]", kind.params)),
            __doc__=f"Request to create a {words} task",
            **_create_fields(kind),
        ),
        public=create_model(
            f"{kind.title}TaskPublic",
            __base__=TaskPublic,
            __doc__=f"A {words} task as the API shows it",
            **_public_fields(kind),
        ),
        update=create_model(
            f"{kind.title}TaskPublicUpdate", __base__=TaskPublicUpdate, __doc__=f"Request to change a {words} task"
        ),
    )


def _create_fields(kind: TaskType) -> dict[str, Any]:
    fields: dict[str, Any] = {"task_type": (Literal[kind.name], Field(description="Task type"))}
    for name, info in kind.params.model_fields.items():
        if any(isinstance(item, InlineAllowed) or item is InlineAllowed for item in info.metadata):
            fields[name] = (_accepting_bytes(info), info)
    for name, target in kind.inline_images.items():
        text = f"The picture itself as base64 or data URL, in place of {target}"
        fields[name] = (ImageData | None, Field(None, description=text))
    return fields


def _accepting_bytes(info: FieldInfo) -> Any:
    return list[ImageInput] if get_origin(info.annotation) is list else ImageInput


def _public_fields(kind: TaskType) -> dict[str, Any]:
    """Parameters and results together; what both have is the result's once there is one."""
    fields: dict[str, Any] = {"task_type": (Literal[kind.name], Field(kind.name, description="Task type"))}
    for name, info in kind.params.model_fields.items():
        required = info.is_required() and name not in kind.nullable
        annotation = info.annotation if required else info.annotation | None  # type: ignore[operator]  # a type
        fields[name] = (annotation, Field(... if required else None, description=info.description))
    for name, info in kind.result.model_fields.items():
        if name not in fields:
            fields[name] = (info.annotation | None, Field(None, description=info.description))  # type: ignore[operator]  # a type
    for name in kind.from_provider_config:
        said = "Read from the provider's configuration"
        fields[name] = (str | None, Field(description=said, json_schema_extra={"readOnly": True}))
    return fields


# Internal types are for operators (scope admin) and stay out of the OpenAPI document.
ALL_SCHEMAS = {name: derive(kind) for name, kind in TYPES.items()}
SCHEMAS = {name: schemas for name, schemas in ALL_SCHEMAS.items() if not schemas.kind.internal}
