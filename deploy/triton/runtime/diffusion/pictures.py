"""Between uint8 pictures and the network's numbers."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from .ports import Pixels
from .request import Request


def fit_pictures(request: Request) -> Request:
    """With `image` and `mask` at the request's size, resized as diffusers does it (Lanczos)."""
    size = (request.width, request.height)
    if request.image is None or request.image.shape[1::-1] == size:
        return request
    image = np.asarray(Image.fromarray(request.image).resize(size, Image.Resampling.LANCZOS))
    if request.mask is None:
        return replace(request, image=image)
    mask = np.asarray(Image.fromarray(request.mask).resize(size, Image.Resampling.BOX))
    return replace(request, image=image, mask=mask)


def mask_alpha(mask: Pixels) -> NDArray[np.float32]:
    """[H, W] of 0..255 → [H, W, 1] of 0..1; 1 is painted anew."""
    return mask[..., None].astype(np.float32) / np.float32(255)


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
