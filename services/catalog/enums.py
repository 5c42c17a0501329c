"""Every enum of the public schema. The contract prints few members; those it prints are all here."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum, StrEnum
from pathlib import Path
from pkgutil import iter_modules
from typing import TypeVar, cast

MembersT = TypeVar("MembersT", bound=StrEnum)


def with_files_of(folder: str, *, without: tuple[str, ...] = ()) -> Callable[[type[MembersT]], type[MembersT]]:
    """Adds a member for each module in `folder` beside this file that has none, so that one file is all it takes.

    They are there at run time only: type checkers know the members that are written down.
    """
    files = [info.name.upper() for info in iter_modules([str(Path(__file__).parent / folder)])]

    def extend(written: type[MembersT]) -> type[MembersT]:
        names = dict.fromkeys([member.name for member in written] + [name for name in files if name not in without])
        made = StrEnum(written.__name__, {name: name for name in names}, module=written.__module__)  # type: ignore[misc]
        made.__doc__ = written.__doc__
        return cast("type[MembersT]", made)

    return extend


class TaskStatus(StrEnum):
    """Status of a task"""

    PENDING = "PENDING"
    EXECUTING = "EXECUTING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


@with_files_of("tasks", without=("DIAGNOSTIC",))
class TaskType(StrEnum):
    """Type of a task"""

    GENERATION = "GENERATION"
    EDITING = "EDITING"
    REFINE = "REFINE"
    EXPERIMENTAL_FAL = "EXPERIMENTAL_FAL"
    VIDEO_GENERATION = "VIDEO_GENERATION"
    LLM_INTERACTION = "LLM_INTERACTION"
    BACKGROUND_REMOVAL = "BACKGROUND_REMOVAL"
    DETAIL_ENHANCER = "DETAIL_ENHANCER"
    BACKGROUND_FIX = "BACKGROUND_FIX"
    IMAGE_ADJUSTER = "IMAGE_ADJUSTER"
    FACE_ENHANCER = "FACE_ENHANCER"


class WorkflowStatus(StrEnum):
    """Status of a workflow"""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class StepStatus(StrEnum):
    """Status of a step. The contract prints PENDING; the others are ours"""

    PENDING = "PENDING"
    WAITING = "WAITING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    CACHED = "CACHED"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class CacheMode(StrEnum):
    """Whether a step may be given what an identical one made before.

    `use` and `refresh` also where its type draws at random without a seed; `refresh` makes it anew for later ones.
    """

    USE = "use"
    REFRESH = "refresh"
    OFF = "off"


class GateKind(StrEnum):
    """What a step waits for before it runs"""

    APPROVAL = "approval"


class GateTimeout(StrEnum):
    """What becomes of a step that nobody has decided about in time"""

    REJECT = "reject"
    APPROVE = "approve"


class Comparison(StrEnum):
    """How a condition compares a value with another"""

    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    IN = "in"


class JoinPolicy(StrEnum):
    """When a step with a task for each item of a list has ended well"""

    ALL = "all"
    ALL_DONE = "all_done"
    QUORUM = "quorum"


class TransformType(StrEnum):
    """What a mapping does to a value on its way. None is printed in the contract; these are ours.

    FIRST, LAST and AT_INDEX take one item of a list, TO_LIST makes a list of one item, FLATTEN one list of several,
    JOIN one text of a list, LENGTH counts, TEMPLATE puts a value into a text, MERGE makes one object of several, and
    RESIZE_REFERENCE takes a side of one picture as the reference for a side of another.
    """

    FIRST = "FIRST"
    LAST = "LAST"
    AT_INDEX = "AT_INDEX"
    TO_LIST = "TO_LIST"
    FLATTEN = "FLATTEN"
    JOIN = "JOIN"
    LENGTH = "LENGTH"
    TEMPLATE = "TEMPLATE"
    MERGE = "MERGE"
    RESIZE_REFERENCE = "RESIZE_REFERENCE"


class TaskPriority(IntEnum):
    """Priority of a task, as an integer; the higher goes first"""

    LOW = 0
    NORMAL = 1
    HIGH = 2
    URGENT = 3


@with_files_of("providers")
class ProviderType(StrEnum):
    """Provider that runs tasks"""

    LOCAL = "LOCAL"
    AI_CORE = "AI_CORE"
    FAL = "FAL"
    FAL_GARMENT_FIXER = "FAL_GARMENT_FIXER"
    FAL_SHOOTIFY_REFINER = "FAL_SHOOTIFY_REFINER"
    FASHN = "FASHN"
    FREEPIK_MAGNIFIC = "FREEPIK_MAGNIFIC"
    FREEPIK_MAGNIFIC_PRECISION = "FREEPIK_MAGNIFIC_PRECISION"
    NANO_BANANA_UPSCALER = "NANO_BANANA_UPSCALER"
    SARTIQ_ULTIMATE_FACE_FIXER = "SARTIQ_ULTIMATE_FACE_FIXER"
    SARTIQ_ULTIMATE_GARMENT_FIXER = "SARTIQ_ULTIMATE_GARMENT_FIXER"
    SARTIQ_ULTIMATE_REFINER = "SARTIQ_ULTIMATE_REFINER"
    VERTEX = "VERTEX"


class RefineStrategy(StrEnum):
    """How a picture is made larger"""

    FAITHFUL = "faithful"
    CREATIVE = "creative"


class ProviderCapability(StrEnum):
    """Something a provider can do"""

    TEXT_TO_IMAGE = "TEXT_TO_IMAGE"
    IMAGE_TO_IMAGE = "IMAGE_TO_IMAGE"
    INPAINTING = "INPAINTING"
    LORA = "LORA"
    BACKGROUND_REMOVAL = "BACKGROUND_REMOVAL"
    UPSCALE_2X = "UPSCALE_2X"
    UPSCALE_4X = "UPSCALE_4X"
    UPSCALE_8X = "UPSCALE_8X"
    UPSCALE_FLOAT = "UPSCALE_FLOAT"
    OUTPUT_SIZE = "OUTPUT_SIZE"
    FACE_DETAIL = "FACE_DETAIL"
    IMAGE_TO_VIDEO = "IMAGE_TO_VIDEO"
    TEXT_COMPLETION = "TEXT_COMPLETION"
    INSTRUCTION_EDIT = "INSTRUCTION_EDIT"
    DETAIL_TRANSFER = "DETAIL_TRANSFER"
    FREE_FORM = "FREE_FORM"


class ErrorCategory(StrEnum):
    """Class of a task error"""

    VALIDATION = "VALIDATION"
    NOT_FOUND = "NOT_FOUND"
    CONTENT_POLICY = "CONTENT_POLICY"
    PROVIDER = "PROVIDER"
    PROVIDER_ACCOUNT = "PROVIDER_ACCOUNT"
    RATE_LIMIT = "RATE_LIMIT"
    RESOURCE = "RESOURCE"
    TIMEOUT = "TIMEOUT"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"


class EventType(StrEnum):
    """Kind of event"""

    TASK_CREATED = "TASK_CREATED"
    TASK_EXECUTING = "TASK_EXECUTING"
    TASK_RETRYING = "TASK_RETRYING"
    TASK_RETURNED = "TASK_RETURNED"
    TASK_COMPLETED = "TASK_COMPLETED"
    TASK_FAILED = "TASK_FAILED"
    TASK_CANCELLED = "TASK_CANCELLED"
    TASK_REPLAYED = "TASK_REPLAYED"
    TASK_CLEANED = "TASK_CLEANED"
    TASK_DELETED = "TASK_DELETED"
    TASK_STATUS = "TASK_STATUS"
    INFERENCE_STATUS = "INFERENCE_STATUS"
    PREPROCESSING_STATUS = "PREPROCESSING_STATUS"
    TRAINING_STATUS = "TRAINING_STATUS"
    WORKFLOW_CREATED = "WORKFLOW_CREATED"
    WORKFLOW_STARTED = "WORKFLOW_STARTED"
    WORKFLOW_STEP_STARTED = "WORKFLOW_STEP_STARTED"
    WORKFLOW_STEP_COMPLETED = "WORKFLOW_STEP_COMPLETED"
    WORKFLOW_STEP_FAILED = "WORKFLOW_STEP_FAILED"
    WORKFLOW_STEP_SKIPPED = "WORKFLOW_STEP_SKIPPED"
    WORKFLOW_STEP_WAITING = "WORKFLOW_STEP_WAITING"
    WORKFLOW_STEP_APPROVED = "WORKFLOW_STEP_APPROVED"
    WORKFLOW_STEP_REJECTED = "WORKFLOW_STEP_REJECTED"
    WORKFLOW_PAUSED = "WORKFLOW_PAUSED"
    WORKFLOW_RESUMED = "WORKFLOW_RESUMED"
    WORKFLOW_COMPLETED = "WORKFLOW_COMPLETED"
    WORKFLOW_FAILED = "WORKFLOW_FAILED"
    WORKFLOW_CANCELLED = "WORKFLOW_CANCELLED"
    WORKFLOW_CLEANED = "WORKFLOW_CLEANED"


class BackgroundFixStrategy(StrEnum):
    """How a background takes on the palette's colour. None is printed in the contract; these are ours.

    COLOR_SHIFT moves every colour by what lies between the two backgrounds, LUMINANCE_PRESERVING leaves its lightness
    as it is, HISTOGRAM_MATCH gives the background the palette's distribution of colours, FLAT_FILL replaces it by the
    palette's colour and keeps soft shadows.
    """

    COLOR_SHIFT = "COLOR_SHIFT"
    LUMINANCE_PRESERVING = "LUMINANCE_PRESERVING"
    HISTOGRAM_MATCH = "HISTOGRAM_MATCH"
    FLAT_FILL = "FLAT_FILL"


class ResizeMode(StrEnum):
    """How a picture gets its new shape; spelled as the contract prints them"""

    AUTO = "auto"
    CROP = "crop"
    PAD = "pad"
    SCALE = "scale"


class ScalingProportions(StrEnum):
    """Which margins scaling meets exactly; the contract prints 'height', 'width' is its counterpart"""

    HEIGHT = "height"
    WIDTH = "width"


class CroppingPosition(StrEnum):
    """Which part of the picture a crop keeps; the nine positions of a three by three grid"""

    CENTER = "center"
    TOP = "top"
    BOTTOM = "bottom"
    LEFT = "left"
    RIGHT = "right"
    TOP_LEFT = "top_left"
    TOP_RIGHT = "top_right"
    BOTTOM_LEFT = "bottom_left"
    BOTTOM_RIGHT = "bottom_right"


class Resampling(StrEnum):
    """Filter for a picture's new size; the names Pillow gives them"""

    NEAREST = "nearest"
    BOX = "box"
    BILINEAR = "bilinear"
    HAMMING = "hamming"
    BICUBIC = "bicubic"
    LANCZOS = "lanczos"


class AiVendor(StrEnum):
    """Who answers a prompt; spelled as the contract prints them"""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"
    OLLAMA = "ollama"
