"""What of a diffusers model is loaded. Standard library only: the set-up, which fetches models, reads it too."""

from __future__ import annotations

PIPELINES = ("StableDiffusionPipeline", "StableDiffusionXLPipeline", "StableDiffusion3Pipeline", "FluxPipeline")
"""Those that are served, as `_class_name` of model_index.json calls them."""
UNUSED = ("safety_checker", "feature_extractor", "image_encoder")
"""Components that no family needs."""
