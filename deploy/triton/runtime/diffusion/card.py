"""What a model directory says about itself: name, content hash, licence, defaults."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from artefacts import Artefact, digest_of, hash_file, refuse_other

from .errors import ModelUnsupported

HASHED = frozenset({".safetensors", ".bin", ".json", ".txt", ".model"})


@dataclass(frozen=True)
class ModelCard:
    name: str
    sha256: str
    licence: str
    family: str

    def as_event(self) -> dict[str, str]:
        return asdict(self)


def read_index(directory: Path) -> dict[str, Any]:
    """The directory's `model_index.json`; raises ModelUnsupported where there is none that can be read."""
    path = directory / "model_index.json"
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelUnsupported(f"{directory} is not a diffusers directory: {error}") from error
    except ValueError as error:
        raise ModelUnsupported(f"{path} is not JSON: {error}") from error
    if not isinstance(index, dict) or "_class_name" not in index:
        raise ModelUnsupported(f"{path} names no pipeline class")
    return index


def read_licence(directory: Path, index: dict[str, Any]) -> str:
    """First line of LICENSE*, else `_licence` of the index, else `unknown`."""
    for path in sorted(directory.glob("LICEN[SC]E*")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if title := line.strip().lstrip("#").strip():
                return title
    return str(index.get("_licence") or "unknown")


def read_name(directory: Path, index: dict[str, Any]) -> str:
    return str(index.get("_name") or index.get("_name_or_path") or directory.resolve().name)


def hash_directory(directory: Path) -> str:
    """SHA-256 over the sorted `hash  path` lines of its weights and configurations (as sha256sum prints them)."""
    return digest_of(hash_files(directory))


def hash_files(directory: Path) -> dict[str, str]:
    """The SHA-256 of each of them, by its path in the directory."""
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path.suffix in HASHED)
    return {path.relative_to(directory).as_posix(): hash_file(path) for path in files}


def refuse_swapped(directory: Path, found: dict[str, str], known: Artefact) -> None:
    """Raises ArtefactRefused where a file is missing, another, or not one of the model's."""
    for path, expected in known.files.items():
        if Path(path).suffix in HASHED:
            digest = found.get(path, "that of no file, as it is missing")
            refuse_other(directory / path, digest, expected, known.name, known.remedy)
    for path, digest in found.items():
        refuse_other(directory / path, digest, known.files.get(path, "that of any"), known.name, known.remedy)
