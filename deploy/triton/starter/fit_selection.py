"""Fits which matte network to believe: `python fit_selection.py --photographs DIR --out selection.json`.

Drawn scenes of its own (neither trained nor scored on) say which network overlaps the truth more, each counted by how
much more. Photographs have no truth here: the network trained on photographs is taken to be right, on crops of every
size, mirrored, darker and lighter. The report says how often a photograph left out of the fit would be told as one.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
from evaluate_matte import catalogue_scenes, composites, hard_scenes

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runtime"))
from matting import Settings
from matting.combination import BOLD, NOT, fitted
from matting.graphcut import settle, shrink
from matting.matter import WORKING_SIDE
from matting.network import MatteNetwork
from matting.selection import Rivals, signs

SEED = 8_300_000
PHOTOGRAPHS = (
    "astronaut.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "motorcycle_left.png",
    "motorcycle_right.png",
    "rocket.jpg",
)
CROPS = 12
SHARE = 0.6
"""Of all weight, what the photographs have beside the drawn scenes' one."""
Array = np.ndarray


@dataclass(frozen=True)
class Seen:
    """`gain`: how much more the photographs' network overlaps the truth; None where nobody knows it."""

    source: str
    signs: dict[str, float]
    gain: float | None


class Both:
    """The starter network and the one for photographs."""

    def __init__(self) -> None:
        settings = Settings.from_environment({})
        photograph = MatteNetwork.for_photographs(settings)
        assert photograph is not None, "make setup fetches it"
        self.drawn, self.photograph = MatteNetwork.load(settings), photograph

    def look(self, picture: Array) -> Rivals:
        small = shrink(picture, WORKING_SIDE)
        return Rivals(small, *(fitted(one.matte(picture), small) for one in (self.drawn, self.photograph)))


def drawn(both: Both, count: int) -> Iterator[Seen]:
    scenes = chain(catalogue_scenes(count // 5, SEED), composites(count, SEED), hard_scenes(count // 3, SEED))
    for scene in scenes:
        rivals = both.look(scene.picture)
        truth = cv2.resize(scene.alpha, rivals.small.shape[1::-1], interpolation=cv2.INTER_AREA) > 127
        gain = settled_overlap(rivals, rivals.photograph, truth) - settled_overlap(rivals, rivals.drawn, truth)
        yield Seen("drawn", signs(rivals), gain)


def settled_overlap(rivals: Rivals, likelihood: Array, truth: Array) -> float:
    mask = settle(rivals.small, likelihood, sure=BOLD, sure_not=NOT) > 0.5
    return float((mask & truth).sum() / max(1, (mask | truth).sum()))


def photographs(both: Both, folder: Path) -> Iterator[Seen]:
    rng = np.random.default_rng(SEED)
    for name in PHOTOGRAPHS:
        whole = cv2.cvtColor(cv2.imread(str(folder / name)), cv2.COLOR_BGR2RGB)
        for number in range(CROPS):
            yield Seen(name, signs(both.look(varied(whole, rng) if number else whole)), None)


def varied(whole: Array, rng: np.random.Generator) -> Array:
    """A crop of more than half of each side, perhaps mirrored, in another size and light."""
    height, width = (int(side * rng.uniform(0.6, 1)) for side in whole.shape[:2])
    top, left = rng.integers(0, whole.shape[0] - height + 1), rng.integers(0, whole.shape[1] - width + 1)
    crop = whole[top : top + height, left : left + width]
    crop = crop[:, ::-1] if rng.random() < 0.5 else crop
    scale = rng.uniform(0.5, 1.5)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    sized = cv2.resize(np.ascontiguousarray(crop), None, fx=scale, fy=scale, interpolation=method)
    return np.clip(sized * rng.uniform(0.8, 1.2), 0, 255).astype(np.uint8)


def fit(seen: list[Seen], ridge: float = 1.0) -> dict[str, float]:
    """Logistic regression by Newton's method on standardised signs; answers the weights for plain ones."""
    names = list(seen[0].signs)
    table = np.array([[one.signs[name] for name in names] for one in seen])
    mean, spread = table.mean(axis=0), np.maximum(table.std(axis=0), 1e-6)
    rows = np.column_stack([(table - mean) / spread, np.ones(len(seen))])
    right = np.array([1.0 if one.gain is None or one.gain > 0 else 0.0 for one in seen])
    weight = weights_of(seen)
    penalty = np.diag([ridge] * len(names) + [1e-3])
    solved = np.zeros(rows.shape[1])
    for _ in range(60):
        guess = 1 / (1 + np.exp(-rows @ solved))
        slope = rows.T @ (weight * (guess - right)) + penalty @ solved
        solved -= np.linalg.solve((rows * (weight * guess * (1 - guess))[:, None]).T @ rows + penalty, slope)
    plain = solved[:-1] / spread
    return dict(zip(names, np.round(plain, 4).tolist(), strict=True)) | {
        "constant": round(float(solved[-1] - plain @ mean), 4)
    }


def weights_of(seen: list[Seen]) -> Array:
    """A scene counts by how much hangs on it; the photographs together by SHARE of all scenes."""
    known = np.array([0.0 if one.gain is None else abs(one.gain) + 0.01 for one in seen])
    unknown = np.array([one.gain is None for one in seen])
    weight = np.where(unknown, SHARE * known.sum() / max(1, unknown.sum()), known)
    return weight * len(seen) / weight.sum()


def prefers(weights: dict[str, float], one: Seen) -> bool:
    return weights["constant"] + sum(weights[name] * value for name, value in one.signs.items()) > 0


def left_out(seen: list[Seen]) -> dict[str, float]:
    """For each photograph, the share of its crops told as one by a fit that saw neither it nor its twin."""
    shares = {}
    for name in PHOTOGRAPHS:
        weights = fit([one for one in seen if one.source.split("_")[0] != name.split("_")[0]])
        crops = [one for one in seen if one.source == name]
        shares[name] = round(sum(prefers(weights, one) for one in crops) / len(crops), 3)
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photographs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=400)
    options = parser.parse_args()
    both = Both()
    seen = [*drawn(both, options.count), *photographs(both, options.photographs)]
    weights = fit(seen)
    scenes = [one for one in seen if one.gain is not None]
    report = {
        "models": {"drawn": both.drawn.description["sha256"], "photograph": both.photograph.description["sha256"]},
        "seed": SEED,
        "drawn_scenes": len(scenes),
        "mean_iou_gained_on_drawn_scenes": round(
            sum(one.gain or 0.0 for one in scenes if prefers(weights, one)) / len(scenes), 4
        ),
        "told_when_left_out_of_the_fit": left_out(seen),
        "weights": weights,
    }
    options.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
