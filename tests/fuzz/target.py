"""The stack under attack: everything but the models and the worker, with canaries for its secrets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from deploy.local.component import Component
from deploy.local.paths import StackFolder
from deploy.local.settings import ExternalServers, Ports
from deploy.local.stack import Stack
from services.access.nats_setup import OPERATOR, SERVICES

# Without a worker every accepted task stays PENDING, so that nothing but the API itself is at work.
PARTS = ("nats", "mongodb", "tasks", "storage", "gateway")
# Of the development key.
TENANT = "demo"
_TOKEN = "canary-internal-token-4f1d0c5b8e"
_VENDORS = (
    "FAL_KEY",
    "FASHN_KEY",
    "FREEPIK_KEY",
    "VERTEX_KEY",
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "GEMINI_API_KEY",
)
_KEYS = {name: f"canary-{name.lower()}-0b7e29" for name in _VENDORS}
_SETTINGS = {
    "INTERNAL_TOKEN": _TOKEN,
    "AWS_ACCESS_KEY_ID": "canary-aws-id-77aa31",
    "AWS_SECRET_ACCESS_KEY": "canary-aws-secret-93b1c0",
    **_KEYS,
    "LOG_LEVEL": "DEBUG",
    "LOG_FORMAT": "json",
    "MAX_WAIT_SECONDS": "0.2",
    "MAX_STREAM_SECONDS": "0.5",
}
# What callers put into their requests, never to be seen outside of their own tasks.
CALLERS_SECRET = "canary-callers-secret-58d2e6"


@dataclass(frozen=True)
class Target:
    """Where to aim; `pids` by process, `secrets` by name."""

    host: str
    port: int
    tasks: str
    storage: str
    nats_url: str
    nats_credentials: str
    api_key: str
    internal_token: str
    pids: dict[str, int]
    logs: Path
    secrets: dict[str, str]

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


@contextmanager
def attacked(home: StackFolder, elsewhere: ExternalServers | None = None) -> Iterator[Target]:
    """The stack on free ports, its data and logs below `home`. Raises LocalError."""
    given = {**os.environ, **_SETTINGS}
    stack = Stack(home, Ports.free(), elsewhere or ExternalServers(), given=given, only=PARTS)
    stack.components = [_with_settings(item) for item in stack.components]
    with stack:
        parts = urlsplit(stack.addresses.gateway_url)
        key = stack.api_key or ""
        yield Target(
            host=parts.hostname or "",
            port=parts.port or 0,
            tasks=stack.addresses.tasks,
            storage=stack.addresses.storage,
            nats_url=stack.addresses.nats_url,
            nats_credentials=stack.environment["NATS_CREDENTIALS"],
            api_key=key,
            internal_token=_TOKEN,
            pids={name: supervisor.child.pid for name, supervisor in stack.supervisors.items() if supervisor.child},
            logs=home.log,
            secrets=_secrets(key) | _bus_secrets(home),
        )


def _bus_secrets(home: StackFolder) -> dict[str, str]:
    """Whoever has one enters NATS as a service, or lets others in."""
    credentials = (home.nats_access / SERVICES).read_text().splitlines()
    seed = next(line for line in credentials if line.startswith("SU"))
    return {"NATS operator's key": (home.nats_access / OPERATOR).read_text().strip(), "NATS services' key": seed}


def _with_settings(component: Component) -> Component:
    return replace(component, environment={**component.environment, **_SETTINGS})


def _secrets(api_key: str) -> dict[str, str]:
    return {
        "INTERNAL_TOKEN": _TOKEN,
        "AWS_ACCESS_KEY_ID": _SETTINGS["AWS_ACCESS_KEY_ID"],
        "AWS_SECRET_ACCESS_KEY": _SETTINGS["AWS_SECRET_ACCESS_KEY"],
        **_KEYS,
        "the API key": api_key.split("_", 2)[2],
        "a caller's secret": CALLERS_SECRET,
    }
