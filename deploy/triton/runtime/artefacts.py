"""The registry of trained networks that come out of wheels: what each is, and whether its files are the right ones.

Standard library only: the set-up, the models and the services read it alike.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

REGISTRY = Path(__file__).resolve().parents[1] / "artefacts.toml"
FOLDER = Path(__file__).resolve().parents[3] / ".local" / "artefacts"
"""Where the set-up puts the files; MODEL_ARTEFACTS in the environment names another place."""


class ArtefactRefused(Exception):
    """A file is not the one that the registry names."""


@dataclass(frozen=True)
class Artefact:
    """`files`: path inside the wheel to SHA-256. `without`: what happens when it cannot be had.

    `needed`: what it serves cannot be loaded without it.
    """

    name: str
    serves: str
    purpose: str
    package: str
    version: str
    wheel_sha256: str
    licence: str
    licence_seen: str
    upstream: str
    without: str
    files: Mapping[str, str]
    needed: bool = False

    def paths(self, folder: Path | None = None) -> dict[str, Path]:
        """Name of each file to where it lies; whether it does is for the caller to see."""
        return {Path(file).name: (folder or place()) / self.name / Path(file).name for file in self.files}

    def present(self, folder: Path | None = None) -> bool:
        return all(path.is_file() for path in self.paths(folder).values())

    def verified(self, folder: Path | None = None) -> dict[str, Path]:
        """`paths`, each with the right content. Raises ArtefactRefused, which names the file."""
        paths = self.paths(folder)
        for file, expected in self.files.items():
            check(paths[Path(file).name], expected, self.name)
        return paths


def check(path: Path, expected: str, name: str) -> None:
    """Raises ArtefactRefused when the file is missing or has another SHA-256."""
    if not path.is_file():
        raise ArtefactRefused(f"{path} of the model {name} is missing; `make setup` fetches it")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != expected:
        raise ArtefactRefused(
            f"{path} is not the file that the registry names for the model {name}: its SHA-256 is {found}, "
            f"not {expected}. `make setup` fetches the right one"
        )


def place() -> Path:
    return Path(os.environ.get("MODEL_ARTEFACTS") or FOLDER)


@lru_cache(maxsize=1)
def registry() -> dict[str, Artefact]:
    """Every artefact by its name, in the order of the file."""
    rows = tomllib.loads(REGISTRY.read_text(encoding="utf-8"))["artefact"]
    return {row["name"]: Artefact(purpose=row.pop("for"), **row) for row in rows}
