"""`make clean` and `make distclean`. Standard library only."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

from deploy.local.failures import LocalError
from deploy.local.paths import LOCAL, ROOT

_CACHES = (".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".import_linter_cache")
_SOURCES = ("services", "gateway", "deploy", "protos", "tests", "clients")
_MADE = (
    "app",
    "models",
    "triton",
    "triton-backends",
    "artefacts",
    "clients",
    "client-tools",
    "peer",
    "tools",
    "uv",
    "hub",
    "data",
    "settings.env",
)


def clean() -> None:
    """Outputs, logs, run state and caches."""
    _require_no_stack()
    _remove([ROOT / "out", LOCAL / "log", LOCAL / "run", *(ROOT / name for name in _CACHES), *_bytecode()])


def distclean() -> None:
    """Everything made here: the data and the environments, too."""
    clean()
    _remove([*(LOCAL / name for name in _MADE), *LOCAL.glob("*.stamp"), LOCAL / "setup.lock"])


def _bytecode() -> Iterator[Path]:
    for name in _SOURCES:
        yield from (ROOT / name).rglob("__pycache__")


def _require_no_stack() -> None:
    lock = LOCAL / "run" / "stack.lock"
    if not lock.exists():
        return
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LocalError("a stack is running on this checkout: make down first") from error


def _remove(paths: list[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
