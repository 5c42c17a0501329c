"""Pictures with known mattes for the matte network: a drawn subject in a drawn place, photographed badly on purpose."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scenes_places import draw_place
from scenes_subjects import Subject, draw_subject
from scenes_textures import Picture, Rng, grid, noise

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    """`picture`: uint8 [S, S, 3] RGB; `alpha`: uint8 [S, S], the truth."""

    picture: Bytes
    alpha: Bytes


@dataclass(frozen=True)
class Manner:
    """`likened`: how often a subject takes on its place's mean colour, how far at least and at most. `rivals`: whether
    things behind it may be as large and sharp. `seen`: whether scenes whose subject cannot be seen are drawn again."""

    likened: tuple[float, float, float]
    rivals: bool
    seen: bool


COMPOSED = Manner(likened=(0.15, 0.2, 0.5), rivals=False, seen=True)
"""One subject that a person would point at, in any place: what the network is trained on."""
HARD = Manner(likened=(0.6, 0.4, 0.8), rivals=True, seen=False)
"""Camouflage and rivals, with or without a right answer: only scored."""


def draw_scene(size: int, rng: Rng, manner: Manner = COMPOSED) -> Scene:
    """A scene drawn from nothing, `size` pixels along its longer side."""
    while True:
        subject, place = draw_subject(size, rng), draw_place(size, rng, crowded=manner.rivals)
        scene = cropped(compose(subject, place, rng, manner), rng)
        if not manner.seen or is_seen(scene):
            return scene


def compose(subject: Subject, place: Picture, rng: Rng, manner: Manner = COMPOSED) -> Scene:
    """The subject before the place [S, S, 3], with shadow, light, focus and a camera's faults."""
    rgb = subject.rgb
    often, least, most = manner.likened
    if rng.random() < often:
        rgb = likened(rgb, subject.alpha, place, rng.uniform(least, most))
    if rng.random() < 0.55:
        place = cv2.GaussianBlur(place, (0, 0), rng.uniform(0.8, 7) * place.shape[0] / 256)
    behind = place * (1 - shadow(subject, rng))[..., None]
    rgb = rgb * lamp(rgb.shape[0], rng)
    alpha = subject.alpha
    if rng.random() < 0.4:
        alpha = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.4, 1.4))
    picture = behind + (rgb - behind) * alpha[..., None]
    return Scene(photographed(picture, rng), np.rint(alpha * 255).astype(np.uint8))


def from_near(scene: Scene, rng: Rng) -> Scene:
    """A window of the scene blown up to all of it: the subject is cut off by one side or more."""
    size = scene.alpha.shape[0]
    side = round(size * rng.uniform(0.55, 0.85))
    windows = [np.s_[top : top + side, left : left + side] for top, left in rng.integers(0, size - side + 1, (2, 2))]
    window = max(windows, key=lambda one: scene.alpha[one].sum())
    return Scene(*(cv2.resize(whole[window], (size, size)) for whole in (scene.picture, scene.alpha)))


def cropped(scene: Scene, rng: Rng) -> Scene:
    """An eighth of the scenes from near, a third in landscape or portrait format with most of the subject kept."""
    if rng.random() < 0.125:
        scene = from_near(scene, rng)
    if rng.random() > 0.35:
        return scene
    size = scene.alpha.shape[0]
    short, upright = round(size / rng.uniform(1.15, 1.8)), rng.random() < 0.4
    profile = scene.alpha.sum(0 if upright else 1, dtype=np.float64)
    starts = rng.integers(0, size - short + 1, 4)
    start = max(starts, key=lambda first: profile[first : first + short].sum())
    if profile[start : start + short].sum() < 0.7 * profile.sum():
        return scene
    window = (slice(None), slice(start, start + short)) if upright else slice(start, start + short)
    return Scene(scene.picture[window], scene.alpha[window])


def is_seen(scene: Scene, *, least: float = 0.75, difference: float = 10.0) -> bool:
    """Whether `least` of the outline stands out: local mean colours inside and outside it differ, in Lab, by more than
    `difference`; and the subject fills between 2 and 85 percent of the picture."""
    picture, alpha = (
        cv2.resize(whole, (64, 64), interpolation=cv2.INTER_AREA) for whole in (scene.picture, scene.alpha)
    )
    lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    sides = [local_mean(lab, (side > 0.75).astype(np.float32)) for side in (alpha / 255, 1 - alpha / 255)]
    outline = cv2.morphologyEx((alpha > 127).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0
    known = outline & (sides[0][1] > 0) & (sides[1][1] > 0)
    apart = np.linalg.norm(sides[0][0] - sides[1][0], axis=2)[known] > difference
    return bool(apart.any() and apart.mean() >= least and 0.02 < (alpha > 127).mean() < 0.85)


def local_mean(values: Picture, weight: Picture, window: int = 7) -> tuple[Picture, Picture]:
    """Weighted mean [H, W, 3] in square windows, and the weight there."""
    total = cv2.blur(weight, (window, window))
    return cv2.blur(values * weight[..., None], (window, window)) / np.maximum(total, 1e-4)[..., None], total


def likened(rgb: Picture, alpha: Picture, place: Picture, share: float) -> Picture:
    """The subject's mean colour moved towards the place's, so that colour alone does not tell them apart."""
    weight = max(float(alpha.sum()), 1.0)
    mean = (rgb * alpha[..., None]).sum((0, 1)) / weight
    behind = (place * alpha[..., None]).sum((0, 1)) / weight
    return np.clip(rgb + (behind - mean) * share, 0, 255)


def shadow(subject: Subject, rng: Rng) -> Picture:
    """Darkness 0..1 thrown on the place: soft around, or a flat pool at the foot."""
    size = subject.alpha.shape[0]
    small = cv2.resize(subject.alpha, (size // 4, size // 4), interpolation=cv2.INTER_AREA)
    kind = rng.random()
    if kind < 0.35:
        return np.zeros((size, size), np.float32)
    if kind < 0.7 or subject.anchor == "bottom":
        move = np.array([[1, 0, rng.normal(0, size * 0.015)], [0, 1, abs(rng.normal(0, size * 0.01))]], np.float32)
    else:
        foot = float(np.nonzero(small.max(1) > 0.5)[0].max(initial=0))
        flat = rng.uniform(0.08, 0.35)
        move = np.array([[1, rng.normal(0, 0.4), 0], [0, flat, foot * (1 - flat)]], np.float32)
        move[0, 2] = -move[0, 1] * foot
    cast = cv2.warpAffine(small, move, small.shape[::-1])
    soft = cv2.GaussianBlur(cast, (0, 0), size / 4 * rng.uniform(0.01, 0.06))
    return cv2.resize(soft * rng.uniform(0.1, 0.65), (size, size))


def lamp(size: int, rng: Rng) -> Picture:
    """Uneven light [S, S, 1]."""
    x, y = grid(size)
    across = (x - 0.5) * rng.normal(0, 0.35) + (y - 0.5) * rng.normal(0, 0.35)
    return (1 + across + rng.uniform(0, 0.06) * noise(size, rng))[..., None].astype(np.float32)


def photographed(picture: Picture, rng: Rng) -> Bytes:
    """Exposure, white balance, vignette, blur, noise and JPEG."""
    size = picture.shape[0]
    picture = picture * rng.uniform(0.7, 1.25) * rng.normal(1, 0.05, 3) + rng.normal(0, 8)
    if rng.random() < 0.3:
        picture = 255 * (np.clip(picture, 0, 255) / 255) ** rng.uniform(0.6, 1.6)
    if rng.random() < 0.25:
        picture = picture * lamp(size, rng)
    if rng.random() < 0.1:
        picture = np.repeat(picture.mean(2, keepdims=True), 3, 2)
    if rng.random() < 0.3:
        picture = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), rng.uniform(0.4, 1.3))
    if rng.random() < 0.4:
        picture = picture + rng.normal(0, rng.uniform(1, 12), picture.shape)
    done = np.clip(picture, 0, 255).astype(np.uint8)
    if rng.random() < 0.35:
        _, coded = cv2.imencode(".jpg", done, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 92))])
        done = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))
    return done
