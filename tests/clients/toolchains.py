"""Clients of other languages: built or installed once below `.local/client-tools`, again when their sources change."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploy.local.paths import CLIENT_TOOLS

HERE = Path(__file__).parent
GO = Path(sys.executable).with_name("go")
_LIMIT_SECONDS = 500


def go_tool(name: str, package: str) -> Path:
    """A program that others wrote, of the version that `go/<name>/go.mod` and its sums lock."""
    return _built(name, HERE / "go" / name, package)


def go_program(name: str, *, more: Sequence[Path] = ()) -> Path:
    """A program of ours in `go/<name>`; `more` are files that are generated into its package `atelier`."""
    folder = CLIENT_TOOLS / "go" / f"{name}-sources"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HERE / "go" / name, folder)
    for file in more:
        (folder / "atelier").mkdir(exist_ok=True)
        shutil.copy2(file, folder / "atelier")
    return _built(name, folder, ".")


def node_folder(npm: str) -> Path:
    """The scripts of `node/` beside the packages they use, as the lock has them."""
    folder = CLIENT_TOOLS / "node"
    with _alone():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(HERE / "node", folder, dirs_exist_ok=True)
        stamp, wanted = folder / "installed", _digest([folder / "package-lock.json"])
        if not stamp.exists() or stamp.read_text() != wanted:
            _run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], folder)
            stamp.write_text(wanted)
    return folder


def _built(name: str, sources: Path, package: str) -> Path:
    program, stamp = CLIENT_TOOLS / "go" / name, CLIENT_TOOLS / "go" / f"{name}.stamp"
    with _alone():
        wanted = _digest(sorted(file for file in sources.rglob("*") if file.is_file()))
        if not program.exists() or not stamp.exists() or stamp.read_text() != wanted:
            _run([str(GO), "build", "-mod=readonly", "-o", str(program), package], sources)
            stamp.write_text(wanted)
    return program


def _digest(files: Sequence[Path]) -> str:
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def _run(command: list[str], folder: Path) -> None:
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-modcacherw -buildvcs=false", "CGO_ENABLED": "0"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"


@contextmanager
def _alone() -> Iterator[None]:
    CLIENT_TOOLS.mkdir(parents=True, exist_ok=True)
    (CLIENT_TOOLS / "go").mkdir(exist_ok=True)
    with (CLIENT_TOOLS / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
