"""The run file: what a running stack tells others about itself (`.local/run/stack.json`, for its owner's eyes only)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import psutil

from deploy.local.paths import StackFolder


def write(home: StackFolder, facts: dict[str, Any]) -> None:
    """Replaces the file at once, so that a reader never sees half of it."""
    fresh = home.run_file.with_suffix(".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(facts, file, indent=2)
    fresh.replace(home.run_file)


def read(home: StackFolder) -> dict[str, Any]:
    """An empty answer when no stack has run here."""
    try:
        facts: dict[str, Any] = json.loads(home.run_file.read_text())
    except FileNotFoundError:
        return {}
    return facts


def supervisor(home: StackFolder) -> psutil.Process | None:
    """The process that runs the stack now."""
    return _same_process(read(home).get("supervisor"))


def leftovers(home: StackFolder) -> list[psutil.Process]:
    """Components of an earlier run that outlived their supervisor."""
    return list(components(home).values())


def components(home: StackFolder) -> dict[str, psutil.Process]:
    """Those that run, by name."""
    known = read(home).get("components", {}).items()
    return {name: found for name, facts in known if (found := _same_process(facts))}


def identity(pid: int) -> dict[str, float]:
    """A process id and its start time: the id alone may by now be another process."""
    try:
        return {"pid": pid, "started": psutil.Process(pid).create_time()}
    except psutil.NoSuchProcess:
        return {"pid": pid, "started": 0.0}


def _same_process(facts: dict[str, Any] | None) -> psutil.Process | None:
    if not facts or not facts.get("pid"):
        return None
    try:
        process = psutil.Process(int(facts["pid"]))
        same = process.create_time() == facts["started"] and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return None
    return process if same else None


def secret(path: Path, make: str) -> str:
    """The text of a file only its owner may read; written as `make` when there is none."""
    if not path.exists():
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(make)
    return path.read_text().strip()
