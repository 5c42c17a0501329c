"""Stable Diffusion 1 and 2: a UNet, one text encoder."""

from collections.abc import Sequence
from typing import Any

import torch

from ..slots import Slot
from ..windows import padded
from .base import Conditioning, Family, Row

# Rows of so many windows share a call: each is a multiple of the smaller.
SHARED = (1, 2, 4)


def shape_of(windows: int) -> int:
    return SHARED[0] if windows in SHARED else windows


def in_a_row(embeds: torch.Tensor) -> torch.Tensor:
    """[windows, length, width] → [1, windows · length, width]."""
    return embeds.flatten(0, 1)[None]


def level(embeds: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """All as long as the longest, by repeating: to attend to the same keys twice changes nothing."""
    most = max(found.shape[1] for found in embeds)
    return [found if found.shape[1] == most else found.repeat(1, most // found.shape[1], 1) for found in embeds]


class StableDiffusion(Family):
    name = "sd"
    pipeline = "StableDiffusionPipeline"
    default_steps = 30
    default_guidance = 7.5

    @property
    def network(self) -> torch.nn.Module:
        return self.pipe.unet

    @property
    def multiple_of(self) -> int:
        return max(8, self.scale)

    @property
    def tokenizers(self) -> tuple[Any, ...]:
        return (self.pipe.tokenizer,)

    def encode(self, prompt: str, negative: str, *, guided: bool) -> Conditioning:
        parts, others = self.windows(prompt), self.windows(negative)
        if not guided:
            embeds, pooled = self.embed(parts)
            return Conditioning(embeds, pooled=pooled, shape=shape_of(len(parts)))
        if max(len(parts), len(others)) % min(len(parts), len(others)):
            parts, others = padded(parts, others)
        (embeds, pooled), (negative_embeds, negative_pooled) = self.embed(parts), self.embed_negative(others)
        shape = shape_of(max(len(parts), len(others)))
        return Conditioning(embeds, negative_embeds, pooled, negative_pooled, shape=shape)

    def embed(self, parts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor | None]:
        """[1, windows · length, width], and the pooled vector where the network takes one."""
        embeds, _ = self.pipe.encode_prompt(list(parts), self.device, 1, False)
        return in_a_row(embeds), None

    def embed_negative(self, parts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor | None]:
        return self.embed(parts)

    def guides(self, guidance: float) -> bool:
        # Distilled (LCM) networks take the guidance as an embedding instead.
        return guidance > 1 and self.network.config.time_cond_proj_dim is None

    def start(self, noise: torch.Tensor, scheduler: Any) -> torch.Tensor:
        return noise * scheduler.init_noise_sigma

    def add_noise(self, scheduler: Any, clean: torch.Tensor, noise: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        return scheduler.add_noise(clean, noise, at)

    def call(self, rows: Sequence[Row]) -> torch.Tensor:
        scaled = [row.slot.scheduler.scale_model_input(row.slot.latents, row.slot.timestep) for row in rows]
        return self.network(
            torch.cat(scaled),
            torch.stack([row.slot.timestep.to(torch.float32) for row in rows]).to(self.device),
            encoder_hidden_states=torch.cat(level([row.embeds for row in rows])),
            timestep_cond=self._guidance_embedding(rows),
            added_cond_kwargs=self.added(rows),
            return_dict=False,
        )[0]

    def added(self, rows: Sequence[Row]) -> dict[str, torch.Tensor] | None:
        return None

    def _guidance_embedding(self, rows: Sequence[Row]) -> torch.Tensor | None:
        width = self.network.config.time_cond_proj_dim
        if width is None:
            return None
        guidance = torch.tensor([row.slot.request.guidance - 1 for row in rows])
        return self.pipe.get_guidance_scale_embedding(guidance, embedding_dim=width).to(self.device, self.dtype)

    def estimate(self, slot: Slot, prediction: torch.Tensor, stepped: Any) -> torch.Tensor:
        found = getattr(stepped, "pred_original_sample", None)
        if found is not None:
            return found
        # Multistep schedulers do not tell; x0 of a variance-preserving process (arXiv:2010.02502, arXiv:2202.00512).
        kept = slot.scheduler.alphas_cumprod.to(slot.latents.device)[slot.timestep.long()]
        if slot.scheduler.config.prediction_type == "v_prediction":
            return kept.sqrt() * slot.latents - (1 - kept).sqrt() * prediction
        if slot.scheduler.config.prediction_type == "sample":
            return prediction
        return (slot.latents - (1 - kept).sqrt() * prediction) / kept.sqrt().clamp(min=1e-3)

    def convert_lora(self, weights: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        converted, alphas = self.pipe.lora_state_dict(weights, unet_config=self.network.config)
        return converted, alphas or {}
