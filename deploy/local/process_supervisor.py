"""Keeps one component running: waits for those it needs, starts it, and starts it again when it dies."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence

from deploy.local.component import Component
from deploy.local.failures import LocalError
from deploy.local.paths import StackFolder
from deploy.local.process import ChildProcess

log = logging.getLogger("stack")

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 5.0
_LEAST_GRACE = 1.0
# Who ran this long before it died starts again without delay.
STEADY_SECONDS = 30.0


class ProcessSupervisor(threading.Thread):
    """`changed` is called after every change of `state`: waiting, starting, ready, restarting, failed, stopped."""

    def __init__(
        self, component: Component, home: StackFolder, needs: Sequence[ProcessSupervisor], changed: Callable[[], None]
    ) -> None:
        super().__init__(name=component.name, daemon=True)
        self.component = component
        self.needs = needs
        self.state = "waiting"
        self.restarts = 0
        self.seconds_to_ready: float | None = None
        self.failure: LocalError | None = None
        self.ready = threading.Event()
        self.child: ChildProcess | None = None
        self._home = home
        self._changed = changed
        self._stopping = threading.Event()

    def run(self) -> None:
        try:
            if self._needs_are_ready():
                self._start_first()
                self._keep()
        except LocalError as error:
            self._fail(error)

    def stop(self, until: float = math.inf) -> None:
        """Ends the component and the keeping; nothing happens when it is called again.

        From the monotonic moment `until` on its grace is over, but for a second.
        """
        begun = time.monotonic()
        self._stopping.set()
        if self.child is not None:
            killed = self.child.stop(max(_LEAST_GRACE, until - begun))
            log.info("%s stopped after %.1f s%s", self.name, time.monotonic() - begun, ", by force" if killed else "")
        if self.is_alive():
            self.join(_LEAST_GRACE)  # it may hang in what it asks a component that hangs
        self._turn("stopped")

    def _needs_are_ready(self) -> bool:
        for needed in self.needs:
            while not needed.ready.wait(0.05):
                if self._stopping.is_set():
                    return False
        return not self._stopping.is_set()

    def _start_first(self) -> None:
        """Raises ComponentFailed when it did not get ready in any of its tries."""
        for left in reversed(range(self.component.tries)):
            try:
                self._start()
                return
            except LocalError as error:
                if not left or self._stopping.is_set():
                    raise
                log.warning("%s\nTrying again.", error)
                if self.child is not None:
                    self.child.stop()

    def _start(self) -> None:
        """Raises ComponentFailed."""
        self._turn("starting" if self.restarts == 0 else "restarting")
        self.child = ChildProcess(self.component, self._home.log_of(self.name))
        self._changed()  # with its id, so that it is found should this process be killed now
        self.seconds_to_ready = self.child.wait_ready(self._stopping)
        log.info("%s is ready after %.1f s (pid %d)", self.name, self.seconds_to_ready, self.child.pid)
        self._turn("ready")
        self.ready.set()

    def _keep(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while self.child is not None:
            begun = time.monotonic()
            how = self.child.wait()
            if self._stopping.is_set():
                return
            pause = FIRST_PAUSE_SECONDS if time.monotonic() - begun > STEADY_SECONDS else pause
            self.ready.clear()
            self.child.kill_group()
            self.restarts += 1
            log.warning("%s died (%s); starting it again in %.1f s", self.name, how, pause)
            if self._stopping.wait(pause):
                return
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            self._start_again()

    def _start_again(self) -> None:
        try:
            self._start()
        except LocalError as error:
            if not self._stopping.is_set():
                log.warning("%s", error)
            if self.child is not None:
                self.child.stop()

    def _fail(self, error: LocalError) -> None:
        if not self._stopping.is_set():
            self.failure = error
        if self.child is not None:
            self.child.kill_group()
        self._turn("failed")

    def _turn(self, state: str) -> None:
        self.state = state
        self._changed()
