"""A family of models: how to encode a prompt, call the network for a batch of slots, step, and reach pixels."""

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_img2img import retrieve_latents
from diffusers.utils.torch_utils import randn_tensor

from ..lora import applied
from ..slots import Original, Slot
from ..windows import cut

Size = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Conditioning:
    """What the text encoders made of a prompt and a negative prompt; every tensor is one row.

    Rows of one `shape` may share a network call. `unheard` is what of the prompt no encoder could take,
    `unheard_negative` the same of the negative prompt.
    """

    embeds: torch.Tensor
    negative: torch.Tensor | None = None
    pooled: torch.Tensor | None = None
    negative_pooled: torch.Tensor | None = None
    text_ids: torch.Tensor | None = None
    shape: int = 0
    unheard: str = ""
    unheard_negative: str = ""


@dataclass(frozen=True)
class Row:
    """One row of a network call: a slot, with its prompt or with its negative prompt."""

    slot: Slot
    negative: bool

    @property
    def embeds(self) -> torch.Tensor:
        c = self.slot.conditioning
        return c.negative if self.negative else c.embeds

    @property
    def pooled(self) -> torch.Tensor:
        c = self.slot.conditioning
        return c.negative_pooled if self.negative else c.pooled


class Family:
    """Shared by all: guidance by rows, scheduler per slot, VAE. `size` is (height, width) in pixels.

    The arithmetic follows diffusers' pipeline of the same name, so that its pixels come out.
    """

    name: ClassVar[str]
    pipeline: ClassVar[str]
    default_steps: ClassVar[int]
    default_guidance: ClassVar[float]

    def __init__(self, pipe: Any) -> None:
        self.pipe = pipe
        self.scale: int = pipe.vae_scale_factor
        self._takes_generator = "generator" in inspect.signature(pipe.scheduler.step).parameters

    # -- what each family says for itself

    @property
    def network(self) -> torch.nn.Module:
        raise NotImplementedError

    @property
    def channels(self) -> int:
        return int(self.network.config.in_channels)

    @property
    def multiple_of(self) -> int:
        raise NotImplementedError

    @property
    def native_side(self) -> int:
        return int(self.network.config.sample_size) * self.scale

    @property
    def tokenizers(self) -> tuple[Any, ...]:
        """Of the text encoders that read a prompt window by window."""
        raise NotImplementedError

    def windows(self, text: str) -> list[str]:
        """`text` in parts that the encoders read whole."""
        return cut(text, self.tokenizers)

    def encode(self, prompt: str, negative: str, *, guided: bool) -> Conditioning:
        """Of a long prompt the windows one after the other, for the network to attend to all of them."""
        raise NotImplementedError

    def call(self, rows: Sequence[Row]) -> torch.Tensor:
        """One network call; every row has the same picture size."""
        raise NotImplementedError

    def set_timesteps(self, scheduler: Any, steps: int, size: Size) -> None:
        scheduler.set_timesteps(steps, device=self.device)

    def skipped_steps(self, steps: int, strength: float) -> int:
        return steps - min(int(steps * strength), steps)

    def start(self, noise: torch.Tensor, scheduler: Any) -> torch.Tensor:
        return noise

    def add_noise(self, scheduler: Any, clean: torch.Tensor, noise: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def estimate(self, slot: Slot, prediction: torch.Tensor, stepped: Any) -> torch.Tensor:
        """The clean latents as the network sees them now, for the preview."""
        raise NotImplementedError

    def convert_lora(self, weights: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """(weights, alphas) in diffusers' key names; raises anything on keys that it does not know."""
        raise NotImplementedError

    def guides(self, guidance: float) -> bool:
        """Whether this guidance takes a second row with the negative prompt."""
        return guidance > 1

    @property
    def takes_guidance(self) -> bool:
        return True

    def pack(self, latents: torch.Tensor) -> torch.Tensor:
        return latents

    def unpack(self, latents: torch.Tensor, size: Size) -> torch.Tensor:
        return latents

    # -- shared

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.network.parameters()).dtype

    def new_scheduler(self) -> Any:
        return copy.deepcopy(self.pipe.scheduler)

    def noise(self, size: Size, generator: torch.Generator) -> torch.Tensor:
        """Drawn on the CPU, so that a seed means the same on every device."""
        shape = (1, self.channels, size[0] // self.scale, size[1] // self.scale)
        return self.pack(randn_tensor(shape, generator=generator, device=self.device, dtype=self.dtype))

    def predict(self, slots: Sequence[Slot]) -> list[torch.Tensor]:
        """The network's guided prediction for each slot, all in one call."""
        # Negative rows first: alone, a slot then makes the very batch that diffusers would make.
        guided = [slot for slot in slots if slot.guided]
        rows = [Row(slot, True) for slot in guided] + [Row(slot, False) for slot in slots]
        with applied(self.network, [row.slot.adapters for row in rows]):
            output = self.call(rows)
        predictions = [output[at : at + 1] for at in range(len(rows))]
        negative = dict(zip(guided, predictions, strict=False))
        own = predictions[len(guided) :]
        return [self.guide(slot, one, negative.get(slot)) for slot, one in zip(slots, own, strict=True)]

    def guide(self, slot: Slot, own: torch.Tensor, negative: torch.Tensor | None) -> torch.Tensor:
        """Classifier-free guidance, arXiv:2207.12598."""
        return own if negative is None else negative + slot.request.guidance * (own - negative)

    def advance(self, slot: Slot, prediction: torch.Tensor) -> torch.Tensor:
        """One scheduler step of one slot; returns the estimate of the clean latents."""
        extra = {"generator": slot.generator} if self._takes_generator else {}
        stepped = slot.scheduler.step(prediction, slot.timestep, slot.latents, **extra)
        estimate = self.estimate(slot, prediction, stepped)
        slot.latents = stepped.prev_sample
        slot.index += 1
        if slot.original is not None and slot.original.mask is not None:
            slot.latents = self._keep_unmasked(slot, slot.original, slot.original.mask)
        return estimate

    def _keep_unmasked(self, slot: Slot, original: Original, mask: torch.Tensor) -> torch.Tensor:
        kept = original.latents
        if not slot.finished:
            kept = self.add_noise(slot.scheduler, kept, original.noise, slot.timestep[None])
        return ((1 - mask) * kept + mask * slot.latents).to(slot.latents.dtype)

    def to_latents(self, picture: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """[1, 3, H, W] in -1..1 → latents as the network sees them; draws from the VAE's posterior."""
        vae = self.pipe.vae
        latents = retrieve_latents(vae.encode(picture.to(self.device, vae.dtype)), generator=generator)
        latents = (latents - (vae.config.shift_factor or 0.0)) * vae.config.scaling_factor
        return self.pack(latents.to(self.dtype))

    def to_picture(self, latents: torch.Tensor) -> torch.Tensor:
        """Unpacked latents [B, C, h, w] → [B, 3, H, W] in about -1..1."""
        vae = self.pipe.vae
        latents = latents.to(vae.dtype) / vae.config.scaling_factor + (vae.config.shift_factor or 0.0)
        return vae.decode(latents, return_dict=False)[0]
