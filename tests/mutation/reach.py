"""Which tests reach which lines of some files."""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Generator, Iterable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest


class Reach:
    """A plugin of pytest, for a run of the tests in which nothing is at fault."""

    def __init__(self, files: Iterable[str]) -> None:
        self._files = {str(Path(file).resolve()): file for file in files}
        self._now = set[tuple[str, int]]()
        self._tests: defaultdict[tuple[str, int], list[str]] = defaultdict(list)
        self._seconds: dict[str, float] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        self._now, begun = set(), time.monotonic()
        threading.settrace(self._enter)
        sys.settrace(self._enter)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            self._seconds[item.nodeid] = time.monotonic() - begun
            for line in self._now:
                self._tests[line].append(item.nodeid)

    def _enter(self, frame: FrameType, event: str, _: object) -> Any:
        return self._step(frame, event, _) if frame.f_code.co_filename in self._files else None

    def _step(self, frame: FrameType, _event: str, _: object) -> Any:
        self._now.add((frame.f_code.co_filename, frame.f_lineno))
        return self._step

    def tests_by_line(self) -> dict[str, dict[int, list[str]]]:
        """For each file; the quickest first, which are to notice a fault before the slow ones begin."""
        found: dict[str, dict[int, list[str]]] = {file: {} for file in self._files.values()}
        for (name, line), tests in self._tests.items():
            found[self._files[name]][line] = sorted(tests, key=self._seconds.__getitem__)
        return found
