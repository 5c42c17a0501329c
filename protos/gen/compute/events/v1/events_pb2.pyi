import datetime

from compute.tasks.v1 import params_pb2 as _params_pb2
from compute.tasks.v1 import tasks_pb2 as _tasks_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BaseEvent(_message.Message):
    __slots__ = ("event_type", "task_id", "status", "timestamp", "entity_id", "origin_instance", "origin_zone", "origin_version", "metadata")
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    ENTITY_ID_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_ZONE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_VERSION_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    event_type: str
    task_id: str
    status: str
    timestamp: _timestamp_pb2.Timestamp
    entity_id: str
    origin_instance: str
    origin_zone: str
    origin_version: str
    metadata: _struct_pb2.Struct
    def __init__(self, event_type: _Optional[str] = ..., task_id: _Optional[str] = ..., status: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., entity_id: _Optional[str] = ..., origin_instance: _Optional[str] = ..., origin_zone: _Optional[str] = ..., origin_version: _Optional[str] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class TaskCreatedEvent(_message.Message):
    __slots__ = ("event_type", "task_id", "status", "task_type", "created_at", "timestamp", "total_steps", "entity_id", "origin_instance", "origin_zone", "origin_version", "metadata")
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    TOTAL_STEPS_FIELD_NUMBER: _ClassVar[int]
    ENTITY_ID_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_ZONE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_VERSION_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    event_type: str
    task_id: str
    status: str
    task_type: str
    created_at: _timestamp_pb2.Timestamp
    timestamp: _timestamp_pb2.Timestamp
    total_steps: int
    entity_id: str
    origin_instance: str
    origin_zone: str
    origin_version: str
    metadata: _struct_pb2.Struct
    def __init__(self, event_type: _Optional[str] = ..., task_id: _Optional[str] = ..., status: _Optional[str] = ..., task_type: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., total_steps: _Optional[int] = ..., entity_id: _Optional[str] = ..., origin_instance: _Optional[str] = ..., origin_zone: _Optional[str] = ..., origin_version: _Optional[str] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class TaskStatusEvent(_message.Message):
    __slots__ = ("event_type", "task_id", "status", "task_type", "progress", "timestamp", "started_at", "completed_at", "error_category", "error_message", "entity_id", "origin_instance", "origin_zone", "origin_version", "metadata", "error_reason", "quality", "ignored", "warnings")
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_AT_FIELD_NUMBER: _ClassVar[int]
    ERROR_CATEGORY_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ENTITY_ID_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_ZONE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_VERSION_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    IGNORED_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    event_type: str
    task_id: str
    status: str
    task_type: str
    progress: float
    timestamp: _timestamp_pb2.Timestamp
    started_at: _timestamp_pb2.Timestamp
    completed_at: _timestamp_pb2.Timestamp
    error_category: str
    error_message: str
    entity_id: str
    origin_instance: str
    origin_zone: str
    origin_version: str
    metadata: _struct_pb2.Struct
    error_reason: str
    quality: _params_pb2.Quality
    ignored: _containers.RepeatedScalarFieldContainer[str]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, event_type: _Optional[str] = ..., task_id: _Optional[str] = ..., status: _Optional[str] = ..., task_type: _Optional[str] = ..., progress: _Optional[float] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., completed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., error_category: _Optional[str] = ..., error_message: _Optional[str] = ..., entity_id: _Optional[str] = ..., origin_instance: _Optional[str] = ..., origin_zone: _Optional[str] = ..., origin_version: _Optional[str] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., error_reason: _Optional[str] = ..., quality: _Optional[_Union[_params_pb2.Quality, _Mapping]] = ..., ignored: _Optional[_Iterable[str]] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class InferenceStatusEvent(_message.Message):
    __slots__ = ("event_type", "task_id", "status", "timestamp", "entity_id", "origin_instance", "origin_zone", "origin_version", "metadata", "backend_generation_id", "backend_prediction_id", "prompt_id", "result_image_path", "refined_image_path", "error_message", "completed_at", "error_reason")
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    ENTITY_ID_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_ZONE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_VERSION_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    BACKEND_GENERATION_ID_FIELD_NUMBER: _ClassVar[int]
    BACKEND_PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    PROMPT_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_IMAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    REFINED_IMAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_AT_FIELD_NUMBER: _ClassVar[int]
    ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
    event_type: str
    task_id: str
    status: str
    timestamp: _timestamp_pb2.Timestamp
    entity_id: str
    origin_instance: str
    origin_zone: str
    origin_version: str
    metadata: _struct_pb2.Struct
    backend_generation_id: str
    backend_prediction_id: str
    prompt_id: str
    result_image_path: str
    refined_image_path: str
    error_message: str
    completed_at: _timestamp_pb2.Timestamp
    error_reason: str
    def __init__(self, event_type: _Optional[str] = ..., task_id: _Optional[str] = ..., status: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., entity_id: _Optional[str] = ..., origin_instance: _Optional[str] = ..., origin_zone: _Optional[str] = ..., origin_version: _Optional[str] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., backend_generation_id: _Optional[str] = ..., backend_prediction_id: _Optional[str] = ..., prompt_id: _Optional[str] = ..., result_image_path: _Optional[str] = ..., refined_image_path: _Optional[str] = ..., error_message: _Optional[str] = ..., completed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., error_reason: _Optional[str] = ...) -> None: ...

class PreprocessingStatusEvent(_message.Message):
    __slots__ = ("event_type", "task_id", "status", "timestamp", "entity_id", "origin_instance", "origin_zone", "origin_version", "metadata", "current_stage", "progress", "processed_files_count", "total_files_count", "processed_dataset_path", "error_message", "completed_at")
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    ENTITY_ID_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_ZONE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_VERSION_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CURRENT_STAGE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    PROCESSED_FILES_COUNT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FILES_COUNT_FIELD_NUMBER: _ClassVar[int]
    PROCESSED_DATASET_PATH_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_AT_FIELD_NUMBER: _ClassVar[int]
    event_type: str
    task_id: str
    status: str
    timestamp: _timestamp_pb2.Timestamp
    entity_id: str
    origin_instance: str
    origin_zone: str
    origin_version: str
    metadata: _struct_pb2.Struct
    current_stage: str
    progress: float
    processed_files_count: int
    total_files_count: int
    processed_dataset_path: str
    error_message: str
    completed_at: _timestamp_pb2.Timestamp
    def __init__(self, event_type: _Optional[str] = ..., task_id: _Optional[str] = ..., status: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., entity_id: _Optional[str] = ..., origin_instance: _Optional[str] = ..., origin_zone: _Optional[str] = ..., origin_version: _Optional[str] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., current_stage: _Optional[str] = ..., progress: _Optional[float] = ..., processed_files_count: _Optional[int] = ..., total_files_count: _Optional[int] = ..., processed_dataset_path: _Optional[str] = ..., error_message: _Optional[str] = ..., completed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WorkflowEvent(_message.Message):
    __slots__ = ("event_type", "task_id", "status", "timestamp", "entity_id", "origin_instance", "origin_zone", "origin_version", "metadata", "workflow_id", "total_steps", "completed_steps", "progress", "step_id", "task_type", "error_message", "error_reason")
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    ENTITY_ID_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_ZONE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_VERSION_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    TOTAL_STEPS_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_STEPS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    STEP_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
    event_type: str
    task_id: str
    status: str
    timestamp: _timestamp_pb2.Timestamp
    entity_id: str
    origin_instance: str
    origin_zone: str
    origin_version: str
    metadata: _struct_pb2.Struct
    workflow_id: str
    total_steps: int
    completed_steps: int
    progress: float
    step_id: str
    task_type: str
    error_message: str
    error_reason: str
    def __init__(self, event_type: _Optional[str] = ..., task_id: _Optional[str] = ..., status: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., entity_id: _Optional[str] = ..., origin_instance: _Optional[str] = ..., origin_zone: _Optional[str] = ..., origin_version: _Optional[str] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., workflow_id: _Optional[str] = ..., total_steps: _Optional[int] = ..., completed_steps: _Optional[int] = ..., progress: _Optional[float] = ..., step_id: _Optional[str] = ..., task_type: _Optional[str] = ..., error_message: _Optional[str] = ..., error_reason: _Optional[str] = ...) -> None: ...

class TaskChanges(_message.Message):
    __slots__ = ("sender", "tasks", "number")
    SENDER_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    sender: str
    tasks: _containers.RepeatedCompositeFieldContainer[_tasks_pb2.Task]
    number: int
    def __init__(self, sender: _Optional[str] = ..., tasks: _Optional[_Iterable[_Union[_tasks_pb2.Task, _Mapping]]] = ..., number: _Optional[int] = ...) -> None: ...
