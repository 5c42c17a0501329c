from compute.tasks.v1 import tasks_pb2 as _tasks_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TaskName(_message.Message):
    __slots__ = ("tenant", "task_id", "parent")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    task_id: str
    parent: _tasks_pb2.TaskParent
    def __init__(self, tenant: _Optional[str] = ..., task_id: _Optional[str] = ..., parent: _Optional[_Union[_tasks_pb2.TaskParent, _Mapping]] = ...) -> None: ...

class GetTasksRequest(_message.Message):
    __slots__ = ("tasks",)
    TASKS_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[TaskName]
    def __init__(self, tasks: _Optional[_Iterable[_Union[TaskName, _Mapping]]] = ...) -> None: ...

class GetTasksResponse(_message.Message):
    __slots__ = ("outcomes",)
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[TaskOutcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[TaskOutcome, _Mapping]]] = ...) -> None: ...

class CancelTasksRequest(_message.Message):
    __slots__ = ("tasks",)
    TASKS_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[TaskName]
    def __init__(self, tasks: _Optional[_Iterable[_Union[TaskName, _Mapping]]] = ...) -> None: ...

class CancelTasksResponse(_message.Message):
    __slots__ = ("outcomes",)
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[TaskOutcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[TaskOutcome, _Mapping]]] = ...) -> None: ...

class TaskOutcome(_message.Message):
    __slots__ = ("task", "error")
    TASK_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    task: _tasks_pb2.Task
    error: bytes
    def __init__(self, task: _Optional[_Union[_tasks_pb2.Task, _Mapping]] = ..., error: _Optional[bytes] = ...) -> None: ...

class StepNotice(_message.Message):
    __slots__ = ("tenant", "task_id", "parent", "status", "version", "attempt", "result_json", "run_seconds", "more")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    RESULT_JSON_FIELD_NUMBER: _ClassVar[int]
    RUN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    task_id: str
    parent: _tasks_pb2.TaskParent
    status: _tasks_pb2.TaskStatus
    version: int
    attempt: int
    result_json: str
    run_seconds: float
    more: _containers.RepeatedCompositeFieldContainer[StepNotice]
    def __init__(self, tenant: _Optional[str] = ..., task_id: _Optional[str] = ..., parent: _Optional[_Union[_tasks_pb2.TaskParent, _Mapping]] = ..., status: _Optional[_Union[_tasks_pb2.TaskStatus, str]] = ..., version: _Optional[int] = ..., attempt: _Optional[int] = ..., result_json: _Optional[str] = ..., run_seconds: _Optional[float] = ..., more: _Optional[_Iterable[_Union[StepNotice, _Mapping]]] = ...) -> None: ...
