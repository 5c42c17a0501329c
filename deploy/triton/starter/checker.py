"""The judge of drawn pictures: names kind, colour and pattern, or finds them malformed, mixed and unclear."""

import argparse
import json
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from allocator import keep_memory
from catalogue import COLOURS, KINDS, PATTERNS, Subject
from corruptions import MALFORMED, Sample, draw_sample
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

CLASSES = {"kind": (*KINDS, "malformed"), "colour": (*COLOURS, "mixed"), "pattern": (*PATTERNS, "unclear")}
IGNORED = -100
"""The label of what cannot be told, such as the colour of a malformed product."""
BATCH, LEARNING_RATE, EPOCHS = 64, 2e-3, 6


def _convolution(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


class Checker(nn.Module):
    """Pictures (n, 3, 128, 128) in -1..1 to scores of every class of kind, colour and pattern."""

    def __init__(self) -> None:
        super().__init__()
        layers, inputs = [nn.AvgPool2d(2), *_convolution(3, 24, 2)], 24
        for width in (48, 72, 96):
            layers += [*_convolution(inputs, width, 2), *_convolution(width, width, 1)]
            inputs = width
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(0.2)
        self.heads = nn.ModuleDict({name: nn.Linear(18 * inputs, len(names)) for name, names in CLASSES.items()})

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = self.features(images)
        joined = torch.cat([maps.flatten(1), maps.mean((2, 3)), maps.amax((2, 3))], 1)
        return {name: head(self.dropout(joined)) for name, head in self.heads.items()}

    @torch.inference_mode()
    def names(self, images: np.ndarray) -> list[dict[str, str]]:
        """What each 8-bit picture (n, 128, 128, 3) shows, by kind, colour and pattern."""
        scores = self(torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 127.5 - 1)
        best = {name: scores[name].argmax(1).tolist() for name in CLASSES}
        return [{name: CLASSES[name][best[name][i]] for name in CLASSES} for i in range(len(images))]


def labels_of(subject: Subject, flaw: str) -> tuple[int, int, int]:
    """The classes a picture must be given."""
    kind, colour = KINDS.index(subject.kind), list(COLOURS).index(subject.colour)
    pattern = PATTERNS.index(subject.pattern)
    if flaw in MALFORMED:
        return len(KINDS), IGNORED, IGNORED
    colour = len(COLOURS) if flaw == "mixed_colour" else colour
    pattern = len(PATTERNS) if flaw == "unclear_pattern" else pattern
    return kind, colour, pattern


@dataclass(frozen=True)
class Samples:
    """Pictures (n, 3, 128, 128) 8-bit, labels (n, 3), and the flaws by name."""

    images: Tensor
    labels: Tensor
    flaws: list[str]

    @classmethod
    def draw(cls, count: int, *, seed: int, processes: int = 2) -> "Samples":
        with ProcessPoolExecutor(processes) as pool:
            samples: list[Sample] = list(pool.map(partial(draw_sample, seed=seed), range(count), chunksize=64))
        images = torch.from_numpy(np.stack([sample.image for sample in samples])).permute(0, 3, 1, 2)
        labels = torch.tensor([labels_of(sample.subject, sample.flaw) for sample in samples])
        return cls(images.contiguous(memory_format=torch.channels_last), labels, [s.flaw for s in samples])


def train_checker(samples: Samples, epochs: int, *, seed: int) -> Checker:
    torch.manual_seed(seed)
    checker = Checker().to(memory_format=torch.channels_last).train()
    steps = epochs * (len(samples.images) // BATCH)
    optimizer = torch.optim.AdamW(checker.parameters(), lr=LEARNING_RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    begun = time.monotonic()
    for step in range(steps):
        chosen = torch.randint(0, len(samples.images), (BATCH,))
        scores = checker(samples.images[chosen].float() / 127.5 - 1)
        labels = samples.labels[chosen]
        losses = (functional.cross_entropy(scores[name], labels[:, i]) for i, name in enumerate(CLASSES))
        loss = sum(losses, torch.zeros(()))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 200 == 199:
            seconds = time.monotonic() - begun
            print(f"checker step {step + 1} of {steps} loss {loss.item():.3f} {seconds:.0f}s", flush=True)
    return checker.eval()


def measure(checker: Checker, samples: Samples) -> dict[str, float]:
    """On right pictures, the share named wholly right; of each flaw, the share found."""
    names = [name for part in samples.images.permute(0, 2, 3, 1).split(100) for name in checker.names(part.numpy())]
    wanted = {"mixed_colour": ("colour", "mixed"), "unclear_pattern": ("pattern", "unclear")}
    found: Counter[str] = Counter()
    for name, label, flaw in zip(names, samples.labels.tolist(), samples.flaws, strict=True):
        if flaw:
            key, value = wanted.get(flaw, ("kind", "malformed"))
            found[flaw] += name[key] == value
        else:
            for place, key in enumerate(CLASSES):
                found[f"right {key}"] += name[key] == CLASSES[key][label[place]]
    total = Counter(samples.flaws)
    total.update({f"right {key}": total[""] for key in CLASSES})
    return {key: round(count / total[key], 4) for key, count in sorted(found.items())}


def load_checker(folder: Path) -> Checker:
    checker = Checker().to(memory_format=torch.channels_last)
    checker.load_state_dict({name: value.float() for name, value in load_file(folder / "checker.safetensors").items()})
    return checker.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=8000)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=101, help="the test pictures take the next one")
    arguments = parser.parse_args()
    checker = train_checker(Samples.draw(arguments.count, seed=arguments.seed), arguments.epochs, seed=arguments.seed)
    scores = measure(checker, Samples.draw(max(200, arguments.count // 6), seed=arguments.seed + 1))
    arguments.out.mkdir(parents=True, exist_ok=True)
    state = {name: value.half() if value.is_floating_point() else value for name, value in checker.state_dict().items()}
    save_file({name: value.contiguous() for name, value in state.items()}, arguments.out / "checker.safetensors")
    (arguments.out / "scores.json").write_text(json.dumps(scores, indent=2) + "\n")
    print(json.dumps(scores), flush=True)


if __name__ == "__main__":
    keep_memory()
    main()
