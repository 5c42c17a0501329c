import datetime

from compute.workflows.v1 import workflows_pb2 as _workflows_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListMonitoredWorkflowsRequest(_message.Message):
    __slots__ = ("status", "origin_instance", "origin_zone", "origin_tenant_id", "created_after", "created_before", "search", "sort_by", "ascending", "page", "page_size", "include_deleted")
    STATUS_FIELD_NUMBER: _ClassVar[int]
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
    status: _workflows_pb2.WorkflowStatus
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
    def __init__(self, status: _Optional[_Union[_workflows_pb2.WorkflowStatus, str]] = ..., origin_instance: _Optional[str] = ..., origin_zone: _Optional[str] = ..., origin_tenant_id: _Optional[str] = ..., created_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., search: _Optional[str] = ..., sort_by: _Optional[str] = ..., ascending: _Optional[bool] = ..., page: _Optional[int] = ..., page_size: _Optional[int] = ..., include_deleted: _Optional[bool] = ...) -> None: ...

class ListMonitoredWorkflowsResponse(_message.Message):
    __slots__ = ("workflows", "total", "bounded")
    WORKFLOWS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    BOUNDED_FIELD_NUMBER: _ClassVar[int]
    workflows: _containers.RepeatedCompositeFieldContainer[_workflows_pb2.Workflow]
    total: int
    bounded: bool
    def __init__(self, workflows: _Optional[_Iterable[_Union[_workflows_pb2.Workflow, _Mapping]]] = ..., total: _Optional[int] = ..., bounded: _Optional[bool] = ...) -> None: ...

class GetWorkflowStatsRequest(_message.Message):
    __slots__ = ("origin_instance", "origin_zone")
    ORIGIN_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_ZONE_FIELD_NUMBER: _ClassVar[int]
    origin_instance: str
    origin_zone: str
    def __init__(self, origin_instance: _Optional[str] = ..., origin_zone: _Optional[str] = ...) -> None: ...

class GetWorkflowStatsResponse(_message.Message):
    __slots__ = ("total", "by_status", "last_hour", "last_day", "average_steps", "bounded")
    class ByStatusEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    BY_STATUS_FIELD_NUMBER: _ClassVar[int]
    LAST_HOUR_FIELD_NUMBER: _ClassVar[int]
    LAST_DAY_FIELD_NUMBER: _ClassVar[int]
    AVERAGE_STEPS_FIELD_NUMBER: _ClassVar[int]
    BOUNDED_FIELD_NUMBER: _ClassVar[int]
    total: int
    by_status: _containers.ScalarMap[str, int]
    last_hour: int
    last_day: int
    average_steps: float
    bounded: bool
    def __init__(self, total: _Optional[int] = ..., by_status: _Optional[_Mapping[str, int]] = ..., last_hour: _Optional[int] = ..., last_day: _Optional[int] = ..., average_steps: _Optional[float] = ..., bounded: _Optional[bool] = ...) -> None: ...
