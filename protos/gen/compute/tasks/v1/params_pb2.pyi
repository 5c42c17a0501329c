from compute.common.v1 import common_pb2 as _common_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TaskParams(_message.Message):
    __slots__ = ("generation", "editing", "refine", "experimental_fal", "video_generation", "background_removal", "llm_interaction", "detail_enhancer", "background_fix", "image_adjuster", "face_enhancer", "diagnostic")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    EDITING_FIELD_NUMBER: _ClassVar[int]
    REFINE_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENTAL_FAL_FIELD_NUMBER: _ClassVar[int]
    VIDEO_GENERATION_FIELD_NUMBER: _ClassVar[int]
    BACKGROUND_REMOVAL_FIELD_NUMBER: _ClassVar[int]
    LLM_INTERACTION_FIELD_NUMBER: _ClassVar[int]
    DETAIL_ENHANCER_FIELD_NUMBER: _ClassVar[int]
    BACKGROUND_FIX_FIELD_NUMBER: _ClassVar[int]
    IMAGE_ADJUSTER_FIELD_NUMBER: _ClassVar[int]
    FACE_ENHANCER_FIELD_NUMBER: _ClassVar[int]
    DIAGNOSTIC_FIELD_NUMBER: _ClassVar[int]
    generation: GenerationParams
    editing: EditingParams
    refine: RefineParams
    experimental_fal: ExperimentalFalParams
    video_generation: VideoGenerationParams
    background_removal: BackgroundRemovalParams
    llm_interaction: LlmInteractionParams
    detail_enhancer: DetailEnhancerParams
    background_fix: BackgroundFixParams
    image_adjuster: ImageAdjusterParams
    face_enhancer: FaceEnhancerParams
    diagnostic: DiagnosticParams
    def __init__(self, generation: _Optional[_Union[GenerationParams, _Mapping]] = ..., editing: _Optional[_Union[EditingParams, _Mapping]] = ..., refine: _Optional[_Union[RefineParams, _Mapping]] = ..., experimental_fal: _Optional[_Union[ExperimentalFalParams, _Mapping]] = ..., video_generation: _Optional[_Union[VideoGenerationParams, _Mapping]] = ..., background_removal: _Optional[_Union[BackgroundRemovalParams, _Mapping]] = ..., llm_interaction: _Optional[_Union[LlmInteractionParams, _Mapping]] = ..., detail_enhancer: _Optional[_Union[DetailEnhancerParams, _Mapping]] = ..., background_fix: _Optional[_Union[BackgroundFixParams, _Mapping]] = ..., image_adjuster: _Optional[_Union[ImageAdjusterParams, _Mapping]] = ..., face_enhancer: _Optional[_Union[FaceEnhancerParams, _Mapping]] = ..., diagnostic: _Optional[_Union[DiagnosticParams, _Mapping]] = ...) -> None: ...

class TaskResult(_message.Message):
    __slots__ = ("generation", "editing", "refine", "experimental_fal", "video_generation", "background_removal", "llm_interaction", "detail_enhancer", "background_fix", "image_adjuster", "face_enhancer", "diagnostic", "files")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    EDITING_FIELD_NUMBER: _ClassVar[int]
    REFINE_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENTAL_FAL_FIELD_NUMBER: _ClassVar[int]
    VIDEO_GENERATION_FIELD_NUMBER: _ClassVar[int]
    BACKGROUND_REMOVAL_FIELD_NUMBER: _ClassVar[int]
    LLM_INTERACTION_FIELD_NUMBER: _ClassVar[int]
    DETAIL_ENHANCER_FIELD_NUMBER: _ClassVar[int]
    BACKGROUND_FIX_FIELD_NUMBER: _ClassVar[int]
    IMAGE_ADJUSTER_FIELD_NUMBER: _ClassVar[int]
    FACE_ENHANCER_FIELD_NUMBER: _ClassVar[int]
    DIAGNOSTIC_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    generation: GenerationResult
    editing: EditingResult
    refine: RefineResult
    experimental_fal: ExperimentalFalResult
    video_generation: VideoGenerationResult
    background_removal: BackgroundRemovalResult
    llm_interaction: LlmInteractionResult
    detail_enhancer: DetailEnhancerResult
    background_fix: BackgroundFixResult
    image_adjuster: ImageAdjusterResult
    face_enhancer: FaceEnhancerResult
    diagnostic: DiagnosticResult
    files: _containers.RepeatedCompositeFieldContainer[StoredFile]
    def __init__(self, generation: _Optional[_Union[GenerationResult, _Mapping]] = ..., editing: _Optional[_Union[EditingResult, _Mapping]] = ..., refine: _Optional[_Union[RefineResult, _Mapping]] = ..., experimental_fal: _Optional[_Union[ExperimentalFalResult, _Mapping]] = ..., video_generation: _Optional[_Union[VideoGenerationResult, _Mapping]] = ..., background_removal: _Optional[_Union[BackgroundRemovalResult, _Mapping]] = ..., llm_interaction: _Optional[_Union[LlmInteractionResult, _Mapping]] = ..., detail_enhancer: _Optional[_Union[DetailEnhancerResult, _Mapping]] = ..., background_fix: _Optional[_Union[BackgroundFixResult, _Mapping]] = ..., image_adjuster: _Optional[_Union[ImageAdjusterResult, _Mapping]] = ..., face_enhancer: _Optional[_Union[FaceEnhancerResult, _Mapping]] = ..., diagnostic: _Optional[_Union[DiagnosticResult, _Mapping]] = ..., files: _Optional[_Iterable[_Union[StoredFile, _Mapping]]] = ...) -> None: ...

class StoredFile(_message.Message):
    __slots__ = ("path", "sha256")
    PATH_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    path: str
    sha256: str
    def __init__(self, path: _Optional[str] = ..., sha256: _Optional[str] = ...) -> None: ...

class Measure(_message.Message):
    __slots__ = ("name", "value", "threshold", "passed", "note")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    PASSED_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    threshold: float
    passed: bool
    note: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ..., threshold: _Optional[float] = ..., passed: _Optional[bool] = ..., note: _Optional[str] = ...) -> None: ...

class Box(_message.Message):
    __slots__ = ("left", "top", "width", "height")
    LEFT_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    left: int
    top: int
    width: int
    height: int
    def __init__(self, left: _Optional[int] = ..., top: _Optional[int] = ..., width: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class Quality(_message.Message):
    __slots__ = ("passed", "reasons")
    PASSED_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    passed: bool
    reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, passed: _Optional[bool] = ..., reasons: _Optional[_Iterable[str]] = ...) -> None: ...

class PictureNote(_message.Message):
    __slots__ = ("picture", "note")
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    picture: str
    note: str
    def __init__(self, picture: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class IgnoredField(_message.Message):
    __slots__ = ("field", "words")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    field: str
    words: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, field: _Optional[str] = ..., words: _Optional[_Iterable[str]] = ...) -> None: ...

class ResultWarning(_message.Message):
    __slots__ = ("reason", "message", "words")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    words: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ..., words: _Optional[_Iterable[str]] = ...) -> None: ...

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
    __slots__ = ("result_image_path", "reference_image_path", "seed", "width", "height", "steps", "model_name", "model_sha256", "model_licence", "queued_seconds", "denoise_seconds", "quality", "notes", "ignored", "warnings")
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
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    IGNORED_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
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
    quality: Quality
    notes: _containers.RepeatedCompositeFieldContainer[PictureNote]
    ignored: _containers.RepeatedCompositeFieldContainer[IgnoredField]
    warnings: _containers.RepeatedCompositeFieldContainer[ResultWarning]
    def __init__(self, result_image_path: _Optional[str] = ..., reference_image_path: _Optional[str] = ..., seed: _Optional[int] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., steps: _Optional[int] = ..., model_name: _Optional[str] = ..., model_sha256: _Optional[str] = ..., model_licence: _Optional[str] = ..., queued_seconds: _Optional[float] = ..., denoise_seconds: _Optional[float] = ..., quality: _Optional[_Union[Quality, _Mapping]] = ..., notes: _Optional[_Iterable[_Union[PictureNote, _Mapping]]] = ..., ignored: _Optional[_Iterable[_Union[IgnoredField, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[ResultWarning, _Mapping]]] = ...) -> None: ...

class EditingParams(_message.Message):
    __slots__ = ("prompt", "base_image", "reference_images", "mask_image", "edit_strength", "width", "height", "seed", "fal_app_id", "workflow_id")
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    BASE_IMAGE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_IMAGES_FIELD_NUMBER: _ClassVar[int]
    MASK_IMAGE_FIELD_NUMBER: _ClassVar[int]
    EDIT_STRENGTH_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    FAL_APP_ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    prompt: str
    base_image: str
    reference_images: _common_pb2.StringList
    mask_image: str
    edit_strength: float
    width: int
    height: int
    seed: int
    fal_app_id: str
    workflow_id: str
    def __init__(self, prompt: _Optional[str] = ..., base_image: _Optional[str] = ..., reference_images: _Optional[_Union[_common_pb2.StringList, _Mapping]] = ..., mask_image: _Optional[str] = ..., edit_strength: _Optional[float] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., seed: _Optional[int] = ..., fal_app_id: _Optional[str] = ..., workflow_id: _Optional[str] = ...) -> None: ...

class EditingResult(_message.Message):
    __slots__ = ("result_image_path", "base_image_path", "reference_image_path", "reference_image_paths", "mask_image_path", "seed", "width", "height", "steps", "model_name", "model_sha256", "model_licence", "queued_seconds", "denoise_seconds", "quality", "notes", "ignored", "warnings")
    RESULT_IMAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    BASE_IMAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_IMAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_IMAGE_PATHS_FIELD_NUMBER: _ClassVar[int]
    MASK_IMAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_SHA256_FIELD_NUMBER: _ClassVar[int]
    MODEL_LICENCE_FIELD_NUMBER: _ClassVar[int]
    QUEUED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    DENOISE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    IGNORED_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    result_image_path: str
    base_image_path: str
    reference_image_path: str
    reference_image_paths: _common_pb2.StringList
    mask_image_path: str
    seed: int
    width: int
    height: int
    steps: int
    model_name: str
    model_sha256: str
    model_licence: str
    queued_seconds: float
    denoise_seconds: float
    quality: Quality
    notes: _containers.RepeatedCompositeFieldContainer[PictureNote]
    ignored: _containers.RepeatedCompositeFieldContainer[IgnoredField]
    warnings: _containers.RepeatedCompositeFieldContainer[ResultWarning]
    def __init__(self, result_image_path: _Optional[str] = ..., base_image_path: _Optional[str] = ..., reference_image_path: _Optional[str] = ..., reference_image_paths: _Optional[_Union[_common_pb2.StringList, _Mapping]] = ..., mask_image_path: _Optional[str] = ..., seed: _Optional[int] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., steps: _Optional[int] = ..., model_name: _Optional[str] = ..., model_sha256: _Optional[str] = ..., model_licence: _Optional[str] = ..., queued_seconds: _Optional[float] = ..., denoise_seconds: _Optional[float] = ..., quality: _Optional[_Union[Quality, _Mapping]] = ..., notes: _Optional[_Iterable[_Union[PictureNote, _Mapping]]] = ..., ignored: _Optional[_Iterable[_Union[IgnoredField, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[ResultWarning, _Mapping]]] = ...) -> None: ...

class RefineParams(_message.Message):
    __slots__ = ("base_image_url", "upscale_enabled", "upscale_factor", "target_width", "target_height", "upscale_prompt", "upscale_denoise", "upscale_steps", "upscale_seed", "face_detail_enabled", "face_detail_prompt", "face_detail_denoise", "face_detail_steps", "face_detail_seed", "fal_app_id", "refine_strategy")
    BASE_IMAGE_URL_FIELD_NUMBER: _ClassVar[int]
    UPSCALE_ENABLED_FIELD_NUMBER: _ClassVar[int]
    UPSCALE_FACTOR_FIELD_NUMBER: _ClassVar[int]
    TARGET_WIDTH_FIELD_NUMBER: _ClassVar[int]
    TARGET_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    UPSCALE_PROMPT_FIELD_NUMBER: _ClassVar[int]
    UPSCALE_DENOISE_FIELD_NUMBER: _ClassVar[int]
    UPSCALE_STEPS_FIELD_NUMBER: _ClassVar[int]
    UPSCALE_SEED_FIELD_NUMBER: _ClassVar[int]
    FACE_DETAIL_ENABLED_FIELD_NUMBER: _ClassVar[int]
    FACE_DETAIL_PROMPT_FIELD_NUMBER: _ClassVar[int]
    FACE_DETAIL_DENOISE_FIELD_NUMBER: _ClassVar[int]
    FACE_DETAIL_STEPS_FIELD_NUMBER: _ClassVar[int]
    FACE_DETAIL_SEED_FIELD_NUMBER: _ClassVar[int]
    FAL_APP_ID_FIELD_NUMBER: _ClassVar[int]
    REFINE_STRATEGY_FIELD_NUMBER: _ClassVar[int]
    base_image_url: str
    upscale_enabled: bool
    upscale_factor: float
    target_width: int
    target_height: int
    upscale_prompt: str
    upscale_denoise: float
    upscale_steps: int
    upscale_seed: int
    face_detail_enabled: bool
    face_detail_prompt: str
    face_detail_denoise: float
    face_detail_steps: int
    face_detail_seed: int
    fal_app_id: str
    refine_strategy: str
    def __init__(self, base_image_url: _Optional[str] = ..., upscale_enabled: _Optional[bool] = ..., upscale_factor: _Optional[float] = ..., target_width: _Optional[int] = ..., target_height: _Optional[int] = ..., upscale_prompt: _Optional[str] = ..., upscale_denoise: _Optional[float] = ..., upscale_steps: _Optional[int] = ..., upscale_seed: _Optional[int] = ..., face_detail_enabled: _Optional[bool] = ..., face_detail_prompt: _Optional[str] = ..., face_detail_denoise: _Optional[float] = ..., face_detail_steps: _Optional[int] = ..., face_detail_seed: _Optional[int] = ..., fal_app_id: _Optional[str] = ..., refine_strategy: _Optional[str] = ...) -> None: ...

class RefineResult(_message.Message):
    __slots__ = ("result_image_path", "base_image_path", "capability", "applied_factor", "width", "height", "tiles", "faces_found", "upscale_seed", "face_detail_seed", "measures", "debug_image_paths", "model_name", "model_sha256", "model_licence", "refine_strategy", "quality", "notes", "ignored", "warnings")
    RESULT_IMAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    BASE_IMAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    APPLIED_FACTOR_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    TILES_FIELD_NUMBER: _ClassVar[int]
    FACES_FOUND_FIELD_NUMBER: _ClassVar[int]
    UPSCALE_SEED_FIELD_NUMBER: _ClassVar[int]
    FACE_DETAIL_SEED_FIELD_NUMBER: _ClassVar[int]
    MEASURES_FIELD_NUMBER: _ClassVar[int]
    DEBUG_IMAGE_PATHS_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_SHA256_FIELD_NUMBER: _ClassVar[int]
    MODEL_LICENCE_FIELD_NUMBER: _ClassVar[int]
    REFINE_STRATEGY_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    IGNORED_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    result_image_path: str
    base_image_path: str
    capability: str
    applied_factor: float
    width: int
    height: int
    tiles: int
    faces_found: int
    upscale_seed: int
    face_detail_seed: int
    measures: _containers.RepeatedCompositeFieldContainer[Measure]
    debug_image_paths: _common_pb2.StringList
    model_name: str
    model_sha256: str
    model_licence: str
    refine_strategy: str
    quality: Quality
    notes: _containers.RepeatedCompositeFieldContainer[PictureNote]
    ignored: _containers.RepeatedCompositeFieldContainer[IgnoredField]
    warnings: _containers.RepeatedCompositeFieldContainer[ResultWarning]
    def __init__(self, result_image_path: _Optional[str] = ..., base_image_path: _Optional[str] = ..., capability: _Optional[str] = ..., applied_factor: _Optional[float] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., tiles: _Optional[int] = ..., faces_found: _Optional[int] = ..., upscale_seed: _Optional[int] = ..., face_detail_seed: _Optional[int] = ..., measures: _Optional[_Iterable[_Union[Measure, _Mapping]]] = ..., debug_image_paths: _Optional[_Union[_common_pb2.StringList, _Mapping]] = ..., model_name: _Optional[str] = ..., model_sha256: _Optional[str] = ..., model_licence: _Optional[str] = ..., refine_strategy: _Optional[str] = ..., quality: _Optional[_Union[Quality, _Mapping]] = ..., notes: _Optional[_Iterable[_Union[PictureNote, _Mapping]]] = ..., ignored: _Optional[_Iterable[_Union[IgnoredField, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[ResultWarning, _Mapping]]] = ...) -> None: ...

class ExperimentalFalParams(_message.Message):
    __slots__ = ("fal_app_id", "fal_parameters", "fal_parameters_json")
    FAL_APP_ID_FIELD_NUMBER: _ClassVar[int]
    FAL_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    FAL_PARAMETERS_JSON_FIELD_NUMBER: _ClassVar[int]
    fal_app_id: str
    fal_parameters: _struct_pb2.Struct
    fal_parameters_json: str
    def __init__(self, fal_app_id: _Optional[str] = ..., fal_parameters: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., fal_parameters_json: _Optional[str] = ...) -> None: ...

class ExperimentalFalResult(_message.Message):
    __slots__ = ("result_url", "fal_request_id", "result_paths", "output", "output_json")
    RESULT_URL_FIELD_NUMBER: _ClassVar[int]
    FAL_REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_PATHS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_JSON_FIELD_NUMBER: _ClassVar[int]
    result_url: str
    fal_request_id: str
    result_paths: _common_pb2.StringList
    output: _struct_pb2.Struct
    output_json: str
    def __init__(self, result_url: _Optional[str] = ..., fal_request_id: _Optional[str] = ..., result_paths: _Optional[_Union[_common_pb2.StringList, _Mapping]] = ..., output: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., output_json: _Optional[str] = ...) -> None: ...

class VideoGenerationParams(_message.Message):
    __slots__ = ("prompt", "negative_prompt", "input_image_path", "duration_seconds", "cfg_scale", "seed")
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_PROMPT_FIELD_NUMBER: _ClassVar[int]
    INPUT_IMAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    DURATION_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CFG_SCALE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    prompt: str
    negative_prompt: str
    input_image_path: str
    duration_seconds: int
    cfg_scale: float
    seed: int
    def __init__(self, prompt: _Optional[str] = ..., negative_prompt: _Optional[str] = ..., input_image_path: _Optional[str] = ..., duration_seconds: _Optional[int] = ..., cfg_scale: _Optional[float] = ..., seed: _Optional[int] = ...) -> None: ...

class VideoGenerationResult(_message.Message):
    __slots__ = ("result_video_path", "input_image_path", "video_seconds", "fps", "frames", "width", "height", "seed", "model_name", "model_sha256", "model_licence", "quality", "notes", "ignored", "warnings")
    RESULT_VIDEO_PATH_FIELD_NUMBER: _ClassVar[int]
    INPUT_IMAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    VIDEO_SECONDS_FIELD_NUMBER: _ClassVar[int]
    FPS_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_SHA256_FIELD_NUMBER: _ClassVar[int]
    MODEL_LICENCE_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    IGNORED_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    result_video_path: str
    input_image_path: str
    video_seconds: float
    fps: float
    frames: int
    width: int
    height: int
    seed: int
    model_name: str
    model_sha256: str
    model_licence: str
    quality: Quality
    notes: _containers.RepeatedCompositeFieldContainer[PictureNote]
    ignored: _containers.RepeatedCompositeFieldContainer[IgnoredField]
    warnings: _containers.RepeatedCompositeFieldContainer[ResultWarning]
    def __init__(self, result_video_path: _Optional[str] = ..., input_image_path: _Optional[str] = ..., video_seconds: _Optional[float] = ..., fps: _Optional[float] = ..., frames: _Optional[int] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., seed: _Optional[int] = ..., model_name: _Optional[str] = ..., model_sha256: _Optional[str] = ..., model_licence: _Optional[str] = ..., quality: _Optional[_Union[Quality, _Mapping]] = ..., notes: _Optional[_Iterable[_Union[PictureNote, _Mapping]]] = ..., ignored: _Optional[_Iterable[_Union[IgnoredField, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[ResultWarning, _Mapping]]] = ...) -> None: ...

class LlmInteractionParams(_message.Message):
    __slots__ = ("prompt", "system_prompt", "input_images")
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    SYSTEM_PROMPT_FIELD_NUMBER: _ClassVar[int]
    INPUT_IMAGES_FIELD_NUMBER: _ClassVar[int]
    prompt: str
    system_prompt: str
    input_images: _common_pb2.StringList
    def __init__(self, prompt: _Optional[str] = ..., system_prompt: _Optional[str] = ..., input_images: _Optional[_Union[_common_pb2.StringList, _Mapping]] = ...) -> None: ...

class LlmInteractionResult(_message.Message):
    __slots__ = ("result_text", "input_tokens", "output_tokens", "ai_provider", "model_name", "finish_reason", "result_text_path", "reasoning_text", "reasoning_text_path", "notes")
    RESULT_TEXT_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    AI_PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    RESULT_TEXT_PATH_FIELD_NUMBER: _ClassVar[int]
    REASONING_TEXT_FIELD_NUMBER: _ClassVar[int]
    REASONING_TEXT_PATH_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    result_text: str
    input_tokens: int
    output_tokens: int
    ai_provider: str
    model_name: str
    finish_reason: str
    result_text_path: str
    reasoning_text: str
    reasoning_text_path: str
    notes: _containers.RepeatedCompositeFieldContainer[PictureNote]
    def __init__(self, result_text: _Optional[str] = ..., input_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., ai_provider: _Optional[str] = ..., model_name: _Optional[str] = ..., finish_reason: _Optional[str] = ..., result_text_path: _Optional[str] = ..., reasoning_text: _Optional[str] = ..., reasoning_text_path: _Optional[str] = ..., notes: _Optional[_Iterable[_Union[PictureNote, _Mapping]]] = ...) -> None: ...

class DetailEnhancerParams(_message.Message):
    __slots__ = ("base_image", "reference_image", "detail_label")
    BASE_IMAGE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_IMAGE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_LABEL_FIELD_NUMBER: _ClassVar[int]
    base_image: str
    reference_image: str
    detail_label: str
    def __init__(self, base_image: _Optional[str] = ..., reference_image: _Optional[str] = ..., detail_label: _Optional[str] = ...) -> None: ...

class DetailEnhancerResult(_message.Message):
    __slots__ = ("result_image_path", "base_image_path", "reference_image_path", "accepted", "fallback_used", "attempts_used", "region", "tiles", "width", "height", "seed", "measures", "debug_image_paths", "model_name", "model_sha256", "model_licence", "quality", "notes", "ignored", "warnings")
    RESULT_IMAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    BASE_IMAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_IMAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_USED_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_USED_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    TILES_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    MEASURES_FIELD_NUMBER: _ClassVar[int]
    DEBUG_IMAGE_PATHS_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_SHA256_FIELD_NUMBER: _ClassVar[int]
    MODEL_LICENCE_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    IGNORED_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    result_image_path: str
    base_image_path: str
    reference_image_path: str
    accepted: bool
    fallback_used: bool
    attempts_used: int
    region: Box
    tiles: int
    width: int
    height: int
    seed: int
    measures: _containers.RepeatedCompositeFieldContainer[Measure]
    debug_image_paths: _common_pb2.StringList
    model_name: str
    model_sha256: str
    model_licence: str
    quality: Quality
    notes: _containers.RepeatedCompositeFieldContainer[PictureNote]
    ignored: _containers.RepeatedCompositeFieldContainer[IgnoredField]
    warnings: _containers.RepeatedCompositeFieldContainer[ResultWarning]
    def __init__(self, result_image_path: _Optional[str] = ..., base_image_path: _Optional[str] = ..., reference_image_path: _Optional[str] = ..., accepted: _Optional[bool] = ..., fallback_used: _Optional[bool] = ..., attempts_used: _Optional[int] = ..., region: _Optional[_Union[Box, _Mapping]] = ..., tiles: _Optional[int] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., seed: _Optional[int] = ..., measures: _Optional[_Iterable[_Union[Measure, _Mapping]]] = ..., debug_image_paths: _Optional[_Union[_common_pb2.StringList, _Mapping]] = ..., model_name: _Optional[str] = ..., model_sha256: _Optional[str] = ..., model_licence: _Optional[str] = ..., quality: _Optional[_Union[Quality, _Mapping]] = ..., notes: _Optional[_Iterable[_Union[PictureNote, _Mapping]]] = ..., ignored: _Optional[_Iterable[_Union[IgnoredField, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[ResultWarning, _Mapping]]] = ...) -> None: ...

class BackgroundFixParams(_message.Message):
    __slots__ = ("base_image", "palette_image", "strategy", "light_threshold", "shadow_threshold", "mask_expansion_percentage", "edge_blur_sigma", "background_color")
    BASE_IMAGE_FIELD_NUMBER: _ClassVar[int]
    PALETTE_IMAGE_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    LIGHT_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    SHADOW_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    MASK_EXPANSION_PERCENTAGE_FIELD_NUMBER: _ClassVar[int]
    EDGE_BLUR_SIGMA_FIELD_NUMBER: _ClassVar[int]
    BACKGROUND_COLOR_FIELD_NUMBER: _ClassVar[int]
    base_image: str
    palette_image: str
    strategy: str
    light_threshold: float
    shadow_threshold: float
    mask_expansion_percentage: float
    edge_blur_sigma: float
    background_color: str
    def __init__(self, base_image: _Optional[str] = ..., palette_image: _Optional[str] = ..., strategy: _Optional[str] = ..., light_threshold: _Optional[float] = ..., shadow_threshold: _Optional[float] = ..., mask_expansion_percentage: _Optional[float] = ..., edge_blur_sigma: _Optional[float] = ..., background_color: _Optional[str] = ...) -> None: ...

class BackgroundFixResult(_message.Message):
    __slots__ = ("result_image_path", "base_image_path", "palette_image_path", "mask_path", "palette_color", "background_color", "width", "height", "background_color_before", "model_name", "model_sha256", "model_licence", "quality", "notes")
    RESULT_IMAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    BASE_IMAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    PALETTE_IMAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    MASK_PATH_FIELD_NUMBER: _ClassVar[int]
    PALETTE_COLOR_FIELD_NUMBER: _ClassVar[int]
    BACKGROUND_COLOR_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    BACKGROUND_COLOR_BEFORE_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_SHA256_FIELD_NUMBER: _ClassVar[int]
    MODEL_LICENCE_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    result_image_path: str
    base_image_path: str
    palette_image_path: str
    mask_path: str
    palette_color: str
    background_color: str
    width: int
    height: int
    background_color_before: str
    model_name: str
    model_sha256: str
    model_licence: str
    quality: Quality
    notes: _containers.RepeatedCompositeFieldContainer[PictureNote]
    def __init__(self, result_image_path: _Optional[str] = ..., base_image_path: _Optional[str] = ..., palette_image_path: _Optional[str] = ..., mask_path: _Optional[str] = ..., palette_color: _Optional[str] = ..., background_color: _Optional[str] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., background_color_before: _Optional[str] = ..., model_name: _Optional[str] = ..., model_sha256: _Optional[str] = ..., model_licence: _Optional[str] = ..., quality: _Optional[_Union[Quality, _Mapping]] = ..., notes: _Optional[_Iterable[_Union[PictureNote, _Mapping]]] = ...) -> None: ...

class ImageAdjusterParams(_message.Message):
    __slots__ = ("input_image", "reference_image", "mode", "aspect_ratio", "target_width", "target_height", "margin_top", "margin_right", "margin_bottom", "margin_left", "cropping_position", "scaling_proportions", "resampling", "tolerance")
    INPUT_IMAGE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_IMAGE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    ASPECT_RATIO_FIELD_NUMBER: _ClassVar[int]
    TARGET_WIDTH_FIELD_NUMBER: _ClassVar[int]
    TARGET_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    MARGIN_TOP_FIELD_NUMBER: _ClassVar[int]
    MARGIN_RIGHT_FIELD_NUMBER: _ClassVar[int]
    MARGIN_BOTTOM_FIELD_NUMBER: _ClassVar[int]
    MARGIN_LEFT_FIELD_NUMBER: _ClassVar[int]
    CROPPING_POSITION_FIELD_NUMBER: _ClassVar[int]
    SCALING_PROPORTIONS_FIELD_NUMBER: _ClassVar[int]
    RESAMPLING_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    input_image: str
    reference_image: str
    mode: str
    aspect_ratio: float
    target_width: int
    target_height: int
    margin_top: float
    margin_right: float
    margin_bottom: float
    margin_left: float
    cropping_position: str
    scaling_proportions: str
    resampling: str
    tolerance: float
    def __init__(self, input_image: _Optional[str] = ..., reference_image: _Optional[str] = ..., mode: _Optional[str] = ..., aspect_ratio: _Optional[float] = ..., target_width: _Optional[int] = ..., target_height: _Optional[int] = ..., margin_top: _Optional[float] = ..., margin_right: _Optional[float] = ..., margin_bottom: _Optional[float] = ..., margin_left: _Optional[float] = ..., cropping_position: _Optional[str] = ..., scaling_proportions: _Optional[str] = ..., resampling: _Optional[str] = ..., tolerance: _Optional[float] = ...) -> None: ...

class ImageAdjusterResult(_message.Message):
    __slots__ = ("result_image_path", "input_image_path", "reference_image_path", "width", "height", "applied_mode", "crop_box", "placed_box", "subject_box", "icc_profile", "model_name", "model_sha256", "model_licence", "quality", "notes")
    RESULT_IMAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    INPUT_IMAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_IMAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    APPLIED_MODE_FIELD_NUMBER: _ClassVar[int]
    CROP_BOX_FIELD_NUMBER: _ClassVar[int]
    PLACED_BOX_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_BOX_FIELD_NUMBER: _ClassVar[int]
    ICC_PROFILE_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_SHA256_FIELD_NUMBER: _ClassVar[int]
    MODEL_LICENCE_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    result_image_path: str
    input_image_path: str
    reference_image_path: str
    width: int
    height: int
    applied_mode: str
    crop_box: Box
    placed_box: Box
    subject_box: Box
    icc_profile: str
    model_name: str
    model_sha256: str
    model_licence: str
    quality: Quality
    notes: _containers.RepeatedCompositeFieldContainer[PictureNote]
    def __init__(self, result_image_path: _Optional[str] = ..., input_image_path: _Optional[str] = ..., reference_image_path: _Optional[str] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., applied_mode: _Optional[str] = ..., crop_box: _Optional[_Union[Box, _Mapping]] = ..., placed_box: _Optional[_Union[Box, _Mapping]] = ..., subject_box: _Optional[_Union[Box, _Mapping]] = ..., icc_profile: _Optional[str] = ..., model_name: _Optional[str] = ..., model_sha256: _Optional[str] = ..., model_licence: _Optional[str] = ..., quality: _Optional[_Union[Quality, _Mapping]] = ..., notes: _Optional[_Iterable[_Union[PictureNote, _Mapping]]] = ...) -> None: ...

class FaceEnhancerParams(_message.Message):
    __slots__ = ("input_image",)
    INPUT_IMAGE_FIELD_NUMBER: _ClassVar[int]
    input_image: str
    def __init__(self, input_image: _Optional[str] = ...) -> None: ...

class FaceEnhancerResult(_message.Message):
    __slots__ = ("result_image_path", "input_image_path", "face_detected", "faces_found", "accepted", "fallback_used", "attempts_used", "final_ssim_score", "final_lpips_score", "final_dists_score", "width", "height", "seed", "measures", "debug_image_paths", "model_name", "model_sha256", "model_licence", "quality", "notes", "ignored", "warnings")
    RESULT_IMAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    INPUT_IMAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    FACE_DETECTED_FIELD_NUMBER: _ClassVar[int]
    FACES_FOUND_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_USED_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_USED_FIELD_NUMBER: _ClassVar[int]
    FINAL_SSIM_SCORE_FIELD_NUMBER: _ClassVar[int]
    FINAL_LPIPS_SCORE_FIELD_NUMBER: _ClassVar[int]
    FINAL_DISTS_SCORE_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    MEASURES_FIELD_NUMBER: _ClassVar[int]
    DEBUG_IMAGE_PATHS_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_SHA256_FIELD_NUMBER: _ClassVar[int]
    MODEL_LICENCE_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    IGNORED_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    result_image_path: str
    input_image_path: str
    face_detected: bool
    faces_found: int
    accepted: bool
    fallback_used: bool
    attempts_used: int
    final_ssim_score: float
    final_lpips_score: float
    final_dists_score: float
    width: int
    height: int
    seed: int
    measures: _containers.RepeatedCompositeFieldContainer[Measure]
    debug_image_paths: _common_pb2.StringList
    model_name: str
    model_sha256: str
    model_licence: str
    quality: Quality
    notes: _containers.RepeatedCompositeFieldContainer[PictureNote]
    ignored: _containers.RepeatedCompositeFieldContainer[IgnoredField]
    warnings: _containers.RepeatedCompositeFieldContainer[ResultWarning]
    def __init__(self, result_image_path: _Optional[str] = ..., input_image_path: _Optional[str] = ..., face_detected: _Optional[bool] = ..., faces_found: _Optional[int] = ..., accepted: _Optional[bool] = ..., fallback_used: _Optional[bool] = ..., attempts_used: _Optional[int] = ..., final_ssim_score: _Optional[float] = ..., final_lpips_score: _Optional[float] = ..., final_dists_score: _Optional[float] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., seed: _Optional[int] = ..., measures: _Optional[_Iterable[_Union[Measure, _Mapping]]] = ..., debug_image_paths: _Optional[_Union[_common_pb2.StringList, _Mapping]] = ..., model_name: _Optional[str] = ..., model_sha256: _Optional[str] = ..., model_licence: _Optional[str] = ..., quality: _Optional[_Union[Quality, _Mapping]] = ..., notes: _Optional[_Iterable[_Union[PictureNote, _Mapping]]] = ..., ignored: _Optional[_Iterable[_Union[IgnoredField, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[ResultWarning, _Mapping]]] = ...) -> None: ...

class PictureModel(_message.Message):
    __slots__ = ("model_name", "model_sha256", "model_licence")
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_SHA256_FIELD_NUMBER: _ClassVar[int]
    MODEL_LICENCE_FIELD_NUMBER: _ClassVar[int]
    model_name: str
    model_sha256: str
    model_licence: str
    def __init__(self, model_name: _Optional[str] = ..., model_sha256: _Optional[str] = ..., model_licence: _Optional[str] = ...) -> None: ...

class BackgroundRemovalParams(_message.Message):
    __slots__ = ("input_image_paths",)
    INPUT_IMAGE_PATHS_FIELD_NUMBER: _ClassVar[int]
    input_image_paths: _common_pb2.StringList
    def __init__(self, input_image_paths: _Optional[_Union[_common_pb2.StringList, _Mapping]] = ...) -> None: ...

class BackgroundRemovalResult(_message.Message):
    __slots__ = ("result_image_paths", "confidences", "models", "model_name", "model_sha256", "model_licence", "quality", "notes")
    RESULT_IMAGE_PATHS_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCES_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_SHA256_FIELD_NUMBER: _ClassVar[int]
    MODEL_LICENCE_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    result_image_paths: _common_pb2.StringList
    confidences: _containers.RepeatedScalarFieldContainer[float]
    models: _containers.RepeatedCompositeFieldContainer[PictureModel]
    model_name: str
    model_sha256: str
    model_licence: str
    quality: Quality
    notes: _containers.RepeatedCompositeFieldContainer[PictureNote]
    def __init__(self, result_image_paths: _Optional[_Union[_common_pb2.StringList, _Mapping]] = ..., confidences: _Optional[_Iterable[float]] = ..., models: _Optional[_Iterable[_Union[PictureModel, _Mapping]]] = ..., model_name: _Optional[str] = ..., model_sha256: _Optional[str] = ..., model_licence: _Optional[str] = ..., quality: _Optional[_Union[Quality, _Mapping]] = ..., notes: _Optional[_Iterable[_Union[PictureNote, _Mapping]]] = ...) -> None: ...

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
