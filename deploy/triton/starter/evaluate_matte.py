"""Scores a matte model on drawn scenes never trained on, and lays photographs out for the eye.

`python evaluate_matte.py --model FILE --out DIR [--photos DIR] [--count N]` writes segmentation.json and .png.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from catalogue import BACKGROUNDS, subjects
from PIL import Image
from render import render
from scenes import HARD, Scene, draw_scene

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runtime"))
from matting import Cut, Matter, MattingRequest, Settings

SEED = 7_100_000
"""Far from the bank's seeds: nothing scored here was drawn for training, nor looked at while settings were chosen."""
WAYS = {
    "network": MattingRequest("network", refine=False),
    "network refined": MattingRequest("network"),
    "border": MattingRequest("border"),
    "auto": MattingRequest("auto"),
}
PHOTOS = ("coffee.png", "astronaut.png", "chelsea.png", "rocket.jpg", "camera.png", "retina.jpg")


@dataclass(frozen=True)
class Score:
    """`iou` at alpha 0.5; `error` is the mean absolute difference of alpha in 0..1."""

    iou: float
    error: float
    confidence: float
    milliseconds: float


def catalogue_scenes(count: int, seed: int = SEED) -> Iterator[Scene]:
    """Products in combinations of kind, colour and pattern that training never drew."""
    unseen = subjects(held_out=True)
    for number in range(count):
        rng = np.random.default_rng([seed, 1, number])
        subject = unseen[rng.integers(len(unseen))]
        yield Scene(*render(subject, BACKGROUNDS[rng.integers(len(BACKGROUNDS))], rng, size=256))


def composites(count: int, seed: int = SEED) -> Iterator[Scene]:
    """Any subject in any place: training's generator with numbers that training never drew, none left out."""
    for number in range(count):
        yield draw_scene(320, np.random.default_rng([seed, 2, number]))


def hard_scenes(count: int, seed: int = SEED) -> Iterator[Scene]:
    """Camouflage and rivals of the subject, which training leaves out; some have no right answer."""
    for number in range(count):
        yield draw_scene(320, np.random.default_rng([seed, 3, number]), HARD)


SETS = {"catalogue": catalogue_scenes, "composites": composites, "hard": hard_scenes}


def score(scene: Scene, cut: Cut) -> Score:
    guess, truth = cut.matte > 127, scene.alpha > 127
    union = max(1, int((guess | truth).sum()))
    error = float(np.abs(cut.matte.astype(np.float32) - scene.alpha).mean() / 255)
    return Score(float((guess & truth).sum() / union), error, cut.info["confidence"], cut.info["ms"]["total"])


def summary(scores: list[Score]) -> dict[str, float]:
    overlaps = np.array([one.iou for one in scores])
    return {
        "mean_iou": round(float(overlaps.mean()), 4),
        "median_iou": round(float(np.median(overlaps)), 4),
        "tenth_percentile_iou": round(float(np.percentile(overlaps, 10)), 4),
        "mean_alpha_error": round(float(np.mean([one.error for one in scores])), 4),
        "median_ms": round(float(np.median([one.milliseconds for one in scores])), 1),
    }


def trustworthiness(scores: list[Score]) -> dict[str, float | None]:
    """Whether confidence tells good mattes from bad: mean IoU on both sides of 0.5, and the rank correlation."""
    overlaps, told = np.array([one.iou for one in scores]), np.array([one.confidence for one in scores])
    ranks = np.corrcoef(overlaps.argsort().argsort(), told.argsort().argsort())[0, 1]
    sides = {"mean_iou_when_confident": overlaps[told >= 0.5], "mean_iou_when_not": overlaps[told < 0.5]}
    means = {name: round(float(side.mean()), 4) if len(side) else None for name, side in sides.items()}
    return means | {
        "share_confident": round(float((told >= 0.5).mean()), 3),
        "rank_correlation": round(float(ranks), 3),
    }


def evaluate(matter: Matter, count: int) -> dict[str, object]:
    report: dict[str, object] = {}
    for name, draw in SETS.items():
        scenes = list(draw(count))
        scored = {
            way: [score(scene, matter.cut(scene.picture, request)) for scene in scenes] for way, request in WAYS.items()
        }
        report[name] = {way: summary(scores) for way, scores in scored.items()} | {
            "count": count,
            "confidence of auto": trustworthiness(scored["auto"]),
        }
        print(name, json.dumps(report[name], indent=1), flush=True)
    return report


def over(picture: np.ndarray, matte: np.ndarray, ground: np.ndarray) -> np.ndarray:
    alpha = matte[..., None].astype(np.float32) / 255
    return (picture * alpha + ground * (1 - alpha)).astype(np.uint8)


def checkerboard(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width] // 12
    return np.repeat(np.where((x + y) % 2, 225, 175)[..., None], 3, 2)


def tile(picture: np.ndarray, matte: np.ndarray, height: int = 150) -> np.ndarray:
    """Picture, matte, and the cut-out over a checkerboard and over magenta, side by side."""
    shown = [picture, np.repeat(matte[..., None], 3, 2), over(picture, matte, checkerboard(*matte.shape))]
    shown.append(over(picture, matte, np.array([255, 0, 255])))
    width = round(height * picture.shape[1] / picture.shape[0])
    return np.hstack([cv2.resize(one, (width, height), interpolation=cv2.INTER_AREA) for one in shown])


def contact_sheet(matter: Matter, photos: Path | None) -> np.ndarray:
    scenes = [*catalogue_scenes(4), *composites(8), *hard_scenes(4)]
    tiles = [tile(scene.picture, matter.cut(scene.picture, MattingRequest()).matte, 110) for scene in scenes]
    rows = [np.hstack(tiles[n : n + 2]) for n in range(0, len(tiles), 2)]
    for photo in [photos / name for name in PHOTOS] if photos else ():
        name, picture = photo.name, cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB)
        cut = matter.cut(picture, MattingRequest())
        print(name, {key: cut.info[key] for key in ("confidence", "method", "iou_between_methods", "ms")}, flush=True)
        rows.append(tile(picture, cut.matte))
    width = max(row.shape[1] for row in rows)
    return np.vstack([np.pad(row, ((0, 4), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows])


def write_sheet(sheet: np.ndarray, path: Path, limit: int = 500_000) -> None:
    """A PNG of 256 colours under `limit` bytes, made smaller until it fits."""
    while True:
        Image.fromarray(sheet).quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
        if path.stat().st_size <= limit:
            return
        sheet = cv2.resize(sheet, None, fx=0.92, fy=0.92, interpolation=cv2.INTER_AREA)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--count", type=int, default=100)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    matter = Matter.from_settings(Settings(model_path=options.model))
    write_sheet(contact_sheet(matter, options.photos), options.out / "segmentation.png")
    report = evaluate(matter, options.count) | {"model": matter.network.description, "seed": SEED}
    (options.out / "segmentation.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
