"""The quick start's recipes run as they are printed, each in the shell and in Python, and leave what they promise."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image

from tests.stack import RunningStack

TEXT = (Path(__file__).parents[2] / "docs" / "quickstart.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```(sh|python)( setup)?\n(.*?)```", re.DOTALL)
SETUP = {kind: body for kind, mark, body in BLOCK.findall(TEXT) if mark}
RECIPES = {
    title: {kind: body for kind, _, body in BLOCK.findall(part)}
    for title, part in re.findall(r"^## (\d+\. [^\n]+)\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
}
PHOTOGRAPH = (600, 400)
SECONDS = 150


@pytest.fixture(scope="module", params=["sh", "python"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder, with a photograph."""
    made = tmp_path_factory.mktemp(request.param)
    with Image.open(Path(skimage.data.data_dir) / "coffee.png") as picture:
        picture.convert("RGB").save(made / "photo.jpg", quality=90)
    (made / "kind").write_text(request.param)
    return made


def facts(path: Path) -> tuple[str, tuple[int, int]]:
    """Mode and size of a whole picture."""
    with Image.open(path) as picture:
        picture.load()
        return picture.mode, picture.size


def assert_laid_on_white(path: Path, cut: Path) -> None:
    """White wherever the cut-out is clear, but for a shadow, and the photograph's colours wherever it is not."""
    with Image.open(path) as made, Image.open(cut) as shape:
        colours, alpha = np.asarray(made), np.asarray(shape)[..., 3]
    assert colours.shape == (*PHOTOGRAPH[::-1], 3)
    assert all((colours[row, column] == 255).all() for row in (0, -1) for column in (0, -1))
    assert (colours[alpha == 0].min(axis=1) > 250).mean() > 0.8
    with Image.open(path.with_name("photo.jpg")) as photograph:
        assert np.abs(colours.astype(int) - np.asarray(photograph))[alpha == 255].mean() < 2


def run(folder: Path, stack: RunningStack, body: str) -> str:
    kind = (folder / "kind").read_text()
    script = folder / f"recipe.{kind}"
    script.write_text(f"{SETUP[kind]}\n{body}")
    program = ("bash", "-euo", "pipefail") if kind == "sh" else (sys.executable,)
    environment = {**os.environ, "ATELIER": stack.base_url, "KEY": stack.api_key or ""}
    done = subprocess.run(
        (*program, script.name),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_there_are_ten_recipes_each_short_enough_to_read() -> None:
    assert len(RECIPES) == 10
    for title, blocks in RECIPES.items():
        assert blocks, title
        assert all(len(list(filter(None, body.splitlines()))) <= 12 for body in blocks.values()), title


@pytest.mark.timeout(600)
def test_every_recipe_runs_as_it_is_printed(folder: Path, stack: RunningStack) -> None:
    assert shutil.which("curl"), "curl is needed"
    kind = (folder / "kind").read_text()
    told = {title: run(folder, stack, blocks[kind]) for title, blocks in RECIPES.items() if kind in blocks}
    assert {name: facts(folder / name) for name in ("mug.png", "cutout.png", "shop.png", "large.png")} == {
        "mug.png": ("RGB", (128, 128)),
        "cutout.png": ("RGBA", PHOTOGRAPH),
        "shop.png": ("RGB", (400, 500)),
        "large.png": ("RGB", (256, 256)),
    }
    assert facts(folder / "blue.png")[1] == PHOTOGRAPH
    assert_laid_on_white(folder / "white.png", folder / "cutout.png")
    assert (folder / "film.mp4").read_bytes()[4:8] == b"ftyp"
    if kind == "sh":
        assert "NOT_FOUND" in told["9. Cancel, find out why something failed, run it again"]
        assert all(item["error"] is None for item in json.loads((folder / "deleted.json").read_text())["items"])
    else:
        assert "20 of 20 COMPLETED" in told["7. Twenty at once, with progress"]
        assert '"status":"COMPLETED"' in told["8. Be called when it is done"].replace(" ", "")


def test_the_readme_leads_to_the_quick_start() -> None:
    assert "docs/quickstart.md" in (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
