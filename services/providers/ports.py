"""What a provider can be asked for: capabilities, each a small interface over plain values.

A provider implements those it has; who needs one asks the directory for a provider that does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, cast, runtime_checkable

from services.imaging.processing.arrays import Pixels as Pixels
from services.providers.calls import AccountTerms, VendorCall

CapabilityT = TypeVar("CapabilityT")
SIZE_UNUSUAL = "SIZE_UNUSUAL"
# What models call it when so little was to be drawn anew that no step of theirs ran.
STRENGTH = "strength"


@dataclass(frozen=True, slots=True)
class Lora:
    """`path` in the words of the task; the provider says where that lies."""

    path: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture asked for. None leaves the choice to the model.

    `image` is RGB `[H, W, 3]` to start from; `strength` (0 < s ≤ 1) says how much of it is drawn anew. `mask` is
    `[H, W]` as `image`, 255 where to paint. `app` names one of the provider's own models, where it offers several.
    `exact` asks for the same bits for the same seed, whatever that costs. `variation` (0 to 1) leads by degrees from
    the picture of `seed` to that of `variation_seed`.
    """

    prompt: str
    seed: int
    negative_prompt: str = ""
    width: int | None = None
    height: int | None = None
    steps: int | None = None
    guidance: float | None = None
    image: Pixels | None = None
    mask: Pixels | None = None
    strength: float | None = None
    app: str | None = None
    loras: tuple[Lora, ...] = ()
    exact: bool = False
    preview_every: int | None = None
    variation_seed: int | None = None
    variation: float = 0.0


@dataclass(frozen=True, slots=True)
class DiffusionStep:
    """`step` of `of` is done. `preview`: RGB `[h, w, 3]`, smaller than the picture."""

    step: int
    of: int
    preview: Pixels | None = None


OnStep: TypeAlias = Callable[[DiffusionStep], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Which weights drew it, and under which licence they may be used."""

    name: str
    sha256: str
    licence: str


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model of our own that answers, as the registry knows it; empty where nothing is known."""

    card: ModelCard
    serves: str
    made_for: str = ""
    source: str = ""
    upstream: str = ""


@dataclass(frozen=True, slots=True)
class IgnoredField:
    """A field of the request that had no effect; of a text the words that had none."""

    field: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelWarning:
    """What of a request lies outside what the model was made for: a stable reason, prose, and the words it is about."""

    reason: str
    message: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelFeedback:
    """What a model says it made of what it was asked for; nothing where there is nothing to say."""

    ignored: tuple[IgnoredField, ...] = ()
    model_warnings: tuple[ModelWarning, ...] = ()

    @property
    def of_words(self) -> ModelFeedback:
        """Without what it says of the size, where that was ours and not the caller's."""
        return ModelFeedback(
            self.ignored, tuple(doubt for doubt in self.model_warnings if doubt.reason != SIZE_UNUSUAL)
        )

    @property
    def of_text(self) -> ModelFeedback:
        """The same, without what it says of the strength, where that was ours as well."""
        return ModelFeedback(
            tuple(found for found in self.ignored if found.field != STRENGTH), self.of_words.model_warnings
        )

    def has_no(self, field: str) -> bool:
        """Whether that field of the request had no effect."""
        return any(found.field == field for found in self.ignored)

    def called(self, names: Mapping[str, str]) -> ModelFeedback:
        """With the fields named as the caller knows them."""
        ignored = (replace(found, field=names.get(found.field, found.field)) for found in self.ignored)
        return ModelFeedback(tuple(ignored), self.model_warnings)

    def doubting(self, doubt: ModelWarning) -> ModelFeedback:
        return ModelFeedback(self.ignored, (*self.model_warnings, doubt))


NOTHING_SAID = ModelFeedback()


@dataclass(frozen=True, slots=True)
class DrawnPicture:
    """A picture drawn: RGB `[H, W, 3]`, and what it took. `loras` are content hash and weight.

    `alpha` is `[h, w]` of a transparent one, of any size with the same proportions; `notes` say what else of the file
    that came was not taken as it is. None where an outside provider does not say.
    """

    pixels: Pixels
    model: ModelCard
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    loras: tuple[tuple[str, float], ...] = ()
    queued_seconds: float | None = None
    denoise_seconds: float | None = None
    heard: ModelFeedback = NOTHING_SAID
    alpha: Pixels | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Matte:
    """`alpha` is `[H, W]`, 255 on the subject; `confidence` 0 to 1, low where the methods disagree."""

    alpha: Pixels
    confidence: float
    model: ModelCard


@runtime_checkable
class Diffusion(Protocol):
    """Draws pictures from words."""

    async def draw(self, drawing: Drawing, on_step: OnStep) -> DrawnPicture:
        """Raises InvalidRequest, Overloaded or Unavailable. Cancelling it stops the drawing within one step."""
        ...


@runtime_checkable
class Matting(Protocol):
    """Tells the subject of a picture from its background."""

    async def matte(self, pixels: Pixels) -> Matte:
        """`pixels` is RGB `[H, W, 3]`. Raises InvalidRequest or Unavailable."""
        ...


class Capability(Generic[CapabilityT]):
    """Names an interface where one is asked for, in words that follow "cannot"; no protocol can be a value to mypy."""

    def __init__(self, name: str, kind: Any) -> None:
        self.name = name
        self.kind = kind

    def of(self, provider: object) -> CapabilityT | None:
        """`provider` as one that can, or None."""
        return cast(CapabilityT, provider) if isinstance(provider, self.kind) else None


DIFFUSION: Capability[Diffusion] = Capability("draw pictures from a prompt", Diffusion)
MATTING: Capability[Matting] = Capability("cut out subjects", Matting)

Check: TypeAlias = Callable[[], Awaitable[None]]


class Provider(Protocol):
    """An open provider.

    `checks` tell whether its dependencies were well a moment ago, `canaries` try them now; both raise ComputeError.
    `terms` are None for what is our own: it costs nothing, is tried once in each attempt, and nothing of it is stored
    before the task ends.
    """

    @property
    def terms(self) -> AccountTerms | None: ...

    @property
    def checks(self) -> Mapping[str, Check]: ...

    @property
    def canaries(self) -> Mapping[str, Check]: ...

    def configured(self, config: Mapping[str, Any], call: VendorCall) -> Provider:
        """The same provider for one call, with a task's own `provider_config`.

        Raises:
            InvalidRequest: it cannot be used.
            ProviderRefused: PROVIDER_NOT_CONFIGURED, naming the setting that is missing.
        """
        ...


@runtime_checkable
class Serving(Protocol):
    """A provider that has models of its own."""

    @property
    def served(self) -> tuple[LoadedModel, ...]:
        """Those that answer."""
        ...
