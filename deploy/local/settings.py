"""What the environment says about the stack: ports, and servers that run elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum

from deploy.local.failures import LocalError
from deploy.local.ports import HOST, free_ports


@dataclass(frozen=True, slots=True)
class Ports:
    """Where each part listens, on the loopback interface. `GATEWAY_PORT=8081` in the environment changes one."""

    gateway: int = 8080
    tasks: int = 15051
    storage: int = 15052
    inference: int = 15053
    nats: int = 15222
    mongodb: int = 15017
    triton: int = 15801
    triton_http: int = 15800
    triton_metrics: int = 15802
    gateway_metrics: int = 15900
    tasks_metrics: int = 15901
    storage_metrics: int = 15902
    inference_metrics: int = 15903

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Ports:
        """Raises LocalError for a value that is no port."""
        chosen = {}
        for name in names():
            if given := environment.get(setting_of(name)):
                chosen[name] = _port(setting_of(name), given)
        return cls(**chosen)

    @classmethod
    def free(cls) -> Ports:
        return cls(*free_ports(len(names())))


def names() -> list[str]:
    return [field.name for field in fields(Ports)]


def metrics_of(name: str) -> str:
    """The port of a process's metrics."""
    return f"{name}_metrics"


def setting_of(name: str) -> str:
    return f"{name.upper()}_PORT"


def _port(setting: str, text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise LocalError(f"{setting}={text} is no port: give a number from 1 to 65535")
    return int(text)


class ProcessLayout(StrEnum):
    """Atelier's own services as processes of their own, or all in one. `ATELIER_LAYOUT=together` in the environment."""

    APART = "apart"
    TOGETHER = "together"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> ProcessLayout:
        """Raises LocalError."""
        name = environment.get("ATELIER_LAYOUT") or cls.APART
        if name not in list(cls):
            raise LocalError(f"ATELIER_LAYOUT={name} is no layout: give {' or '.join(cls)}")
        return cls(name)


@dataclass(frozen=True, slots=True)
class ExternalServers:
    """Servers that run already and are used instead of our own."""

    nats_url: str | None = None
    mongodb_url: str | None = None
    triton_target: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> ExternalServers:
        return cls(**{field.name: environment.get(field.name.upper()) or None for field in fields(cls)})


@dataclass(frozen=True, slots=True)
class Addresses:
    """How the parts reach each other."""

    gateway_url: str
    tasks: str
    storage: str
    inference: str
    nats_url: str
    mongodb_url: str
    triton: str

    @classmethod
    def of(cls, ports: Ports, elsewhere: ExternalServers, layout: ProcessLayout = ProcessLayout.APART) -> Addresses:
        if layout is ProcessLayout.TOGETHER:
            ports = replace(ports, storage=ports.tasks, inference=ports.tasks)
        return cls(
            gateway_url=f"http://{HOST}:{ports.gateway}",
            tasks=f"{HOST}:{ports.tasks}",
            storage=f"{HOST}:{ports.storage}",
            inference=f"{HOST}:{ports.inference}",
            nats_url=elsewhere.nats_url or f"nats://{HOST}:{ports.nats}",
            mongodb_url=elsewhere.mongodb_url or f"mongodb://{HOST}:{ports.mongodb}",
            triton=elsewhere.triton_target or f"{HOST}:{ports.triton}",
        )
