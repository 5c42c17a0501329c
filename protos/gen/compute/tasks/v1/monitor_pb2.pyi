import datetime

from compute.common.v1 import common_pb2 as _common_pb2
from compute.tasks.v1 import tasks_pb2 as _tasks_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListMonitoredTasksRequest(_message.Message):
    __slots__ = ("status", "task_type", "provider_type", "origin_instance", "origin_zone", "origin_tenant_id", "created_after", "created_before", "search", "sort_by", "ascending", "page", "page_size", "include_deleted", "public_types_only")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_ZONE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_AFTER_FIELD_NUMBER: _ClassVar[int]
    CREATED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    SORT_BY_FIELD_NUMBER: _ClassVar[int]
    ASCENDING_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_DELETED_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_TYPES_ONLY_FIELD_NUMBER: _ClassVar[int]
    status: _tasks_pb2.TaskStatus
    task_type: str
    provider_type: str
    origin_instance: str
    origin_zone: str
    origin_tenant_id: str
    created_after: _timestamp_pb2.Timestamp
    created_before: _timestamp_pb2.Timestamp
    search: str
    sort_by: str
    ascending: bool
    page: int
    page_size: int
    include_deleted: bool
    public_types_only: bool
    def __init__(self, status: _Optional[_Union[_tasks_pb2.TaskStatus, str]] = ..., task_type: _Optional[str] = ..., provider_type: _Optional[str] = ..., origin_instance: _Optional[str] = ..., origin_zone: _Optional[str] = ..., origin_tenant_id: _Optional[str] = ..., created_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., search: _Optional[str] = ..., sort_by: _Optional[str] = ..., ascending: _Optional[bool] = ..., page: _Optional[int] = ..., page_size: _Optional[int] = ..., include_deleted: _Optional[bool] = ..., public_types_only: _Optional[bool] = ...) -> None: ...

class ListMonitoredTasksResponse(_message.Message):
    __slots__ = ("tasks", "total", "bounded")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    BOUNDED_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[MonitoredTask]
    total: int
    bounded: bool
    def __init__(self, tasks: _Optional[_Iterable[_Union[MonitoredTask, _Mapping]]] = ..., total: _Optional[int] = ..., bounded: _Optional[bool] = ...) -> None: ...

class MonitoredTask(_message.Message):
    __slots__ = ("id", "task_type", "provider_type", "status", "progress", "origin", "created_at", "updated_at", "started_at", "completed_at", "has_error", "queue", "priority", "workflow_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_AT_FIELD_NUMBER: _ClassVar[int]
    HAS_ERROR_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    task_type: str
    provider_type: str
    status: _tasks_pb2.TaskStatus
    progress: float
    origin: _common_pb2.Origin
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    started_at: _timestamp_pb2.Timestamp
    completed_at: _timestamp_pb2.Timestamp
    has_error: bool
    queue: str
    priority: int
    workflow_id: str
    def __init__(self, id: _Optional[str] = ..., task_type: _Optional[str] = ..., provider_type: _Optional[str] = ..., status: _Optional[_Union[_tasks_pb2.TaskStatus, str]] = ..., progress: _Optional[float] = ..., origin: _Optional[_Union[_common_pb2.Origin, _Mapping]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., completed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., has_error: _Optional[bool] = ..., queue: _Optional[str] = ..., priority: _Optional[int] = ..., workflow_id: _Optional[str] = ...) -> None: ...

class GetTaskStatsRequest(_message.Message):
    __slots__ = ("origin_instance", "origin_zone", "public_types_only")
    ORIGIN_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_ZONE_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_TYPES_ONLY_FIELD_NUMBER: _ClassVar[int]
    origin_instance: str
    origin_zone: str
    public_types_only: bool
    def __init__(self, origin_instance: _Optional[str] = ..., origin_zone: _Optional[str] = ..., public_types_only: _Optional[bool] = ...) -> None: ...

class GetTaskStatsResponse(_message.Message):
    __slots__ = ("total", "by_status", "by_provider", "by_task_type", "last_hour", "last_day", "bounded")
    class ByStatusEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class ByProviderEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class ByTaskTypeEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    BY_STATUS_FIELD_NUMBER: _ClassVar[int]
    BY_PROVIDER_FIELD_NUMBER: _ClassVar[int]
    BY_TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    LAST_HOUR_FIELD_NUMBER: _ClassVar[int]
    LAST_DAY_FIELD_NUMBER: _ClassVar[int]
    BOUNDED_FIELD_NUMBER: _ClassVar[int]
    total: int
    by_status: _containers.ScalarMap[str, int]
    by_provider: _containers.ScalarMap[str, int]
    by_task_type: _containers.ScalarMap[str, int]
    last_hour: int
    last_day: int
    bounded: bool
    def __init__(self, total: _Optional[int] = ..., by_status: _Optional[_Mapping[str, int]] = ..., by_provider: _Optional[_Mapping[str, int]] = ..., by_task_type: _Optional[_Mapping[str, int]] = ..., last_hour: _Optional[int] = ..., last_day: _Optional[int] = ..., bounded: _Optional[bool] = ...) -> None: ...

class ListQueuesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListQueuesResponse(_message.Message):
    __slots__ = ("queues", "at")
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    queues: _containers.RepeatedCompositeFieldContainer[QueueState]
    at: _timestamp_pb2.Timestamp
    def __init__(self, queues: _Optional[_Iterable[_Union[QueueState, _Mapping]]] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class QueueState(_message.Message):
    __slots__ = ("name", "depth", "workers", "slots", "active", "reserved", "wait_seconds", "completed_last_hour")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    RESERVED_FIELD_NUMBER: _ClassVar[int]
    WAIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_LAST_HOUR_FIELD_NUMBER: _ClassVar[int]
    name: str
    depth: int
    workers: int
    slots: int
    active: int
    reserved: int
    wait_seconds: float
    completed_last_hour: int
    def __init__(self, name: _Optional[str] = ..., depth: _Optional[int] = ..., workers: _Optional[int] = ..., slots: _Optional[int] = ..., active: _Optional[int] = ..., reserved: _Optional[int] = ..., wait_seconds: _Optional[float] = ..., completed_last_hour: _Optional[int] = ...) -> None: ...

class ListWorkersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListWorkersResponse(_message.Message):
    __slots__ = ("workers", "at")
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedCompositeFieldContainer[WorkerState]
    at: _timestamp_pb2.Timestamp
    def __init__(self, workers: _Optional[_Iterable[_Union[WorkerState, _Mapping]]] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WorkerState(_message.Message):
    __slots__ = ("name", "queues", "capacity", "active", "memory_bytes", "tasks_completed", "tasks_per_minute")
    NAME_FIELD_NUMBER: _ClassVar[int]
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    TASKS_COMPLETED_FIELD_NUMBER: _ClassVar[int]
    TASKS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    name: str
    queues: _containers.RepeatedScalarFieldContainer[str]
    capacity: int
    active: int
    memory_bytes: int
    tasks_completed: int
    tasks_per_minute: float
    def __init__(self, name: _Optional[str] = ..., queues: _Optional[_Iterable[str]] = ..., capacity: _Optional[int] = ..., active: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., tasks_completed: _Optional[int] = ..., tasks_per_minute: _Optional[float] = ...) -> None: ...
