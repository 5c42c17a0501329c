"""Stable Diffusion 3: a transformer with flow matching, up to three text encoders."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from diffusers.pipelines.stable_diffusion_3.pipeline_stable_diffusion_3 import calculate_shift

from ..slots import Slot
from ..windows import cut, padded
from .base import Conditioning, Family, Row, Size


class StableDiffusion3(Family):
    name = "sd3"
    pipeline = "StableDiffusion3Pipeline"
    default_steps = 28
    default_guidance = 7.0
    t5_tokens: ClassVar[int] = 256

    @property
    def network(self) -> torch.nn.Module:
        return self.pipe.transformer

    @property
    def multiple_of(self) -> int:
        return self.scale * int(self.network.config.patch_size)

    @property
    def tokenizers(self) -> tuple[Any, ...]:
        return (self.pipe.tokenizer, self.pipe.tokenizer_2)

    def encode(self, prompt: str, negative: str, *, guided: bool) -> Conditioning:
        parts, others = padded(self.windows(prompt), self.windows(negative) if guided else [])
        embeds, pooled = self._embed(parts, prompt)
        negative_embeds, negative_pooled = self._embed(others, negative) if guided else (None, None)
        # Text and picture attend to each other, so rows of other lengths are calls of their own.
        return Conditioning(embeds, negative_embeds, pooled, negative_pooled, shape=len(parts))

    def _embed(self, parts: Sequence[str], text: str) -> tuple[torch.Tensor, torch.Tensor]:
        """CLIP's windows, then T5's one; what lies beyond that is CLIP's alone. The pooled vector is the first's."""
        limit = self.t5_limit(self.pipe.tokenizer_3 or self.pipe.tokenizer)
        if self.pipe.tokenizer_3 is not None:
            text = cut(text, [self.pipe.tokenizer_3], room=limit - 1)[0]
        clips = [
            self.pipe._get_clip_prompt_embeds(list(parts), device=self.device, clip_model_index=at) for at in (0, 1)
        ]
        t5 = self.pipe._get_t5_prompt_embeds(text, max_sequence_length=limit, device=self.device)
        states = torch.cat([states for states, _ in clips], dim=-1).flatten(0, 1)[None]
        states = torch.nn.functional.pad(states, (0, t5.shape[-1] - states.shape[-1]))
        return torch.cat([states, t5], dim=-2), torch.cat([pooled[:1] for _, pooled in clips], dim=-1)

    def t5_limit(self, tokenizer: Any) -> int:
        """In tokens: what the network was trained with."""
        return min(self.t5_tokens, int(tokenizer.model_max_length))

    def call(self, rows: Sequence[Row]) -> torch.Tensor:
        return self.network(
            hidden_states=torch.cat([row.slot.latents for row in rows]),
            timestep=torch.stack([row.slot.timestep for row in rows]).to(self.device),
            encoder_hidden_states=torch.cat([row.embeds for row in rows]),
            pooled_projections=torch.cat([row.pooled for row in rows]),
            return_dict=False,
        )[0]

    def shift(self, scheduler: Any, size: Size, *, most: float) -> float:
        """The timestep shift for a picture's number of patches."""
        patches = size[0] * size[1] // self.multiple_of**2
        known = scheduler.config
        return calculate_shift(
            patches, known.get("base_image_seq_len", 256), known.get("max_image_seq_len", 4096),
            known.get("base_shift", 0.5), known.get("max_shift", most),
        )  # fmt: skip

    def set_timesteps(self, scheduler: Any, steps: int, size: Size) -> None:
        dynamic = scheduler.config.get("use_dynamic_shifting", False)
        extra = {"mu": self.shift(scheduler, size, most=1.16)} if dynamic else {}
        scheduler.set_timesteps(steps, device=self.device, **extra)

    def skipped_steps(self, steps: int, strength: float) -> int:
        return int(max(steps - min(steps * strength, steps), 0))

    def add_noise(self, scheduler: Any, clean: torch.Tensor, noise: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        return scheduler.scale_noise(clean, at, noise)

    def estimate(self, slot: Slot, prediction: torch.Tensor, stepped: Any) -> torch.Tensor:
        # x = (1 - s) x0 + s noise, s = sigma, and the network tells noise - x0 (arXiv:2403.03206, 2).
        return slot.latents - slot.scheduler.sigmas[slot.scheduler.step_index - 1] * prediction

    def convert_lora(self, weights: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        return self.pipe.lora_state_dict(weights), {}
