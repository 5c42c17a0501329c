"""Judges the mattes of photographs by outlines that were drawn by hand.

`python deploy/triton/evaluate_mattes.py PHOTOGRAPHS [--sheet FILE]`, in the models' environment, adds its figures to
out/photographs/report.json and fails where one falls short. PHOTOGRAPHS is scikit-image's data folder.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from held_out import composed
from photographs import report
from PIL import Image, ImageDraw
from trimaps import Trimap, every

sys.path.insert(0, str(Path(__file__).resolve().parent / "runtime"))
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))
from matting import Matter, MattingRequest, Settings

from services.imaging.processing.layers import take_apart

LEAST_MEAN, LEAST = 0.93, 0.8
# Many small things close together come out as one, and thin dark ones on gravel lose a part: two of eight subjects.
LEAST_HELD_OUT = 0.86
MEGAPIXEL = 1_000_000
# Besides those with a trimap, the one that is left with a subject.
SHOWN = ("motorcycle_right.png",)
HEIGHT, GAP, TITLE = 150, 8, 14
PER_ROW = 3
# File, left and top: hair, straps, spokes, whiskers, thin legs, glass and gloss.
CROPS = (
    ("astronaut.png", 150, 10),
    ("astronaut.png", 240, 20),
    ("astronaut.png", 90, 170),
    ("astronaut.png", 0, 430),
    ("astronaut.png", 320, 270),
    ("astronaut.png", 440, 360),
    ("camera.png", 180, 50),
    ("camera.png", 230, 120),
    ("camera.png", 280, 130),
    ("camera.png", 230, 440),
    ("camera.png", 350, 440),
    ("chelsea.png", 320, 0),
    ("chelsea.png", 300, 180),
    ("chelsea.png", 0, 90),
    ("coffee.png", 380, 50),
    ("coffee.png", 80, 280),
    ("coins.png", 20, 90),
    ("motorcycle_left.png", 490, 20),
    ("motorcycle_left.png", 90, 190),
    ("motorcycle_left.png", 580, 340),
    ("motorcycle_left.png", 380, 110),
    ("retina.jpg", 1140, 130),
    ("rocket.jpg", 290, 120),
    ("rocket.jpg", 290, 340),
)
SIDE, LARGER, PER_LINE = 64, 2, 6
MAGENTA = (255, 0, 255)
Pixels = np.ndarray


def photograph(folder: Path, name: str) -> Pixels:
    """uint8 RGB [H, W, 3]."""
    return np.asarray(Image.open(folder / name).convert("RGB"))


def judge(matter: Matter, trimaps: list[Trimap], folder: Path) -> dict[str, float]:
    """The overlap with each trimap, by the photograph's name."""
    overlaps = {}
    for trimap in trimaps:
        matte = matter.cut(photograph(folder, trimap.photograph), MattingRequest()).matte
        overlaps[trimap.photograph] = trimap.overlap(matte)
    return overlaps


def figures(overlaps: dict[str, float]) -> dict[str, float]:
    values = list(overlaps.values())
    return {"iou_mean": round(float(np.mean(values)), 4), "iou_min": round(min(values), 4)}


def seconds(matter: Matter, pictures: Sequence[Pixels]) -> dict[str, float]:
    """What a cut-out takes at a megapixel, the median of all: by the clock, and of the processors together.

    No bar hangs on them: a busy machine would miss it.
    """
    clock, processors = [], []
    for picture in map(at_a_megapixel, pictures):
        began = time.perf_counter(), time.process_time()
        matter.cut(picture, MattingRequest())
        clock.append(time.perf_counter() - began[0])
        processors.append(time.process_time() - began[1])
    taken = {"matte_seconds_p50": clock, "matte_cpu_seconds_p50": processors}
    return {name: round(float(np.median(times)), 2) for name, times in taken.items()}


def at_a_megapixel(picture: Pixels) -> Pixels:
    height, width = picture.shape[:2]
    factor = (MEGAPIXEL / (width * height)) ** 0.5
    return cv2.resize(picture, (round(width * factor), round(height * factor)), interpolation=cv2.INTER_CUBIC)


def shortfalls(found: dict[str, float]) -> dict[str, bool]:
    return {
        f"the mean overlap of mattes is to be {LEAST_MEAN} or more": found["iou_mean"] < LEAST_MEAN,
        f"the least overlap of a matte is to be {LEAST} or more": found["iou_min"] < LEAST,
    }


def held_out(matter: Matter, trimaps: list[Trimap], folder: Path) -> dict[str, float]:
    """The same, and the median, of compositions that no threshold was chosen on."""
    values = [one.trimap.overlap(matter.cut(one.picture, MattingRequest()).matte) for one in composed(folder, trimaps)]
    print("held out:", *(f"{value:.3f}" for value in values))
    whole = figures({str(number): value for number, value in enumerate(values)})
    return {**whole, "iou_median": round(float(np.median(values)), 4)}


def held_out_shortfalls(found: dict[str, float]) -> dict[str, bool]:
    return {
        f"the median overlap of mattes held out is to be {LEAST_MEAN} or more": found["iou_median"] < LEAST_MEAN,
        f"the mean overlap of mattes held out is to be {LEAST_HELD_OUT} or more": found["iou_mean"] < LEAST_HELD_OUT,
    }


def sheet(matter: Matter, names: list[str], folder: Path) -> Image.Image:
    """Each photograph, cut out over squares and over magenta; then the crops, twice as large, beside their cut-outs."""
    cut: dict[str, tuple[Image.Image, ...]] = {name: laid_out(matter, photograph(folder, name)) for name in names}
    rows = [row_of(names[first : first + PER_ROW], cut) for first in range(0, len(names), PER_ROW)]
    rows += [crops_of(CROPS[first : first + PER_LINE], cut) for first in range(0, len(CROPS), PER_LINE)]
    page = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)), "white")
    top = 0
    for row in rows:
        page.paste(row, (0, top))
        top += row.height
    return page


def laid_out(matter: Matter, picture: Pixels) -> tuple[Image.Image, Image.Image, Image.Image]:
    matte = matter.cut(picture, MattingRequest()).matte
    subject, share = take_apart(picture, matte).subject, matte[..., np.newaxis] / 255
    grounds = squares(matte.shape), np.full(picture.shape, MAGENTA)
    over = [Image.fromarray(np.rint(subject * share + ground * (1 - share)).astype(np.uint8)) for ground in grounds]
    return Image.fromarray(picture), over[0], over[1]


def squares(shape: tuple[int, ...]) -> Pixels:
    rows, columns = np.mgrid[: shape[0], : shape[1]] // max(8, max(shape) // 32)
    return np.where((rows + columns) % 2, 222, 255)[..., np.newaxis].repeat(3, axis=2)


def row_of(names: list[str], cut: dict[str, tuple[Image.Image, ...]]) -> Image.Image:
    pictures = [
        [one.resize((round(one.width * HEIGHT / one.height), HEIGHT), Image.Resampling.LANCZOS) for one in cut[name]]
        for name in names
    ]
    widths = [sum(one.width for one in three) + GAP for three in pictures]
    row = Image.new("RGB", (sum(widths), TITLE + HEIGHT + GAP), "white")
    left = 0
    for name, three in zip(names, pictures, strict=True):
        ImageDraw.Draw(row).text((left, 1), name, fill="black")
        for one in three:
            row.paste(one, (left, TITLE))
            left += one.width
        left += GAP
    return row


def crops_of(crops: tuple[tuple[str, int, int], ...], cut: dict[str, tuple[Image.Image, ...]]) -> Image.Image:
    side = SIDE * LARGER
    row = Image.new("RGB", (PER_LINE * (2 * side + GAP), side + GAP), "white")
    for number, (name, left, top) in enumerate(crops):
        for place, picture in enumerate((cut[name][0], cut[name][2])):
            part = picture.crop((left, top, left + SIDE, top + SIDE)).resize((side, side), Image.Resampling.BICUBIC)
            row.paste(part, (number * (2 * side + GAP) + place * side, 0))
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photographs", type=Path, help="scikit-image's data folder")
    parser.add_argument("--sheet", type=Path, help="where to write the cut-outs and 24 crops of them, as JPEG")
    given = parser.parse_args()
    cv2.setNumThreads(2)
    matter, trimaps = Matter.from_settings(Settings.from_environment({})), every()
    overlaps = judge(matter, trimaps, given.photographs)
    print(*(f"{name} {overlap:.3f}" for name, overlap in overlaps.items()), sep="\n")
    if given.sheet:
        sheet(matter, sorted([*overlaps, *SHOWN]), given.photographs).save(given.sheet, quality=85)
    pictures = [photograph(given.photographs, name) for name in overlaps]
    found = {**figures(overlaps), **seconds(matter, pictures)}
    apart = held_out(matter, trimaps, given.photographs)
    report(found, {**shortfalls(found), **held_out_shortfalls(apart)}, held_out=apart)


if __name__ == "__main__":
    main()
