"""Keeps others out of a process that holds secrets."""

from __future__ import annotations

import ctypes
import sys

import structlog

log = structlog.get_logger()
_PR_SET_DUMPABLE = 4


def hide_secrets() -> None:
    """From here on no other process of this user reads its environment or memory, and no core dump holds them.

    Root's processes may trace anything: they read on, unless they lack CAP_SYS_PTRACE.
    """
    if sys.platform != "linux" or ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        log.warning("other processes of this user may read this one's secrets")
