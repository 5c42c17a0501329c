"""Which tests reach which lines of a file."""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest


class Reach:
    """A plugin of pytest, for a run of the tests in which nothing is at fault."""

    def __init__(self, file: str) -> None:
        self._file = str(Path(file).resolve())
        self._now = set[int]()
        self._tests: defaultdict[int, list[str]] = defaultdict(list)
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
        return self._step(frame, event, _) if frame.f_code.co_filename == self._file else None

    def _step(self, frame: FrameType, _event: str, _: object) -> Any:
        self._now.add(frame.f_lineno)
        return self._step

    def tests_by_line(self) -> dict[int, list[str]]:
        """The quickest first, which are to notice a fault before the slow ones begin."""
        return {line: sorted(tests, key=self._seconds.__getitem__) for line, tests in self._tests.items()}
