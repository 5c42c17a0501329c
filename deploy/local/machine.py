"""What the machine must offer, and in which words to say what it lacks. Standard library only."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.local.interpreters import SUPPORTED, Interpreter

NEEDED_GLIBC = (2, 35)
# Measured: the models' environment 5.6 GB, the application's 1.1 GB, Triton 0.15 GB, downloads under way. The clients'
# environment is the application's with a few packages more, by hard links where the file system has them.
NEEDED_BYTES = {
    "app": 2 * 10**9,
    "models": 7 * 10**9,
    "triton": 3 * 10**8,
    "artefacts": 3 * 10**8,
    "clients": 2 * 10**9,
}


@dataclass(frozen=True, slots=True)
class DoctorFinding:
    """One line of `make doctor`; `remedy` says what to do when `ok` is false."""

    subject: str
    ok: bool
    detail: str
    remedy: str = ""


def findings(python: Interpreter, folder: Path, missing_parts: list[str]) -> Iterator[DoctorFinding]:
    """`missing_parts` are the environments still to be made under `folder`."""
    yield of_platform(sys.platform, platform.machine())
    yield of_glibc(*platform.libc_ver())
    yield of_version(python)
    yield of_environments(python)
    if python.supported:
        yield of_library(python)
    yield of_disk(folder, shutil.disk_usage(folder).free, sum(NEEDED_BYTES[part] for part in missing_parts))


def of_platform(system: str, machine: str) -> DoctorFinding:
    ok = (system, machine) == ("linux", "x86_64")
    remedy = "Triton's wheel exists for Linux on x86-64 only. Set TRITON_TARGET to a Triton server that runs elsewhere."
    return DoctorFinding("platform", ok, f"{system} {machine}", remedy)


def of_glibc(name: str, version: str) -> DoctorFinding:
    found = tuple(int(part) for part in version.split(".") if part.isdecimal())
    needed = ".".join(map(str, NEEDED_GLIBC))
    remedy = f"Triton's wheel needs glibc {needed} or later: Debian 12, Ubuntu 22.04, Fedora 36 and later have it."
    return DoctorFinding(
        "C library", name == "glibc" and found >= NEEDED_GLIBC, f"{name or 'not glibc'} {version}", remedy
    )


def of_version(python: Interpreter) -> DoctorFinding:
    known = " or ".join(f"{major}.{minor}" for major, minor in SUPPORTED)
    remedy = (
        f"Triton's Python backend needs numpy 1.26, which has no wheel for Python {python.series}. Python {known}\n"
        f"must be on this machine, too; it is found by itself then. One way: pipx run uv python install 3.12"
    )
    return DoctorFinding("Python", python.supported, f"{python.series} at {python.executable}", remedy)


def of_environments(python: Interpreter) -> DoctorFinding:
    """pip or uv on PATH can stand in for a missing ensurepip."""
    helper = shutil.which("uv")
    ok = python.can_make_environments or helper is not None
    detail = "venv and ensurepip" if python.can_make_environments else f"no module ensurepip; uv: {helper or 'none'}"
    remedy = (
        f"{python.executable} cannot make virtual environments.\n"
        f"On Debian and Ubuntu: apt install python{python.series}-venv (or python3-venv)."
        f" Pythons from pyenv, uv and conda can."
    )
    return DoctorFinding("virtual environments", ok, detail, remedy)


def of_library(python: Interpreter) -> DoctorFinding:
    wanted = f"libpython{python.series}.so.1.0"
    remedy = (
        f"Triton's Python backend loads {wanted}, which {python.executable} does not bring.\n"
        f"On Debian and Ubuntu: apt install libpython{python.series}\n"
        f"On Fedora: dnf install python{python.series}-libs\n"
        f"Pythons from uv and conda bring their own; pyenv's do when built with\n"
        f"PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install {python.series}"
    )
    return DoctorFinding("shared libpython", python.library is not None, str(python.library or f"no {wanted}"), remedy)


def of_disk(folder: Path, free: int, needed: int) -> DoctorFinding:
    detail = f"{free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB needed"
    remedy = f"Make room on the disk of {folder}, most of it for torch; uv cache clean helps where uv was used before."
    return DoctorFinding("disk", free >= needed, detail, remedy)
