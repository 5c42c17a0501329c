"""A twelfth task type, a fourteenth provider and a second surface are a message, a few files, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "tests" / "plugin"
TREES = ("protos", "services", "gateway", "deploy/local", "tests")
PARAMS = "protos/compute/tasks/v1/params.proto"


def copy_tree(target: Path) -> None:
    for name in TREES:
        ignored = shutil.ignore_patterns("__pycache__", "weights", "peer")
        shutil.copytree(ROOT / name, target / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", target)
    # What the stack's servers are found in.
    (target / ".local").symlink_to(ROOT / ".local")


def plug_in(tree: Path) -> None:
    """As a developer would: new files, the message, one line in each `oneof`."""
    for name in ("services", "gateway"):
        shutil.copytree(PLUGIN / name, tree / name, dirs_exist_ok=True)
    proto = (tree / PARAMS).read_text()
    for oneof, message in (("params", "Params"), ("result", "Result")):
        line = f"  oneof {oneof} {{\n"
        assert proto.count(line) == 1
        proto = proto.replace(line, f"{line}    Haiku{message} haiku = 12;\n")
    (tree / PARAMS).write_text(proto + "\n" + (PLUGIN / "params.proto.txt").read_text())


def run(tree: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(tree), str(tree / "protos" / "gen")])
    environment = {**os.environ, "PYTHONPATH": path, **variables}
    return subprocess.run(
        [sys.executable, *arguments], cwd=tree, env=environment, capture_output=True, text=True, timeout=100
    )


@pytest.mark.timeout(240)
def test_a_type_a_provider_and_a_surface_plug_in(tmp_path: Path, nats_url: str, mongodb_url: str) -> None:
    copy_tree(tmp_path)
    plug_in(tmp_path)
    generated = run(tmp_path, "protos/generate.py")
    assert generated.returncode == 0, generated.stderr
    servers = {"NATS_URL": nats_url, "MONGODB_URL": mongodb_url}
    checked = run(tmp_path, "-m", "pytest", "-q", "tests/plugin/haiku_check.py", **servers)
    assert checked.returncode == 0, checked.stdout[-6000:] + checked.stderr[-2000:]
    assert "5 passed" in checked.stdout
