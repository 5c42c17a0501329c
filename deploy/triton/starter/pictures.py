"""The training pictures on disk: drawn once by several processes, each picture from its own seed."""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from catalogue import BACKGROUNDS, Subject, pick, subjects
from render import render

SIZE = 128


@dataclass(frozen=True)
class Pictures:
    """Pictures (n, 128, 128, 3), coverage of the product (n, 32, 32), both 8-bit, and what each one shows."""

    images: npt.NDArray[np.uint8]
    covers: npt.NDArray[np.uint8]
    labels: list[tuple[Subject, str]]


def _draw(index: int, seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], Subject, str]:
    cv2.setNumThreads(1)
    rng = np.random.default_rng([seed, index])
    subject = pick(subjects(held_out=False), rng)
    setting = BACKGROUNDS[rng.integers(len(BACKGROUNDS))]
    image, cover = render(subject, setting, rng, size=SIZE)
    return image, cv2.resize(cover, (SIZE // 4, SIZE // 4), interpolation=cv2.INTER_AREA), subject, setting


def draw_pictures(folder: Path, count: int, *, seed: int, processes: int = 2) -> None:
    """Draw `count` pictures of combinations that are not held out into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    images = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, (count, SIZE, SIZE, 3))
    covers = np.lib.format.open_memmap(folder / "covers.npy", "w+", np.uint8, (count, SIZE // 4, SIZE // 4))
    labels = []
    with ProcessPoolExecutor(processes) as pool:
        for index, drawn in enumerate(pool.map(partial(_draw, seed=seed), range(count), chunksize=64)):
            images[index], covers[index], subject, setting = drawn
            labels.append(asdict(subject) | {"setting": setting})
    images.flush()
    covers.flush()
    (folder / "labels.json").write_text(json.dumps(labels))


def load_pictures(folder: Path) -> Pictures:
    """What `draw_pictures` wrote, the pictures mapped from disk."""
    labels = [
        (Subject(row["kind"], row["colour"], row["pattern"]), row["setting"])
        for row in json.loads((folder / "labels.json").read_text())
    ]
    images, covers = (np.load(folder / name, mmap_mode="r") for name in ("images.npy", "covers.npy"))
    return Pictures(images, covers, labels)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=16000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    draw_pictures(arguments.out, arguments.count, seed=arguments.seed)
