"""Trains the denoiser and its text encoder together on the codec's latents, resumable and the same on every run."""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from allocator import keep_memory
from captions import caption
from diffusers import UNet2DConditionModel
from networks import grow, make_scheduler, make_text_encoder, make_unet
from pictures import Pictures, load_pictures
from tokenizer import build_tokenizer
from torch import Tensor
from torch.nn import functional
from train_vae import Principal, to_tensor
from transformers import CLIPTextModel, CLIPTokenizer

LEARNING_RATE, WARM_UP = 1.2e-3, 100
COARSE_BATCH, FINE_BATCH = 32, 32
CAPTIONS_EACH = 4
NO_CAPTION = 0.1
"""Share of pictures trained without a caption, which guidance needs."""
EMA_DECAY, EMA_EVERY = 0.998, 4
CHECKPOINT_EVERY = 250
FINISHING_SKEW = 1.7
FINAL_RATE = 0.25
"""Of the learning rate: lower gains little, since the running mean is what is kept."""


@dataclass(frozen=True)
class Examples:
    """Latents (n, 4, s, s), loss weights (n, 1, s, s), tokens (n, captions, length), the empty caption's tokens."""

    latents: Tensor
    weights: Tensor
    tokens: Tensor
    empty: Tensor

    @classmethod
    def of(cls, latents: Tensor, pictures: Pictures, tokenizer: CLIPTokenizer, *, seed: int) -> "Examples":
        """The product counts four times as much as the background."""
        rng = np.random.default_rng(seed)
        texts = [caption(*label, rng) for label in pictures.labels[: len(latents)] for _ in range(CAPTIONS_EACH)]
        padded = {"padding": "max_length", "truncation": True, "return_tensors": "pt"}
        tokens = tokenizer(texts, **padded).input_ids.unflatten(0, (-1, CAPTIONS_EACH))
        covers = torch.from_numpy(np.array(pictures.covers[: len(latents)])).float().unsqueeze(1) / 255
        weights = 0.5 + 1.5 * functional.adaptive_avg_pool2d(covers, latents.shape[-1])
        return cls(latents, weights / weights.mean(), tokens, tokenizer("", **padded).input_ids)


@torch.inference_mode()
def coarse_latents(pictures: Pictures) -> Tensor:
    """Latents (n, 4, 16, 16) of the pictures at half size in the linear code the codec starts from.

    A quarter of the work for the denoiser, and it can learn words, shapes and colours before the codec exists.
    """
    principal = Principal.of(to_tensor(pictures.images[:500]))
    parts = (to_tensor(pictures.images[i : i + 256]) for i in range(0, len(pictures.images), 256))
    return torch.cat([principal(functional.avg_pool2d(part, 2)).half() for part in parts])


class Training:
    """The networks, their optimizer and their running mean; one `step` after another.

    With several workers (torch.distributed is up) each works its share of the batch and all take the same step.
    """

    def __init__(
        self, unet: UNet2DConditionModel, text_encoder: CLIPTextModel, examples: Examples, batch: int, seed: int
    ) -> None:
        self.workers = dist.get_world_size() if dist.is_initialized() else 1
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.examples, self.batch, self.seed, self.done = examples, batch, seed, 0
        self.unet, self.text_encoder = unet.to(memory_format=torch.channels_last), text_encoder
        self.scheduler = make_scheduler()
        self.parameters = [*self.unet.parameters(), *self.text_encoder.parameters()]
        self.mean = [p.detach().clone() for p in self.parameters]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01, fused=True
        )

    def step(self, rate: float, *, finishing: bool) -> float:
        """One batch at the learning rate; its loss. Its random numbers depend on nothing but the seed and the count."""
        torch.manual_seed((self.seed * 1_000_003 + self.done) * self.workers + self.rank)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self._loss(finishing=finishing)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.workers > 1:
            self._share_gradients()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.done += 1
        if self.done % EMA_EVERY == 0:
            decay = min(EMA_DECAY, (self.done + 1) / (self.done + 20)) ** EMA_EVERY
            torch._foreach_lerp_(self.mean, [p.detach() for p in self.parameters], 1 - decay)
        return loss.item()

    def _share_gradients(self) -> None:
        gradients = [p.grad for p in self.parameters]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        parts = flat.div_(self.workers).split([gradient.numel() for gradient in gradients])
        torch._foreach_copy_(gradients, [part.view(g.shape) for part, g in zip(parts, gradients, strict=True)])

    def _loss(self, *, finishing: bool) -> Tensor:
        """The v-prediction loss at times spread evenly over the batch.

        At first the product counts most. While finishing the background counts as much, and the times crowd towards
        pure noise: only there does the caption, and nothing else, say what the background is.
        """
        data, batch = self.examples, self.batch // self.workers
        chosen = torch.randint(0, len(data.latents), (batch,))
        clean = data.latents[chosen].float().contiguous(memory_format=torch.channels_last)
        tokens = data.tokens[chosen, torch.randint(0, CAPTIONS_EACH, (batch,))]
        tokens = torch.where(torch.rand(batch, 1) < NO_CAPTION, data.empty, tokens)
        times = (torch.rand(1) + torch.arange(batch) / batch) % 1
        times = ((1 - (1 - times) ** FINISHING_SKEW if finishing else times) * 1000).long().clamp(max=999)
        noise = torch.randn_like(clean)
        noisy = self.scheduler.add_noise(clean, noise, times)
        target = self.scheduler.get_velocity(clean, noise, times)
        predicted = self.unet(noisy, times, self.text_encoder(tokens)[0]).sample
        error = (predicted - target).square()
        return error.mean() if finishing else (data.weights[chosen] * error).mean()

    def save(self, file: Path) -> None:
        state = {"parameters": self.parameters, "mean": self.mean, "done": self.done}
        torch.save(state | {"optimizer": self.optimizer.state_dict()}, file.with_suffix(".part"))
        file.with_suffix(".part").rename(file)

    def load(self, file: Path) -> None:
        state = torch.load(file, weights_only=True)
        with torch.no_grad():
            torch._foreach_copy_(self.parameters, state["parameters"])
        self.mean, self.done = [p.detach() for p in state["mean"]], state["done"]
        self.optimizer.load_state_dict(state["optimizer"])

    def export(self, folder: Path) -> None:
        """Write the running means as diffusers' directories."""
        with torch.no_grad():
            torch._foreach_copy_(self.parameters, self.mean)
        for name in ("unet", "text_encoder", "scheduler"):
            getattr(self, name).save_pretrained(folder / name)


def learning_rate(step: int, steps: int, cooldown: int) -> float:
    """Constant after a warm-up, then straight down to a quarter over the last `cooldown` steps."""
    left = min(1.0, (steps - step) / max(1, cooldown))
    return LEARNING_RATE * min(1.0, (step + 1) / WARM_UP) * (FINAL_RATE + (1 - FINAL_RATE) * left)


def train_unet(training: Training, steps: int, cooldown: int, checkpoints: Path) -> None:
    """Train up to `steps` batches in all, with a checkpoint in the folder every so often."""
    begun, first, losses = time.monotonic(), training.done, []
    while training.done < steps:
        rate, finishing = learning_rate(training.done, steps, cooldown), training.done >= steps - cooldown
        losses.append(training.step(rate, finishing=finishing))
        if training.rank == 0 and (training.done % 50 == 0 or training.done == steps):
            speed = (training.done - first) * training.batch / (time.monotonic() - begun)
            print(f"unet step {training.done} loss {np.mean(losses):.4f} {speed:.1f} pictures/s", flush=True)
            losses.clear()
        if training.rank == 0 and training.done % CHECKPOINT_EVERY == 0:
            training.save(checkpoints / f"step-{training.done % (2 * CHECKPOINT_EVERY)}.ckpt")


def resume(training: Training, checkpoints: Path) -> None:
    """Go on from the newest checkpoint in the folder, if there is one."""
    newest = max(checkpoints.glob("*.ckpt"), key=lambda file: file.stat().st_mtime, default=None)
    if newest:
        training.load(newest)


def join_workers(rank: int, workers: int, folder: Path) -> None:
    """Meet the other workers of this machine by a file in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    meeting = f"file://{(folder / 'meeting').absolute()}"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=workers)


def networks_at_start(coarse: Path | None, tokenizer: CLIPTokenizer) -> tuple[UNet2DConditionModel, CLIPTextModel]:
    """New ones for the coarse stage; for the fine one, grown from what the coarse stage exported to the folder."""
    if coarse is None:
        return make_unet(fine=False), make_text_encoder(tokenizer)
    unet = UNet2DConditionModel.from_pretrained(str(coarse / "unet"))
    return grow(unet), CLIPTextModel.from_pretrained(str(coarse / "text_encoder"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="for checkpoints and the trained directories")
    parser.add_argument("--coarse", type=Path, help="what the coarse stage made: train the fine stage")
    parser.add_argument("--latents", type=Path, help="of the codec, for the fine stage")
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--cooldown", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--worker", type=int, nargs=2, metavar=("RANK", "WORKERS"), help="this process among several")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.worker:
        rank, workers = arguments.worker
        join_workers(rank, workers, arguments.out)
    torch.set_flush_denormal(True)
    torch.manual_seed(arguments.seed)
    tokenizer, pictures, fine = build_tokenizer(), load_pictures(arguments.pictures), arguments.coarse is not None
    latents = torch.load(arguments.latents, weights_only=True) if fine else coarse_latents(pictures)
    examples = Examples.of(latents, pictures, tokenizer, seed=arguments.seed)
    networks = networks_at_start(arguments.coarse, tokenizer)
    training = Training(*networks, examples, FINE_BATCH if fine else COARSE_BATCH, arguments.seed)
    resume(training, arguments.out)
    train_unet(training, arguments.steps, arguments.cooldown, arguments.out)
    if training.rank == 0:
        training.export(arguments.out)
        tokenizer.save_pretrained(arguments.out / "tokenizer")


if __name__ == "__main__":
    keep_memory()
    main()
