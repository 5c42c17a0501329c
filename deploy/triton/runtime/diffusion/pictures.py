"""Between uint8 pictures and the network's numbers."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from .ports import Pixels
from .request import Request


def resize(picture: Pixels, request: Request) -> Pixels:
    """To the request's size, as diffusers does it (Lanczos; a picture of that size stays as it is)."""
    size = (request.width, request.height)
    if picture.shape[1::-1] == size:
        return np.array(picture)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def mask_alpha(mask: Pixels, request: Request) -> NDArray[np.float32]:
    """[H, W] of 0..255 → [H, W, 1] of 0..1 at the request's size; 1 is painted anew."""
    size = (request.width, request.height)
    if mask.shape[::-1] != size:
        mask = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.BOX))
    return mask[..., None].astype(np.float32) / 255


def latent_mask(alpha: NDArray[np.float32], scale: int) -> torch.Tensor:
    """[1, 1, h, w]: 1 for every latent pixel any part of which is to be painted."""
    whole = torch.from_numpy(alpha[..., 0])[None, None]
    return (torch.nn.functional.max_pool2d(whole, scale) > 0).float()


def to_tensor(picture: Pixels) -> torch.Tensor:
    """RGB [H, W, 3] → [1, 3, H, W] in -1..1."""
    return 2.0 * torch.from_numpy(picture.astype(np.float32) / 255.0).permute(2, 0, 1)[None] - 1.0


def to_pixels(picture: torch.Tensor) -> Pixels:
    """[3, H, W] in about -1..1 → RGB [H, W, 3]."""
    unit = (picture.float() * 0.5 + 0.5).clamp(0, 1)
    return (unit.permute(1, 2, 0).cpu().numpy() * 255).round().astype(np.uint8)


def paste_back(painted: Pixels, original: Pixels, alpha: NDArray[np.float32]) -> Pixels:
    """The original wherever alpha is 0, bit for bit."""
    return (original + (painted.astype(np.float32) - original) * alpha).round().astype(np.uint8)
