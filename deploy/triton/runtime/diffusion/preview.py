"""Pictures of unfinished latents at the price of one small matrix product."""

import torch
import torch.nn.functional as F

from .ports import Pixels

SAMPLES = 2
SIDE = 16  # latent pixels


class Preview:
    """A linear map from a latent pixel's channels to RGB, fitted to the real decoder by least squares."""

    def __init__(self, matrix: torch.Tensor) -> None:
        self._matrix = matrix  # [channels + 1, 3]

    def render(self, latents: torch.Tensor) -> Pixels:
        """latents [1, C, h, w] → RGB [h, w, 3]."""
        flat = latents[0].float().permute(1, 2, 0)
        rgb = flat @ self._matrix[:-1] + self._matrix[-1]
        return ((rgb.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu().numpy()


def fit_preview(decode, channels: int, *, device: torch.device) -> Preview:  # type: ignore[no-untyped-def]
    """`decode` maps latents [B, C, h, w] to pictures [B, 3, H, W] in -1..1."""
    generator = torch.Generator().manual_seed(0)
    rough = torch.randn((SAMPLES, channels, SIDE, SIDE), generator=generator)
    # Real latents are smoother than noise; without such samples the fitted colours are too faint.
    smooth = F.interpolate(F.avg_pool2d(rough, 4), scale_factor=4.0, mode="bilinear") * 3
    latents = torch.cat([rough, smooth]).to(device)
    colours = F.adaptive_avg_pool2d(decode(latents).float(), (SIDE, SIDE)).permute(0, 2, 3, 1).reshape(-1, 3)
    known = latents.permute(0, 2, 3, 1).reshape(-1, channels)
    known = torch.cat([known, torch.ones(len(known), 1, device=device)], dim=1)
    return Preview(torch.linalg.lstsq(known.cpu(), colours.cpu()).solution.to(device))
