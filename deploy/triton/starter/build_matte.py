"""Draws the scenes, trains, exports and scores the starter matte model: `python build_matte.py --out DIR [--quick]`."""

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Size:
    """`plans`: how many steps the learning rate is planned for, and which share of them, at their end, sees the largest
    pictures; each plan goes on where the one before it ended."""

    cutouts: int
    places: int
    products: int
    plans: tuple[tuple[int, float], ...]
    calibrated: int
    scored: int


PLANS = ((6_000, 0.1), (8_500, 0.1), (10_000, 0.1), (18_000, 0.2))
FULL = Size(cutouts=12_000, places=8_000, products=3_000, plans=PLANS, calibrated=120, scored=100)
QUICK = Size(cutouts=40, places=30, products=10, plans=((8, 0.1), (12, 0.2)), calibrated=5, scored=5)
"""Shows in about a minute that every script works; its network is no good."""


def run(script: str, *arguments: object) -> None:
    subprocess.run([sys.executable, str(HERE / script), *map(str, arguments)], check=True)


def build(out: Path, size: Size, seed: int, photos: Path | None) -> None:
    bank, work = out / "bank", out / "work"
    counts = ("--cutouts", size.cutouts, "--places", size.places, "--products", size.products)
    if not (bank / "products.npy").exists():
        run("scenes_bank.py", "--out", bank, "--seed", 100_000, *counts)
    for steps, large in size.plans:
        planned = ("--steps", steps, "--large", large, "--seed", seed)
        run("train_matte.py", "--bank", bank, "--out", work, *planned)
    run("export_matte.py", "--checkpoint", work / "matte.pt", "--out", out / "segmentation")
    model = out / "segmentation" / "segmentation.onnx"
    run("calibrate_matte.py", "--model", model, "--out", out / "calibration.json", "--count", size.calibrated)
    shown = ("--photos", photos) if photos else ()
    run("evaluate_matte.py", "--model", model, "--out", out / "scores", "--count", size.scored, *shown)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--photos", type=Path, help="folder with scikit-image's photographs, for the contact sheet only"
    )
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    build(options.out, QUICK if options.quick else FULL, options.seed, options.photos)


if __name__ == "__main__":
    main()
