"""Fits the runtime's confidence to a matte model: `python calibrate_matte.py --model FILE --out calibration.json`.

On drawn scenes of its own (neither trained nor scored on), every candidate matte's evidence is set against its true
overlap; ridge regression gives the weights.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path

import cv2
import numpy as np
from evaluate_matte import catalogue_scenes, composites, hard_scenes
from scenes import Scene

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runtime"))
from matting import Settings
from matting.border import border_matte
from matting.combination import BOLD, CAREFUL, NOT, fitted
from matting.evidence import Evidence, gather
from matting.graphcut import settle, shrink
from matting.matter import WORKING_SIDE
from matting.network import MatteNetwork

SEED = 8_000_000
HIDDEN = {"both": (), "network": ("border",), "border": ("network", "decided")}
"""Evidence that is missing when only one method ran."""


def scenes(count: int) -> Iterator[Scene]:
    yield from composites(count, SEED)
    yield from hard_scenes(count // 2, SEED)
    yield from catalogue_scenes(count // 5, SEED)


def observations(network: MatteNetwork, count: int) -> Iterator[tuple[Evidence, float]]:
    """Evidence and true overlap of the settled mattes, the raw one and the border's of every scene."""
    for scene in scenes(count):
        small = shrink(scene.picture, WORKING_SIDE)
        guess, border = fitted(network.matte(scene.picture), small), border_matte(small)
        bold, careful = (settle(small, guess, sure=sure, sure_not=NOT) for sure in (BOLD, CAREFUL))
        truth = cv2.resize(scene.alpha, small.shape[1::-1], interpolation=cv2.INTER_AREA) > 127
        for matte in (bold, careful, guess, border):
            shared, union = ((matte > 0.5) & truth).sum(), ((matte > 0.5) | truth).sum()
            yield gather(small, matte, guess, border), float(shared / max(1, union))


def fit(rows: list[tuple[Evidence, float]], hidden: tuple[str, ...], ridge: float = 0.05) -> dict[str, float]:
    names = [field.name for field in fields(Evidence) if field.name not in hidden]
    table = np.array([[asdict(evidence)[name] for name in names] + [1.0] for evidence, _ in rows])
    truth = np.array([overlap for _, overlap in rows])
    weights = np.linalg.solve(table.T @ table + ridge * np.eye(table.shape[1]), table.T @ truth)
    return dict(zip([*names, "constant"], np.round(weights, 4).tolist(), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=120)
    options = parser.parse_args()
    network = MatteNetwork.load(Settings(model_path=options.model))
    rows = list(observations(network, options.count))
    report = {"model_sha256": network.description["sha256"], "scenes": options.count, "seed": SEED}
    report["weights"] = {name: fit(rows, hidden) for name, hidden in HIDDEN.items()}
    options.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
