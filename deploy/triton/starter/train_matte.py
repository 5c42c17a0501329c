"""Trains the matte network on drawn scenes: `python train_matte.py --bank DIR --out DIR --steps N --seed S`."""

import argparse
import math
import os
import sys
import time
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.distributed as dist
from allocator import keep_memory
from matte_network import MatteNetwork
from scenes_bank import Bank
from torch import Tensor
from torch.multiprocessing import get_context
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runtime"))
from matting.saliency import border_prior

WORKERS = 2
"""Processes of one thread that share every step: on two cores half as fast again as one process of two threads."""
PRODUCTS = 0.15
"""Share of catalogue pictures among the scenes."""
FIRST, FIRST_STEPS = (96, 24), 2400
MIDDLE, LAST = (128, 16), (192, 12)
"""Picture size and pictures a step: `FIRST` for the first steps, `LAST` for a plan's last share. Small pictures come
first, they are cheap; the last ones are as large as the runtime's."""
PEAK_RATE, WARM_UP, FALL, AVERAGE = 2e-3, 200, 0.3, 0.998
"""`FALL`: over which last share of the steps the learning rate falls."""


@dataclass(frozen=True)
class Plan:
    """`large`: the share of the steps, at the end, that see the largest pictures."""

    steps: int
    seed: int
    bank: Path
    large: float

    def stage(self, step: int) -> tuple[int, int]:
        """Picture size and batch size of a step."""
        if step < min(FIRST_STEPS, self.steps // 2):
            return FIRST
        return MIDDLE if step < (1 - self.large) * self.steps else LAST


Batch = tuple[Tensor, Tensor, Tensor]


def draw_batch(bank: Bank, plan: Plan, step: int, rank: int) -> Batch:
    """Pictures [N, 3, S, S], priors [N, 2, S, S] and alphas [N, 1, S, S] of one worker's share of a step, from a seed
    of their own."""
    size, count = plan.stage(step)
    rng = np.random.default_rng([plan.seed, step, rank])
    scenes = [bank.scene(size, rng, products=PRODUCTS) for _ in range(count // WORKERS)]
    pictures = np.stack([scene.picture for scene in scenes])
    alphas = torch.from_numpy(np.stack([scene.alpha for scene in scenes]))[:, None].float() / 255
    planes = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    return planes, torch.from_numpy(border_prior(pictures)), alphas


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
    """Linear warm-up, then level, then a half cosine down to a hundredth."""
    fallen = max(0.0, 1 - (1 - step / steps) / FALL)
    return PEAK_RATE * min(1.0, (step + 1) / WARM_UP) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * fallen)))


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
        optimizer = torch.optim.AdamW(network.parameters(), PEAK_RATE, weight_decay=0.02, betas=(0.9, 0.98), fused=True)
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

    def advance(self, batch: Batch, steps: int) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = rate(self.step, steps)
        image, prior, alpha = (values.contiguous(memory_format=torch.channels_last) for values in batch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits, coarse = self.network(image, prior)
        loss = matte_loss(logits.float(), coarse.float(), alpha)
        self.optimizer.zero_grad()
        loss.backward()
        self.share_gradients()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        self.optimizer.step()
        average_into(self.average, self.network, self.step)
        self.step += 1
        return float(loss.detach())

    def share_gradients(self) -> None:
        """The mean over all workers."""
        gradients = [parameter.grad for parameter in self.network.parameters()]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        parts = flat.div_(WORKERS).split([gradient.numel() for gradient in gradients])
        torch._foreach_copy_(gradients, [part.view(g.shape) for part, g in zip(parts, gradients, strict=True)])


def train(plan: Plan, out: Path, rank: int) -> None:
    """Runs to the plan's last step, from the checkpoint in `out` if there is one; worker 0 keeps the checkpoint."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{out.absolute()}/meeting", rank=rank, world_size=WORKERS)
    training, checkpoint, bank = Training.begin(plan.seed), out / "matte.pt", Bank.load(plan.bank)
    if checkpoint.exists():
        training.load(checkpoint)
    dist.barrier()
    running, mark = None, time.perf_counter()
    while training.step < plan.steps:
        loss = training.advance(draw_batch(bank, plan, training.step, rank), plan.steps)
        running = loss if running is None else 0.97 * running + 0.03 * loss
        now = time.perf_counter()
        training.seconds, mark = training.seconds + now - mark, now
        if rank == 0 and training.step % 25 == 0:
            print(f"step {training.step} of {plan.steps}, {training.seconds:.0f} s, loss {running:.4f}", flush=True)
        if rank == 0 and (training.step % 100 == 0 or training.step == plan.steps):
            training.save(checkpoint)
    dist.destroy_process_group()


def train_together(plan: Plan, out: Path) -> None:
    """This process as worker 0, the others beside it."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "meeting").unlink(missing_ok=True)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    others = [get_context("spawn").Process(target=train, args=(plan, out, rank)) for rank in range(1, WORKERS)]
    for other in others:
        other.start()
    train(plan, out, 0)
    for other in others:
        other.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--large", type=float, default=0.1, help="share of the steps that see the largest pictures")
    options = parser.parse_args()
    keep_memory()
    train_together(Plan(options.steps, options.seed, options.bank, options.large), options.out)


if __name__ == "__main__":
    main()
