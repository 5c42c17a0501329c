"""The processes of a model, where they run on this very machine: found, and ended when they hang."""

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


def stubs_of(model: str, port: int) -> set[int]:
    """The processes of that model whose server listens on `port`; none that belong to another user."""
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit()) if os.path.isdir("/proc") else ()
    return {pid for pid in pids if _is_stub(pid, model) and _listens(_parent_of(pid), port)}


def end_stub(pid: int, model: str) -> bool:
    """Kills `pid` if it is a stub of that model; False when it is not, or no longer there."""
    if not _is_stub(pid, model):
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return True


def _is_stub(pid: int, model: str) -> bool:
    """One that has ended has no command line any more."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    return arguments[0].endswith(_STUB) and any(f"/{model}/" in argument for argument in arguments[1:])


def _parent_of(pid: int) -> int:
    with suppress(OSError, IndexError, ValueError):
        # The name in parentheses may hold anything.
        return int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    return 0


def _listens(pid: int, port: int) -> bool:
    import psutil

    with suppress(psutil.Error):
        found = psutil.Process(pid).net_connections("tcp")
        return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in found)
    return False
