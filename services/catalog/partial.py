"""Parts of a Create…Task: what a step of a workflow says of its task, of which every field may come from elsewhere."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.fields import FieldInfo

from services.catalog.schemas import ALL_SCHEMAS, TaskSchemas

# Of the workflow, which all its tasks share; the type is the step's.
OF_THE_WORKFLOW = frozenset(
    {
        *("origin_instance", "origin_zone", "origin_tenant_id", "origin_reference"),
        *("webhook_url", "task_type", "workflow_id"),
    }
)
# Beside a step's `config`, not in it.
BESIDE_CONFIG = (
    "provider_config",
    "active_provider_capabilities",
    "fallback_provider_type",
    "fallback_provider_config",
    "fallback_provider_capabilities",
)


class PartialTask(BaseModel):
    """Each field is checked by itself; what they must be together is checked when all of them are known."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


def derive(schemas: TaskSchemas) -> type[PartialTask]:
    fields: dict[str, Any] = {
        name: (_optional(info), Field(None, description=info.description))
        for name, info in schemas.create.model_fields.items()
        if name not in OF_THE_WORKFLOW
    }
    return create_model(f"Partial{schemas.kind.title}Task", __base__=PartialTask, **fields)


def _optional(info: FieldInfo) -> Any:
    checked: Any = info.annotation
    for mark in info.metadata:
        checked = Annotated[checked, mark]
    return checked | None


PARTIALS = {name: derive(schemas) for name, schemas in ALL_SCHEMAS.items()}
