"""The files below a folder, in the order object stores list keys in: by the UTF-8 bytes of the whole path."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def paths_below(root: Path, *, prefix: str, start_after: str) -> Iterator[str]:
    """Relative paths with "/" that begin with `prefix` and sort after `start_after`; reads no folder it need not."""
    folder, _, _ = prefix.rpartition("/")
    base = f"{folder}/" if folder else ""
    return _walk(root, base, prefix, start_after.encode())


def _walk(root: Path, base: str, prefix: str, after: bytes) -> Iterator[str]:
    for name in _entries(root / base):
        path = base + name
        if name.endswith("/"):
            begins = path.startswith(prefix) or prefix.startswith(path)
            # A folder wholly before `after` holds nothing that follows it.
            if begins and (path.encode() > after or after.startswith(path.encode())):
                yield from _walk(root, path, prefix, after)
        elif path.startswith(prefix) and path.encode() > after:
            yield path


def _entries(folder: Path) -> list[str]:
    """Names in key order; a folder's ends in "/", which decides where it sorts."""
    try:
        with os.scandir(folder) as found:
            names = [entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name for entry in found]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(names, key=str.encode)
