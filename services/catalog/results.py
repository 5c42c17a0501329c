"""Parts that the results of several task types share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from services.catalog.base import TaskResult


class Quality(BaseModel):
    """How a result did by its own measures."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    passed: bool = Field(description="False when a measure was not met: look at the result before you use it")
    reasons: list[str] = Field([], description="Why it did not pass, in stable words; docs/pictures.md lists them")


class PictureNote(BaseModel):
    """What became of a picture that came in, other than that it was taken as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    picture: str = Field(
        description="Parameter that named it, such as base_image or input_image_paths[0]; "
        "result_image_path of what a provider sent"
    )
    note: str = Field(description="A stable word, such as ALPHA_LAID_ON_WHITE; docs/pictures.md lists them")


class NotedResult(TaskResult):
    """A result that says what became of the pictures it was made of."""

    notes: list[PictureNote] = Field([], description="What was not kept of the pictures that came in")


class PictureResult(NotedResult):
    """A result that may have been measured, and that a model may have had part in."""

    quality: Quality | None = Field(None, description="How it did by its own measures; null where none was taken")
    model_name: str | None = Field(
        None, description="Model that drew it, or that told its subject; null where none was asked"
    )
    model_sha256: str | None = Field(None, description="Hash of the model's weights; null where its provider has none")
    model_licence: str | None = Field(None, description="Licence of the model; null where its provider says none")


class Ignored(BaseModel):
    """A field of the request that had no effect on the result."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: str = Field(description="Field that had none, such as prompt, negative_prompt or guidance")
    words: list[str] = Field([], description="Of a text, the words that had none")


class Warning(BaseModel):
    """What of the request lies outside what the model was made for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: str = Field(description="A stable word, such as PROMPT_WORDS_UNKNOWN; docs/prompts.md lists them")
    message: str = Field(description="The same for people")
    words: list[str] = Field([], description="The words it is about")


class PictureModel(BaseModel):
    """The model that told the subject of one of several pictures."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model_name: str | None = Field(None, description="Its name; null where the picture's own transparency told")
    model_sha256: str | None = Field(None, description="Hash of its weights")
    model_licence: str | None = Field(None, description="Its licence")


class PromptedResult(PictureResult):
    """A result of a model that went by words."""

    ignored: list[Ignored] = Field([], description="What of the request had no effect")
    warnings: list[Warning] = Field([], description="What the model does not know or was not made for")


class DrawnResult(PromptedResult):
    """A picture that a model drew, and what made it; durations in seconds."""

    result_image_path: str = Field(description="Stored path of the result picture")
    seed: int | None = Field(None, description="Seed that was used, where the provider says")
    width: int = Field(description="Width of the picture")
    height: int = Field(description="Height of the picture")
    steps: int | None = Field(None, description="Denoising steps taken")
    queued_seconds: float | None = Field(None, description="Seconds waited for room on the model")
    denoise_seconds: float | None = Field(None, description="Seconds spent drawing")


class Measure(BaseModel):
    """One score. Without `value` it was not measured, and `note` says why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="Name of the score, such as SSIM, LPIPS or DISTS")
    value: float | None = Field(None, description="The score; null when it was not measured")
    threshold: float | None = Field(None, description="The limit it was held against; null when there was none")
    passed: bool | None = Field(None, description="Whether it met the limit; null when nothing was compared")
    note: str | None = Field(None, description="Why it was not measured, or what was measured")


class Box(BaseModel):
    """A rectangle in pixels from the top left corner."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    left: int = Field(description="Pixels left of it")
    top: int = Field(description="Pixels above it")
    width: int = Field(description="Width in pixels")
    height: int = Field(description="Height in pixels")
