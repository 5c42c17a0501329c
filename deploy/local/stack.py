"""The supervisor: starts every component as soon as those it needs are ready, keeps them, stops them in reverse."""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import signal
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any

import psutil

from deploy.local import access, probes, runfile, services, stores
from deploy.local.component import Component
from deploy.local.failures import LocalError, PortBusy
from deploy.local.paths import StackFolder
from deploy.local.ports import HOST, holder_of, is_free
from deploy.local.process import kill_families
from deploy.local.process_supervisor import ProcessSupervisor
from deploy.local.settings import Addresses, ExternalServers, Ports, ProcessLayout
from deploy.local.triton import first_paragraph, generation_model, not_loaded, triton, way_back

log = logging.getLogger("stack")
STOP_SECONDS = 10.0


class Stack:
    """Ready inside its `with` block, gone after it. `only` limits it to the named components."""

    def __init__(
        self,
        home: StackFolder,
        ports: Ports,
        elsewhere: ExternalServers,
        *,
        given: Mapping[str, str],
        only: Sequence[str] = (),
        stopping: threading.Event | None = None,
    ) -> None:
        """`stopping`, once set, ends a start that is not through yet."""
        self.home = home
        self._stopping = stopping or threading.Event()
        self.ports = ports
        self._layout = ProcessLayout.from_environment(given)
        self.addresses = Addresses.of(ports, elsewhere, self._layout)
        self.api_key: str | None = None
        home.make()
        self._elsewhere = elsewhere
        self._token = given.get("INTERNAL_TOKEN") or _kept_token(home)
        self.environment = services.environment(home, self.addresses, self._token, given)
        self.components = [item for item in self._all(ports, given) if not only or item.name in only]
        self.supervisors: dict[str, ProcessSupervisor] = {}
        served = elsewhere.triton_target
        self._generation_model = f"whichever {served} serves" if served else generation_model(home)
        self._unusable: dict[str, str] = {}
        self._state = "starting"
        self._writing = threading.Lock()
        self._held = ExitStack()

    def __enter__(self) -> Stack:
        self._lock()
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Raises LocalError: a busy port, a named server that does not answer, a component that does not come up."""
        self._ask_elsewhere()
        _end_leftovers(self.home)
        for component in self.components:
            _require_free(component)
        for component in self.components:
            needs = [self.supervisors[name] for name in component.after if name in self.supervisors]
            self.supervisors[component.name] = ProcessSupervisor(component, self.home, needs, self.tell)
        for supervisor in self.supervisors.values():
            supervisor.start()
        self._wait_ready()
        self._unusable = self._unusable_models()
        if services.serves_the_api(self.supervisors):
            self.api_key = access.development_key(self.home, self.addresses, self.environment)
        self._turn("ready")

    def stop(self) -> None:
        """Those that need others go first, together where they may; all of them within STOP_SECONDS."""
        self._turn("stopping")
        until = time.monotonic() + STOP_SECONDS
        left = list(self.supervisors.values())
        while left:
            needed = {other for supervisor in left for other in supervisor.needs}
            layer = [supervisor for supervisor in left if supervisor not in needed]
            with ThreadPoolExecutor(len(layer)) as threads:
                list(threads.map(lambda one: one.stop(until), layer))
            left = [supervisor for supervisor in left if supervisor not in layer]
        self._turn("stopped")
        self._held.close()

    def tell(self) -> None:
        """Writes the run file."""
        with self._writing:
            runfile.write(self.home, self._facts())

    def _all(self, ports: Ports, given: Mapping[str, str]) -> Iterable[Component]:
        """Every component that does not run elsewhere; the slowest first."""
        if self._elsewhere.triton_target is None:
            yield triton(self.home, ports)
        if self._elsewhere.nats_url is None:
            yield stores.nats(self.home, ports.nats, sync_interval=given.get("NATS_SYNC_INTERVAL") or "1s")
        if self._elsewhere.mongodb_url is None:
            yield stores.mongodb(self.home, ports.mongodb)
        yield from services.own_processes(ports, self.environment, self._layout)

    def _ask_elsewhere(self) -> None:
        try:
            if self._elsewhere.nats_url:
                probes.ask_nats(self._elsewhere.nats_url)
            if self._elsewhere.mongodb_url:
                probes.ask_mongodb(self._elsewhere.mongodb_url)
        except probes.NotReady as error:
            raise LocalError(f"{error}\nUnset NATS_URL / MONGODB_URL to let the stack start its own.") from error

    def _wait_ready(self) -> None:
        for supervisor in self.supervisors.values():
            while not supervisor.ready.wait(0.05):
                self._raise_failures()
                if self._stopping.is_set():
                    raise LocalError("the stack was stopped before it was ready")
        self._raise_failures()

    def _unusable_models(self) -> dict[str, str]:
        """Each with the reason and what to do; without a worker, who knows, those that could not be loaded."""
        broken: dict[str, str] = {}
        with suppress(probes.NotReady):  # one has died since, and is being loaded anew
            if worker := services.worker_target(self.supervisors, self.ports):
                broken = probes.ask_worker(worker, self._token)
            elif "triton" in self.supervisors:
                broken = not_loaded(f"{HOST}:{self.ports.triton_http}")
        told = {name: first_paragraph(why) for name, why in broken.items()}
        for name, why in told.items():
            log.warning("the model %s cannot be used: %s", name, why)
        return {name: f"{why}\n{way_back(name)}" for name, why in told.items()}

    def _raise_failures(self) -> None:
        for supervisor in self.supervisors.values():
            if supervisor.failure is not None:
                raise supervisor.failure

    def _lock(self) -> None:
        file = self._held.enter_context((self.home.run / "stack.lock").open("a"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._held.close()
            raise LocalError("a stack already runs on this checkout: make down stops it") from error

    def _turn(self, state: str) -> None:
        self._state = state
        self.tell()

    def _facts(self) -> dict[str, Any]:
        return {
            "state": self._state,
            "supervisor": runfile.identity(os.getpid()),
            "gateway_url": self.addresses.gateway_url,
            "api_key": self.api_key,
            "webhooks_on_loopback": self.environment["WEBHOOK_ALLOW_LOOPBACK"].lower() in ("true", "1", "yes", "on"),
            "internal_token": self._token,
            "generation_model": self._generation_model,
            "models_unusable": self._unusable,
            "nats_accounts": bool(self.environment["NATS_OPERATOR_KEY"]),
            "targets": {name: getattr(self.addresses, name) for name in Addresses.__slots__},
            "components": {name: self._facts_of(supervisor) for name, supervisor in list(self.supervisors.items())},
        }

    def _facts_of(self, supervisor: ProcessSupervisor) -> dict[str, Any]:
        return {
            **(runfile.identity(supervisor.child.pid) if supervisor.child else {"pid": None}),
            "state": supervisor.state,
            "restarts": supervisor.restarts,
            "seconds_to_ready": supervisor.seconds_to_ready,
            "log": str(self.home.log_of(supervisor.name)),
            "ports": dict(supervisor.component.ports),
        }


def _kept_token(home: StackFolder) -> str:
    return runfile.secret(home.run / "internal_token", secrets.token_urlsafe(32))


def _require_free(component: Component) -> None:
    for setting, port in component.ports:
        if not is_free(port):
            raise PortBusy(port, component.name, setting, holder_of(port))


def _end_leftovers(home: StackFolder) -> None:
    """A supervisor that was killed could not stop its children."""
    left = runfile.leftovers(home)
    for process in left:
        log.warning("ending %s (pid %d), left by an earlier run", process.name(), process.pid)
        process.send_signal(signal.SIGTERM)
    kill_families(psutil.wait_procs(left, timeout=10)[1])
