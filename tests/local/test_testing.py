"""`make test` with `--failed`, what failed in either environment and nothing else, and with `--second-chance`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.paths import ROOT
from deploy.local.testing import failed_before


def test_what_failed_is_named_as_each_environment_finds_it(tmp_path: Path) -> None:
    for folder, name in ((".", "tests/unit/test_a.py::test_b[1]"), ("tests/models", "test_c.py::test_d")):
        cache = tmp_path / folder / ".pytest_cache/v/cache"
        cache.mkdir(parents=True)
        (cache / "lastfailed").write_text(json.dumps({name: True}))
    assert list(failed_before(tmp_path)) == ["tests/unit/test_a.py::test_b[1]", "tests/models/test_c.py::test_d"]


def test_where_nothing_has_run_nothing_has_failed(tmp_path: Path) -> None:
    assert list(failed_before(tmp_path)) == []


PASSING = """
from pathlib import Path

def test_that_passes() -> None: pass
"""
ONCE = """
def test_{name}() -> None:
    seen = Path(__file__).with_name("{name}")
    if not seen.exists():
        seen.touch()
        raise AssertionError
"""


def tried(tree: Path, content: str) -> subprocess.CompletedProcess[str]:
    """`make test ARGS=--second-chance` in a checkout that holds these tests."""
    shutil.copytree(ROOT / "deploy", tree / "deploy", ignore=shutil.ignore_patterns("*.safetensors", "*.onnx", "*.png"))
    (tree / ".local").symlink_to(ROOT / ".local")
    (tree / "pytest.ini").write_text("[pytest]\n")
    (tree / "tests/unit").mkdir(parents=True)
    (tree / "tests/unit/test_flaky.py").write_text(content)
    command = (sys.executable, "-m", "deploy.local.testing", "tests/unit/test_flaky.py", "--second-chance")
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(("flaky", "status"), [(0, 0), (2, 0), (3, 1)])
def test_what_passes_at_the_second_time_is_named_and_at_most_two_may(tmp_path: Path, flaky: int, status: int) -> None:
    names = [f"flaky_{number}" for number in range(flaky)]
    done = tried(tmp_path, PASSING + "".join(ONCE.format(name=name) for name in names))
    assert done.returncode == status, done.stdout + done.stderr
    told = (tmp_path / "out/second_chance.txt").read_text()
    assert done.stdout.endswith(told)
    assert told.startswith(f"tests that needed a second chance: {flaky}")
    assert all(f"tests/unit/test_flaky.py::test_{name}\n" in told for name in names)
    assert ("more than the 2" in told) == (status == 1)


def test_what_fails_twice_fails(tmp_path: Path) -> None:
    done = tried(tmp_path, "def test_broken() -> None: assert False")
    assert done.returncode == 1
    assert "tests/unit/test_flaky.py::test_broken" in done.stdout.splitlines()[-1]


def test_a_file_that_cannot_be_read_gets_no_second_chance(tmp_path: Path) -> None:
    """The others' tests did not run, so that no second run of what failed could vouch for them."""
    done = tried(tmp_path, PASSING + ONCE.format(name="loaded").replace("def test_loaded() -> None:", "if True:"))
    assert done.returncode == 1
    assert "once more" not in done.stdout
