"""The starter diffusion model as committed: small, loads offline, and draws what it is asked for."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

STARTER = ROOT / "deploy" / "triton" / "starter"
MODEL = STARTER / "weights" / "diffusion"
ASKED = (
    ("a photo of a red striped mug on a white background", "mug", "red"),
    ("a photo of a blue bottle on a wooden table", "bottle", "blue"),
    ("a photo of a green t-shirt on a grey background", "t-shirt", "green"),
    ("a photo of a pink dotted dress on a beige background", "dress", "pink"),
    ("a photo of an orange sneaker outdoors", "sneaker", "orange"),
    ("a photo of a purple handbag on a light blue background", "handbag", "purple"),
    ("a photo of a yellow checkered lamp on a grey background", "lamp", "yellow"),
    ("a photo of a brown sofa on a white background", "sofa", "brown"),
)


@pytest.fixture(scope="module", autouse=True)
def _starter_scripts() -> Iterator[None]:
    """The scripts import one another by their bare names."""
    sys.path.insert(0, str(STARTER))
    yield
    sys.path.remove(str(STARTER))


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """One picture (128, 128, 3) for each thing asked for."""
    import evaluate

    pipeline = evaluate.load_pipeline(MODEL)
    begun = time.monotonic()
    first = evaluate.draw(pipeline, [ASKED[0][0]], [0])
    assert time.monotonic() - begun < 60
    return np.concatenate([first, evaluate.draw(pipeline, [text for text, *_ in ASKED[1:]], range(1, len(ASKED)))])


def test_the_directory_is_small_and_names_its_licence() -> None:
    size = sum(file.stat().st_size for file in MODEL.rglob("*") if file.is_file())
    assert size <= 25e6
    assert "Apache License" in (MODEL / "LICENSE.txt").read_text()
    assert json.loads((MODEL / "model_index.json").read_text())["_class_name"] == "StableDiffusionPipeline"


def test_pictures_are_128_pixels_square_and_differ(pictures: np.ndarray) -> None:
    assert pictures.shape == (len(ASKED), 128, 128, 3)
    assert len({picture.tobytes() for picture in pictures}) == len(ASKED)


def test_the_checker_finds_the_kind_and_colour_that_were_asked_for(pictures: np.ndarray) -> None:
    import checker

    found = checker.load_checker(STARTER / "checker").names(pictures)
    right = [(name["kind"], name["colour"]) == asked[1:] for name, asked in zip(found, ASKED, strict=True)]
    assert sum(right) >= 7, found


def test_no_combination_of_the_training_pictures_is_held_out() -> None:
    import catalogue

    unseen = catalogue.subjects(held_out=True)
    assert len(unseen) == 80
    assert not set(unseen) & set(catalogue.subjects(held_out=False))


def test_the_same_seed_draws_the_same_training_pictures(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        command = [sys.executable, str(STARTER / "pictures.py"), "--out", str(folder), "--count", "4"]
        subprocess.run(command, check=True, timeout=60, env={**os.environ, "OMP_NUM_THREADS": "1"})
    first, second = ((folder / "images.npy").read_bytes() for folder in folders)
    assert first == second
