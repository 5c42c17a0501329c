"""Judges the upscaling model on twelve crops of photographs that scikit-image ships, shrunk by four and enlarged again.

`python deploy/triton/evaluate_upscaling.py PHOTOGRAPHS [--sheet FILE]`, in the models' environment, adds its figures to
out/photographs/report.json and fails where one falls short. Judged by detail (mean absolute Laplacian as a share of the
original's) and by what is left of the small picture when the result is shrunk back (PSNR, mean colour difference
CIEDE2000): PSNR or SSIM against the original would favour blur.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from photographs import report
from PIL import Image, ImageDraw, ImageFilter

sys.path.insert(0, str(Path(__file__).resolve().parent / "runtime"))
from upscaling.enlarging import enlarge
from upscaling.network import Network, RealEsrgan
from upscaling.settings import Settings

SIDE, FACTOR = 256, 4
LEAST_DETAIL, LEAST_DB, MOST_DELTA_E = 0.45, 31.0, 1.5
# File, and left and top of its crop.
CROPS = (
    ("astronaut.png", 150, 0),
    ("astronaut.png", 20, 240),
    ("astronaut.png", 250, 200),
    ("chelsea.png", 100, 20),
    ("chelsea.png", 190, 44),
    ("coffee.png", 200, 60),
    ("coffee.png", 40, 140),
    ("rocket.jpg", 200, 150),
    ("rocket.jpg", 330, 160),
    ("motorcycle_left.png", 250, 200),
    ("motorcycle_left.png", 420, 120),
    ("camera.png", 150, 60),
)
# Photographs that no crop was chosen of: one of each, wherever a number says, but where there is something to be seen.
HELD_OUT = (
    "brick.png",
    "clock_motion.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "moon.png",
    "motorcycle_right.png",
    "retina.jpg",
)
SEED, LEAST_SPREAD = 20_261_130, 10.0
LANCZOS, UNSHARP, MODEL = "Lanczos", "Lanczos, unsharp", "model"
Pixels = np.ndarray


@dataclass(frozen=True)
class Score:
    detail: float
    psnr: float
    delta_e: float


def crop_of(folder: Path, name: str, left: int, top: int) -> Image.Image:
    return Image.open(folder / name).convert("RGB").crop((left, top, left + SIDE, top + SIDE))


def ways(network: Network) -> dict[str, Callable[[Image.Image], Image.Image]]:
    def by_lanczos(small: Image.Image) -> Image.Image:
        return small.resize((SIDE, SIDE), Image.Resampling.LANCZOS)

    return {
        LANCZOS: by_lanczos,
        UNSHARP: lambda small: by_lanczos(small).filter(ImageFilter.UnsharpMask(2, 150, 2)),
        MODEL: lambda small: Image.fromarray(enlarged(network, np.asarray(small), SIDE, SIDE)),
    }


def enlarged(network: Network, image: Pixels, width: int, height: int) -> Pixels:
    made = [step.rows.pixels for step in enlarge(network, image, width, height) if step.rows is not None]
    return np.concatenate(made)


def score(original: Image.Image, small: Image.Image, made: Image.Image) -> Score:
    back = np.asarray(made.resize(small.size, Image.Resampling.BICUBIC))
    return Score(
        sharpness(np.asarray(made)) / sharpness(np.asarray(original)),
        psnr(back, np.asarray(small)),
        float(delta_e(back, np.asarray(small)).mean()),
    )


def sharpness(pixels: Pixels) -> float:
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float64)
    return float(np.abs(cv2.Laplacian(grey, cv2.CV_64F))[1:-1, 1:-1].mean())


def psnr(one: Pixels, other: Pixels) -> float:
    return float(10 * np.log10(255**2 / np.mean((one.astype(np.float64) - other) ** 2)))


def delta_e(one: Pixels, other: Pixels) -> Pixels:
    """CIEDE2000 of each pixel of two RGB pictures (Sharma, Wu and Dalal 2005)."""
    (l1, a1, b1), (l2, a2, b2) = (np.moveaxis(_lab(pixels), 2, 0) for pixels in (one, other))
    mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = 1.5 - 0.5 * np.sqrt(mean**7 / (mean**7 + 25.0**7))
    c1, c2 = np.hypot(a1 * g, b1), np.hypot(a2 * g, b2)
    h1, h2 = (np.degrees(np.arctan2(b, a * g)) % 360 for a, b in ((a1, b1), (a2, b2)))
    turn = np.where(c1 * c2 == 0, 0, (h2 - h1 + 180) % 360 - 180)
    dh = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    hue = np.where(c1 * c2 == 0, h1 + h2, (h1 + turn / 2) % 360)
    light, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    t = sum(
        weight * np.cos(np.radians(times * hue - shift))
        for weight, times, shift in ((1, 0, 0), (-0.17, 1, 30), (0.24, 2, 0), (0.32, 3, -6), (-0.2, 4, 63))
    )
    sl = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    sc, sh = 1 + 0.045 * chroma, 1 + 0.015 * chroma * t
    rotation = (
        2 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7)) * np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    )
    dl, dc, dh = (l2 - l1) / sl, (c2 - c1) / sc, dh / sh
    return np.sqrt(np.maximum(dl**2 + dc**2 + dh**2 - rotation * dc * dh, 0))


def _lab(pixels: Pixels) -> Pixels:
    return cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).astype(np.float64)


def judge(network: Network, folder: Path, crops: tuple[tuple[str, int, int], ...] = CROPS) -> list[dict[str, Score]]:
    """Of each crop the scores of every way."""
    scores = []
    for crop in crops:
        original = crop_of(folder, *crop)
        small = original.resize((SIDE // FACTOR, SIDE // FACTOR), Image.Resampling.BICUBIC)
        scores.append({name: score(original, small, way(small)) for name, way in ways(network).items()})
    return scores


def held_out(folder: Path, names: tuple[str, ...] = HELD_OUT) -> tuple[tuple[str, int, int], ...]:
    """A crop of each."""
    return tuple(_anywhere(folder, name, np.random.default_rng([SEED, number])) for number, name in enumerate(names))


def _anywhere(folder: Path, name: str, rng: np.random.Generator) -> tuple[str, int, int]:
    with Image.open(folder / name) as photograph:
        width, height = photograph.size
    while True:
        crop = name, int(rng.integers(0, width - SIDE + 1)), int(rng.integers(0, height - SIDE + 1))
        if np.asarray(crop_of(folder, *crop).convert("L")).std() >= LEAST_SPREAD:
            return crop


def figures(scores: list[dict[str, Score]]) -> dict[str, float]:
    def mean(way: str, what: str) -> float:
        return round(float(np.mean([getattr(score[way], what) for score in scores])), 3)

    return {
        "detail_share": mean(MODEL, "detail"),
        "detail_share_lanczos_unsharp": mean(UNSHARP, "detail"),
        "shrunk_back_db": mean(MODEL, "psnr"),
        "shrunk_back_delta_e": mean(MODEL, "delta_e"),
    }


def shortfalls(scores: list[dict[str, Score]]) -> dict[str, bool]:
    found = figures(scores)
    return {
        f"the detail of enlargements is to be {LEAST_DETAIL} or more": found["detail_share"] < LEAST_DETAIL,
        "every crop is to have more detail than by Lanczos and unsharp masking": any(
            score[MODEL].detail <= score[UNSHARP].detail for score in scores
        ),
        f"shrunk back, enlargements are to be as they were by {LEAST_DB} dB": found["shrunk_back_db"] < LEAST_DB,
        f"and differ by a mean of {MOST_DELTA_E} at most": found["shrunk_back_delta_e"] > MOST_DELTA_E,
    }


def sheet(network: Network, folder: Path) -> Image.Image:
    """The crops in two columns, each as Lanczos, the model's and the original."""
    side, title = 160, 14
    page = Image.new("RGB", (side * 6 + 10, 6 * (side + title)), "white")
    pen = ImageDraw.Draw(page)
    for number, crop in enumerate(CROPS):
        original = crop_of(folder, *crop)
        small = original.resize((SIDE // FACTOR, SIDE // FACTOR), Image.Resampling.BICUBIC)
        made = ways(network)
        shown = {LANCZOS: made[LANCZOS](small), MODEL: made[MODEL](small), "original": original}
        left, top = number % 2 * (side * 3 + 10), number // 2 * (side + title)
        for place, (name, picture) in enumerate(shown.items()):
            # The middle at its own size: shrinking the sheet would hide what it is to show.
            middle = (SIDE - side) // 2
            page.paste(picture.crop((middle, middle, middle + side, middle + side)), (left + place * side, top + title))
            pen.text((left + place * side + 2, top + 1), name, fill="black")
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photographs", type=Path, help="scikit-image's data folder")
    parser.add_argument("--sheet", type=Path, help="where to write the crops side by side, as JPEG")
    given = parser.parse_args()
    network = RealEsrgan.load(Settings.from_environment({}))
    scores = judge(network, given.photographs)
    for crop, score in zip(CROPS, scores, strict=True):
        print(*crop, *(f"{way}: {s.detail:.2f} {s.psnr:.1f} dB {s.delta_e:.2f}" for way, s in score.items()), sep="  ")
    if given.sheet:
        sheet(network, given.photographs).save(given.sheet, quality=88)
    apart = judge(network, given.photographs, held_out(given.photographs))
    print("held out:", *(f"{name} {one[MODEL].detail:.2f}" for name, one in zip(HELD_OUT, apart, strict=True)))
    report(figures(scores), shortfalls(scores), held_out=figures(apart))


if __name__ == "__main__":
    main()
