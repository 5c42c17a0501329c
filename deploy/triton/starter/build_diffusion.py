"""Makes the starter diffusion model from nothing: draws pictures, trains, exports and scores."""

import argparse
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

HERE = Path(__file__).parent
WORKERS = 2


@dataclass(frozen=True)
class Budget:
    """How much of everything; steps of the denoiser count from the start of its coarse stage."""

    pictures: int
    codec_steps: int
    coarse_steps: int
    steps: int
    cooldown: int
    checker_pictures: int
    checker_epochs: int
    prompts: int


FULL = Budget(16000, 900, 1000, 3000, 800, 8000, 6, 200)
QUICK = Budget(640, 20, 10, 20, 10, 400, 1, 20)


def run(script: str, *arguments: object, workers: int = 1) -> None:
    """Run a script of this folder, by several workers of one thread each where asked."""
    command = [sys.executable, "-u", str(HERE / script), *map(str, arguments)]
    if workers == 1:
        subprocess.run(command, check=True)
        return
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen([*command, "--worker", str(rank), str(workers)], env=environment) for rank in range(workers)
    ]
    statuses = [process.wait() for process in running]
    if any(statuses):
        raise SystemExit(f"{script} failed")


def assemble(trained: Path, out: Path) -> None:
    """Put the parts together as a Stable Diffusion pipeline in half precision, with its licence."""
    parts = {
        "vae": AutoencoderKL,
        "unet": UNet2DConditionModel,
        "text_encoder": CLIPTextModel,
        "tokenizer": CLIPTokenizer,
        "scheduler": DDIMScheduler,
    }
    pipeline = StableDiffusionPipeline(
        **{name: part.from_pretrained(str(trained / name)) for name, part in parts.items()},
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(torch.float16).save_pretrained(out, safe_serialization=True)
    shutil.copy(HERE / "LICENSE-weights.txt", out / "LICENSE.txt")


def build(out: Path, work: Path, budget: Budget) -> None:
    """Every stage in order; what a stage made is kept in `work`, and a stage whose result is there is left out."""
    pictures, coarse, trained = work / "pictures", work / "coarse", work / "fine"
    stages = (
        (pictures / "labels.json", ("pictures.py", "--out", pictures, "--count", budget.pictures), 1),
        (
            coarse / "tokenizer",
            ("train_unet.py", "--pictures", pictures, "--out", coarse, "--steps", budget.coarse_steps, "--cooldown", 0),
            1,
        ),
        (
            trained / "latents.pt",
            ("train_vae.py", "--pictures", pictures, "--out", trained, "--steps", budget.codec_steps),
            1,
        ),
        (
            trained / "tokenizer",
            (
                *("train_unet.py", "--pictures", pictures, "--out", trained, "--latents", trained / "latents.pt"),
                *("--coarse", coarse, "--steps", budget.steps, "--cooldown", budget.cooldown),
            ),
            WORKERS,
        ),
        (
            work / "checker" / "scores.json",
            (
                *("checker.py", "--out", work / "checker"),
                *("--count", budget.checker_pictures, "--epochs", budget.checker_epochs),
            ),
            1,
        ),
    )
    begun = time.monotonic()
    for result, command, workers in stages:
        if not result.exists():
            run(*command, workers=workers)
        print(f"{command[0]} done after {time.monotonic() - begun:.0f} s", flush=True)
    assemble(trained, out)
    run(
        *("evaluate.py", "--model", out, "--checker", work / "checker"),
        *("--out", work / "scores", "--count", budget.prompts),
    )
    print(f"{out} done after {time.monotonic() - begun:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the model directory to make")
    parser.add_argument("--work", type=Path, help="for pictures and checkpoints; OUT.work unless given")
    parser.add_argument("--quick", action="store_true", help="the whole recipe with next to no training, as a test")
    arguments = parser.parse_args()
    work = arguments.work or arguments.out.with_name(arguments.out.name + ".work")
    build(arguments.out, work, QUICK if arguments.quick else FULL)


if __name__ == "__main__":
    main()
