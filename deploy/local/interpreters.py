"""Finds a Python on this machine on which the environments and Triton's Python backend can stand.

Standard library only.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# numpy 1.26, which the Triton wheel's backend needs, has wheels for no later Python.
SUPPORTED = ((3, 11), (3, 12))
_DESCRIBE = """
import importlib.util, json, sys, sysconfig
folders = [sysconfig.get_config_var("LIBDIR"), sys.base_prefix + "/lib"]
triplet = sysconfig.get_config_var("MULTIARCH")
folders += [folder + "/" + triplet for folder in (*folders, "/usr/lib") if folder and triplet]
folders += ["/usr/lib64", "/usr/local/lib"]
print(json.dumps({
    "executable": getattr(sys, "_base_executable", sys.executable),
    "version": sys.version_info[:3],
    "library_folders": [folder for folder in folders if folder],
    "can_make_environments": all(map(importlib.util.find_spec, ("venv", "ensurepip"))),
}))
"""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """`library` is the shared libpython of its version, None when there is none to be found."""

    executable: str
    version: tuple[int, int, int]
    library: Path | None
    can_make_environments: bool

    @property
    def series(self) -> str:
        return "{}.{}".format(*self.version)

    @property
    def supported(self) -> bool:
        return self.version[:2] in SUPPORTED


def describe(executable: str) -> Interpreter | None:
    """None for what does not run."""
    try:
        told = subprocess.run([executable, "-c", _DESCRIBE], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    facts = json.loads(told.stdout)
    major, minor, micro = facts["version"]
    folders = [Path(folder) for folder in facts["library_folders"]]
    return Interpreter(
        executable=facts["executable"],
        version=(major, minor, micro),
        library=find_library(folders, f"{major}.{minor}"),
        can_make_environments=facts["can_make_environments"],
    )


def find_library(folders: list[Path], series: str) -> Path | None:
    """The shared library that Triton's Python backend loads, in the first folder that has it."""
    paths = (folder / f"libpython{series}.so.1.0" for folder in folders)
    return next((path for path in paths if path.exists()), None)


def choose() -> Interpreter:
    """The Python that runs this if all can be built on it, else the best other one, else this one with its faults."""
    own = describe(sys.executable)
    if own is None:
        raise RuntimeError(f"{sys.executable} does not run")
    best = own
    for found in (own, *others()):
        if found.supported and found.library and found.can_make_environments:
            return found
        if found.supported and not best.supported:
            best = found
    return best


def others() -> Iterator[Interpreter]:
    """Pythons of a supported version on PATH and where pyenv, uv and conda put theirs."""
    for executable in dict.fromkeys(_candidates()):
        found = describe(executable)
        if found is not None and found.supported:
            yield found


def _candidates() -> Iterator[str]:
    home = Path.home()
    uv_folder = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or home / ".local/share/uv/python")
    for major, minor in SUPPORTED:
        name = f"python{major}.{minor}"
        if found := shutil.which(name):
            yield found
        yield f"/usr/bin/{name}"
        by_pyenv = sorted((home / ".pyenv/versions").glob(f"{major}.{minor}.*"), reverse=True)
        by_uv = sorted(uv_folder.glob(f"cpython-{major}.{minor}.*"), reverse=True)
        yield from (str(folder / "bin" / name) for folder in (*by_pyenv, *by_uv))
    if conda := os.environ.get("CONDA_PREFIX"):
        yield f"{conda}/bin/python3"
