"""Atelier's own processes and the environment they get."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial

from deploy.local import probes
from deploy.local.component import Component
from deploy.local.paths import APP_PYTHON, StackFolder
from deploy.local.ports import HOST
from deploy.local.settings import Addresses, Ports, ProcessLayout, metrics_of, setting_of
from services.access.nats_setup import OPERATOR, SERVICES

# Of the stack's own parts; those that run elsewhere are left out by the supervisor.
_STORES = ("nats", "mongodb")
# A store slow to answer on a busy machine makes a service give up once.
_TRIES = 3
_TOGETHER = "atelier"
_INPROCESS = "inprocess"
_TARGETS = ("TASKS_TARGET", "ACCESS_TARGET", "WEBHOOKS_TARGET", "WORKFLOWS_TARGET", "STORAGE_TARGET")
_OPERATOR = "NATS_OPERATOR_KEY"


def environment(home: StackFolder, addresses: Addresses, token: str, given: Mapping[str, str]) -> dict[str, str]:
    """What every process of ours reads; `given` (the user's environment) wins where the stack has no say."""
    return {
        **_bus_access(home, addresses, given),
        "MONGODB_URL": addresses.mongodb_url,
        "NATS_URL": addresses.nats_url,
        "TASKS_TARGET": addresses.tasks,
        "ACCESS_TARGET": addresses.tasks,
        "WEBHOOKS_TARGET": addresses.tasks,
        "WORKFLOWS_TARGET": addresses.tasks,
        "STORAGE_TARGET": addresses.storage,
        "TRITON_TARGET": addresses.triton,
        "INTERNAL_TOKEN": token,
        "STORAGE_URL": given.get("STORAGE_URL") or f"file://{home.data / 'storage'}",
        "MODELS_ROOT": given.get("MODELS_ROOT") or str(home.data / "models"),
        "WEBHOOK_ALLOW_LOOPBACK": given.get("WEBHOOK_ALLOW_LOOPBACK") or "false",
        "GRPC_REFLECTION": given.get("GRPC_REFLECTION") or "true",
        # So that runs are given back before the process is killed.
        "DRAIN_SECONDS": given.get("DRAIN_SECONDS") or "3",
        "PUBLIC_URL": given.get("PUBLIC_URL") or addresses.gateway_url,
        "PYTHONUNBUFFERED": "1",
    }


def _bus_access(home: StackFolder, addresses: Addresses, given: Mapping[str, str]) -> dict[str, str]:
    """Files, so that no secret is in an environment; those of a server that runs elsewhere are its keeper's."""
    if addresses.nats_url == given.get("NATS_URL"):
        return {name: given.get(name, "") for name in ("NATS_CREDENTIALS", _OPERATOR)}
    return {"NATS_CREDENTIALS": str(home.nats_access / SERVICES), _OPERATOR: str(home.nats_access / OPERATOR)}


def own_processes(
    ports: Ports, shared: Mapping[str, str], layout: ProcessLayout = ProcessLayout.APART
) -> list[Component]:
    return [_together(ports, shared)] if layout is ProcessLayout.TOGETHER else _apart(ports, shared)


def serves_the_api(names: Collection[str]) -> bool:
    """Whether these components do."""
    return _TOGETHER in names or {"tasks", "gateway"} <= set(names)


def worker_target(names: Collection[str], ports: Ports) -> str | None:
    """Where the worker among these components listens."""
    port = ports.tasks if _TOGETHER in names else ports.inference if "inference" in names else None
    return None if port is None else f"{HOST}:{port}"


def _together(ports: Ports, shared: Mapping[str, str]) -> Component:
    """Everything of ours in one process, whose parts call each other without sockets."""
    listen = f"{HOST}:{ports.tasks}"

    def probe() -> None:
        if not probes.ask_worker(listen, shared["INTERNAL_TOKEN"]):  # the health of the whole includes the models'
            probes.ask_grpc_health(listen)
        probes.ask_gateway(f"http://{HOST}:{ports.gateway}")

    targets = dict.fromkeys(_TARGETS, _INPROCESS)
    names = ("access", "tasks", "webhooks", "workflows", "storage", "inference", "gateway")
    return Component(
        name=_TOGETHER,
        command=(str(APP_PYTHON), "-m", "services.host", *names),
        probe=probe,
        ports=(("TASKS_PORT", ports.tasks), *_ports("gateway", ports)),
        environment={**shared, **targets, "LISTEN": listen, **_gateway_environment(ports)},
        after=_STORES,
        patience=300.0,
        tries=_TRIES,
    )


def _apart(ports: Ports, shared: Mapping[str, str]) -> list[Component]:
    def worker_probe() -> None:
        probes.ask_worker(f"{HOST}:{ports.inference}", shared["INTERNAL_TOKEN"])

    together = ("services.host", "access", "tasks", "webhooks", "workflows")
    # The workflows call the tasks beside them without a socket.
    tasks = _served("tasks", together, ports, {**shared, "TASKS_TARGET": _INPROCESS}, after=_STORES)
    storage = _served("storage", ("services.host", "storage"), ports, shared, after=_STORES)
    # Not after Triton: importing takes as long as the models take to load, and the worker waits for them by itself.
    inference = replace(
        _served("inference", ("services.inference",), ports, shared, after=(*_STORES, "tasks", "storage")),
        probe=worker_probe,
        patience=300.0,
    )
    return [tasks, storage, inference, _gateway(ports, shared)]


def _served(
    name: str, module: tuple[str, ...], ports: Ports, shared: Mapping[str, str], *, after: tuple[str, ...]
) -> Component:
    listen = f"{HOST}:{getattr(ports, name)}"
    return Component(
        name=name,
        command=(str(APP_PYTHON), "-m", *module),
        probe=partial(probes.ask_grpc_health, listen),
        ports=_ports(name, ports),
        environment={**shared, "LISTEN": listen, **_metrics(name, ports)},
        after=after,
        tries=_TRIES,
    )


def _ports(name: str, ports: Ports) -> tuple[tuple[str, int], ...]:
    """The process's own, and that of its metrics."""
    return tuple((setting_of(each), getattr(ports, each)) for each in (name, metrics_of(name)))


def _metrics(name: str, ports: Ports) -> dict[str, str]:
    return {"METRICS_HOST": HOST, "METRICS_PORT": str(getattr(ports, metrics_of(name)))}


def _gateway_environment(ports: Ports) -> dict[str, str]:
    return {"GATEWAY_HOST": HOST, "GATEWAY_PORT": str(ports.gateway), **_metrics("gateway", ports)}


def _gateway(ports: Ports, shared: Mapping[str, str]) -> Component:
    return Component(
        name="gateway",
        command=(str(APP_PYTHON), "-m", "gateway"),
        probe=partial(probes.ask_gateway, f"http://{HOST}:{ports.gateway}"),
        ports=_ports("gateway", ports),
        environment={**shared, **_gateway_environment(ports)},
        after=("nats", "tasks", "storage"),
        tries=_TRIES,
    )
