"""When a model that does not answer is loaded anew, and when loading it anew has shown that it cannot be used."""

from __future__ import annotations

import time

_LONGEST_PAUSE = 300.0
_STEADY_SECONDS = 30.0
# So often is a model loaded anew that has worked before, until it counts as one that cannot be used.
_TRIES = 3
# So many first pauses pass before a model that says it is broken is loaded anew: whoever has started it asks it, too.
_FIRST_REST = 3


class Reloads:
    """At once after it has answered for a while; then after pauses that double, as long as it stays away."""

    def __init__(self, pause: float) -> None:
        """`pause` is the first one, in seconds."""
        self._first = self._pause = pause
        self._not_before = 0.0
        self._well_since: float | None = None
        self._proven = False
        self._in_vain = 0
        self._began = 0.0

    def well(self) -> None:
        """It answers."""
        now = time.monotonic()
        self._well_since = self._well_since or now
        self._proven, self._in_vain = True, 0
        if now - self._well_since >= _STEADY_SECONDS:
            self._pause = self._first

    def is_given_up(self, *, told: bool) -> bool:
        """Whether it cannot be used, now that it does not answer; `told`: it says itself that it is broken."""
        self._well_since = None
        if told and not self._proven and not self._in_vain:
            self._not_before = self._not_before or time.monotonic() + _FIRST_REST * self._first
        return self._in_vain >= _TRIES or (told and not self._proven)

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self._not_before

    @property
    def seconds_left(self) -> float:
        return max(0.0, self._not_before - time.monotonic())

    def begun(self) -> None:
        """It counts as one in vain until it answers."""
        self._in_vain += 1
        self._began = time.monotonic()

    def ended(self) -> None:
        """Nobody waits for one that has been given up: loading it takes a sixth of the time at most."""
        now, given_up = time.monotonic(), not self._proven or self._in_vain >= _TRIES
        self._not_before = now + max(self._pause, 5 * (now - self._began) if given_up else 0.0)
        self._pause = min(_LONGEST_PAUSE, self._pause * 2)
