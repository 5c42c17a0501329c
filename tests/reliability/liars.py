"""A Triton server whose models can be told to lie, to break and to go mad, and the worker that depends on them."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from deploy.local import services, triton
from deploy.local.component import Component
from deploy.local.paths import MODEL_REPOSITORY, StackFolder
from deploy.local.ports import HOST
from deploy.local.process import ChildProcess
from deploy.local.settings import Ports
from tests.stack import model_process
from tests.waiting import until

MODELS = ["diffusion", "segmentation"]
_LIAR = Path(__file__).with_name("liar.py")


@dataclass
class Liars:
    """`folder` is the model repository: a file `lying`, `broken` or `mad` in it changes how the models behave."""

    folder: Path
    server: ChildProcess

    def become(self, what: str) -> None:
        (self.folder / what).touch()

    def come_to_reason(self) -> None:
        for what in ("lying", "broken", "mad"):
            (self.folder / what).unlink(missing_ok=True)

    def pid(self, model: str) -> int | None:
        return model_process(self.server.pid, model)

    async def process(self, model: str) -> int:
        """The model's process, waited for."""
        return await until(lambda: self.pid(model), timeout=100)


@asynccontextmanager
async def liars(home: StackFolder, ports: Ports) -> AsyncIterator[Liars]:
    """Honest until told otherwise."""
    home.make()
    folder = home.folder / "repository"
    for name in MODELS:
        (folder / name / "1").mkdir(parents=True)
        shutil.copy(MODEL_REPOSITORY / name / "config.pbtxt", folder / name)
        shutil.copy(_LIAR, folder / name / "1" / "model.py")
    async with _running(_server(home, ports, folder), home) as server:
        yield Liars(folder, server)


@asynccontextmanager
async def worker(home: StackFolder, ports: Ports, environment: Mapping[str, str]) -> AsyncIterator[ChildProcess]:
    """The whole inference worker as a process of its own, once both models have answered it."""
    [component] = [found for found in services.own_processes(ports, environment) if found.name == "inference"]
    async with _running(component, home) as child:
        yield child


def _server(home: StackFolder, ports: Ports, folder: Path) -> Component:
    usual = triton.triton(home, ports)
    kept = [word for word in usual.command if not word.startswith(("--model-repository", "--load-model"))]
    ours = [f"--model-repository={folder}", *(f"--load-model={name}" for name in MODELS)]
    probe = partial(triton.ask, f"{HOST}:{ports.triton_http}", f"{HOST}:{ports.triton}", MODELS)
    return replace(usual, command=(*kept, *ours), probe=probe)


@asynccontextmanager
async def _running(component: Component, home: StackFolder) -> AsyncIterator[ChildProcess]:
    child = ChildProcess(component, home.log_of(component.name))
    try:
        await asyncio.to_thread(child.wait_ready, threading.Event())
        yield child
    finally:
        await asyncio.to_thread(child.stop)
