"""The compute API: tasks, workflows, storage and webhooks."""

from __future__ import annotations

from gateway.edge.surface import Surface
from gateway.surfaces.compute.documents import ANSWER_MODELS, BODY_MODELS, UNIONS
from gateway.surfaces.compute.routers.approvals import CreateApprovalLink
from gateway.surfaces.compute.routers.links import CreateLink
from gateway.surfaces.compute.workflow_bulk import WorkflowsFork, WorkflowsResume
from services.catalog.workflows import (
    ApprovalAnswer,
    CreateWorkflow,
    StepSignal,
    WorkflowFork,
    WorkflowPublic,
    WorkflowUpdate,
)
from services.imaging.formats import ACCEPTED

_FORM = {
    "title": "A file to store",
    "type": "object",
    "required": ["file"],
    "properties": {"file": {"type": "string", "format": "binary", "description": "Uploaded file"}},
}
SURFACE = Surface(
    prefix="/api/v1/",
    tags=(
        {"name": "Tasks", "description": "Submit, watch, change, cancel"},
        {"name": "Workflows", "description": "Several tasks as one, each after those it depends on"},
        {"name": "Storage", "description": f"The caller's pictures, taken as {ACCEPTED}"},
        {"name": "Monitoring", "description": "What there is, what runs, and who works"},
        {"name": "Models", "description": "What the deployment draws and cuts out with"},
        {"name": "Webhooks", "description": "Calls to the addresses that tasks name"},
    ),
    path_parameters={
        "task_id": "Id of the task",
        "workflow_id": "Id of the workflow",
        "step_id": "Id of the step, as it was written",
        "delivery_id": "Id of the delivery",
        "token": "What the link was made with",
        "path": "Where it lies, such as pictures/mug.png",
    },
    body_models=(
        *BODY_MODELS,
        CreateLink,
        CreateWorkflow,
        WorkflowUpdate,
        WorkflowFork,
        StepSignal,
        CreateApprovalLink,
        ApprovalAnswer,
        WorkflowsResume,
        WorkflowsFork,
    ),
    answer_models=(*ANSWER_MODELS, WorkflowPublic),
    schemas=UNIONS | {"Body_save_image_api_v1_storage_images__path__post": _FORM},
)
