"""A picture set in motion: the frames, the film, the camera."""

from __future__ import annotations

import asyncio
import re
import subprocess
import tempfile

import imageio_ffmpeg
import numpy as np
import pytest

from services.common.errors import Unavailable
from services.providers.capabilities.animating import Animation
from services.providers.pipelines.animating import FPS, animate
from services.providers.pipelines.camera import Movement, heard_by_camera, movement_of
from services.providers.ports import (
    DiffusionStep,
    Drawing,
    DrawnPicture,
    ModelCard,
    ModelFeedback,
    ModelWarning,
    OnStep,
    Pixels,
)
from tests.unit.test_pipeline_editing import ignore
from tests.waiting import time_passes

NATIVE = 64 * 64


class Dimmer:
    """Darkens the picture by as much as the noise has moved; fails at the drawing `fails_at` (from 1)."""

    def __init__(self, fails_at: int = 0) -> None:
        self.seen: list[Drawing] = []
        self.cancelled = 0
        self._fails_at = fails_at

    async def draw(self, drawing: Drawing, on_step: OnStep) -> DrawnPicture:
        self.seen.append(drawing)
        if len(self.seen) == self._fails_at:
            raise Unavailable("gone")
        try:
            await time_passes(0 if not self._fails_at else 60, because="longer than anybody waits")
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        assert drawing.image is not None
        pixels = (drawing.image * (1.0 - drawing.variation)).astype(np.uint8)
        return DrawnPicture(pixels, ModelCard("dimmer", "0" * 64, "none"), drawing.seed)


def gradient(height: int, width: int) -> Pixels:
    across = np.linspace(60, 250, width, dtype=np.float32)
    return np.repeat(np.tile(across, (height, 1))[:, :, None], 3, axis=2).astype(np.uint8)


def read_film(mp4: bytes, width: int, height: int) -> tuple[str, list[Pixels]]:
    """What ffmpeg says of the film, and its frames."""
    answer = run_ffmpeg(mp4, "-f", "rawvideo", "-pix_fmt", "rgb24")
    frames = np.frombuffer(answer.stdout, np.uint8).reshape(-1, height, width, 3)
    return answer.stderr.decode(), list(frames)


def run_ffmpeg(mp4: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        file.write(mp4)
        file.flush()
        command = (imageio_ffmpeg.get_ffmpeg_exe(), "-i", file.name, *options, "-")
        return subprocess.run(command, capture_output=True, check=True)


async def test_a_film_has_its_length_its_size_and_starts_with_the_picture() -> None:
    image, steps = gradient(90, 161), []

    async def count(step: DiffusionStep) -> None:
        steps.append(step)

    film = await animate(Dimmer(), Animation(image, "static camera", 2, seed=3), count, native_pixels=NATIVE)
    said, frames = read_film(film.mp4, 160, 90)
    assert re.search(r"Video: h264.*yuv420p\(tv, bt709.*160x90.*\b24 fps", said)
    assert len(frames) == film.frames == 2 * FPS
    assert [step.step for step in steps] == list(range(1, film.frames + 1))
    assert np.abs(frames[0].astype(int)[:, 1:-1] - image[:, 1:159]).mean() < 3
    brightness = [float(frame.mean()) for frame in frames]
    assert brightness[0] > brightness[FPS] > brightness[-1]
    jumps = np.abs(np.diff(brightness))
    assert jumps.max() < 3


async def test_the_same_animation_gives_the_same_bytes() -> None:
    wanted = Animation(gradient(64, 64), "pan left", 1, seed=3)
    films = [(await animate(Dimmer(), wanted, ignore, native_pixels=NATIVE)).mp4 for _ in range(2)]
    assert films[0] == films[1]


async def test_a_model_that_fails_fails_the_film_and_the_other_drawings_end() -> None:
    dimmer = Dimmer(fails_at=1)
    with pytest.raises(Unavailable, match="gone"):
        await animate(dimmer, Animation(gradient(64, 64), "x", 3, seed=3), ignore, native_pixels=NATIVE)
    assert (len(dimmer.seen), dimmer.cancelled) == (4, 3)


@pytest.mark.parametrize(
    ("prompt", "movement"),
    [
        ("a red dress, static camera", Movement(end=1.0)),
        ("slow zoom out from the shoe", Movement(start=1.08, end=1.0)),
        ("the camera pans, panning slowly to the left", Movement(end=1.16, pan=(-1.0, 0.0))),
        ("tilt up along the lamp", Movement(end=1.16, pan=(0.0, -1.0))),
        ("a hat", Movement()),
    ],
)
def test_the_prompt_moves_the_camera(prompt: str, movement: Movement) -> None:
    assert movement_of(prompt) == movement


SUBJECT, WORDS = "PROMPT_SUBJECT_UNKNOWN", "PROMPT_WORDS_UNKNOWN"


@pytest.mark.field("camera-words-unknown")
@pytest.mark.parametrize(
    ("prompt", "names_subject", "unknown", "left"),
    [
        ("pan left", False, ("pan", "left"), {}),
        ("Static camera", False, ("static", "camera"), {}),
        ("slow zoom in", False, ("slow", "zoom"), {}),
        ("zoom-out", False, ("zoom-out",), {}),
        ("panning slowly to the left, then zoom out", False, ("slowly", "left", "then"), {WORDS: ("then",)}),
        ("a photo of a red cup, tilt up", True, ("tilt",), {}),
        ("she smiles, pan left", False, ("she", "smiles", "pan", "left"), {SUBJECT: (), WORDS: ("she", "smiles")}),
        ("her left hand, pan left", False, ("her", "left", "hand"), {SUBJECT: (), WORDS: ("her", "left", "hand")}),
        ("moving dog on the left", False, ("moving", "dog", "left"), {SUBJECT: (), WORDS: ("dog",)}),
        ("left", False, ("left",), {SUBJECT: (), WORDS: ("left",)}),
        ("it turns", False, ("turns",), {SUBJECT: (), WORDS: ("turns",)}),
    ],
)
def test_words_of_the_camera_are_known(
    prompt: str, names_subject: bool, unknown: tuple[str, ...], left: dict[str, tuple[str, ...]]
) -> None:
    doubts = [] if names_subject else [ModelWarning(SUBJECT, "nothing to draw")]
    negated = ModelWarning("PROMPT_NEGATED", "said by the way", ("pan",))
    said = ModelFeedback((), (*doubts, ModelWarning(WORDS, "unknown", unknown), negated))
    *told, last = heard_by_camera(said, prompt).model_warnings
    assert {doubt.reason: doubt.words for doubt in told} == left
    assert last == negated


def test_a_camera_never_sees_beyond_the_picture() -> None:
    image = np.full((60, 80, 3), 200, np.uint8)
    image[0], image[-1], image[:, 0], image[:, -1] = 0, 0, 0, 0
    for pan in ((-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0)):
        movement = Movement(end=1.16, pan=pan)
        assert movement.view(image, 0.0) is image
        end = movement.view(image, 1.0)
        # The edge it moves towards is in sight, the opposite one is not.
        near = end[:, 0] if pan[0] < 0 else end[:, -1] if pan[0] > 0 else end[0] if pan[1] < 0 else end[-1]
        far = end[:, -1] if pan[0] < 0 else end[:, 0] if pan[0] > 0 else end[-1] if pan[1] < 0 else end[0]
        assert near.mean() < 100 < far.mean()
