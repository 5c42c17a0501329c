"""Stable Diffusion XL: two text encoders, and the picture's size told to the network."""

from collections.abc import Sequence
from typing import Any

import torch

from .base import Row
from .sd import StableDiffusion, in_a_row


class StableDiffusionXL(StableDiffusion):
    name = "sdxl"
    pipeline = "StableDiffusionXLPipeline"
    default_steps = 30
    default_guidance = 5.0

    @property
    def tokenizers(self) -> tuple[Any, ...]:
        return tuple(found for found in (self.pipe.tokenizer, self.pipe.tokenizer_2) if found is not None)

    def embed(self, parts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor | None]:
        # The pooled vector is the first window's, as others have it.
        embeds, _, pooled, _ = self.pipe.encode_prompt(
            list(parts), device=self.device, do_classifier_free_guidance=False
        )
        return in_a_row(embeds), pooled[:1]

    def embed_negative(self, parts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor | None]:
        if any(parts):
            return self.embed(parts)
        # None, not "": an absent negative prompt is zeros here, an empty one is an encoded empty text.
        _, embeds, _, pooled = self.pipe.encode_prompt(
            [""] * len(parts), device=self.device, do_classifier_free_guidance=True, negative_prompt=None
        )
        return in_a_row(embeds), pooled[:1]

    def added(self, rows: Sequence[Row]) -> dict[str, torch.Tensor] | None:
        # Original size, crop corner, target size (arXiv:2307.01952, 2.2): an uncropped picture of the size asked for.
        sizes = [(row.slot.request.height, row.slot.request.width) for row in rows]
        ids = torch.tensor([[*size, 0, 0, *size] for size in sizes], dtype=rows[0].embeds.dtype, device=self.device)
        return {"text_embeds": torch.cat([row.pooled for row in rows]), "time_ids": ids}
