"""What of a diffusers model is loaded. Standard library only: the set-up, which fetches models, reads it too."""

from __future__ import annotations

PIPELINES = {
    "StableDiffusionPipeline": ("scheduler", "text_encoder", "tokenizer", "unet", "vae"),
    "StableDiffusionXLPipeline": ("scheduler", "text_encoder_2", "tokenizer_2", "unet", "vae"),
    "StableDiffusion3Pipeline": (
        *("scheduler", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "transformer", "vae"),
    ),
    "FluxPipeline": ("scheduler", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "transformer", "vae"),
}
"""Those that are served, as `_class_name` of model_index.json calls them, with the components none can do without."""
UNUSED = ("safety_checker", "feature_extractor", "image_encoder")
"""Components that no family needs."""
