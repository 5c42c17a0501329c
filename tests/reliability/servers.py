"""Servers of a test's own, to be stopped, wiped and started again on the same port."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from deploy.local import stores
from deploy.local.component import Component
from deploy.local.paths import StackFolder
from deploy.local.ports import HOST, free_ports
from deploy.local.process import ChildProcess
from tests.nats_server import nats_component


class OwnServer:
    """NATS or the embedded store, killed with SIGKILL."""

    def __init__(self, folder: Path, make: Callable[[StackFolder, int], Component], scheme: str) -> None:
        self.home = StackFolder(folder)
        self.home.make()
        [port] = free_ports(1)
        self.url = f"{scheme}://{HOST}:{port}"
        self._component = make(self.home, port)
        self._child: ChildProcess | None = None

    async def start(self) -> None:
        """Ready when it returns."""
        self._child = ChildProcess(self._component, self.home.log_of(self._component.name))
        await asyncio.to_thread(self._child.wait_ready, threading.Event())

    async def kill(self) -> None:
        assert self._child is not None
        self._child.kill_group()
        await asyncio.to_thread(self._child.wait)

    async def stop(self) -> None:
        """In order."""
        assert self._child is not None
        await asyncio.to_thread(self._child.stop)

    def wipe(self) -> None:
        """Everything it stored is gone."""
        shutil.rmtree(self.home.data, ignore_errors=True)
        self.home.make()

    def send(self, number: signal.Signals) -> None:
        assert self._child is not None
        os.killpg(self._child.pid, number)


def own_nats(folder: Path) -> OwnServer:
    return OwnServer(folder, nats_component, "nats")


def own_store(folder: Path) -> OwnServer:
    return OwnServer(folder, stores.mongodb, "mongodb")
