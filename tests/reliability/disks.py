"""A disk of a test's own that can run full, and be made larger again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# tmpfs takes memory only for what is stored. NATS sets aside three gigabytes of its disk for the streams.
_ROOMY = "8g"


class Disk:
    """A file system in memory, mounted at `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def leave(self, kibibytes: int) -> None:
        """From now on only so much more fits."""
        found = os.statvfs(self.folder)
        used = (found.f_blocks - found.f_bfree) * found.f_frsize // 1024
        self._resize(f"{used + kibibytes}k")

    def grow(self) -> None:
        self._resize(_ROOMY)

    def _resize(self, size: str) -> None:
        subprocess.run(("mount", "-o", f"remount,size={size}", str(self.folder)), check=True)


@contextmanager
def disk(folder: Path) -> Iterator[Disk]:
    """Skips the test where nothing may be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    options = ("-t", "tmpfs", "-o", f"size={_ROOMY}")
    mounted = subprocess.run(("mount", *options, "tmpfs", str(folder)), capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a disk of its own cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(("umount", "--lazy", str(folder)), check=True)
