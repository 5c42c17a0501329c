"""FLUX.1: a transformer over packed latents; guidance is an embedding, or absent."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..windows import cut
from .base import Conditioning, Row, Size
from .sd3 import StableDiffusion3


class Flux(StableDiffusion3):
    name = "flux"
    pipeline = "FluxPipeline"
    default_steps = 28
    default_guidance = 3.5
    t5_tokens = 512

    @property
    def channels(self) -> int:
        return int(self.network.config.in_channels) // 4

    @property
    def multiple_of(self) -> int:
        return self.scale * 2

    @property
    def native_side(self) -> int:
        return int(self.pipe.default_sample_size) * self.scale

    def guides(self, guidance: float) -> bool:
        return False

    @property
    def takes_guidance(self) -> bool:
        return bool(self.network.config.guidance_embeds)

    @property
    def tokenizers(self) -> tuple[Any, ...]:
        return ()

    def encode(self, prompt: str, negative: str, *, guided: bool) -> Conditioning:
        """T5 reads one long window; CLIP gives but its pooled vector, of the prompt's beginning."""
        limit = self.t5_limit(self.pipe.tokenizer_2)
        heard, *rest = cut(prompt, [self.pipe.tokenizer_2], room=limit - 1)
        embeds, pooled, text_ids = self.pipe.encode_prompt(prompt, heard, device=self.device, max_sequence_length=limit)
        return Conditioning(embeds, pooled=pooled, text_ids=text_ids, unheard="".join(rest))

    def call(self, rows: Sequence[Row]) -> torch.Tensor:
        slot = rows[0].slot
        times = torch.stack([row.slot.timestep for row in rows]).to(self.device, self.dtype)
        return self.network(
            hidden_states=torch.cat([row.slot.latents for row in rows]),
            timestep=times / 1000,
            guidance=self._guidance(rows),
            pooled_projections=torch.cat([row.pooled for row in rows]),
            encoder_hidden_states=torch.cat([row.embeds for row in rows]),
            txt_ids=slot.conditioning.text_ids,
            img_ids=self._image_ids((slot.request.height, slot.request.width)),
            return_dict=False,
        )[0]

    def _guidance(self, rows: Sequence[Row]) -> torch.Tensor | None:
        if not self.takes_guidance:
            return None
        return torch.tensor([row.slot.request.guidance for row in rows], device=self.device, dtype=torch.float32)

    def _image_ids(self, size: Size) -> torch.Tensor:
        patches = [side // self.multiple_of for side in size]
        return self.pipe._prepare_latent_image_ids(1, *patches, self.device, self.dtype)

    def set_timesteps(self, scheduler: Any, steps: int, size: Size) -> None:
        own = scheduler.config.get("use_flow_sigmas", False)
        sigmas = {} if own else {"sigmas": np.linspace(1.0, 1 / steps, steps)}
        scheduler.set_timesteps(steps, device=self.device, mu=self.shift(scheduler, size, most=1.15), **sigmas)

    def pack(self, latents: torch.Tensor) -> torch.Tensor:
        return self.pipe._pack_latents(latents, *latents.shape)

    def unpack(self, latents: torch.Tensor, size: Size) -> torch.Tensor:
        return self.pipe._unpack_latents(latents, *size, self.scale)

    def convert_lora(self, weights: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        converted, alphas = self.pipe.lora_state_dict(weights, return_alphas=True)
        return converted, alphas or {}
