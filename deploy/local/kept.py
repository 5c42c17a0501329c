"""Settings that a command keeps for the next `make up`: `.local/settings.env`, a NAME=value on each line.

Standard library only.
"""

from __future__ import annotations

import os
from pathlib import Path

from deploy.local.failures import LocalError


def read(file: Path) -> dict[str, str]:
    """Nothing where there is none. Raises LocalError for a line that is no setting."""
    kept = {}
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    for number, line in enumerate(lines, start=1):
        name, is_set, value = line.partition("=")
        if not line.strip() or line.startswith("#"):
            continue
        if not is_set or not name.isidentifier():
            raise LocalError(f"{file}, line {number}: write NAME=value, or remove the file")
        kept[name] = value
    return kept


def keep(file: Path, name: str, value: str | None) -> None:
    """In place of what was kept under that name; None forgets it. Whole, or not at all."""
    kept = {**read(file), name: value}
    lines = ["# Written by commands such as `make model`; the environment goes first."]
    lines += [f"{key}={text}" for key, text in kept.items() if text is not None]
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    new.write_text("\n".join(lines) + "\n", encoding="utf-8")
    os.replace(new, file)
