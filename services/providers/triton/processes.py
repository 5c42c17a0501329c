"""Ends a model's hanging process, where it runs on this very machine."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

_STUB = "triton_python_backend_stub"
_HERE = {"127.0.0.1", "localhost", "[::1]"}


def is_here(target: str) -> bool:
    """Whether host:port names this machine; in another container the numbers would mean other processes."""
    return target.rpartition(":")[0] in _HERE


def end_stub(pid: int, model: str) -> bool:
    """Kills `pid` if it is a stub of that model; False when it is not, or no longer there."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    if not arguments[0].endswith(_STUB) or not any(f"/{model}/" in argument for argument in arguments[1:]):
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return True
