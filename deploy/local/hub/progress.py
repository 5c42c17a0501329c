"""How far a download is, told to the person at the terminal: in place there, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from deploy.local.hub.client import HubFile

_IN_PLACE_SECONDS, _LINE_SECONDS = 0.2, 10.0


class Progress:
    def __init__(self, out: TextIO = sys.stderr) -> None:
        self._out = out
        self._in_place = out.isatty()
        self._every = _IN_PLACE_SECONDS if self._in_place else _LINE_SECONDS
        self._label = ""
        self._size = 0
        self._told = 0.0

    def say(self, text: str) -> None:
        print(text, file=self._out, flush=True)

    @contextmanager
    def file(self, number: int, of: int, file: HubFile) -> Iterator[None]:
        self._label, self._size, self._told = f"{number:3}/{of}  {file.path}", file.size, time.monotonic()
        yield
        self._tell("done")
        self._label = ""
        if self._in_place:
            self.say("")

    def reached(self, size: int) -> None:
        if self._label and time.monotonic() - self._told >= self._every:
            self._told = time.monotonic()
            self._tell(f"{100 * size // max(self._size, 1)} %")

    def _tell(self, state: str) -> None:
        line = f"{self._label}  {self._size / 1e6:.1f} MB  {state}"
        print(
            f"\r{line}\x1b[K" if self._in_place else line,
            end="" if self._in_place else "\n",
            file=self._out,
            flush=True,
        )
