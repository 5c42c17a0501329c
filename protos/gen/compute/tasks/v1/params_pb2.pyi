from compute.common.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TaskParams(_message.Message):
    __slots__ = ("generation", "background_removal", "diagnostic")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    BACKGROUND_REMOVAL_FIELD_NUMBER: _ClassVar[int]
    DIAGNOSTIC_FIELD_NUMBER: _ClassVar[int]
    generation: GenerationParams
    background_removal: BackgroundRemovalParams
    diagnostic: DiagnosticParams
    def __init__(self, generation: _Optional[_Union[GenerationParams, _Mapping]] = ..., background_removal: _Optional[_Union[BackgroundRemovalParams, _Mapping]] = ..., diagnostic: _Optional[_Union[DiagnosticParams, _Mapping]] = ...) -> None: ...

class TaskResult(_message.Message):
    __slots__ = ("generation", "background_removal", "diagnostic")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    BACKGROUND_REMOVAL_FIELD_NUMBER: _ClassVar[int]
    DIAGNOSTIC_FIELD_NUMBER: _ClassVar[int]
    generation: GenerationResult
    background_removal: BackgroundRemovalResult
    diagnostic: DiagnosticResult
    def __init__(self, generation: _Optional[_Union[GenerationResult, _Mapping]] = ..., background_removal: _Optional[_Union[BackgroundRemovalResult, _Mapping]] = ..., diagnostic: _Optional[_Union[DiagnosticResult, _Mapping]] = ...) -> None: ...

class GenerationParams(_message.Message):
    __slots__ = ("prompt", "width", "height", "seed", "reference_image_path", "reference_image_url", "reference_image_strength", "subject_model_path", "subject_lora_weight", "product_model_path", "product_lora_weight", "style_model_path", "style_lora_weight", "product2_model_path", "product2_lora_weight", "fal_app_id", "workflow_id")
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_IMAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_IMAGE_URL_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_IMAGE_STRENGTH_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_MODEL_PATH_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_LORA_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_MODEL_PATH_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_LORA_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    STYLE_MODEL_PATH_FIELD_NUMBER: _ClassVar[int]
    STYLE_LORA_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    PRODUCT2_MODEL_PATH_FIELD_NUMBER: _ClassVar[int]
    PRODUCT2_LORA_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    FAL_APP_ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    prompt: str
    width: int
    height: int
    seed: int
    reference_image_path: str
    reference_image_url: str
    reference_image_strength: float
    subject_model_path: str
    subject_lora_weight: float
    product_model_path: str
    product_lora_weight: float
    style_model_path: str
    style_lora_weight: float
    product2_model_path: str
    product2_lora_weight: float
    fal_app_id: str
    workflow_id: str
    def __init__(self, prompt: _Optional[str] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., seed: _Optional[int] = ..., reference_image_path: _Optional[str] = ..., reference_image_url: _Optional[str] = ..., reference_image_strength: _Optional[float] = ..., subject_model_path: _Optional[str] = ..., subject_lora_weight: _Optional[float] = ..., product_model_path: _Optional[str] = ..., product_lora_weight: _Optional[float] = ..., style_model_path: _Optional[str] = ..., style_lora_weight: _Optional[float] = ..., product2_model_path: _Optional[str] = ..., product2_lora_weight: _Optional[float] = ..., fal_app_id: _Optional[str] = ..., workflow_id: _Optional[str] = ...) -> None: ...

class GenerationResult(_message.Message):
    __slots__ = ("result_image_path", "reference_image_path", "seed", "width", "height", "steps", "model_name", "model_sha256", "model_licence", "queued_seconds", "denoise_seconds")
    RESULT_IMAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_IMAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_SHA256_FIELD_NUMBER: _ClassVar[int]
    MODEL_LICENCE_FIELD_NUMBER: _ClassVar[int]
    QUEUED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    DENOISE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    result_image_path: str
    reference_image_path: str
    seed: int
    width: int
    height: int
    steps: int
    model_name: str
    model_sha256: str
    model_licence: str
    queued_seconds: float
    denoise_seconds: float
    def __init__(self, result_image_path: _Optional[str] = ..., reference_image_path: _Optional[str] = ..., seed: _Optional[int] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., steps: _Optional[int] = ..., model_name: _Optional[str] = ..., model_sha256: _Optional[str] = ..., model_licence: _Optional[str] = ..., queued_seconds: _Optional[float] = ..., denoise_seconds: _Optional[float] = ...) -> None: ...

class BackgroundRemovalParams(_message.Message):
    __slots__ = ("input_image_paths",)
    INPUT_IMAGE_PATHS_FIELD_NUMBER: _ClassVar[int]
    input_image_paths: _common_pb2.StringList
    def __init__(self, input_image_paths: _Optional[_Union[_common_pb2.StringList, _Mapping]] = ...) -> None: ...

class BackgroundRemovalResult(_message.Message):
    __slots__ = ("result_image_paths", "confidences")
    RESULT_IMAGE_PATHS_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCES_FIELD_NUMBER: _ClassVar[int]
    result_image_paths: _common_pb2.StringList
    confidences: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, result_image_paths: _Optional[_Union[_common_pb2.StringList, _Mapping]] = ..., confidences: _Optional[_Iterable[float]] = ...) -> None: ...

class DiagnosticParams(_message.Message):
    __slots__ = ("duration_ms", "fail_with", "payload", "fail_attempts")
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    FAIL_WITH_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    FAIL_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    duration_ms: int
    fail_with: str
    payload: str
    fail_attempts: int
    def __init__(self, duration_ms: _Optional[int] = ..., fail_with: _Optional[str] = ..., payload: _Optional[str] = ..., fail_attempts: _Optional[int] = ...) -> None: ...

class DiagnosticResult(_message.Message):
    __slots__ = ("payload",)
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    payload: str
    def __init__(self, payload: _Optional[str] = ...) -> None: ...
