"""The scripts of `examples/` run against a stack as they are, and do what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import numpy as np
import pytest
import skimage
from PIL import Image

from tests.stack import RunningStack

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py"))
SECONDS = 150


def command(name: str, *arguments: object) -> list[str]:
    return [sys.executable, str(EXAMPLES / name), *map(str, arguments)]


def environment(stack: RunningStack) -> dict[str, str]:
    return {**os.environ, "ATELIER": stack.base_url, "KEY": stack.api_key or ""}


def run(stack: RunningStack, name: str, *arguments: object) -> str:
    done = subprocess.run(
        command(name, *arguments),
        env=environment(stack),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_example_is_short_and_named_in_the_folders_readme(name: str) -> None:
    assert len((EXAMPLES / name).read_text(encoding="utf-8").splitlines()) <= 80
    assert f"]({name})" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


@pytest.mark.timeout(SECONDS)
def test_a_picture_is_drawn_and_saved(stack: RunningStack, tmp_path: Path) -> None:
    told = run(stack, "draw.py", "a red mug on a velvet background", tmp_path / "mug.png", "--seed", 7)
    with Image.open(tmp_path / "mug.png") as picture:
        assert picture.size == (128, 128)
    assert "128x128 seed 7" in told and "velvet" in told


@pytest.mark.timeout(SECONDS)
def test_a_photograph_is_cut_out_and_laid_on_white(stack: RunningStack, tmp_path: Path) -> None:
    with Image.open(Path(skimage.data.data_dir) / "coffee.png") as picture:
        picture.convert("RGB").save(tmp_path / "cup of coffee.jpg", quality=90)
    run(stack, "cut_out_on_white.py", tmp_path / "cup of coffee.jpg", tmp_path / "white.jpg")
    with Image.open(tmp_path / "white.jpg") as laid:
        pixels = np.asarray(laid.convert("RGB"))
    assert pixels.shape == (400, 600, 3)
    assert pixels[:20, :20].min() > 250, "the ground is white"
    assert (pixels.min(axis=2) < 200).mean() > 0.2, "the cup and its saucer are there"


@pytest.mark.timeout(SECONDS)
def test_twenty_are_drawn_at_once_and_told_of(stack: RunningStack, tmp_path: Path) -> None:
    told = run(stack, "twenty_at_once.py", "a red mug", tmp_path / "mugs").splitlines()
    assert len(list((tmp_path / "mugs").glob("*.png"))) == 20
    shares = [float(line.split("%")[0]) for line in told if "%" in line]
    assert told[-1] == "100.0 %  20 of 20"
    assert len(set(shares)) > 20, "progress on the way"


@contextmanager
def receiving(stack: RunningStack) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    receiver = subprocess.Popen(
        command("webhook_receiver.py", "--port", 0), env=environment(stack), stdout=subprocess.PIPE, text=True
    )
    try:
        assert receiver.stdout is not None
        [address] = re.findall(r"http://\S+", receiver.stdout.readline())
        yield address, receiver
    finally:
        receiver.kill()
        receiver.wait()
        if receiver.stdout is not None:
            receiver.stdout.close()


@pytest.mark.timeout(SECONDS)
def test_a_webhook_is_believed_when_it_is_signed_and_refused_else(stack: RunningStack) -> None:
    with receiving(stack) as (address, receiver):
        headers = {"webhook-id": "1", "webhook-timestamp": "1", "webhook-signature": "v1,bm90IG91cnM="}
        assert httpx2.post(address, json={"type": "forged"}, headers=headers).status_code == 400
        wanted = {"task_type": "GENERATION", "origin_instance": "examples", "prompt": "a hat", "webhook_url": address}
        key = {"Authorization": f"Bearer {stack.api_key}"}
        made = httpx2.post(f"{stack.base_url}/api/v1/tasks", json=wanted, headers=key, timeout=30).json()
        assert receiver.stdout is not None
        assert receiver.stdout.readline().split() == ["atelier.task.completed.v1", made["id"], "COMPLETED"]


@pytest.mark.timeout(SECONDS)
def test_a_picture_is_watched_step_by_step_and_cancelled(stack: RunningStack, tmp_path: Path) -> None:
    told = run(stack, "watch_live.py", "a blue sofa", tmp_path / "previews", "--cancel-after", 3).splitlines()
    assert told[-1] == "CANCELLED"
    steps = len(list((tmp_path / "previews").glob("step_*.png")))
    assert 1 <= steps < 50 and len(told) == steps + 1
