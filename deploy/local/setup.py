"""Makes the environments under `.local` from the lock files, once; the next time it only compares a stamp.

Standard library only, since it runs before any of them exists.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploy.local import artefacts, installer, machine
from deploy.local.failures import LocalError
from deploy.local.interpreters import Interpreter, choose, describe
from deploy.local.paths import APP, CLIENTS, LOCAL, LOCKS, MODELS, ROOT, TRITON, TRITON_BACKENDS
from deploy.triton.runtime.artefacts import REGISTRY

PARTS = ("app", "models", "triton", "artefacts")
_LOCK_OF = {
    "app": LOCKS / "dev.txt",
    "models": LOCKS / "models.txt",
    "triton": LOCKS / "triton.txt",
    "clients": LOCKS / "clients.txt",
    "artefacts": REGISTRY,
}
_ENVIRONMENTS = {"app": APP, "models": MODELS, "clients": CLIENTS}
# Raised when what is made beyond the locks changes.
_LAYOUT = "1"


def ensure(parts: Sequence[str], *, again: Sequence[str] = ()) -> None:
    """`again` are looked at whatever their stamps say. Raises LocalError with what is missing, and how to get it."""
    if not (again or stale(parts)):
        return
    LOCAL.mkdir(exist_ok=True)
    with _alone():
        if due := [part for part in parts if part in again or part in stale(parts)]:
            _make(due)


def stale(parts: Sequence[str]) -> list[str]:
    """Those that are missing or were made from other locks."""
    return [part for part in parts if _read(_stamp_file(part)) != _stamp(part)]


def _make(parts: list[str]) -> None:
    python = choose()
    missing = [part for part in parts if not (LOCAL / part).exists()]
    _require(python, missing, parts)
    uv = installer.provide_uv(python)
    for part in parts:
        _say(f"{part}: from {_LOCK_OF[part].relative_to(ROOT)}")
        if part == "triton":
            _make_triton(uv)
        elif part == "artefacts":
            artefacts.fetch(uv, _say)
        else:
            _make_environment(uv, python, part)
        _stamp_file(part).write_text(_stamp(part))


def _require(python: Interpreter, missing: list[str], parts: list[str]) -> None:
    faults = [found for found in machine.findings(python, LOCAL, missing) if not found.ok]
    if not {"models", "triton"} & set(parts):
        faults = [found for found in faults if found.subject in ("disk", "virtual environments")]
    if faults:
        told = "\n\n".join(f"{found.subject}: {found.detail}\n{found.remedy}" for found in faults)
        raise LocalError(f"This machine lacks something.\n\n{told}")


def _make_environment(uv: Path, python: Interpreter, part: str) -> None:
    folder = _ENVIRONMENTS[part]
    if not _works(folder):
        installer.run(uv, "venv", "--quiet", "--clear", "--python", python.executable, str(folder))
    lock = str(_LOCK_OF[part])
    installer.run(uv, "pip", "sync", "--require-hashes", "--python", str(folder / "bin" / "python"), lock)
    if part in ("app", "clients"):
        [packages] = folder.glob("lib/python*/site-packages")
        (packages / "atelier.pth").write_text(f"{ROOT}\n{ROOT / 'protos' / 'gen'}\n")


def _works(folder: Path) -> bool:
    """Whether the environment exists and the Python it was made from does, too."""
    return (folder / "bin" / "python").exists()


def _make_triton(uv: Path) -> None:
    into = ("--python", str(MODELS / "bin" / "python"), "--target", str(TRITON))
    lock = str(_LOCK_OF["triton"])
    installer.run(uv, "pip", "install", "--require-hashes", "--no-deps", *into, "--requirements", lock)
    assemble_backends(TRITON, TRITON_BACKENDS, _models_python())


def _models_python() -> Interpreter:
    python = describe(str(MODELS / "bin" / "python"))
    if python is None or python.library is None:
        raise LocalError("the models' environment is broken: make distclean, then try again")
    return python


def assemble_backends(wheel: Path, target: Path, python: Interpreter) -> None:
    """Lays out the folder Triton loads its Python backend from, with the stub and the libpython of this Python."""
    shutil.rmtree(target, ignore_errors=True)
    backend, libraries = target / "python", target / "lib"
    backend.mkdir(parents=True)
    libraries.mkdir()
    server = wheel / "pytriton" / "tritonserver"
    for name in ("libtriton_python.so", "triton_python_backend_utils.py"):
        (backend / name).symlink_to(server / "backends" / "python" / name)
    shutil.copy2(server / "python_backend_stubs" / python.series / "triton_python_backend_stub", backend)
    if python.library is not None:
        (libraries / python.library.name).symlink_to(python.library)


def _stamp(part: str) -> str:
    content = _LOCK_OF[part].read_bytes() + _LAYOUT.encode() + str(ROOT).encode()
    return hashlib.sha256(content).hexdigest()


def _stamp_file(part: str) -> Path:
    return LOCAL / f"{part}.stamp"


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


@contextmanager
def _alone() -> Iterator[None]:
    """Two set-ups at the same time would undo each other's work: the second waits."""
    with (LOCAL / "setup.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _say(text: str) -> None:
    print(f"setup: {text}", file=sys.stderr, flush=True)
