"""Subjects, places and catalogue pictures drawn once and kept on disk; training pairs them anew in every batch."""

import argparse
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from catalogue import BACKGROUNDS, pick, subjects
from render import render
from scenes import Scene, compose, cropped, is_seen
from scenes_places import draw_place
from scenes_subjects import Subject, draw_subject
from scenes_textures import Picture, Rng

SIZE = 256


@dataclass(frozen=True)
class Bank:
    """uint8 arrays: `cutouts` [N, S, S, 4] with straight alpha, `anchors` [N] True where cut by the lower edge,
    `places` [M, S, S, 3], `products` [K, S, S, 4] whole catalogue pictures with their truth as fourth channel."""

    cutouts: np.ndarray
    anchors: np.ndarray
    places: np.ndarray
    products: np.ndarray

    @classmethod
    def load(cls, folder: Path) -> "Bank":
        names = ("cutouts", "anchors", "places", "products")
        return cls(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in names))

    def scene(self, size: int, rng: Rng, *, products: float) -> Scene:
        """A new pairing of a stored subject and place, or with probability `products` a catalogue picture; square."""
        if rng.random() < products:
            whole = shrunk(self.products[rng.integers(len(self.products))], size)
            return mirrored(Scene(whole[..., :3], whole[..., 3]), rng)
        while True:
            scene = cropped(self.composed(size, rng), rng)
            if is_seen(scene):
                return mirrored(squared(scene), rng)

    def composed(self, size: int, rng: Rng) -> Scene:
        number = rng.integers(len(self.cutouts))
        cutout = jittered(self.cutouts[number], size, bool(self.anchors[number]), rng)
        place = zoomed(self.places[rng.integers(len(self.places))], size, rng)
        rgb, alpha = cutout[..., :3].astype(np.float32), cutout[..., 3].astype(np.float32) / 255
        return compose(Subject(rgb, alpha, "bottom" if self.anchors[number] else "free"), place, rng)


def shrunk(picture: np.ndarray, size: int) -> np.ndarray:
    return cv2.resize(np.ascontiguousarray(picture), (size, size), interpolation=cv2.INTER_AREA)


def halved(picture: np.ndarray, size: int) -> np.ndarray:
    """At half its size where that is still enough for `size`; halving is much cheaper than any other ratio."""
    return shrunk(picture, SIZE // 2) if size <= SIZE // 2 else np.ascontiguousarray(picture)


def mirrored(scene: Scene, rng: Rng) -> Scene:
    if rng.random() < 0.5:
        return scene
    return Scene(np.ascontiguousarray(scene.picture[:, ::-1]), np.ascontiguousarray(scene.alpha[:, ::-1]))


def squared(scene: Scene) -> Scene:
    """The square filled with the edges' own pixels, as the runtime fills it."""
    height, width = scene.alpha.shape
    size = max(height, width)
    top, left = (size - height) // 2, (size - width) // 2
    sides = top, size - height - top, left, size - width - left
    return Scene(*(cv2.copyMakeBorder(one, *sides, cv2.BORDER_REPLICATE) for one in (scene.picture, scene.alpha)))


def jittered(stored: np.ndarray, size: int, anchored: bool, rng: Rng) -> np.ndarray:
    """Turned, scaled, stretched and moved a little, in other colours; colour under alpha 0 stays usable."""
    cutout = halved(stored, size)
    side = cutout.shape[0]
    scale = rng.uniform(0.95 if anchored else 0.65, 1.25)
    turn = cv2.getRotationMatrix2D((side / 2, side if anchored else side / 2), rng.normal(0, 6), scale)
    turn[0] *= rng.uniform(0.85, 1.18)
    turn[:, 2] += rng.normal(0, side * 0.05, 2) * (1, 0 if anchored else 1) + (0, side * 0.04 * anchored)
    turn *= size / side
    rgb = cv2.warpAffine(cutout[..., :3], turn, (size, size), borderMode=cv2.BORDER_REFLECT)
    alpha = cv2.warpAffine(cutout[..., 3], turn, (size, size), borderMode=cv2.BORDER_CONSTANT)
    return np.dstack([np.clip(recoloured(rgb, rng) * rng.uniform(0.7, 1.3, 3), 0, 255).astype(np.uint8), alpha])


def zoomed(stored: np.ndarray, size: int, rng: Rng) -> Picture:
    """A part of a place, at times mirrored, in other colours; float32."""
    place = halved(stored, size)
    side = place.shape[0]
    part = round(side * rng.uniform(0.6, 1.0))
    top, left = rng.integers(0, side - part + 1, 2)
    part_seen = place[top : top + part, left : left + part][:, :: rng.choice([-1, 1])]
    return recoloured(cv2.resize(np.ascontiguousarray(part_seen), (size, size)), rng).astype(np.float32)


def recoloured(rgb: np.ndarray, rng: Rng) -> np.ndarray:
    """A quarter of the pictures with their colour channels exchanged."""
    return rgb[..., rng.permutation(3)] if rng.random() < 0.25 else rgb


def _cutout(seed: int) -> tuple[np.ndarray, bool]:
    subject = draw_subject(SIZE, np.random.default_rng([seed, 1]))
    whole = np.dstack([np.clip(subject.rgb, 0, 255), subject.alpha * 255])
    return np.rint(whole).astype(np.uint8), subject.anchor == "bottom"


def _place(seed: int) -> np.ndarray:
    return np.rint(draw_place(SIZE, np.random.default_rng([seed, 2]))).astype(np.uint8)


def _product(seed: int) -> np.ndarray:
    """Never one of the combinations held out from the diffusion model: the evaluation draws those."""
    rng = np.random.default_rng([seed, 3])
    picture, cover = render(
        pick(subjects(held_out=False), rng), BACKGROUNDS[rng.integers(len(BACKGROUNDS))], rng, size=SIZE
    )
    return np.dstack([picture, cover])


def draw_bank(folder: Path, seed: int, *, cutouts: int, places: int, products: int, processes: int) -> None:
    """Every picture has its own seed, so the bank is the same however many processes draw it."""
    folder.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    with get_context("fork").Pool(processes) as pool:
        drawn = pool.map(_cutout, range(seed, seed + cutouts), chunksize=20)
        np.save(folder / "cutouts.npy", np.stack([picture for picture, _ in drawn]))
        np.save(folder / "anchors.npy", np.array([anchored for _, anchored in drawn]))
        np.save(folder / "places.npy", np.stack(pool.map(_place, range(seed, seed + places), chunksize=20)))
        np.save(folder / "products.npy", np.stack(pool.map(_product, range(seed, seed + products), chunksize=20)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=100_000)
    for name, count in (("cutouts", 12_000), ("places", 8_000), ("products", 3_000), ("processes", 2)):
        parser.add_argument(f"--{name}", type=int, default=count)
    options = vars(parser.parse_args())
    draw_bank(options.pop("out"), options.pop("seed"), **options)


if __name__ == "__main__":
    main()
