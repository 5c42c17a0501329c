"""What a model's answers must look like to be believed: one that is broken may answer in time, and wrongly.

Everything here raises Internal (MODEL_ANSWER_UNUSABLE) for an answer that cannot be the one to its request.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveInt, ValidationError
from tritonclient.grpc import InferResult

from services.common.errors import Internal
from services.providers.capabilities.enlarging import TileProgress
from services.providers.ports import (
    DiffusionStep,
    Drawing,
    DrawnPicture,
    IgnoredField,
    LoadedModel,
    Matte,
    ModelCard,
    ModelFeedback,
    ModelWarning,
    Pixels,
)

EventT = TypeVar("EventT", bound="ModelEvent")
# What our models call the output that holds their JSON.
EVENTS = ("EVENT", "INFO")


class ModelEvent(BaseModel):
    """The JSON of one response; further fields are for people."""

    model_config = ConfigDict(allow_inf_nan=False, frozen=True, protected_namespaces=())


class StepEvent(ModelEvent):
    step: PositiveInt
    of: PositiveInt


class CardEvent(ModelEvent):
    name: str
    sha256: str
    licence: str

    def card(self) -> ModelCard:
        return ModelCard(self.name, self.sha256, self.licence)


class ServedEvent(CardEvent):
    serves: str
    made_for: str = ""
    source: str = ""
    upstream: str = ""

    def model(self) -> LoadedModel:
        return LoadedModel(self.card(), self.serves, self.made_for, self.source, self.upstream)


class LoraEvent(ModelEvent):
    sha256: str
    weight: float


class IgnoredEvent(ModelEvent):
    field: str
    words: tuple[str, ...] = ()


class WarningEvent(ModelEvent):
    reason: str
    message: str
    words: tuple[str, ...] = ()


class ResultEvent(ModelEvent):
    steps: PositiveInt
    seed: int
    queued_ms: NonNegativeFloat
    denoise_ms: NonNegativeFloat
    model: CardEvent
    loras: tuple[LoraEvent, ...] = ()
    ignored: tuple[IgnoredEvent, ...] = ()
    warnings: tuple[WarningEvent, ...] = ()

    def heard(self) -> ModelFeedback:
        ignored = tuple(IgnoredField(found.field, found.words) for found in self.ignored)
        return ModelFeedback(
            ignored, tuple(ModelWarning(found.reason, found.message, found.words) for found in self.warnings)
        )


class ModelsEvent(ModelEvent):
    """What every canary says: which models answer. Older runtimes say nothing of them."""

    models: tuple[ServedEvent, ...] = ()

    def served(self) -> tuple[LoadedModel, ...]:
        return tuple(model.model() for model in self.models)


class MatteEvent(ModelEvent):
    confidence: NonNegativeFloat
    model: CardEvent


class TileEvent(ModelEvent):
    tile: PositiveInt
    of: PositiveInt
    top: int | None = None


class UpscaledEvent(ModelEvent):
    tiles: PositiveInt
    model: CardEvent


class CanaryEvent(ModelsEvent):
    queued: int
    pid: PositiveInt


class SizeEvent(ModelEvent):
    width: PositiveInt
    height: PositiveInt


class LimitsEvent(ModelEvent):
    max_pixels: PositiveInt


class DefaultsEvent(ModelEvent):
    guidance: float


class DescribeEvent(ModelEvent):
    native: SizeEvent
    multiple_of: PositiveInt
    limits: LimitsEvent
    defaults: DefaultsEvent


def unusable(why: str) -> Internal:
    return Internal(f"the model's answer cannot be used: {why}", reason="MODEL_ANSWER_UNUSABLE")


def event_of(event: dict[str, Any], kind: type[EventT]) -> EventT:
    try:
        return kind.model_validate(event)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise unusable(f"{event.get('event', 'its event')}.{place}: {first['msg']}") from error


def tensors_of(result: InferResult) -> tuple[dict[str, Any], dict[str, Pixels]]:
    """The event, and the pictures by name."""
    event: Any = None
    pixels: dict[str, Pixels] = {}
    try:
        for output in result.get_response().outputs:
            values = result.as_numpy(output.name)
            if output.name in EVENTS:
                event = json.loads(values.ravel()[0])
            else:
                pixels[output.name] = values
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise unusable(f"its tensors cannot be read ({type(error).__name__})") from error
    if not isinstance(event, dict):
        raise unusable("it says nothing about itself")
    return event, pixels


def picture_of(
    event: dict[str, Any],
    pixels: dict[str, Pixels],
    drawing: Drawing,
    last: DiffusionStep | None,
    *,
    default_guidance: float,
) -> DrawnPicture:
    """`last` is the step heard before it: a picture without its steps is another's, or nobody's."""
    said = event_of(event, ResultEvent)
    if said.seed != drawing.seed:
        raise unusable(f"a picture of seed {said.seed}, not of {drawing.seed}")
    if last is None or not last.step == last.of == said.steps:
        raise unusable("a picture before its last step")
    return DrawnPicture(
        pixels=_expect(pixels.get("RESULT"), (drawing.height or 0, drawing.width or 0, 3)),
        seed=said.seed,
        steps=said.steps,
        guidance=default_guidance if drawing.guidance is None else drawing.guidance,
        model=said.model.card(),
        loras=tuple((lora.sha256, lora.weight) for lora in said.loras),
        queued_seconds=round(said.queued_ms / 1e3, 6),
        denoise_seconds=round(said.denoise_ms / 1e3, 6),
        heard=said.heard(),
    )


def step_of(event: dict[str, Any], pixels: dict[str, Pixels]) -> DiffusionStep:
    """A preview that is none is left out: the picture does not depend on it."""
    said, preview = event_of(event, StepEvent), pixels.get("PREVIEW")
    shown = preview is not None and preview.dtype == np.uint8 and preview.ndim == 3 and preview.size > 0
    return DiffusionStep(said.step, said.of, preview if shown else None)


def matte_of(event: dict[str, Any], pixels: dict[str, Pixels], asked: Pixels) -> Matte:
    said = event_of(event, MatteEvent)
    if said.confidence > 1.0:
        raise unusable(f"a confidence of {said.confidence}")
    alpha = _expect(pixels.get("MATTE"), asked.shape[:2])
    return Matte(alpha, said.confidence, said.model.card())


def tile_of(event: dict[str, Any], pixels: dict[str, Pixels], shape: tuple[int, ...], filled: int) -> TileProgress:
    """Rows must follow those before, of which `filled` are there, and end within the picture of that `shape`."""
    said, rows = event_of(event, TileEvent), pixels.get("ROWS")
    if rows is None:
        return TileProgress(said.tile, said.of)
    if said.top != filled or filled + len(rows) > shape[0]:
        raise unusable(f"rows from {said.top} on after {filled} of {shape[0]}")
    return TileProgress(said.tile, said.of, filled, _expect(rows, (len(rows), *shape[1:])))


def _expect(pixels: Pixels | None, shape: tuple[int, ...]) -> Pixels:
    if pixels is None:
        raise unusable("its picture is missing")
    if pixels.shape != shape or pixels.dtype != np.uint8:
        raise unusable(f"a picture of {pixels.dtype}{list(pixels.shape)} instead of uint8{list(shape)}")
    return pixels
