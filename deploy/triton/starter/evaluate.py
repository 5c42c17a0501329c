"""Scores a model directory on 200 fixed prompts, a fifth of them of combinations training never saw."""

import argparse
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from allocator import keep_memory
from captions import caption
from catalogue import BACKGROUNDS, Subject, subjects
from checker import Checker, load_checker
from diffusers import StableDiffusionPipeline
from PIL import Image

SEED, STEPS, GUIDANCE, BATCH = 2026, 20, 3.0, 10
TILE, COLUMNS, ROWS = 96, 10, 6
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Prompt:
    """What is asked for, in words and as the checker must find it."""

    text: str
    subject: Subject


def prompts(count: int) -> list[Prompt]:
    """Always the same prompts; every fifth asks for a combination that training never saw."""
    rng = np.random.default_rng(SEED)
    seen, unseen = ([choices[i] for i in rng.permutation(len(choices))] for choices in map(_choices, (False, True)))
    asked = [unseen[i // 5 % len(unseen)] if i % 5 == 4 else seen[i % len(seen)] for i in range(count)]
    return [Prompt(caption(subject, BACKGROUNDS[rng.integers(len(BACKGROUNDS))], rng), subject) for subject in asked]


def _choices(held_out: bool) -> list[Subject]:
    return subjects(held_out=held_out)


def load_pipeline(folder: Path) -> StableDiffusionPipeline:
    pipeline = StableDiffusionPipeline.from_pretrained(str(folder), torch_dtype=torch.float32, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.unet.to(memory_format=torch.channels_last)
    return pipeline


def draw(pipeline: StableDiffusionPipeline, texts: list[str], seeds: Iterable[int]) -> np.ndarray:
    """Pictures (n, size, size, 3), 8-bit."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    settings = {"num_inference_steps": STEPS, "guidance_scale": GUIDANCE, "output_type": "np"}
    return np.round(pipeline(texts, generator=generators, **settings).images * 255).astype(np.uint8)


def seconds_a_picture(pipeline: StableDiffusionPipeline) -> float:
    """The best of three, one picture at a time, after a first that warms up."""
    times = []
    for seed in range(4):
        begun = time.monotonic()
        draw(pipeline, ["a photo of a red striped mug on a wooden table"], [seed])
        times.append(time.monotonic() - begun)
    return min(times[1:])


def judge(checker: Checker, images: np.ndarray, asked: list[Prompt]) -> list[dict[str, bool]]:
    """What is right in each picture; nothing is, where the checker finds the product malformed."""
    verdicts = []
    for found, prompt in zip(checker.names(images), asked, strict=True):
        whole = found["kind"] != "malformed"
        right = {name: whole and found[name] == getattr(prompt.subject, name) for name in ("kind", "colour", "pattern")}
        verdicts.append(right | {"kind_and_colour": right["kind"] and right["colour"], "malformed": not whole})
    return verdicts


def summary(verdicts: list[dict[str, bool]]) -> dict[str, float]:
    shares = {name: round(float(np.mean([v[name] for v in verdicts])), 4) for name in verdicts[0]} if verdicts else {}
    return {"prompts": len(verdicts), **shares}


def contact_sheet(images: np.ndarray, asked: list[Prompt], file: Path) -> None:
    """The first pictures of seen combinations and, in the last two rows, of unseen ones; a PNG of 256 colours."""
    unseen = [prompt.subject.held_out for prompt in asked]
    order = np.argsort(unseen, kind="stable")
    split = len(asked) - sum(unseen)
    chosen = [*order[:split][: COLUMNS * (ROWS - 2)], *order[split:][: COLUMNS * 2]]
    tiles = [cv2.resize(images[i], (TILE, TILE), interpolation=cv2.INTER_AREA) for i in chosen]
    tiles += [np.full((TILE, TILE, 3), 255, np.uint8)] * (-len(tiles) % COLUMNS)
    sheet = np.concatenate([np.concatenate(tiles[i : i + COLUMNS], 1) for i in range(0, len(tiles), COLUMNS)])
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)


def evaluate(model: Path, checker: Checker, count: int, sheet: Path) -> dict[str, object]:
    """Scores of all prompts and of the seen and unseen combinations apart, and what went wrong."""
    pipeline, asked = load_pipeline(model), prompts(count)
    parts = [asked[i : i + BATCH] for i in range(0, count, BATCH)]
    seeds = [range(i, i + len(part)) for i, part in zip(range(0, count, BATCH), parts, strict=True)]
    images = np.concatenate([draw(pipeline, [p.text for p in part], s) for part, s in zip(parts, seeds, strict=True)])
    contact_sheet(images, asked, sheet)
    verdicts = judge(checker, images, asked)
    pairs = list(zip(asked, verdicts, strict=True))
    return {
        "all": summary(verdicts),
        "seen": summary([verdict for prompt, verdict in pairs if not prompt.subject.held_out]),
        "unseen": summary([verdict for prompt, verdict in pairs if prompt.subject.held_out]),
        "seconds_a_picture": round(seconds_a_picture(pipeline), 2),
        "megabytes": round(sum(file.stat().st_size for file in model.rglob("*") if file.is_file()) / 1e6, 2),
        "steps": STEPS,
        "guidance": GUIDANCE,
        "wrong": [
            {"prompt": prompt.text, "wrong": [name for name in ("kind", "colour", "pattern") if not verdict[name]]}
            for prompt, verdict in pairs
            if not (verdict["kind_and_colour"] and verdict["pattern"])
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=HERE / "weights" / "diffusion")
    parser.add_argument("--checker", type=Path, default=HERE / "checker")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--out", type=Path, default=HERE / "scores", help="folder of diffusion.json and diffusion.png")
    arguments = parser.parse_args()
    sheet = arguments.out / "diffusion.png"
    scores = evaluate(arguments.model, load_checker(arguments.checker), arguments.count, sheet)
    (arguments.out / "diffusion.json").write_text(json.dumps(scores, indent=2) + "\n")
    print(json.dumps({name: value for name, value in scores.items() if name != "wrong"}, indent=2))


if __name__ == "__main__":
    keep_memory()
    main()
