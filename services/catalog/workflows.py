"""The public form of workflows: what a caller sends, and what is shown."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from services.catalog.base import Capabilities, Text
from services.catalog.enums import (
    CacheMode,
    Comparison,
    GateKind,
    GateTimeout,
    JoinPolicy,
    ProviderType,
    StepStatus,
    TaskType,
    TransformType,
    WorkflowStatus,
)
from services.catalog.free_json import JsonObject, check_exact
from services.catalog.images import check_webhook
from services.catalog.tasks import TYPES

_SENT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)
_SHOWN = ConfigDict(protected_namespaces=())
Name = Annotated[Text, Field(min_length=1, max_length=255)]
Description = Annotated[Text, Field(max_length=1000)]
WebhookUrl = Annotated[str, Field(max_length=512), AfterValidator(check_webhook)]
_RESULT_PATH = "Where the result lies in storage as JSON, when it has more than 8 KiB"
_RESULT_OMITTED = (
    "True where the answer has no room for the result: one shows up to 4 MiB of results, those of final steps first. "
    "It lies at result_path, or the task has it"
)
_AnyType: Any = Literal[tuple(TYPES)]


class TransformArguments(BaseModel):
    """What a transform needs beside the value"""

    model_config = _SENT

    index: int | None = Field(None, ge=-10_000, le=10_000, description="Of AT_INDEX: which item, negative from the end")
    separator: Annotated[str, Field(max_length=64)] | None = Field(None, description="Of JOIN: what stands between two")
    template: Annotated[str, Field(max_length=4_000)] | None = Field(
        None, description="Of TEMPLATE: a text in which {value} stands for the value; nothing else has a meaning"
    )
    values: JsonObject | None = Field(None, description="Of MERGE: what is laid over what came, member by member")
    factor: float | None = Field(None, gt=0, le=64, description="Of RESIZE_REFERENCE: how many times as long")
    multiple_of: int | None = Field(None, ge=1, le=1_024, description="Of RESIZE_REFERENCE: rounded to; 1 if left out")
    most: int | None = Field(None, ge=1, le=16_384, description="Of RESIZE_REFERENCE: the longest; 16384 if left out")


class FieldMapping(BaseModel):
    """How an output of an earlier step becomes an input of this one"""

    model_config = _SENT

    from_step: str = Field(max_length=100, description="Id of a step upstream")
    from_field: str = Field(max_length=100, description="Field of that step's result")
    to_field: str = Field(max_length=100, description="Parameter of this step; a list takes several mappings")
    transform: TransformType | None = Field(None, description="What becomes of the value on its way")
    transform_args: TransformArguments | None = Field(None, description="What the transform needs")


class ForEach(BaseModel):
    """A task for each item of a list that an earlier step made, or of `items`"""

    model_config = _SENT

    to_field: str = Field(max_length=100, description="Parameter that takes the item; a list gets it as one of its own")
    from_step: str | None = Field(None, max_length=100, description="Id of a step upstream")
    from_field: str | None = Field(None, max_length=100, description="A list in that step's result")
    items: Annotated[list[Any], Field(max_length=2_000), AfterValidator(check_exact)] | None = Field(
        None, description="The list itself, instead"
    )
    join: JoinPolicy = Field(
        JoinPolicy.ALL,
        description="When the step has ended well: `all` of its tasks have, `all_done` (one at least, once all have "
        "ended) or `quorum`. What failed never becomes an input",
    )
    quorum: int | None = Field(None, ge=1, le=2_000, description="With join quorum: how many must end well")


class RunIf(BaseModel):
    """When a step runs; where the comparison does not hold it is SKIPPED"""

    model_config = _SENT

    from_step: str = Field(max_length=100, description="Id of a step upstream")
    from_field: str = Field(max_length=200, description="Field of its result, dotted inside objects: quality.passed")
    op: Comparison = Field(description="How the field is compared with the value")
    value: Annotated[Any, AfterValidator(check_exact)] = Field(description="What it is compared with; a list for `in`")


class WorkflowFork(BaseModel):
    """From which step a workflow is to run anew, as another one, and with what changes"""

    model_config = _SENT

    from_step: str = Field(max_length=100, description="That step, and whatever comes behind it, run anew")
    config: JsonObject = Field({}, description="Parameters of that step that take the place of what it said")
    name: Name | None = Field(None, description="Name of the new workflow; the old one's where it is left out")
    failed_slots_only: bool = Field(
        False, description="Of that step, which has slots, only those that failed run anew, and what comes behind it"
    )


# The clock signs with `timeout`; the service refuses that of anybody else.
Signature = Annotated[Text, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class StepSignal(BaseModel):
    """What somebody decides on a step that waits"""

    model_config = _SENT

    approve: bool = Field(description="True lets it run, false fails it with STEP_REJECTED")
    decided_by: Signature = Field(description="Who decides, kept with it; not `timeout`")
    comment: Annotated[Text, Field(max_length=1000)] | None = Field(None, description="Why, kept with it")


class ApprovalAnswer(BaseModel):
    """What somebody decides by a link"""

    model_config = _SENT

    approve: bool = Field(description="True lets the step run, false fails it with STEP_REJECTED")
    decided_by: Signature | None = Field(
        None, description="Who decides; needed where the link names nobody, and without effect where it does"
    )
    comment: Annotated[Text, Field(max_length=1000)] | None = Field(None, description="Why, kept with it")


class WorkflowStepDefinition(BaseModel):
    """One step of a workflow: a task, and the steps it waits for"""

    model_config = _SENT

    id: str = Field(max_length=100, description="Unique within the workflow")
    task_type: TaskType = Field(description="Type of the task")
    config: JsonObject = Field(
        {}, description="Parameters of the task, its priority and queue_name; what mappings add is left out"
    )
    provider_config: JsonObject | None = Field(
        None, description="Settings of the provider; provider_type in it says which"
    )
    active_provider_capabilities: Capabilities | None = Field(None, description="Provider capabilities switched on")
    fallback_provider_type: ProviderType | None = Field(
        None, description="Used after the primary has used up its retries, never for the caller's own faults"
    )
    fallback_provider_config: JsonObject | None = Field(None, description="Settings of the fallback provider")
    fallback_provider_capabilities: Capabilities | None = Field(
        None, description="Capabilities of the fallback provider"
    )
    depends_on: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=1_000)] = Field(
        [], description="Ids of the steps this one waits for"
    )
    input_mappings: Annotated[list[FieldMapping], Field(max_length=64)] = Field(
        [], description="Outputs of earlier steps that become inputs of this one"
    )
    max_retries: int = Field(2, ge=0, le=9, description="Retries of its task, before the step fails")
    for_each: ForEach | None = Field(
        None, description="A task for each item of a list; later steps are given lists of what they made"
    )
    gate: GateKind | None = Field(None, description="approval: it waits, without a worker, until somebody decides")
    gate_timeout_seconds: int = Field(86_400, ge=1, le=30 * 86_400, description="How long it waits at most")
    gate_on_timeout: GateTimeout = Field(GateTimeout.REJECT, description="What becomes of it then")
    run_if: RunIf | None = Field(None, description="When it runs; else it is skipped")
    cache: CacheMode | None = Field(
        None,
        description="Whether it may be given what an identical step made before: `use`, `refresh` (made anew, for "
        "later ones) or `off`. Left out, `cache` in the workflow's config decides, then its type",
    )


class AnyStepDefinition(WorkflowStepDefinition):
    """As WorkflowStepDefinition, of internal types too: for operators"""

    task_type: _AnyType


class WorkflowOrigin(BaseModel):
    """What a workflow says of itself, beside its steps"""

    model_config = _SENT

    name: Name = Field(description="Name for people")
    description: Description | None = Field(None, description="More about it")
    origin_instance: Annotated[Text, Field(min_length=1, max_length=100)] = Field(
        description="Instance creating the workflow"
    )
    origin_zone: Annotated[Text, Field(max_length=50)] | None = Field(None, description="Zone it comes from")
    origin_tenant_id: Annotated[Text, Field(max_length=100)] | None = Field(None, description="Tenant or organisation")
    origin_reference: Annotated[Text, Field(max_length=512)] | None = Field(
        None, description="The caller's id or text to map the workflow back"
    )
    webhook_url: WebhookUrl | None = Field(None, description="Called when the workflow ends, however it does")


class CreateWorkflow(WorkflowOrigin):
    """Request to create a workflow"""

    steps: Annotated[list[WorkflowStepDefinition], Field(min_length=1, max_length=1_000)] = Field(
        description="Steps, which form a directed graph without cycles"
    )
    config: JsonObject = Field(
        {},
        description="A parameter of a step's type is that step's default. `on_failure`: `stop` (nothing new starts "
        "once a step has failed; left out, this) or `finish_independent` (other branches end). The rest is given back",
    )
    suppress_subtask_events: bool = Field(True, description="Whether its tasks publish no events of their own")


class CreateAnyWorkflow(CreateWorkflow):
    """As CreateWorkflow, with internal types: for operators"""

    steps: Annotated[list[AnyStepDefinition], Field(min_length=1, max_length=1_000)]  # type: ignore[assignment]  # wider


class WorkflowUpdate(BaseModel):
    """Request to change what a workflow says of itself; null clears description and webhook_url"""

    model_config = _SENT

    name: Name | None = Field(None, description="Name for people")
    description: Description | None = Field(None, description="More about it")
    webhook_url: WebhookUrl | None = Field(None, description="Called when the workflow ends")


class StepDecision(BaseModel):
    """What was decided on a step that waited"""

    approved: bool = Field(description="Whether it was let run")
    decided_by: str = Field(description="Who decided; `timeout` where nobody did in time")
    at: datetime = Field(description="When")
    comment: str | None = Field(None, description="Why")


class CachedResult(BaseModel):
    """Where the result of a CACHED step comes from, and what that saved"""

    workflow_id: UUID = Field(description="The workflow whose step made it; it may be gone by now")
    step_id: str = Field(description="That step, or a slot of it")
    task_id: UUID = Field(description="Its task")
    made_at: datetime = Field(description="When it was made")
    saved_seconds: float = Field(description="Seconds that its task ran")
    saved_cost_usd: float | None = Field(None, description="What its calls to providers cost; null where nothing")


class WorkflowSlotPublic(BaseModel):
    """One task of a step that has a task for each item of a list"""

    slot_id: str = Field(description="As events name it: step and number")
    status: StepStatus = Field(description="Status")
    task_id: UUID | None = Field(None, description="Its task, the latest of several")
    result: dict[str, Any] | None = Field(None, description="What its task made")
    result_path: str | None = Field(None, description=_RESULT_PATH)
    result_omitted: bool = Field(False, description=_RESULT_OMITTED)
    error_message: str | None = Field(None, description="Why it failed, for people")
    error_reason: str | None = Field(None, description="Why it failed, for programs")
    started_at: datetime | None = Field(None, description="When its task was asked for")
    completed_at: datetime | None = Field(None, description="When it ended")
    retry_count: int = Field(description="Retries of its task")
    cached: CachedResult | None = Field(None, description="Of a CACHED slot: where its result comes from")


class WorkflowStepPublic(BaseModel):
    """A step as the API shows it"""

    model_config = _SHOWN

    id: UUID = Field(description="Identifier")
    step_id: str = Field(description="Unique within the workflow")
    task_type: str = Field(description="Type of the task")
    config: dict[str, Any] = Field(description="What it says of its task")
    provider_config: dict[str, Any] | None = Field(None, description="Settings of the provider")
    active_provider_capabilities: list[str] | None = Field(None, description="Provider capabilities switched on")
    fallback_provider_type: ProviderType | None = Field(None, description="Fallback provider")
    fallback_provider_config: dict[str, Any] | None = Field(None, description="Settings of the fallback provider")
    fallback_provider_capabilities: list[str] | None = Field(None, description="Capabilities of the fallback provider")
    dependencies: list[str] = Field(description="Ids of the steps it waits for")
    input_mappings: list[dict[str, Any]] = Field(description="Outputs of earlier steps that become inputs of it")
    status: StepStatus = Field(description="Status")
    task_id: UUID | None = Field(None, description="Its task, the latest of several")
    result: dict[str, Any] | None = Field(None, description="What its task made")
    result_path: str | None = Field(None, description=_RESULT_PATH)
    result_omitted: bool = Field(False, description=_RESULT_OMITTED)
    error_message: str | None = Field(None, description="Why it failed, for people")
    error_reason: str | None = Field(None, description="Why it failed, for programs")
    started_at: datetime | None = Field(None, description="When its task was asked for")
    completed_at: datetime | None = Field(None, description="When it ended")
    retry_count: int = Field(description="Retries of its task")
    max_retries: int = Field(description="Retries before it fails")
    created_at: datetime = Field(description="Creation time")
    updated_at: datetime = Field(description="Time of the last change")
    for_each: dict[str, Any] | None = Field(None, description="What it has a task for each of")
    slots: list[WorkflowSlotPublic] = Field([], description="Those tasks, in the order of the list")
    gate: GateKind | None = Field(None, description="What it waits for before it runs")
    run_if: dict[str, Any] | None = Field(None, description="When it runs")
    decision: StepDecision | None = Field(None, description="What was decided while it waited")
    cache: CacheMode | None = Field(None, description="Whether it may be given what an identical step made")
    cached: CachedResult | None = Field(
        None, description="Of a CACHED step, which has no task of its own: where its result comes from"
    )
    predicted_seconds: float | None = Field(
        None, description="What its task was expected to run at the creation; null where no step of its type had ended"
    )


class PinnedPicture(BaseModel):
    """A picture by address, as it was when the workflow first used it"""

    url: str = Field(description="Address")
    path: str = Field(description="Where it is stored, until the workflow is cleaned up")
    sha256: str = Field(description="Hash of its content")
    fetched_at: datetime = Field(description="When it was fetched")


class WorkflowPublic(BaseModel):
    """A workflow as the API shows it"""

    model_config = _SHOWN

    id: UUID = Field(description="Identifier")
    name: str = Field(description="Name for people")
    description: str | None = Field(None, description="More about it")
    status: WorkflowStatus = Field(description="Status")
    total_steps: int = Field(description="Steps that were written")
    completed_steps: int = Field(description="Steps that are COMPLETED or CACHED")
    progress: float = Field(description="Progress, 0 to 100; each step by its predicted seconds")
    current_step: str | None = Field(None, description="First running step in topological order")
    final_step_id: str | None = Field(
        None, description="The only step nothing depends on; null where there are several"
    )
    final_step_result: dict[str, Any] | None = Field(
        None, description="Its result; where there are several such steps, those results by step id"
    )
    canvas_task_id: UUID | None = Field(None, description="Always null: a workflow is no task")
    config: dict[str, Any] = Field(description="Settings of the workflow")
    suppress_subtask_events: bool = Field(description="Whether its tasks publish no events of their own")
    origin_instance: str = Field(description="Instance it came from")
    origin_zone: str | None = Field(None, description="Zone it came from")
    origin_tenant_id: str | None = Field(None, description="Tenant it came from")
    origin_reference: str | None = Field(None, description="Caller's own id or text for it")
    webhook_url: str | None = Field(None, description="Called when it ends")
    error_message: str | None = Field(None, description="Why it failed: the first of the errors")
    errors: list[str] = Field(description="What failed, step by step")
    started_at: datetime | None = Field(None, description="Start time")
    completed_at: datetime | None = Field(None, description="When it ended")
    created_at: datetime = Field(description="Creation time")
    updated_at: datetime = Field(description="Time of the last change")
    is_deleted: bool = Field(False, description="True when it was cleaned up")
    deleted_at: datetime | None = Field(None, description="Time of the clean-up")
    forked_from: UUID | None = Field(None, description="The workflow it is a fork of")
    pinned: list[PinnedPicture] = Field(
        [], description="Pictures by address that its steps used: every try, resume and fork sees these; none in a list"
    )
    steps: list[WorkflowStepPublic] = Field(
        [], description="Its steps, as they were written; empty in a list whose workflows have more than 1,000 in all"
    )
    steps_omitted: bool = Field(False, description="True where such a list has left them out: ask for the workflow")


class WorkflowListResponse(BaseModel):
    """A page of workflows"""

    workflows: list[WorkflowPublic] = Field(description="Newest first")
    total: int = Field(description="All that the conditions find")
    skip: int = Field(description="Workflows passed over")
    limit: int = Field(description="Most workflows returned")


class WorkflowCleanupError(BaseModel):
    """Something of a step that could not be deleted yet"""

    task_id: UUID = Field(description="The step's task")
    step_id: str = Field(description="The step")
    task_type: str = Field(description="Type of the task")
    error: str = Field(description="What, and why")


class WorkflowCleanupDetail(BaseModel):
    """What a clean-up deleted"""

    tasks_processed: int = Field(description="Tasks that were looked at")
    tasks_cleaned: int = Field(description="Tasks of which all is gone")
    deleted_paths: list[str] = Field(description="Stored paths that this call deleted")
    errors: list[WorkflowCleanupError] = Field(description="What could not be deleted yet: that goes later")


class WorkflowCleanupResponse(BaseModel):
    """A workflow that was cleaned up"""

    workflow: WorkflowPublic = Field(description="The workflow")
    cleanup: WorkflowCleanupDetail = Field(description="What was deleted")
