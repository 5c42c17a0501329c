import datetime

from compute.tasks.v1 import params_pb2 as _params_pb2
from compute.tasks.v1 import tasks_pb2 as _tasks_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetAssignmentsRequest(_message.Message):
    __slots__ = ("worker_id", "attempts")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    attempts: _containers.RepeatedCompositeFieldContainer[TaskRef]
    def __init__(self, worker_id: _Optional[str] = ..., attempts: _Optional[_Iterable[_Union[TaskRef, _Mapping]]] = ...) -> None: ...

class TaskRef(_message.Message):
    __slots__ = ("task_id", "attempt")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ...) -> None: ...

class GetAssignmentsResponse(_message.Message):
    __slots__ = ("assignments", "lease")
    ASSIGNMENTS_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    assignments: _containers.RepeatedCompositeFieldContainer[Assignment]
    lease: _duration_pb2.Duration
    def __init__(self, assignments: _Optional[_Iterable[_Union[Assignment, _Mapping]]] = ..., lease: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Assignment(_message.Message):
    __slots__ = ("task_id", "task")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    task: _tasks_pb2.Task
    def __init__(self, task_id: _Optional[str] = ..., task: _Optional[_Union[_tasks_pb2.Task, _Mapping]] = ...) -> None: ...

class HeartbeatTasksRequest(_message.Message):
    __slots__ = ("worker_id", "queue", "capacity", "running", "draining", "inbox", "unavailable_models", "models", "queues", "memory_bytes", "tasks_completed", "uptime_seconds", "unavailable_reasons")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    INBOX_FIELD_NUMBER: _ClassVar[int]
    UNAVAILABLE_MODELS_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    TASKS_COMPLETED_FIELD_NUMBER: _ClassVar[int]
    UPTIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    UNAVAILABLE_REASONS_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    queue: str
    capacity: int
    running: _containers.RepeatedCompositeFieldContainer[RunningTask]
    draining: bool
    inbox: str
    unavailable_models: _containers.RepeatedScalarFieldContainer[str]
    models: _containers.RepeatedCompositeFieldContainer[_tasks_pb2.ServedModel]
    queues: _containers.RepeatedScalarFieldContainer[str]
    memory_bytes: int
    tasks_completed: int
    uptime_seconds: float
    unavailable_reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, worker_id: _Optional[str] = ..., queue: _Optional[str] = ..., capacity: _Optional[int] = ..., running: _Optional[_Iterable[_Union[RunningTask, _Mapping]]] = ..., draining: _Optional[bool] = ..., inbox: _Optional[str] = ..., unavailable_models: _Optional[_Iterable[str]] = ..., models: _Optional[_Iterable[_Union[_tasks_pb2.ServedModel, _Mapping]]] = ..., queues: _Optional[_Iterable[str]] = ..., memory_bytes: _Optional[int] = ..., tasks_completed: _Optional[int] = ..., uptime_seconds: _Optional[float] = ..., unavailable_reasons: _Optional[_Iterable[str]] = ...) -> None: ...

class RunningTask(_message.Message):
    __slots__ = ("task_id", "attempt", "progress")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    progress: float
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., progress: _Optional[float] = ...) -> None: ...

class HeartbeatTasksResponse(_message.Message):
    __slots__ = ("lost", "lease")
    LOST_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    lost: _containers.RepeatedCompositeFieldContainer[TaskRef]
    lease: _duration_pb2.Duration
    def __init__(self, lost: _Optional[_Iterable[_Union[TaskRef, _Mapping]]] = ..., lease: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class RecordCallRequest(_message.Message):
    __slots__ = ("worker_id", "task_id", "attempt", "call")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    task_id: str
    attempt: int
    call: _tasks_pb2.ProviderCall
    def __init__(self, worker_id: _Optional[str] = ..., task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., call: _Optional[_Union[_tasks_pb2.ProviderCall, _Mapping]] = ...) -> None: ...

class RecordCallResponse(_message.Message):
    __slots__ = ("current",)
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    current: bool
    def __init__(self, current: _Optional[bool] = ...) -> None: ...

class TakeOrphanedCallsRequest(_message.Message):
    __slots__ = ("worker_id", "task_id")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    task_id: str
    def __init__(self, worker_id: _Optional[str] = ..., task_id: _Optional[str] = ...) -> None: ...

class TakeOrphanedCallsResponse(_message.Message):
    __slots__ = ("calls",)
    CALLS_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedCompositeFieldContainer[OrphanedCall]
    def __init__(self, calls: _Optional[_Iterable[_Union[OrphanedCall, _Mapping]]] = ...) -> None: ...

class OrphanedCall(_message.Message):
    __slots__ = ("call", "provider_config", "provider_config_json")
    CALL_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_CONFIG_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    call: _tasks_pb2.ProviderCall
    provider_config: _struct_pb2.Struct
    provider_config_json: str
    def __init__(self, call: _Optional[_Union[_tasks_pb2.ProviderCall, _Mapping]] = ..., provider_config: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., provider_config_json: _Optional[str] = ...) -> None: ...

class FinishTasksRequest(_message.Message):
    __slots__ = ("worker_id", "finished")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    finished: _containers.RepeatedCompositeFieldContainer[FinishedTask]
    def __init__(self, worker_id: _Optional[str] = ..., finished: _Optional[_Iterable[_Union[FinishedTask, _Mapping]]] = ...) -> None: ...

class FinishedTask(_message.Message):
    __slots__ = ("task_id", "attempt", "result", "failure", "returned", "provider_calls")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    RETURNED_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_CALLS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    result: _params_pb2.TaskResult
    failure: TaskFailure
    returned: TaskReturn
    provider_calls: _containers.RepeatedCompositeFieldContainer[_tasks_pb2.ProviderCall]
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., result: _Optional[_Union[_params_pb2.TaskResult, _Mapping]] = ..., failure: _Optional[_Union[TaskFailure, _Mapping]] = ..., returned: _Optional[_Union[TaskReturn, _Mapping]] = ..., provider_calls: _Optional[_Iterable[_Union[_tasks_pb2.ProviderCall, _Mapping]]] = ...) -> None: ...

class TaskFailure(_message.Message):
    __slots__ = ("reason", "message", "category", "retryable", "exhausted", "retry_after")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    EXHAUSTED_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    category: str
    retryable: bool
    exhausted: bool
    retry_after: _duration_pb2.Duration
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ..., category: _Optional[str] = ..., retryable: _Optional[bool] = ..., exhausted: _Optional[bool] = ..., retry_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class TaskReturn(_message.Message):
    __slots__ = ("reason_text",)
    REASON_TEXT_FIELD_NUMBER: _ClassVar[int]
    reason_text: str
    def __init__(self, reason_text: _Optional[str] = ...) -> None: ...

class FinishTasksResponse(_message.Message):
    __slots__ = ("accepted",)
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    accepted: _containers.RepeatedScalarFieldContainer[bool]
    def __init__(self, accepted: _Optional[_Iterable[bool]] = ...) -> None: ...
