"""Runs tests again and again, each time in a fork of one process that has imported whatever is not under trial."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import pytest

from tests.mutation.imports import forget_what_rests_on, imports
from tests.mutation.reach import Reach

_FRESH = ("tests.unit.test_", "__main__")
# A fault may make a test wait for what never comes; where there is none, every line that is run is noted.
_LONGEST_SECONDS, _LONGEST_LOOK = 90.0, 600.0
_OPTIONS = (
    *("-x", "-q", "--no-header"),
    # Two thirds of a second each, which none of these tests needs: the stack's fixtures, and a plugin.
    *("--noconftest", "-p", "no:schemathesis", "-p", "no:cacheprovider"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)


def main() -> None:
    """Lines of JSON on standard input: the files under trial, their tests, and whether there is a fault.

    Each is answered with whether all the tests pass; where there is no fault, with which of them reach which line.
    """
    for line in sys.stdin:
        files, tests, harmed = json.loads(line)
        answer = json.loads(_told_by_child(files, tests, harmed) or "{}")
        _import_all(answer.pop("modules", ()))
        print(json.dumps(answer), flush=True)


def _told_by_child(files: Sequence[str], tests: Sequence[str], harmed: bool) -> bytes:
    """Nothing where the tests do not end in time."""
    seconds = _LONGEST_SECONDS if harmed else _LONGEST_LOOK
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _be_child(files, tests, harmed, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        ready, _, _ = select.select([pipe], [], [], seconds)
        told = pipe.readline() if ready else b""
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return told


def _be_child(files: Sequence[str], tests: Sequence[str], harmed: bool, writing: int) -> None:
    """Tells, and ends with all that it started."""
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        for file in files:
            forget_what_rests_on(file)
        answer = _tried(tests) if harmed else _looked_at(files, tests)
        os.write(writing, json.dumps(answer).encode() + b"\n")
        os.killpg(0, signal.SIGKILL)
    finally:
        os._exit(1)


def _tried(tests: Sequence[str]) -> dict[str, Any]:
    return {"passed": pytest.main([*_OPTIONS, "--timeout=30", *tests]) == 0}


def _looked_at(files: Sequence[str], tests: Sequence[str]) -> dict[str, Any]:
    reach = Reach(files)
    passed = pytest.main([*_OPTIONS, "--timeout=300", *tests], plugins=[reach]) == 0
    return {"passed": passed, "modules": [*sys.modules], "reached": reach.tests_by_line()}


def _import_all(names: Sequence[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            if not name.startswith(_FRESH):
                # What cannot be imported by itself is left to the tests.
                with contextlib.suppress(ImportError, AttributeError):
                    importlib.import_module(name)
    imports()


if __name__ == "__main__":
    main()
