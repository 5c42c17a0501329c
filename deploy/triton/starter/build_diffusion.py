"""Makes the starter diffusion model from nothing: draws pictures, trains, exports and scores."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from captions import known
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

HERE = Path(__file__).parent
# What the runtime takes as the model's own defaults.
CARD = {
    "_name": "atelier-starter",
    "_licence": "Apache-2.0",
    "_steps": 20,
    "_guidance": 3.0,
    "_knows": known(),
    "_sides": {"least": 128, "most": 128},
}
WORKERS = 2


@dataclass(frozen=True)
class Budget:
    """How much of everything; steps of the denoiser are batches of 32."""

    pictures: int
    codec_steps: int
    coarse_steps: int
    steps: int
    cooldown: int
    checker_pictures: int
    checker_epochs: int
    prompts: int


FULL = Budget(16000, 900, 1250, 2500, 1500, 8000, 6, 200)
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
    index = out / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | CARD, indent=2, sort_keys=True) + "\n")


@dataclass(frozen=True)
class Stage:
    """A script with its arguments, and the last thing it writes."""

    result: Path
    script: str
    arguments: tuple[object, ...]
    workers: int = 1

    def run(self) -> None:
        """Do it, unless it was done before."""
        if not self.result.exists():
            (self.result.parent / "meeting").unlink(missing_ok=True)
            run(self.script, *self.arguments, workers=self.workers)


def stages(work: Path, budget: Budget) -> tuple[Stage, ...]:
    """All that is trained, in order."""
    pictures, coarse, fine, checker = (work / name for name in ("pictures", "coarse", "fine", "checker"))
    drawn, latents = ("--pictures", pictures), fine / "latents.pt"
    draw = ("--out", pictures, "--count", budget.pictures)
    learn_coarse = (*drawn, "--out", coarse, "--steps", budget.coarse_steps, "--cooldown", 0)
    learn_fine = (*drawn, "--out", fine, "--steps", budget.steps, "--cooldown", budget.cooldown)
    judge = ("--out", checker, "--count", budget.checker_pictures, "--epochs", budget.checker_epochs)
    return (
        Stage(pictures / "labels.json", "pictures.py", draw),
        Stage(latents, "train_vae.py", (*drawn, "--out", fine, "--steps", budget.codec_steps)),
        Stage(coarse / "tokenizer", "train_unet.py", learn_coarse),
        Stage(fine / "tokenizer", "train_unet.py", (*learn_fine, "--coarse", coarse, "--latents", latents), WORKERS),
        Stage(checker / "scores.json", "checker.py", judge),
    )


def build(out: Path, work: Path, budget: Budget) -> None:
    """Everything from nothing; what a stage made stays in `work`, so that a run that was stopped goes on from there."""
    begun = time.monotonic()
    for stage in stages(work, budget):
        stage.run()
        print(f"{stage.result} is there after {time.monotonic() - begun:.0f} s", flush=True)
    assemble(work / "fine", out)
    judged = ("--model", out, "--checker", work / "checker", "--out", work / "scores", "--count", budget.prompts)
    run("evaluate.py", *judged)
    print(f"{out} is there after {time.monotonic() - begun:.0f} s", flush=True)


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
