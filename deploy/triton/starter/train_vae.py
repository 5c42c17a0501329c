"""Trains the picture codec: an AutoencoderKL that holds 4x4 pixels in four numbers."""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from allocator import keep_memory
from diffusers import AutoencoderKL
from pictures import Pictures, load_pictures
from torch import Tensor
from torch.nn import functional

FACTOR, CHANNELS, CROP, BATCH = 4, 4, 64, 16
LEARNING_RATE, WARM_UP = 1.5e-3, 50
LATENT_NOISE = 0.08
"""Spread of the noise the decoder learns to bear, in latents of spread about 1: what the denoiser leaves over."""
PROBES = 128
"""Pictures at the end of the set that only measure."""


def make_vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(16, 32, 64),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=CHANNELS,
        norm_num_groups=8,
        sample_size=128,
        mid_block_add_attention=False,
    )


def to_tensor(images: np.ndarray) -> Tensor:
    """8-bit pictures (n, h, w, 3) as (n, 3, h, w) in -1..1."""
    batch = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return batch.contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class Principal:
    """The best linear code of a 4x4 block: where the encoder is led at first, since from nothing it finds it slowly."""

    mean: Tensor
    axes: Tensor

    @classmethod
    def of(cls, images: Tensor) -> "Principal":
        blocks = functional.unfold(images, FACTOR, stride=FACTOR).transpose(1, 2).reshape(-1, 3 * FACTOR**2)
        mean = blocks.mean(0)
        values, vectors = torch.linalg.eigh((blocks - mean).T @ (blocks - mean) / len(blocks))
        return cls(mean, vectors.flip(1)[:, :CHANNELS] / values.flip(0)[:CHANNELS].sqrt())

    def __call__(self, images: Tensor) -> Tensor:
        code = (functional.unfold(images, FACTOR, stride=FACTOR).transpose(1, 2) - self.mean) @ self.axes
        return code.transpose(1, 2).unflatten(2, (images.shape[2] // FACTOR, images.shape[3] // FACTOR))


def crops(pictures: Pictures, rng: np.random.Generator) -> Tensor:
    """A batch of mirrored or straight crops of the training pictures."""
    batch = np.empty((BATCH, CROP, CROP, 3), np.uint8)
    for place, index in enumerate(rng.integers(0, len(pictures.images) - PROBES, BATCH)):
        y, x = rng.integers(0, pictures.images.shape[1] - CROP + 1, 2)
        crop = pictures.images[index, y : y + CROP, x : x + CROP]
        batch[place] = crop[:, ::-1] if rng.random() < 0.5 else crop
    return to_tensor(batch)


def _edges(images: Tensor) -> tuple[Tensor, Tensor]:
    return images[..., 1:, :] - images[..., :-1, :], images[..., 1:] - images[..., :-1]


def loss_of(vae: AutoencoderKL, images: Tensor, principal: Principal, lead: float) -> Tensor:
    """Pixels and edges, a weak pull of the latents to spread 1 and of their variance to a constant, and the lead."""
    code = vae.encode(images).latent_dist
    decoded = vae.decode(code.mean + LATENT_NOISE * torch.randn_like(code.mean)).sample
    edges = sum((a - b).abs().mean() for a, b in zip(_edges(images), _edges(decoded), strict=True))
    pixels = (images - decoded).abs().mean() + (images - decoded).square().mean()
    prior = 0.5 * code.mean.square().mean() + 10 * (code.logvar + 5.6).square().mean()
    led = lead * (code.mean - principal(images)).square().mean() if lead else 0.0
    return pixels + 0.5 * edges + 1e-4 * prior + led


@torch.inference_mode()
def fidelity(vae: AutoencoderKL, pictures: Pictures, count: int) -> float:
    """Mean PSNR in dB over the last pictures."""
    images = to_tensor(pictures.images[-count:])
    decoded = torch.cat([vae.decode(vae.encode(part).latent_dist.mode()).sample for part in images.split(16)])
    return float((10 * torch.log10(4 / (images - decoded.clamp(-1, 1)).square().mean((1, 2, 3)))).mean())


@torch.inference_mode()
def encode(vae: AutoencoderKL, images: np.ndarray) -> Tensor:
    """Latents (n, 4, h/4, w/4) of 8-bit pictures, at the scale the denoiser works in, in half precision."""
    parts = (vae.encode(to_tensor(images[i : i + 32])).latent_dist.mean for i in range(0, len(images), 32))
    return torch.cat([(part * vae.config.scaling_factor).half() for part in parts])


def train_vae(pictures: Pictures, steps: int, *, seed: int) -> AutoencoderKL:
    """A codec trained for `steps` batches; prints its fidelity now and then."""
    torch.manual_seed(seed)
    rng, begun = np.random.default_rng(seed), time.monotonic()
    vae = make_vae().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.95), weight_decay=1e-4)
    principal = Principal.of(to_tensor(pictures.images[:500]))
    for step in range(steps):
        done = step / steps
        rate = LEARNING_RATE * min(1, (step + 1) / WARM_UP) * min(1, max(0.02, 2 * (1 - done)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = loss_of(vae, crops(pictures, rng), principal, max(0.0, 1 - done / 0.45))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 99 or step == steps - 1:
            seconds = time.monotonic() - begun
            print(f"vae step {step + 1} {seconds:.0f}s {fidelity(vae, pictures, 16):.2f} dB", flush=True)
    scale = 1 / float(encode(vae, pictures.images[:256]).float().std()) * vae.config.scaling_factor
    vae.register_to_config(scaling_factor=round(scale, 4))
    return vae.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=2)
    arguments = parser.parse_args()
    pictures = load_pictures(arguments.pictures)
    vae = train_vae(pictures, arguments.steps, seed=arguments.seed)
    print(f"vae fidelity {fidelity(vae, pictures, PROBES):.2f} dB", flush=True)
    vae.save_pretrained(arguments.out / "vae")
    torch.save(encode(vae, pictures.images), arguments.out / "latents.pt")


if __name__ == "__main__":
    keep_memory()
    main()
