"""Where the LoRAs lie that tasks name."""

from __future__ import annotations

from pathlib import Path

from services.common.errors import InvalidRequest


def find_lora(root: Path, path: str) -> Path:
    """The file `path` names below `root`, which it cannot leave, through links neither.

    Raises:
        InvalidRequest: it would, or there is no such file.
    """
    missing = InvalidRequest(f"there is no model {path!r}", reason="LORA_NOT_FOUND")
    try:
        wanted = (root / path).resolve()
        is_there = wanted.is_file()
    except (OSError, ValueError) as error:  # a name that no file can have
        raise missing from error
    if Path(path).is_absolute() or not wanted.is_relative_to(root.resolve()):
        raise InvalidRequest("a model path must lie below the models' folder", reason="MODEL_PATH_INVALID")
    if not is_there:
        raise missing
    return wanted
