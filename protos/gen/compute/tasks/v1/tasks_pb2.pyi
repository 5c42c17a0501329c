import datetime

from compute.common.v1 import common_pb2 as _common_pb2
from compute.tasks.v1 import params_pb2 as _params_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TaskStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_STATUS_UNSPECIFIED: _ClassVar[TaskStatus]
    TASK_STATUS_PENDING: _ClassVar[TaskStatus]
    TASK_STATUS_EXECUTING: _ClassVar[TaskStatus]
    TASK_STATUS_COMPLETED: _ClassVar[TaskStatus]
    TASK_STATUS_FAILED: _ClassVar[TaskStatus]
    TASK_STATUS_CANCELLED: _ClassVar[TaskStatus]
TASK_STATUS_UNSPECIFIED: TaskStatus
TASK_STATUS_PENDING: TaskStatus
TASK_STATUS_EXECUTING: TaskStatus
TASK_STATUS_COMPLETED: TaskStatus
TASK_STATUS_FAILED: TaskStatus
TASK_STATUS_CANCELLED: TaskStatus

class TaskSpec(_message.Message):
    __slots__ = ("origin", "priority", "config", "queue_name", "webhook_url", "provider_type", "provider_config", "active_provider_capabilities", "fallback_provider_type", "fallback_provider_config", "fallback_provider_capabilities", "config_json", "provider_config_json", "fallback_provider_config_json", "params")
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    QUEUE_NAME_FIELD_NUMBER: _ClassVar[int]
    WEBHOOK_URL_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_CONFIG_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_PROVIDER_CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_PROVIDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_PROVIDER_CONFIG_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_PROVIDER_CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_PROVIDER_CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    origin: _common_pb2.Origin
    priority: int
    config: _struct_pb2.Struct
    queue_name: str
    webhook_url: str
    provider_type: str
    provider_config: _struct_pb2.Struct
    active_provider_capabilities: _common_pb2.StringList
    fallback_provider_type: str
    fallback_provider_config: _struct_pb2.Struct
    fallback_provider_capabilities: _common_pb2.StringList
    config_json: str
    provider_config_json: str
    fallback_provider_config_json: str
    params: _params_pb2.TaskParams
    def __init__(self, origin: _Optional[_Union[_common_pb2.Origin, _Mapping]] = ..., priority: _Optional[int] = ..., config: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., queue_name: _Optional[str] = ..., webhook_url: _Optional[str] = ..., provider_type: _Optional[str] = ..., provider_config: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., active_provider_capabilities: _Optional[_Union[_common_pb2.StringList, _Mapping]] = ..., fallback_provider_type: _Optional[str] = ..., fallback_provider_config: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., fallback_provider_capabilities: _Optional[_Union[_common_pb2.StringList, _Mapping]] = ..., config_json: _Optional[str] = ..., provider_config_json: _Optional[str] = ..., fallback_provider_config_json: _Optional[str] = ..., params: _Optional[_Union[_params_pb2.TaskParams, _Mapping]] = ...) -> None: ...

class ProviderCall(_message.Message):
    __slots__ = ("provider", "attempt", "request_id", "outcome", "duration_seconds", "cost_usd", "call_id", "sequence", "started_at", "fallback", "job_details", "reason", "error", "before_replay")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    DURATION_SECONDS_FIELD_NUMBER: _ClassVar[int]
    COST_USD_FIELD_NUMBER: _ClassVar[int]
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_FIELD_NUMBER: _ClassVar[int]
    JOB_DETAILS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    BEFORE_REPLAY_FIELD_NUMBER: _ClassVar[int]
    provider: str
    attempt: int
    request_id: str
    outcome: str
    duration_seconds: float
    cost_usd: float
    call_id: str
    sequence: int
    started_at: _timestamp_pb2.Timestamp
    fallback: bool
    job_details: _struct_pb2.Struct
    reason: str
    error: str
    before_replay: bool
    def __init__(self, provider: _Optional[str] = ..., attempt: _Optional[int] = ..., request_id: _Optional[str] = ..., outcome: _Optional[str] = ..., duration_seconds: _Optional[float] = ..., cost_usd: _Optional[float] = ..., call_id: _Optional[str] = ..., sequence: _Optional[int] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., fallback: _Optional[bool] = ..., job_details: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., reason: _Optional[str] = ..., error: _Optional[str] = ..., before_replay: _Optional[bool] = ...) -> None: ...

class Task(_message.Message):
    __slots__ = ("id", "tenant", "version", "status", "task_type", "queue", "spec", "result", "attempt", "max_attempts", "progress", "created_at", "updated_at", "started_at", "completed_at", "executor_type", "executor_instance", "errors", "error_category", "error_reason", "dead_letter", "provider_calls", "not_before", "priority", "deleted_at", "first_started_at", "resume_count", "resumed_at", "parent", "quiet", "run_seconds", "cost_usd", "traceparent")
    ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_AT_FIELD_NUMBER: _ClassVar[int]
    EXECUTOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    EXECUTOR_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    ERROR_CATEGORY_FIELD_NUMBER: _ClassVar[int]
    ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTER_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_CALLS_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    DELETED_AT_FIELD_NUMBER: _ClassVar[int]
    FIRST_STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    RESUME_COUNT_FIELD_NUMBER: _ClassVar[int]
    RESUMED_AT_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    QUIET_FIELD_NUMBER: _ClassVar[int]
    RUN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    COST_USD_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    id: str
    tenant: str
    version: int
    status: TaskStatus
    task_type: str
    queue: str
    spec: TaskSpec
    result: _params_pb2.TaskResult
    attempt: int
    max_attempts: int
    progress: float
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    started_at: _timestamp_pb2.Timestamp
    completed_at: _timestamp_pb2.Timestamp
    executor_type: str
    executor_instance: str
    errors: _containers.RepeatedScalarFieldContainer[str]
    error_category: str
    error_reason: str
    dead_letter: bool
    provider_calls: _containers.RepeatedCompositeFieldContainer[ProviderCall]
    not_before: _timestamp_pb2.Timestamp
    priority: int
    deleted_at: _timestamp_pb2.Timestamp
    first_started_at: _timestamp_pb2.Timestamp
    resume_count: int
    resumed_at: _timestamp_pb2.Timestamp
    parent: TaskParent
    quiet: bool
    run_seconds: float
    cost_usd: float
    traceparent: str
    def __init__(self, id: _Optional[str] = ..., tenant: _Optional[str] = ..., version: _Optional[int] = ..., status: _Optional[_Union[TaskStatus, str]] = ..., task_type: _Optional[str] = ..., queue: _Optional[str] = ..., spec: _Optional[_Union[TaskSpec, _Mapping]] = ..., result: _Optional[_Union[_params_pb2.TaskResult, _Mapping]] = ..., attempt: _Optional[int] = ..., max_attempts: _Optional[int] = ..., progress: _Optional[float] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., completed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., executor_type: _Optional[str] = ..., executor_instance: _Optional[str] = ..., errors: _Optional[_Iterable[str]] = ..., error_category: _Optional[str] = ..., error_reason: _Optional[str] = ..., dead_letter: _Optional[bool] = ..., provider_calls: _Optional[_Iterable[_Union[ProviderCall, _Mapping]]] = ..., not_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., priority: _Optional[int] = ..., deleted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., first_started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., resume_count: _Optional[int] = ..., resumed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., parent: _Optional[_Union[TaskParent, _Mapping]] = ..., quiet: _Optional[bool] = ..., run_seconds: _Optional[float] = ..., cost_usd: _Optional[float] = ..., traceparent: _Optional[str] = ...) -> None: ...

class TaskParent(_message.Message):
    __slots__ = ("kind", "id", "step", "attempt")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    id: str
    step: str
    attempt: int
    def __init__(self, kind: _Optional[str] = ..., id: _Optional[str] = ..., step: _Optional[str] = ..., attempt: _Optional[int] = ...) -> None: ...

class CreateTaskRequest(_message.Message):
    __slots__ = ("spec", "idempotency_key", "inputs_folder", "parent", "quiet", "max_attempts")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FOLDER_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    QUIET_FIELD_NUMBER: _ClassVar[int]
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    spec: TaskSpec
    idempotency_key: str
    inputs_folder: str
    parent: TaskParent
    quiet: bool
    max_attempts: int
    def __init__(self, spec: _Optional[_Union[TaskSpec, _Mapping]] = ..., idempotency_key: _Optional[str] = ..., inputs_folder: _Optional[str] = ..., parent: _Optional[_Union[TaskParent, _Mapping]] = ..., quiet: _Optional[bool] = ..., max_attempts: _Optional[int] = ...) -> None: ...

class CreateTaskResponse(_message.Message):
    __slots__ = ("task", "replayed")
    TASK_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    task: Task
    replayed: bool
    def __init__(self, task: _Optional[_Union[Task, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class CreateTasksRequest(_message.Message):
    __slots__ = ("items", "idempotency_key", "brief")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    BRIEF_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[CreateTasksItem]
    idempotency_key: str
    brief: bool
    def __init__(self, items: _Optional[_Iterable[_Union[CreateTasksItem, _Mapping]]] = ..., idempotency_key: _Optional[str] = ..., brief: _Optional[bool] = ...) -> None: ...

class CreateTasksItem(_message.Message):
    __slots__ = ("tenant", "request", "traceparent")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request: CreateTaskRequest
    traceparent: str
    def __init__(self, tenant: _Optional[str] = ..., request: _Optional[_Union[CreateTaskRequest, _Mapping]] = ..., traceparent: _Optional[str] = ...) -> None: ...

class CreateTasksResponse(_message.Message):
    __slots__ = ("outcomes",)
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[CreateTasksOutcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[CreateTasksOutcome, _Mapping]]] = ...) -> None: ...

class CreateTasksOutcome(_message.Message):
    __slots__ = ("created", "error")
    CREATED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    created: CreateTaskResponse
    error: bytes
    def __init__(self, created: _Optional[_Union[CreateTaskResponse, _Mapping]] = ..., error: _Optional[bytes] = ...) -> None: ...

class GetTaskRequest(_message.Message):
    __slots__ = ("task_id", "task_type")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    task_type: str
    def __init__(self, task_id: _Optional[str] = ..., task_type: _Optional[str] = ...) -> None: ...

class GetTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: Task
    def __init__(self, task: _Optional[_Union[Task, _Mapping]] = ...) -> None: ...

class ListTasksRequest(_message.Message):
    __slots__ = ("status", "task_type", "origin_instance", "origin_zone", "origin_tenant_id", "workflow_id", "limit", "skip", "dead_letter", "page_token", "public_types_only", "include_deleted")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_ZONE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    SKIP_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_TYPES_ONLY_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_DELETED_FIELD_NUMBER: _ClassVar[int]
    status: TaskStatus
    task_type: str
    origin_instance: str
    origin_zone: str
    origin_tenant_id: str
    workflow_id: str
    limit: int
    skip: int
    dead_letter: bool
    page_token: str
    public_types_only: bool
    include_deleted: bool
    def __init__(self, status: _Optional[_Union[TaskStatus, str]] = ..., task_type: _Optional[str] = ..., origin_instance: _Optional[str] = ..., origin_zone: _Optional[str] = ..., origin_tenant_id: _Optional[str] = ..., workflow_id: _Optional[str] = ..., limit: _Optional[int] = ..., skip: _Optional[int] = ..., dead_letter: _Optional[bool] = ..., page_token: _Optional[str] = ..., public_types_only: _Optional[bool] = ..., include_deleted: _Optional[bool] = ...) -> None: ...

class ListTasksResponse(_message.Message):
    __slots__ = ("tasks", "next_page_token")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[Task]
    next_page_token: str
    def __init__(self, tasks: _Optional[_Iterable[_Union[Task, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CancelTaskRequest(_message.Message):
    __slots__ = ("task_id", "task_type")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    task_type: str
    def __init__(self, task_id: _Optional[str] = ..., task_type: _Optional[str] = ...) -> None: ...

class CancelTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: Task
    def __init__(self, task: _Optional[_Union[Task, _Mapping]] = ...) -> None: ...

class WatchTaskRequest(_message.Message):
    __slots__ = ("task_id", "without_previews")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_PREVIEWS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    without_previews: bool
    def __init__(self, task_id: _Optional[str] = ..., without_previews: _Optional[bool] = ...) -> None: ...

class WatchTaskResponse(_message.Message):
    __slots__ = ("task", "progress")
    TASK_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    task: Task
    progress: TaskProgress
    def __init__(self, task: _Optional[_Union[Task, _Mapping]] = ..., progress: _Optional[_Union[TaskProgress, _Mapping]] = ...) -> None: ...

class TaskProgress(_message.Message):
    __slots__ = ("task_id", "attempt", "progress", "stage", "step", "total_steps", "preview_png")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    TOTAL_STEPS_FIELD_NUMBER: _ClassVar[int]
    PREVIEW_PNG_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    progress: float
    stage: str
    step: int
    total_steps: int
    preview_png: bytes
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., progress: _Optional[float] = ..., stage: _Optional[str] = ..., step: _Optional[int] = ..., total_steps: _Optional[int] = ..., preview_png: _Optional[bytes] = ...) -> None: ...

class UpdateTaskRequest(_message.Message):
    __slots__ = ("task_id", "task_type", "priority", "config", "config_json")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    task_type: str
    priority: int
    config: _struct_pb2.Struct
    config_json: str
    def __init__(self, task_id: _Optional[str] = ..., task_type: _Optional[str] = ..., priority: _Optional[int] = ..., config: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., config_json: _Optional[str] = ...) -> None: ...

class UpdateTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: Task
    def __init__(self, task: _Optional[_Union[Task, _Mapping]] = ...) -> None: ...

class ReplayTaskRequest(_message.Message):
    __slots__ = ("task_id",)
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    def __init__(self, task_id: _Optional[str] = ...) -> None: ...

class ReplayTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: Task
    def __init__(self, task: _Optional[_Union[Task, _Mapping]] = ...) -> None: ...

class DeleteTaskRequest(_message.Message):
    __slots__ = ("task_id", "task_type")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    task_type: str
    def __init__(self, task_id: _Optional[str] = ..., task_type: _Optional[str] = ...) -> None: ...

class DeleteTaskResponse(_message.Message):
    __slots__ = ("task", "deleted_paths", "errors")
    TASK_FIELD_NUMBER: _ClassVar[int]
    DELETED_PATHS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    task: Task
    deleted_paths: _containers.RepeatedScalarFieldContainer[str]
    errors: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, task: _Optional[_Union[Task, _Mapping]] = ..., deleted_paths: _Optional[_Iterable[str]] = ..., errors: _Optional[_Iterable[str]] = ...) -> None: ...

class CleanupTaskRequest(_message.Message):
    __slots__ = ("task_id", "task_type")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    task_type: str
    def __init__(self, task_id: _Optional[str] = ..., task_type: _Optional[str] = ...) -> None: ...

class CleanupTaskResponse(_message.Message):
    __slots__ = ("task", "deleted_paths", "errors")
    TASK_FIELD_NUMBER: _ClassVar[int]
    DELETED_PATHS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    task: Task
    deleted_paths: _containers.RepeatedScalarFieldContainer[str]
    errors: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, task: _Optional[_Union[Task, _Mapping]] = ..., deleted_paths: _Optional[_Iterable[str]] = ..., errors: _Optional[_Iterable[str]] = ...) -> None: ...

class DeleteTasksRequest(_message.Message):
    __slots__ = ("task_ids", "filter", "all")
    TASK_IDS_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    task_ids: _containers.RepeatedScalarFieldContainer[str]
    filter: ListTasksRequest
    all: bool
    def __init__(self, task_ids: _Optional[_Iterable[str]] = ..., filter: _Optional[_Union[ListTasksRequest, _Mapping]] = ..., all: _Optional[bool] = ...) -> None: ...

class DeleteTasksResponse(_message.Message):
    __slots__ = ("outcomes", "more")
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[DeleteTasksOutcome]
    more: bool
    def __init__(self, outcomes: _Optional[_Iterable[_Union[DeleteTasksOutcome, _Mapping]]] = ..., more: _Optional[bool] = ...) -> None: ...

class DeleteTasksOutcome(_message.Message):
    __slots__ = ("task_id", "deleted", "error")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    deleted: DeleteTaskResponse
    error: bytes
    def __init__(self, task_id: _Optional[str] = ..., deleted: _Optional[_Union[DeleteTaskResponse, _Mapping]] = ..., error: _Optional[bytes] = ...) -> None: ...

class WatchTasksRequest(_message.Message):
    __slots__ = ("tasks", "without_previews")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_PREVIEWS_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[WatchedTask]
    without_previews: bool
    def __init__(self, tasks: _Optional[_Iterable[_Union[WatchedTask, _Mapping]]] = ..., without_previews: _Optional[bool] = ...) -> None: ...

class WatchedTask(_message.Message):
    __slots__ = ("task_id", "version")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    version: int
    def __init__(self, task_id: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class WatchTasksResponse(_message.Message):
    __slots__ = ("task_id", "task", "progress", "error")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    task: Task
    progress: TaskProgress
    error: bytes
    def __init__(self, task_id: _Optional[str] = ..., task: _Optional[_Union[Task, _Mapping]] = ..., progress: _Optional[_Union[TaskProgress, _Mapping]] = ..., error: _Optional[bytes] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[ServedModel]
    def __init__(self, models: _Optional[_Iterable[_Union[ServedModel, _Mapping]]] = ...) -> None: ...

class ServedModel(_message.Message):
    __slots__ = ("name", "sha256", "licence", "serves", "made_for", "source", "upstream")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    LICENCE_FIELD_NUMBER: _ClassVar[int]
    SERVES_FIELD_NUMBER: _ClassVar[int]
    MADE_FOR_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_FIELD_NUMBER: _ClassVar[int]
    name: str
    sha256: str
    licence: str
    serves: str
    made_for: str
    source: str
    upstream: str
    def __init__(self, name: _Optional[str] = ..., sha256: _Optional[str] = ..., licence: _Optional[str] = ..., serves: _Optional[str] = ..., made_for: _Optional[str] = ..., source: _Optional[str] = ..., upstream: _Optional[str] = ...) -> None: ...
