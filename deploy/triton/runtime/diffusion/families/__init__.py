"""What differs between kinds of diffusion models, one small class each, found by the pipeline's class name."""

from .base import Conditioning, Family
from .flux import Flux
from .sd import StableDiffusion
from .sd3 import StableDiffusion3
from .sdxl import StableDiffusionXL

FAMILIES: dict[str, type[Family]] = {
    family.pipeline: family for family in (StableDiffusion, StableDiffusionXL, StableDiffusion3, Flux)
}

__all__ = ["FAMILIES", "Conditioning", "Family"]
