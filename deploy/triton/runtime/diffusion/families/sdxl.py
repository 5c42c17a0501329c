"""Stable Diffusion XL: two text encoders, and the picture's size told to the network."""

from collections.abc import Sequence

import torch

from .base import Conditioning, Row
from .sd import StableDiffusion


class StableDiffusionXL(StableDiffusion):
    name = "sdxl"
    pipeline = "StableDiffusionXLPipeline"
    default_steps = 30
    default_guidance = 5.0

    def encode(self, prompt: str, negative: str, *, guided: bool) -> Conditioning:
        # None, not "": an absent negative prompt is zeros here, an empty one is an encoded empty text.
        embeds, negative_embeds, pooled, negative_pooled = self.pipe.encode_prompt(
            prompt, device=self.device, do_classifier_free_guidance=guided, negative_prompt=negative or None
        )
        tokenizer = self.pipe.tokenizer
        longer = self.is_longer(tokenizer, prompt, tokenizer.model_max_length)
        return Conditioning(embeds, negative_embeds, pooled, negative_pooled, truncated=longer)

    def added(self, rows: Sequence[Row]) -> dict[str, torch.Tensor] | None:
        # Original size, crop corner, target size (arXiv:2307.01952, 2.2): an uncropped picture of the size asked for.
        sizes = [(row.slot.request.height, row.slot.request.width) for row in rows]
        ids = torch.tensor([[*size, 0, 0, *size] for size in sizes], dtype=rows[0].embeds.dtype, device=self.device)
        return {"text_embeds": torch.cat([row.pooled for row in rows]), "time_ids": ids}
