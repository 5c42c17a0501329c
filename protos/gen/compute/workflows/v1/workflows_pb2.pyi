import datetime

from compute.common.v1 import common_pb2 as _common_pb2
from compute.tasks.v1 import tasks_pb2 as _tasks_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WorkflowStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WORKFLOW_STATUS_UNSPECIFIED: _ClassVar[WorkflowStatus]
    WORKFLOW_STATUS_PENDING: _ClassVar[WorkflowStatus]
    WORKFLOW_STATUS_RUNNING: _ClassVar[WorkflowStatus]
    WORKFLOW_STATUS_PAUSED: _ClassVar[WorkflowStatus]
    WORKFLOW_STATUS_COMPLETED: _ClassVar[WorkflowStatus]
    WORKFLOW_STATUS_FAILED: _ClassVar[WorkflowStatus]
    WORKFLOW_STATUS_CANCELLED: _ClassVar[WorkflowStatus]

class StepStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STEP_STATUS_UNSPECIFIED: _ClassVar[StepStatus]
    STEP_STATUS_PENDING: _ClassVar[StepStatus]
    STEP_STATUS_RUNNING: _ClassVar[StepStatus]
    STEP_STATUS_COMPLETED: _ClassVar[StepStatus]
    STEP_STATUS_FAILED: _ClassVar[StepStatus]
    STEP_STATUS_CANCELLED: _ClassVar[StepStatus]
    STEP_STATUS_WAITING: _ClassVar[StepStatus]
    STEP_STATUS_SKIPPED: _ClassVar[StepStatus]
    STEP_STATUS_CACHED: _ClassVar[StepStatus]
WORKFLOW_STATUS_UNSPECIFIED: WorkflowStatus
WORKFLOW_STATUS_PENDING: WorkflowStatus
WORKFLOW_STATUS_RUNNING: WorkflowStatus
WORKFLOW_STATUS_PAUSED: WorkflowStatus
WORKFLOW_STATUS_COMPLETED: WorkflowStatus
WORKFLOW_STATUS_FAILED: WorkflowStatus
WORKFLOW_STATUS_CANCELLED: WorkflowStatus
STEP_STATUS_UNSPECIFIED: StepStatus
STEP_STATUS_PENDING: StepStatus
STEP_STATUS_RUNNING: StepStatus
STEP_STATUS_COMPLETED: StepStatus
STEP_STATUS_FAILED: StepStatus
STEP_STATUS_CANCELLED: StepStatus
STEP_STATUS_WAITING: StepStatus
STEP_STATUS_SKIPPED: StepStatus
STEP_STATUS_CACHED: StepStatus

class WorkflowDefinition(_message.Message):
    __slots__ = ("name", "description", "steps", "config_json", "origin", "webhook_url", "suppress_subtask_events")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    WEBHOOK_URL_FIELD_NUMBER: _ClassVar[int]
    SUPPRESS_SUBTASK_EVENTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    steps: _containers.RepeatedCompositeFieldContainer[StepDefinition]
    config_json: str
    origin: _common_pb2.Origin
    webhook_url: str
    suppress_subtask_events: bool
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., steps: _Optional[_Iterable[_Union[StepDefinition, _Mapping]]] = ..., config_json: _Optional[str] = ..., origin: _Optional[_Union[_common_pb2.Origin, _Mapping]] = ..., webhook_url: _Optional[str] = ..., suppress_subtask_events: _Optional[bool] = ...) -> None: ...

class StepDefinition(_message.Message):
    __slots__ = ("id", "spec", "depends_on", "input_mappings", "max_retries", "drawn_seeds", "for_each", "gate", "run_if", "cache", "predicted_seconds")
    ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    DEPENDS_ON_FIELD_NUMBER: _ClassVar[int]
    INPUT_MAPPINGS_FIELD_NUMBER: _ClassVar[int]
    MAX_RETRIES_FIELD_NUMBER: _ClassVar[int]
    DRAWN_SEEDS_FIELD_NUMBER: _ClassVar[int]
    FOR_EACH_FIELD_NUMBER: _ClassVar[int]
    GATE_FIELD_NUMBER: _ClassVar[int]
    RUN_IF_FIELD_NUMBER: _ClassVar[int]
    CACHE_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    id: str
    spec: _tasks_pb2.TaskSpec
    depends_on: _containers.RepeatedScalarFieldContainer[str]
    input_mappings: _containers.RepeatedCompositeFieldContainer[FieldMapping]
    max_retries: int
    drawn_seeds: _containers.RepeatedCompositeFieldContainer[DrawnSeed]
    for_each: ForEach
    gate: Gate
    run_if: Condition
    cache: str
    predicted_seconds: float
    def __init__(self, id: _Optional[str] = ..., spec: _Optional[_Union[_tasks_pb2.TaskSpec, _Mapping]] = ..., depends_on: _Optional[_Iterable[str]] = ..., input_mappings: _Optional[_Iterable[_Union[FieldMapping, _Mapping]]] = ..., max_retries: _Optional[int] = ..., drawn_seeds: _Optional[_Iterable[_Union[DrawnSeed, _Mapping]]] = ..., for_each: _Optional[_Union[ForEach, _Mapping]] = ..., gate: _Optional[_Union[Gate, _Mapping]] = ..., run_if: _Optional[_Union[Condition, _Mapping]] = ..., cache: _Optional[str] = ..., predicted_seconds: _Optional[float] = ...) -> None: ...

class Gate(_message.Message):
    __slots__ = ("kind", "timeout_seconds", "on_timeout")
    KIND_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ON_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    timeout_seconds: int
    on_timeout: str
    def __init__(self, kind: _Optional[str] = ..., timeout_seconds: _Optional[int] = ..., on_timeout: _Optional[str] = ...) -> None: ...

class Condition(_message.Message):
    __slots__ = ("from_step", "from_field", "op", "value_json")
    FROM_STEP_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_FIELD_NUMBER: _ClassVar[int]
    OP_FIELD_NUMBER: _ClassVar[int]
    VALUE_JSON_FIELD_NUMBER: _ClassVar[int]
    from_step: str
    from_field: str
    op: str
    value_json: str
    def __init__(self, from_step: _Optional[str] = ..., from_field: _Optional[str] = ..., op: _Optional[str] = ..., value_json: _Optional[str] = ...) -> None: ...

class ForEach(_message.Message):
    __slots__ = ("to_field", "from_step", "from_field", "items_json", "join", "quorum")
    TO_FIELD_FIELD_NUMBER: _ClassVar[int]
    FROM_STEP_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_FIELD_NUMBER: _ClassVar[int]
    ITEMS_JSON_FIELD_NUMBER: _ClassVar[int]
    JOIN_FIELD_NUMBER: _ClassVar[int]
    QUORUM_FIELD_NUMBER: _ClassVar[int]
    to_field: str
    from_step: str
    from_field: str
    items_json: str
    join: str
    quorum: int
    def __init__(self, to_field: _Optional[str] = ..., from_step: _Optional[str] = ..., from_field: _Optional[str] = ..., items_json: _Optional[str] = ..., join: _Optional[str] = ..., quorum: _Optional[int] = ...) -> None: ...

class DrawnSeed(_message.Message):
    __slots__ = ("field", "seed")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    field: str
    seed: int
    def __init__(self, field: _Optional[str] = ..., seed: _Optional[int] = ...) -> None: ...

class FieldMapping(_message.Message):
    __slots__ = ("from_step", "from_field", "to_field", "transform", "transform_args")
    FROM_STEP_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_FIELD_NUMBER: _ClassVar[int]
    TRANSFORM_FIELD_NUMBER: _ClassVar[int]
    TRANSFORM_ARGS_FIELD_NUMBER: _ClassVar[int]
    from_step: str
    from_field: str
    to_field: str
    transform: str
    transform_args: TransformArguments
    def __init__(self, from_step: _Optional[str] = ..., from_field: _Optional[str] = ..., to_field: _Optional[str] = ..., transform: _Optional[str] = ..., transform_args: _Optional[_Union[TransformArguments, _Mapping]] = ...) -> None: ...

class TransformArguments(_message.Message):
    __slots__ = ("index", "separator", "template", "values_json", "factor", "multiple_of", "most")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    SEPARATOR_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    VALUES_JSON_FIELD_NUMBER: _ClassVar[int]
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    MULTIPLE_OF_FIELD_NUMBER: _ClassVar[int]
    MOST_FIELD_NUMBER: _ClassVar[int]
    index: int
    separator: str
    template: str
    values_json: str
    factor: float
    multiple_of: int
    most: int
    def __init__(self, index: _Optional[int] = ..., separator: _Optional[str] = ..., template: _Optional[str] = ..., values_json: _Optional[str] = ..., factor: _Optional[float] = ..., multiple_of: _Optional[int] = ..., most: _Optional[int] = ...) -> None: ...

class Workflow(_message.Message):
    __slots__ = ("id", "tenant", "version", "status", "definition", "steps", "total_steps", "completed_steps", "progress", "current_step", "final_step_id", "final_step_result_json", "error_message", "errors", "created_at", "updated_at", "started_at", "completed_at", "deleted_at", "forked_from", "pinned", "steps_omitted")
    ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_STEPS_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_STEPS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    CURRENT_STEP_FIELD_NUMBER: _ClassVar[int]
    FINAL_STEP_ID_FIELD_NUMBER: _ClassVar[int]
    FINAL_STEP_RESULT_JSON_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_AT_FIELD_NUMBER: _ClassVar[int]
    DELETED_AT_FIELD_NUMBER: _ClassVar[int]
    FORKED_FROM_FIELD_NUMBER: _ClassVar[int]
    PINNED_FIELD_NUMBER: _ClassVar[int]
    STEPS_OMITTED_FIELD_NUMBER: _ClassVar[int]
    id: str
    tenant: str
    version: int
    status: WorkflowStatus
    definition: WorkflowDefinition
    steps: _containers.RepeatedCompositeFieldContainer[Step]
    total_steps: int
    completed_steps: int
    progress: float
    current_step: str
    final_step_id: str
    final_step_result_json: str
    error_message: str
    errors: _containers.RepeatedScalarFieldContainer[str]
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    started_at: _timestamp_pb2.Timestamp
    completed_at: _timestamp_pb2.Timestamp
    deleted_at: _timestamp_pb2.Timestamp
    forked_from: str
    pinned: _containers.RepeatedCompositeFieldContainer[PinnedPicture]
    steps_omitted: bool
    def __init__(self, id: _Optional[str] = ..., tenant: _Optional[str] = ..., version: _Optional[int] = ..., status: _Optional[_Union[WorkflowStatus, str]] = ..., definition: _Optional[_Union[WorkflowDefinition, _Mapping]] = ..., steps: _Optional[_Iterable[_Union[Step, _Mapping]]] = ..., total_steps: _Optional[int] = ..., completed_steps: _Optional[int] = ..., progress: _Optional[float] = ..., current_step: _Optional[str] = ..., final_step_id: _Optional[str] = ..., final_step_result_json: _Optional[str] = ..., error_message: _Optional[str] = ..., errors: _Optional[_Iterable[str]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., completed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., deleted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., forked_from: _Optional[str] = ..., pinned: _Optional[_Iterable[_Union[PinnedPicture, _Mapping]]] = ..., steps_omitted: _Optional[bool] = ...) -> None: ...

class PinnedPicture(_message.Message):
    __slots__ = ("url", "path", "sha256", "fetched_at")
    URL_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    FETCHED_AT_FIELD_NUMBER: _ClassVar[int]
    url: str
    path: str
    sha256: str
    fetched_at: _timestamp_pb2.Timestamp
    def __init__(self, url: _Optional[str] = ..., path: _Optional[str] = ..., sha256: _Optional[str] = ..., fetched_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Step(_message.Message):
    __slots__ = ("id", "step_id", "task_type", "status", "task_id", "result_json", "error_message", "error_reason", "started_at", "completed_at", "updated_at", "retry_count", "max_retries", "slots", "decision", "cached", "result_path", "result_omitted")
    ID_FIELD_NUMBER: _ClassVar[int]
    STEP_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_JSON_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    RETRY_COUNT_FIELD_NUMBER: _ClassVar[int]
    MAX_RETRIES_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    CACHED_FIELD_NUMBER: _ClassVar[int]
    RESULT_PATH_FIELD_NUMBER: _ClassVar[int]
    RESULT_OMITTED_FIELD_NUMBER: _ClassVar[int]
    id: str
    step_id: str
    task_type: str
    status: StepStatus
    task_id: str
    result_json: str
    error_message: str
    error_reason: str
    started_at: _timestamp_pb2.Timestamp
    completed_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    retry_count: int
    max_retries: int
    slots: _containers.RepeatedCompositeFieldContainer[Slot]
    decision: Decision
    cached: CacheHit
    result_path: str
    result_omitted: bool
    def __init__(self, id: _Optional[str] = ..., step_id: _Optional[str] = ..., task_type: _Optional[str] = ..., status: _Optional[_Union[StepStatus, str]] = ..., task_id: _Optional[str] = ..., result_json: _Optional[str] = ..., error_message: _Optional[str] = ..., error_reason: _Optional[str] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., completed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., retry_count: _Optional[int] = ..., max_retries: _Optional[int] = ..., slots: _Optional[_Iterable[_Union[Slot, _Mapping]]] = ..., decision: _Optional[_Union[Decision, _Mapping]] = ..., cached: _Optional[_Union[CacheHit, _Mapping]] = ..., result_path: _Optional[str] = ..., result_omitted: _Optional[bool] = ...) -> None: ...

class CacheHit(_message.Message):
    __slots__ = ("workflow_id", "step_id", "task_id", "made_at", "saved_seconds", "saved_cost_usd")
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    MADE_AT_FIELD_NUMBER: _ClassVar[int]
    SAVED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SAVED_COST_USD_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    step_id: str
    task_id: str
    made_at: _timestamp_pb2.Timestamp
    saved_seconds: float
    saved_cost_usd: float
    def __init__(self, workflow_id: _Optional[str] = ..., step_id: _Optional[str] = ..., task_id: _Optional[str] = ..., made_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., saved_seconds: _Optional[float] = ..., saved_cost_usd: _Optional[float] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("approved", "decided_by", "at", "comment")
    APPROVED_FIELD_NUMBER: _ClassVar[int]
    DECIDED_BY_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    approved: bool
    decided_by: str
    at: _timestamp_pb2.Timestamp
    comment: str
    def __init__(self, approved: _Optional[bool] = ..., decided_by: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., comment: _Optional[str] = ...) -> None: ...

class Slot(_message.Message):
    __slots__ = ("slot_id", "status", "task_id", "result_json", "error_message", "error_reason", "started_at", "completed_at", "retry_count", "cached", "result_path", "result_omitted")
    SLOT_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_JSON_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_AT_FIELD_NUMBER: _ClassVar[int]
    RETRY_COUNT_FIELD_NUMBER: _ClassVar[int]
    CACHED_FIELD_NUMBER: _ClassVar[int]
    RESULT_PATH_FIELD_NUMBER: _ClassVar[int]
    RESULT_OMITTED_FIELD_NUMBER: _ClassVar[int]
    slot_id: str
    status: StepStatus
    task_id: str
    result_json: str
    error_message: str
    error_reason: str
    started_at: _timestamp_pb2.Timestamp
    completed_at: _timestamp_pb2.Timestamp
    retry_count: int
    cached: CacheHit
    result_path: str
    result_omitted: bool
    def __init__(self, slot_id: _Optional[str] = ..., status: _Optional[_Union[StepStatus, str]] = ..., task_id: _Optional[str] = ..., result_json: _Optional[str] = ..., error_message: _Optional[str] = ..., error_reason: _Optional[str] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., completed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., retry_count: _Optional[int] = ..., cached: _Optional[_Union[CacheHit, _Mapping]] = ..., result_path: _Optional[str] = ..., result_omitted: _Optional[bool] = ...) -> None: ...

class CreateWorkflowRequest(_message.Message):
    __slots__ = ("definition", "start", "inputs_folder", "idempotency_key")
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FOLDER_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    definition: WorkflowDefinition
    start: bool
    inputs_folder: str
    idempotency_key: str
    def __init__(self, definition: _Optional[_Union[WorkflowDefinition, _Mapping]] = ..., start: _Optional[bool] = ..., inputs_folder: _Optional[str] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class CreateWorkflowResponse(_message.Message):
    __slots__ = ("workflow", "replayed")
    WORKFLOW_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    workflow: Workflow
    replayed: bool
    def __init__(self, workflow: _Optional[_Union[Workflow, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class GetWorkflowRequest(_message.Message):
    __slots__ = ("workflow_id",)
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    def __init__(self, workflow_id: _Optional[str] = ...) -> None: ...

class GetWorkflowResponse(_message.Message):
    __slots__ = ("workflow",)
    WORKFLOW_FIELD_NUMBER: _ClassVar[int]
    workflow: Workflow
    def __init__(self, workflow: _Optional[_Union[Workflow, _Mapping]] = ...) -> None: ...

class ListWorkflowsRequest(_message.Message):
    __slots__ = ("status", "origin_instance", "origin_tenant_id", "include_deleted", "limit", "skip", "page_token")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_DELETED_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    SKIP_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    status: WorkflowStatus
    origin_instance: str
    origin_tenant_id: str
    include_deleted: bool
    limit: int
    skip: int
    page_token: str
    def __init__(self, status: _Optional[_Union[WorkflowStatus, str]] = ..., origin_instance: _Optional[str] = ..., origin_tenant_id: _Optional[str] = ..., include_deleted: _Optional[bool] = ..., limit: _Optional[int] = ..., skip: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListWorkflowsResponse(_message.Message):
    __slots__ = ("workflows", "next_page_token", "total")
    WORKFLOWS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    workflows: _containers.RepeatedCompositeFieldContainer[Workflow]
    next_page_token: str
    total: int
    def __init__(self, workflows: _Optional[_Iterable[_Union[Workflow, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total: _Optional[int] = ...) -> None: ...

class UpdateWorkflowRequest(_message.Message):
    __slots__ = ("workflow_id", "name", "description", "webhook_url", "clear")
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    WEBHOOK_URL_FIELD_NUMBER: _ClassVar[int]
    CLEAR_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    name: str
    description: str
    webhook_url: str
    clear: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, workflow_id: _Optional[str] = ..., name: _Optional[str] = ..., description: _Optional[str] = ..., webhook_url: _Optional[str] = ..., clear: _Optional[_Iterable[str]] = ...) -> None: ...

class UpdateWorkflowResponse(_message.Message):
    __slots__ = ("workflow",)
    WORKFLOW_FIELD_NUMBER: _ClassVar[int]
    workflow: Workflow
    def __init__(self, workflow: _Optional[_Union[Workflow, _Mapping]] = ...) -> None: ...

class StartWorkflowRequest(_message.Message):
    __slots__ = ("workflow_id",)
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    def __init__(self, workflow_id: _Optional[str] = ...) -> None: ...

class StartWorkflowResponse(_message.Message):
    __slots__ = ("workflow",)
    WORKFLOW_FIELD_NUMBER: _ClassVar[int]
    workflow: Workflow
    def __init__(self, workflow: _Optional[_Union[Workflow, _Mapping]] = ...) -> None: ...

class CancelWorkflowRequest(_message.Message):
    __slots__ = ("workflow_id",)
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    def __init__(self, workflow_id: _Optional[str] = ...) -> None: ...

class CancelWorkflowResponse(_message.Message):
    __slots__ = ("workflow",)
    WORKFLOW_FIELD_NUMBER: _ClassVar[int]
    workflow: Workflow
    def __init__(self, workflow: _Optional[_Union[Workflow, _Mapping]] = ...) -> None: ...

class PauseWorkflowRequest(_message.Message):
    __slots__ = ("workflow_id",)
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    def __init__(self, workflow_id: _Optional[str] = ...) -> None: ...

class PauseWorkflowResponse(_message.Message):
    __slots__ = ("workflow",)
    WORKFLOW_FIELD_NUMBER: _ClassVar[int]
    workflow: Workflow
    def __init__(self, workflow: _Optional[_Union[Workflow, _Mapping]] = ...) -> None: ...

class ResumeWorkflowRequest(_message.Message):
    __slots__ = ("workflow_id",)
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    def __init__(self, workflow_id: _Optional[str] = ...) -> None: ...

class ResumeWorkflowResponse(_message.Message):
    __slots__ = ("workflow",)
    WORKFLOW_FIELD_NUMBER: _ClassVar[int]
    workflow: Workflow
    def __init__(self, workflow: _Optional[_Union[Workflow, _Mapping]] = ...) -> None: ...

class SignalStepRequest(_message.Message):
    __slots__ = ("workflow_id", "step_id", "approve", "decided_by", "comment")
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_ID_FIELD_NUMBER: _ClassVar[int]
    APPROVE_FIELD_NUMBER: _ClassVar[int]
    DECIDED_BY_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    step_id: str
    approve: bool
    decided_by: str
    comment: str
    def __init__(self, workflow_id: _Optional[str] = ..., step_id: _Optional[str] = ..., approve: _Optional[bool] = ..., decided_by: _Optional[str] = ..., comment: _Optional[str] = ...) -> None: ...

class SignalStepResponse(_message.Message):
    __slots__ = ("workflow",)
    WORKFLOW_FIELD_NUMBER: _ClassVar[int]
    workflow: Workflow
    def __init__(self, workflow: _Optional[_Union[Workflow, _Mapping]] = ...) -> None: ...

class CreateApprovalLinkRequest(_message.Message):
    __slots__ = ("workflow_id", "step_id", "approver")
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_ID_FIELD_NUMBER: _ClassVar[int]
    APPROVER_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    step_id: str
    approver: str
    def __init__(self, workflow_id: _Optional[str] = ..., step_id: _Optional[str] = ..., approver: _Optional[str] = ...) -> None: ...

class CreateApprovalLinkResponse(_message.Message):
    __slots__ = ("token", "expires_at")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    token: str
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, token: _Optional[str] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ResolveApprovalLinkRequest(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: str
    def __init__(self, token: _Optional[str] = ...) -> None: ...

class ResolveApprovalLinkResponse(_message.Message):
    __slots__ = ("tenant", "workflow_id", "workflow_name", "description", "step_id", "task_type", "approver", "expires_at", "pictures")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    STEP_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    APPROVER_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    workflow_id: str
    workflow_name: str
    description: str
    step_id: str
    task_type: str
    approver: str
    expires_at: _timestamp_pb2.Timestamp
    pictures: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, tenant: _Optional[str] = ..., workflow_id: _Optional[str] = ..., workflow_name: _Optional[str] = ..., description: _Optional[str] = ..., step_id: _Optional[str] = ..., task_type: _Optional[str] = ..., approver: _Optional[str] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., pictures: _Optional[_Iterable[str]] = ...) -> None: ...

class DecideByLinkRequest(_message.Message):
    __slots__ = ("token", "approve", "decided_by", "comment")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    APPROVE_FIELD_NUMBER: _ClassVar[int]
    DECIDED_BY_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    token: str
    approve: bool
    decided_by: str
    comment: str
    def __init__(self, token: _Optional[str] = ..., approve: _Optional[bool] = ..., decided_by: _Optional[str] = ..., comment: _Optional[str] = ...) -> None: ...

class DecideByLinkResponse(_message.Message):
    __slots__ = ("workflow_name", "step_id", "decision")
    WORKFLOW_NAME_FIELD_NUMBER: _ClassVar[int]
    STEP_ID_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    workflow_name: str
    step_id: str
    decision: Decision
    def __init__(self, workflow_name: _Optional[str] = ..., step_id: _Optional[str] = ..., decision: _Optional[_Union[Decision, _Mapping]] = ...) -> None: ...

class ForkWorkflowRequest(_message.Message):
    __slots__ = ("workflow_id", "from_step", "changes", "name", "failed_slots_only", "inputs_folder", "idempotency_key")
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_STEP_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FAILED_SLOTS_ONLY_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FOLDER_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    from_step: str
    changes: _tasks_pb2.TaskSpec
    name: str
    failed_slots_only: bool
    inputs_folder: str
    idempotency_key: str
    def __init__(self, workflow_id: _Optional[str] = ..., from_step: _Optional[str] = ..., changes: _Optional[_Union[_tasks_pb2.TaskSpec, _Mapping]] = ..., name: _Optional[str] = ..., failed_slots_only: _Optional[bool] = ..., inputs_folder: _Optional[str] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class ResumeWorkflowsRequest(_message.Message):
    __slots__ = ("workflow_ids", "list")
    WORKFLOW_IDS_FIELD_NUMBER: _ClassVar[int]
    LIST_FIELD_NUMBER: _ClassVar[int]
    workflow_ids: _containers.RepeatedScalarFieldContainer[str]
    list: ListWorkflowsRequest
    def __init__(self, workflow_ids: _Optional[_Iterable[str]] = ..., list: _Optional[_Union[ListWorkflowsRequest, _Mapping]] = ...) -> None: ...

class ResumeWorkflowsResponse(_message.Message):
    __slots__ = ("outcomes", "next_page_token", "total")
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[WorkflowOutcome]
    next_page_token: str
    total: int
    def __init__(self, outcomes: _Optional[_Iterable[_Union[WorkflowOutcome, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total: _Optional[int] = ...) -> None: ...

class ForkWorkflowsRequest(_message.Message):
    __slots__ = ("workflow_ids", "list", "fork", "idempotency_key")
    WORKFLOW_IDS_FIELD_NUMBER: _ClassVar[int]
    LIST_FIELD_NUMBER: _ClassVar[int]
    FORK_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    workflow_ids: _containers.RepeatedScalarFieldContainer[str]
    list: ListWorkflowsRequest
    fork: ForkWorkflowRequest
    idempotency_key: str
    def __init__(self, workflow_ids: _Optional[_Iterable[str]] = ..., list: _Optional[_Union[ListWorkflowsRequest, _Mapping]] = ..., fork: _Optional[_Union[ForkWorkflowRequest, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class ForkWorkflowsResponse(_message.Message):
    __slots__ = ("outcomes", "next_page_token", "total")
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[WorkflowOutcome]
    next_page_token: str
    total: int
    def __init__(self, outcomes: _Optional[_Iterable[_Union[WorkflowOutcome, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total: _Optional[int] = ...) -> None: ...

class WorkflowOutcome(_message.Message):
    __slots__ = ("workflow_id", "workflow", "error")
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    workflow: WorkflowStanding
    error: bytes
    def __init__(self, workflow_id: _Optional[str] = ..., workflow: _Optional[_Union[WorkflowStanding, _Mapping]] = ..., error: _Optional[bytes] = ...) -> None: ...

class WorkflowStanding(_message.Message):
    __slots__ = ("id", "status")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    id: str
    status: WorkflowStatus
    def __init__(self, id: _Optional[str] = ..., status: _Optional[_Union[WorkflowStatus, str]] = ...) -> None: ...

class ForkWorkflowResponse(_message.Message):
    __slots__ = ("workflow", "replayed")
    WORKFLOW_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    workflow: Workflow
    replayed: bool
    def __init__(self, workflow: _Optional[_Union[Workflow, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class CleanupWorkflowRequest(_message.Message):
    __slots__ = ("workflow_id", "cleanup_tasks")
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    CLEANUP_TASKS_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    cleanup_tasks: bool
    def __init__(self, workflow_id: _Optional[str] = ..., cleanup_tasks: _Optional[bool] = ...) -> None: ...

class CleanupWorkflowResponse(_message.Message):
    __slots__ = ("workflow", "tasks_processed", "tasks_cleaned", "deleted_paths", "errors")
    WORKFLOW_FIELD_NUMBER: _ClassVar[int]
    TASKS_PROCESSED_FIELD_NUMBER: _ClassVar[int]
    TASKS_CLEANED_FIELD_NUMBER: _ClassVar[int]
    DELETED_PATHS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    workflow: Workflow
    tasks_processed: int
    tasks_cleaned: int
    deleted_paths: _containers.RepeatedScalarFieldContainer[str]
    errors: _containers.RepeatedCompositeFieldContainer[CleanupError]
    def __init__(self, workflow: _Optional[_Union[Workflow, _Mapping]] = ..., tasks_processed: _Optional[int] = ..., tasks_cleaned: _Optional[int] = ..., deleted_paths: _Optional[_Iterable[str]] = ..., errors: _Optional[_Iterable[_Union[CleanupError, _Mapping]]] = ...) -> None: ...

class CleanupError(_message.Message):
    __slots__ = ("task_id", "step_id", "task_type", "error")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    step_id: str
    task_type: str
    error: str
    def __init__(self, task_id: _Optional[str] = ..., step_id: _Optional[str] = ..., task_type: _Optional[str] = ..., error: _Optional[str] = ...) -> None: ...

class WorkflowChanges(_message.Message):
    __slots__ = ("sender", "workflows", "number")
    SENDER_FIELD_NUMBER: _ClassVar[int]
    WORKFLOWS_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    sender: str
    workflows: _containers.RepeatedCompositeFieldContainer[WorkflowChange]
    number: int
    def __init__(self, sender: _Optional[str] = ..., workflows: _Optional[_Iterable[_Union[WorkflowChange, _Mapping]]] = ..., number: _Optional[int] = ...) -> None: ...

class WorkflowChange(_message.Message):
    __slots__ = ("id", "version")
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    id: str
    version: int
    def __init__(self, id: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...
