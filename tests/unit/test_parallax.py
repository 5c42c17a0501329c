"""A photograph in motion: the subject before its ground, and nothing that a model does not know drawn over it."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import cv2
import numpy as np
import pytest
from skimage import data

from services.providers.capabilities.animating import Animation, Film
from services.providers.pipelines.animating import FPS, animate
from services.providers.pipelines.camera import Movement, movement_of
from services.providers.pipelines.parallax import MovingScene, StillScene, scene_of
from services.providers.ports import Drawing, DrawnPicture, Matte, ModelCard, OnStep, Pixels
from tests.photographs import garment_in, place
from tests.unit.test_pipeline_animating import NATIVE, Dimmer, read_film
from tests.unit.test_pipeline_editing import ignore
from tests.waiting import time_passes

CARD = ModelCard("painter", "0" * 64, "none")
FACE = slice(70, 180), slice(185, 265)


class Stranger:
    """Knows no such pictures: draws cyan blotches wherever it likes, others each time."""

    def __init__(self) -> None:
        self.cancelled = 0

    async def draw(self, drawing: Drawing, on_step: OnStep) -> DrawnPicture:
        if drawing.variation:
            try:
                await time_passes(60, because="longer than anybody waits")
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        assert drawing.image is not None
        pixels = drawing.image.copy()
        pixels[::2] = (0, 255, 255)
        return DrawnPicture(pixels, CARD, drawing.seed)


class Known:
    """The matte it was given."""

    def __init__(self, alpha: Pixels, confidence: float = 0.9) -> None:
        self._alpha, self._confidence = alpha, confidence

    async def matte(self, pixels: Pixels, *, network: str | None = None) -> Matte:
        assert pixels.shape[:2] == self._alpha.shape
        return Matte(self._alpha, self._confidence, CARD)


def portrait() -> tuple[Pixels, Pixels]:
    """The astronaut and, roughly, her matte."""
    alpha = np.zeros((512, 512), np.uint8)
    cv2.ellipse(alpha, (227, 95), (78, 92), 0, 0, 360, 255, -1, cv2.LINE_AA)
    cv2.fillPoly(
        alpha, [np.array([(130, 160), (290, 170), (370, 340), (510, 400), (511, 511), (20, 511), (50, 260)])], 255
    )
    return data.astronaut(), cv2.GaussianBlur(alpha, (0, 0), 1.2).astype(np.uint8)


async def filmed(prompt: str, *, confidence: float = 0.9) -> tuple[Film, list[Pixels], Stranger]:
    picture, alpha = portrait()
    model, wanted = Stranger(), Animation(picture, prompt, 2, seed=3)
    film = await animate(model, wanted, ignore, Known(alpha, confidence), native_pixels=NATIVE)
    return film, read_film(film.mp4, 512, 512)[1], model


@pytest.mark.field("film-blotches")
async def test_a_face_that_the_model_does_not_know_only_moves_with_the_camera() -> None:
    for prompt in ("she smiles, zoom in", "she smiles, pan left"):
        film, frames, model = await filmed(prompt)
        assert len(frames) == film.frames == 2 * FPS and (film.width, film.height) == (512, 512)
        movement = movement_of(prompt)
        for number, frame in enumerate(frames):
            moved = movement.view(data.astronaut(), number / (2 * FPS - 1))
            assert np.abs(frame[FACE].astype(int) - moved[FACE]).mean() < 6
        assert (film.drawn, film.model, film.seed, model.cancelled) == (False, None, None, 2)
        assert [doubt.reason for doubt in film.heard.model_warnings] == ["PICTURE_UNLIKE_MODEL"]


async def test_what_the_model_knows_it_still_changes() -> None:
    picture, alpha = portrait()
    film = await animate(Dimmer(), Animation(picture, "x", 1, seed=3), ignore, Known(alpha), native_pixels=NATIVE)
    frames = read_film(film.mp4, 512, 512)[1]
    assert film.drawn and film.model is not None and not film.heard.model_warnings
    assert frames[-1].mean() < 0.8 * frames[0].mean()


async def test_a_film_of_layers_is_steady_and_starts_with_the_picture() -> None:
    _, frames, _ = await filmed("zoom in")
    assert np.abs(frames[0].astype(int) - data.astronaut()).mean() < 4
    jumps = [np.abs(one.astype(int) - other).mean() for one, other in pairwise(frames)]
    assert max(jumps) < 3 * float(np.median(jumps)) + 1


async def test_the_ground_moves_less_than_the_subject_and_none_of_the_subject_stays_in_it() -> None:
    picture, alpha, cloth = garment_in(place("gravel"), garment=(30, 60, 220))
    scene = scene_of(picture, Matte(alpha, 0.9, CARD))
    assert isinstance(scene, MovingScene)
    movement = Movement(end=1.16, pan=(1.0, 0.0))
    assert scene.view(movement, 0.0) is picture
    last = scene.view(movement, 1.0).astype(int)
    near, far = movement.view(alpha, 1.0), movement.weakened(0.7)
    inside, outside = near == 255, cv2.dilate(near, np.ones((9, 9), np.uint8)) == 0
    outside &= cv2.dilate(far.view(alpha, 1.0), np.ones((21, 21), np.uint8)) == 0
    assert np.abs(last - movement.view(picture, 1.0))[inside].max() <= 2
    assert np.abs(last - far.view(picture, 1.0))[outside].max() <= 2
    assert np.abs(movement.view(picture, 1.0).astype(int) - far.view(picture, 1.0))[outside].mean() > 10
    blue = scene.layers.ground[..., 2].astype(int) - scene.layers.ground[..., 0]
    assert blue.max() <= 0 < (cloth[..., 2].astype(int) - cloth[..., 0]).min()


def test_a_matte_that_is_not_to_be_trusted_moves_nothing_apart() -> None:
    picture, alpha = portrait()
    assert isinstance(scene_of(picture, Matte(alpha, 0.4, CARD)), StillScene)
    for share in (0, 255):
        assert isinstance(scene_of(picture, Matte(np.full((512, 512), share, np.uint8), 0.9, CARD)), StillScene)
    assert np.array_equal(
        scene_of(picture, Matte(alpha, 0.4, CARD)).view(Movement(), 1.0), Movement().view(picture, 1.0)
    )
