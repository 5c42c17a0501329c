"""The embedded stack for tests: free ports, a folder of its own, and handles to hurt it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from deploy.local.component import Component
from deploy.local.paths import StackFolder
from deploy.local.probes import NotReady
from deploy.local.process import ChildProcess, last_lines
from deploy.local.process_supervisor import ProcessSupervisor
from deploy.local.settings import Addresses, ExternalServers, Ports
from deploy.local.stack import Stack

RECOVERY_SECONDS = 60.0


@contextmanager
def running(component: Component, home: StackFolder) -> Iterator[ChildProcess]:
    """One component on its own, ready when the block begins."""
    home.make()
    child = ChildProcess(component, home.log_of(component.name))
    try:
        child.wait_ready(threading.Event())
        yield child
    finally:
        child.stop()


class RunningStack:
    """The whole system. Components: triton, nats, mongodb, tasks, storage, inference, gateway."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.ports = stack.ports
        self.home = stack.home
        self.addresses: Addresses = stack.addresses
        self.base_url = stack.addresses.gateway_url
        self.api_key = stack.api_key
        self.internal_token = stack.environment["INTERNAL_TOKEN"]
        # What every process of ours runs with; start another worker with it and a LISTEN of its own.
        self.environment = dict(stack.environment)
        self.nats_credentials = stack.environment["NATS_CREDENTIALS"]

    @property
    def pids(self) -> dict[str, int]:
        return {name: supervisor.child.pid for name, supervisor in self._stack.supervisors.items() if supervisor.child}

    def child(self, name: str) -> ChildProcess:
        """The component's process as it is now."""
        child = self._keeper(name).child
        if child is None:
            raise LookupError(f"{name} has not been started")
        return child

    def restarts(self, name: str) -> int:
        return self._keeper(name).restarts

    def signal(self, name: str, number: signal.Signals) -> None:
        """To the component's process alone, for instance SIGSTOP and SIGCONT."""
        os.kill(self.pids[name], number)

    def kill(self, name: str) -> int:
        """kill -9, after which the supervisor starts it again; answers the pid that was killed."""
        supervisor, pid = self._keeper(name), self.pids[name]
        supervisor.ready.clear()
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_ready(self, name: str, seconds: float = RECOVERY_SECONDS) -> None:
        """Until the component, killed before, does its work again."""
        if not self._keeper(name).ready.wait(seconds):
            raise TimeoutError(f"{name} was not ready after {seconds} s:\n{self.log(name)}")

    def wait_recovered(self, seconds: float = RECOVERY_SECONDS) -> None:
        """Until every component is ready and says so when asked, those that depend on a killed one included."""
        end = time.monotonic() + seconds
        for name, supervisor in self._stack.supervisors.items():
            self.wait_ready(name, max(end - time.monotonic(), 0.1))
            while (why := _complaint(supervisor)) is not None:
                if time.monotonic() > end:
                    raise TimeoutError(f"{name} has not recovered after {seconds} s: {why}\n{self.log(name)}")
                threading.Event().wait(0.05)

    def log(self, name: str) -> str:
        """The end of the component's log."""
        return last_lines(self.home.log_of(name))

    def _keeper(self, name: str) -> ProcessSupervisor:
        return self._stack.supervisors[name]


def model_process(triton: int, model: str) -> int | None:
    """The pid of a model's own process below the Triton server; None while it has none."""
    return next(iter(sorted(model_processes(triton, model))), None)


def model_processes(triton: int, model: str) -> set[int]:
    """Those of its loads, one of each that has not ended."""
    found = set()
    for process in psutil.Process(triton).children(recursive=True):
        # A killed process stays visible until Triton has noticed its end.
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if any(f"/{model}/1/" in argument for argument in process.cmdline()):
                found.add(process.pid)
    return found


@contextmanager
def running_stack(home: StackFolder, **settings: str) -> Iterator[RunningStack]:
    """All of it, on free ports; a server that NATS_URL, MONGODB_URL or TRITON_TARGET names is used instead of ours.

    `settings` are for the stack alone: what tests host in their own process reads the environment, too.
    """
    elsewhere = ExternalServers.from_environment(os.environ)
    with Stack(home, Ports.free(), elsewhere, given=os.environ | settings) as stack:
        yield RunningStack(stack)


def _complaint(supervisor: ProcessSupervisor) -> str | None:
    try:
        supervisor.component.probe()
    except NotReady as error:
        return str(error)
    return None
