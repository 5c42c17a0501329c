"""The pictures that `detection` is judged by: faces and labels in known places, and pictures with neither.

Made from the photographs that scikit-image ships and from what the starter's generators draw; the same ones every time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

sys.path.insert(0, str(Path(__file__).resolve().parent / "starter"))
from pictures import _draw as draw_product
from scenes import draw_scene

FACES, PRODUCTS, LABELS, BLANKS = 100, 200, 100, 100
SMALLEST, LARGEST = 32, 400
GROUNDS = ("brick.png", "grass.png", "gravel.png", "coffee.png")
WITHOUT_FACES = (
    *GROUNDS,
    *("chelsea.png", "rocket.jpg", "motorcycle_left.png", "coins.png", "moon.png", "hubble_deep_field.jpg"),
    *("page.png", "text.png", "ihc.png", "retina.jpg", "cell.png"),
)
CROPS_EACH = 3
Pixels = np.ndarray
Rng = np.random.Generator


@dataclass(frozen=True)
class Portrait:
    """A part of a photograph, and middle and side of the face in it."""

    pixels: Pixels
    middle: tuple[float, float]
    side: float


@dataclass(frozen=True)
class Posed:
    """`face`: left, top, right, bottom."""

    picture: Pixels
    face: Pixels


@dataclass(frozen=True)
class Label:
    picture: Pixels
    text: str


class Photographs:
    """scikit-image's data folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cache  # noqa: B019  one object for the life of the program
    def photograph(self, name: str) -> Pixels:
        return np.asarray(Image.open(self._folder / name).convert("RGB"))

    @cache  # noqa: B019  as above
    def wild(self) -> Pixels:
        """A hundred faces of Labeled Faces in the Wild, `[100, 25, 25]`: tight, grey and small."""
        return np.rint(np.load(self._folder / "lfw_subset.npy")[:100] * 255).astype(np.uint8)

    def portrait(self, number: int) -> Portrait:
        """Two in ten are of the two photographs with a person."""
        if number % 10 == 0:
            return Portrait(self.photograph("astronaut.png")[:330, 90:380], (134, 122), 100)
        if number % 10 == 5:
            return Portrait(self.photograph("camera.png")[60:330, 110:350], (118, 105), 85)
        return Portrait(np.repeat(self.wild()[number][:, :, None], 3, axis=2), (12.5, 12.5), 25)

    def faces(self, every: int = 1, seed: int = 0) -> Iterator[Posed]:
        """From 32 to 400 pixels, turned by up to 15 degrees, mirrored or not, on plain and textured grounds."""
        for number in range(0, FACES, every):
            yield self._posed(number, np.random.default_rng([seed, number]))

    def unused_faces(self, seed: int = 1) -> Iterator[Posed]:
        """A hundred more, of the twenty small faces in whose place `faces` shows the two photographs."""
        for number in range(FACES):
            face = self.wild()[5 * (number % (FACES // 5))]
            portrait = Portrait(np.repeat(face[:, :, None], 3, axis=2), (12.5, 12.5), 25)
            yield self._posed(number, np.random.default_rng([seed, number]), portrait)

    def _posed(self, number: int, rng: Rng, portrait: Portrait | None = None) -> Posed:
        side = SMALLEST * (LARGEST / SMALLEST) ** (number / (FACES - 1))
        portrait = portrait or self.portrait(number)
        scale = side / portrait.side
        pixels = _resized(portrait.pixels, scale)
        middle = np.array(portrait.middle) * scale
        if rng.random() < 0.5:
            pixels, middle = pixels[:, ::-1], np.array([pixels.shape[1] - middle[0], middle[1]])
        height, width = pixels.shape[:2]
        across = int(np.clip(side * rng.uniform(2, 10), max(width, height) + 8, 1400))
        down = int(max(height + 4, across * rng.uniform(0.7, 1)))
        place = np.array([rng.integers(0, across - width + 1), rng.integers(0, down - height + 1)])
        matrix = cv2.getRotationMatrix2D(tuple(map(float, middle)), rng.uniform(-15, 15), 1)
        matrix[:, 2] += place
        picture = _laid_on(pixels, self.ground(across, down, rng), matrix, side)
        x, y = middle + place
        return Posed(picture, np.array([x - side / 2, y - side / 2, x + side / 2, y + side / 2], np.float32))

    def ground(self, width: int, height: int, rng: Rng) -> Pixels:
        """A plain backdrop, lit from above, or a photograph."""
        kind = int(rng.integers(0, len(GROUNDS) + 1))
        if kind == len(GROUNDS):
            light = np.linspace(1, 0.85, height)[:, None, None]
            return np.rint(np.ones((height, width, 1)) * rng.integers(60, 245, 3) * light).astype(np.uint8)
        photograph = self.photograph(GROUNDS[kind])
        scale = max(width / photograph.shape[1], height / photograph.shape[0]) * 1.01
        return _resized(photograph, scale)[:height, :width].copy()

    def products(self, every: int = 1, seed: int = 0) -> Iterator[tuple[str, Pixels]]:
        """Two hundred without a face: drawn scenes, drawn products, photographs and crops of these."""
        made = [*self._photographs_without_faces(seed)]
        drawn = PRODUCTS - len(made)
        scenes = ((f"scene {n}", draw_scene(384, np.random.default_rng([seed, n])).picture) for n in range(drawn // 2))
        catalogue = ((f"product {n}", product(n, seed)) for n in range(drawn - drawn // 2))
        for number, one in enumerate([*made, *scenes, *catalogue]):
            if number % every == 0:
                yield one

    def _photographs_without_faces(self, seed: int) -> Iterator[tuple[str, Pixels]]:
        for number, name in enumerate(WITHOUT_FACES):
            photograph, rng = self.photograph(name), np.random.default_rng([seed, number])
            yield name, photograph
            for _ in range(CROPS_EACH):
                side = int(min(photograph.shape[:2]) * rng.uniform(0.4, 0.9))
                top, left = (int(rng.integers(0, length - side + 1)) for length in photograph.shape[:2])
                yield f"{name} from {left}, {top}", photograph[top : top + side, left : left + side]


def _resized(pixels: Pixels, scale: float) -> Pixels:
    size = tuple(max(1, round(side * scale)) for side in pixels.shape[1::-1])
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def _laid_on(pixels: Pixels, ground: Pixels, matrix: Pixels, side: float) -> Pixels:
    """With edges that fade over a few hundredths of the face."""
    size = ground.shape[1::-1]
    alpha, edge = np.zeros(pixels.shape[:2], np.float32), max(1, int(0.04 * side))
    alpha[edge:-edge, edge:-edge] = 1
    alpha = cv2.warpAffine(cv2.GaussianBlur(alpha, (0, 0), max(0.5, 0.03 * side)), matrix, size)[..., None]
    moved = cv2.warpAffine(pixels, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    return np.rint(ground * (1 - alpha) + moved * alpha).astype(np.uint8)


def product(number: int, seed: int = 0) -> Pixels:
    """A drawn product without a word on it, 512 pixels."""
    return cv2.resize(draw_product(number, seed)[0], (512, 512), interpolation=cv2.INTER_CUBIC)


WORDS = (
    *("100% COTTON", "Made in Italy", "SIZE M", "Machine wash 30", "ART. 48213-B", "LOT 2026/117", "EUR 39.90"),
    *("Organic wool", "NEW ARRIVAL", "Fragile", "50 ml / 1.7 fl oz", "Best before 12.2027", "atelier.example", "No. 7"),
    *("Dry clean only", "BATCH QX-904", "Limited edition", "Polyester 65%", "Net wt 250 g", "Handle with care"),
)


def labels(every: int = 1, seed: int = 0) -> Iterator[Label]:
    """One to three lines, 14 to 60 pixels high, turned by up to 8 degrees, on a patch on a drawn product, as JPEG."""
    for number in range(0, LABELS, every):
        yield _label(number, np.random.default_rng([seed, number]), product(number, seed))


def _label(number: int, rng: Rng, picture: Pixels) -> Label:
    words = [str(word) for word in rng.choice(WORDS, size=int(rng.integers(1, 4)), replace=False)]
    fonts = _fonts()
    font_name, high = fonts[number % len(fonts)], int(14 * (60 / 14) ** rng.random())
    paper, ink = _colours(rng)
    patch = _patch(words, font_name, high, paper, ink)
    scale = min(1.0, 470 / patch.shape[1], 400 / patch.shape[0])
    patch = _resized(patch, scale)
    angle = rng.uniform(-8, 8)
    matrix = cv2.getRotationMatrix2D((patch.shape[1] / 2, patch.shape[0] / 2), angle, 1)
    matrix[:, 2] += 256 - np.array(patch.shape[1::-1]) / 2
    cover = cv2.warpAffine(np.ones(patch.shape[:2], np.float32), matrix, (512, 512))[..., None]
    moved = cv2.warpAffine(patch, matrix, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    laid = np.rint(picture * (1 - cover) + moved * cover).astype(np.uint8)
    _, jpeg = cv2.imencode(".jpg", laid, (cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(75, 96))))
    return Label(np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR)), "\n".join(words))


def _colours(rng: Rng) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Paper and ink, one light and one dark."""
    light, dark = (tuple(map(int, rng.integers(*span, 3))) for span in ((190, 256), (0, 80)))
    return (light, dark) if rng.random() < 0.7 else (dark, light)


def _patch(words: list[str], font_name: str, high: int, paper: tuple[int, ...], ink: tuple[int, ...]) -> Pixels:
    font = ImageFont.truetype(font_name, high) if font_name else ImageFont.load_default(high)
    step, room = round(high * 1.5), round(high * 0.6)
    wide = max(round(font.getlength(word)) for word in words)
    page = Image.new("RGB", (wide + 2 * room, step * len(words) + room), paper)
    pen = ImageDraw.Draw(page)
    for number, word in enumerate(words):
        pen.text((room, room / 2 + number * step), word, fill=ink, font=font)
    return np.asarray(page)


@cache
def _fonts() -> list[str]:
    """Pillow's own, which is everywhere, and what this machine has of two common families."""
    found = [
        path for family in ("dejavu", "liberation") for path in Path("/usr/share/fonts").glob(f"**/{family}/*.ttf")
    ]
    return ["", *sorted(str(path) for path in found if "Math" not in path.name)]
