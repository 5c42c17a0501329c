"""NATS for tests: every server goes by one operator's key, so that one user of the services may enter each of them."""

from __future__ import annotations

import os
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import nats
from nats.aio.client import Client

from deploy.local import stores
from deploy.local.component import Component
from deploy.local.paths import StackFolder
from services.messaging.bus import open_bus

# Read by the settings of every service, in this process and in those it starts.
VARIABLE = "NATS_CREDENTIALS"


def nats_component(home: StackFolder, port: int) -> Component:
    return stores.nats(home, port, access=access_folder())


def access_folder() -> Path:
    """Where the operator's key of this session lies."""
    return Path(os.environ[VARIABLE]).parent


async def connected(url: str, credentials: str | None = None) -> Client:
    """As a service is, or with the credentials of the stack's own."""
    return await nats.connect(url, user_credentials=credentials or os.environ.get(VARIABLE) or None)


def services_bus(url: str, name: str) -> AbstractAsyncContextManager[Client]:
    """As a service opens it."""
    return open_bus(url, name, credentials=os.environ.get(VARIABLE, ""))
