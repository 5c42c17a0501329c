"""Trains the matte network on drawn scenes: `python train_matte.py --bank DIR --out DIR --steps N --seed S`."""

import argparse
import math
import sys
import time
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from allocator import keep_memory
from matte_network import MatteNetwork
from scenes_bank import Bank
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runtime"))
from matting.saliency import border_prior

STAGES = ((0.85, 128, 16), (1.0, 192, 12))
"""Until which share of the steps, at which picture size, how many pictures a step: small ones first, they are cheap."""
PEAK_RATE, WARM_UP, AVERAGE = 2e-3, 60, 0.995


@dataclass(frozen=True)
class Plan:
    steps: int
    seed: int
    bank: Path

    def stage(self, step: int) -> tuple[int, int]:
        """Picture size and batch size of a step."""
        return next((size, count) for share, size, count in STAGES if step < share * self.steps)


class Batches(Dataset):  # type: ignore[type-arg]
    """Item n is the whole batch of step n, drawn from its own seed."""

    def __init__(self, plan: Plan, start: int, end: int) -> None:
        self.plan, self.start, self.end = plan, start, end
        self.bank: Bank | None = None

    def __len__(self) -> int:
        return self.end - self.start

    def __getitem__(self, item: int) -> tuple[Tensor, Tensor, Tensor]:
        if self.bank is None:
            cv2.setNumThreads(1)
            self.bank = Bank.load(self.plan.bank)
        step = self.start + item
        size, count = self.plan.stage(step)
        rng = np.random.default_rng([self.plan.seed, step])
        scenes = [self.bank.scene(size, rng, products=0.15) for _ in range(count)]
        pictures = np.stack([scene.picture for scene in scenes])
        alphas = torch.from_numpy(np.stack([scene.alpha for scene in scenes]))[:, None].float() / 255
        return (
            torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255,
            torch.from_numpy(border_prior(pictures)),
            alphas,
        )


def matte_loss(logits: Tensor, coarse: Tensor, alpha: Tensor) -> Tensor:
    """Cross-entropy, soft IoU, and a share of both on the attention's own coarse answer."""
    small = F.interpolate(alpha, size=coarse.shape[-2:], mode="area")
    return region_loss(logits, alpha) + 0.4 * region_loss(coarse, small)


def region_loss(logits: Tensor, alpha: Tensor) -> Tensor:
    guess = logits.sigmoid()
    shared = (guess * alpha).sum((1, 2, 3))
    union = (guess + alpha - guess * alpha).sum((1, 2, 3))
    return F.binary_cross_entropy_with_logits(logits, alpha) + (1 - (shared + 1) / (union + 1)).mean()


def rate(step: int, steps: int) -> float:
    """Linear warm-up, then a half cosine down to a hundredth."""
    done = step / steps
    return PEAK_RATE * min(1.0, (step + 1) / WARM_UP) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def average_into(average: MatteNetwork, network: MatteNetwork, step: int) -> None:
    keep = min(AVERAGE, (step + 1) / (step + 10))
    for old, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if old.dtype.is_floating_point:
            old.lerp_(new, 1 - keep)
        else:
            old.copy_(new)


@dataclass
class Training:
    """Everything a checkpoint holds."""

    network: MatteNetwork
    average: MatteNetwork
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0

    @classmethod
    def begin(cls, seed: int) -> "Training":
        torch.manual_seed(seed)
        network = MatteNetwork().to(memory_format=torch.channels_last)
        optimizer = torch.optim.AdamW(network.parameters(), PEAK_RATE, weight_decay=0.02, betas=(0.9, 0.98))
        return cls(network, deepcopy(network), optimizer)

    def save(self, path: Path) -> None:
        whole = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        torch.save(whole | {"step": self.step, "seconds": self.seconds}, path.with_suffix(".part"))
        path.with_suffix(".part").rename(path)

    def load(self, path: Path) -> None:
        whole = torch.load(path, weights_only=True)
        for name in ("network", "average", "optimizer"):
            getattr(self, name).load_state_dict(whole[name])
        self.step, self.seconds = whole["step"], whole["seconds"]

    def advance(self, batch: tuple[Tensor, Tensor, Tensor], steps: int) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = rate(self.step, steps)
        image, prior, alpha = (values.contiguous(memory_format=torch.channels_last) for values in batch)
        loss = matte_loss(*self.network(image, prior), alpha)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        self.optimizer.step()
        average_into(self.average, self.network, self.step)
        self.step += 1
        return float(loss.detach())


def train(plan: Plan, out: Path, *, workers: int, until: int) -> Training:
    """Runs to the plan's last step or to `until`, from the checkpoint in `out` if there is one."""
    out.mkdir(parents=True, exist_ok=True)
    training, checkpoint = Training.begin(plan.seed), out / "matte.pt"
    if checkpoint.exists():
        training.load(checkpoint)
    batches = Batches(plan, training.step, until)
    loader = DataLoader(batches, batch_size=None, num_workers=workers, prefetch_factor=4 if workers else None)
    running, mark = None, time.perf_counter()
    for batch in loader:
        loss = training.advance(batch, plan.steps)
        running = loss if running is None else 0.97 * running + 0.03 * loss
        now = time.perf_counter()
        training.seconds, mark = training.seconds + now - mark, now
        if training.step % 25 == 0:
            print(f"step {training.step} of {plan.steps}, {training.seconds:.0f} s, loss {running:.4f}", flush=True)
        if training.step % 50 == 0 or training.step == until:
            training.save(checkpoint)
    return training


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--until", type=int, help="stop after this step of the plan; a later run goes on from there")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    keep_memory()
    torch.set_num_threads(2)
    plan = Plan(options.steps, options.seed, options.bank)
    train(plan, options.out, workers=options.workers, until=options.until or options.steps)


if __name__ == "__main__":
    main()
