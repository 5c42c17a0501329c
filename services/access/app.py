"""Puts the access service together."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import grpc
from compute.access.v1 import access_pb2
from compute.access.v1 import access_pb2_grpc as rpc
from nats.aio.client import RawCredentials

from services.access.nats_accounts import NatsAccounts
from services.access.nats_setup import read_operator
from services.access.ports import KeyRepository
from services.access.repository import MongoKeyRepository
from services.access.service import AccessService
from services.access.servicer import AccessServicer
from services.access.settings import AccessSettings
from services.access.tenant_accounts import TenantAccounts
from services.common.background import running
from services.durable.store import open_database, ping
from services.host.mount import MountedService
from services.messaging.bus import open_bus

__all__ = ["Settings", "mount"]
Settings = AccessSettings


@asynccontextmanager
async def mount(server: grpc.aio.Server, settings: AccessSettings) -> AsyncIterator[MountedService]:
    """Serves AccessService on `server` for as long as the block runs."""
    async with open_database(settings.mongodb_url, settings.mongodb_database) as database, AsyncExitStack() as stack:
        keys = MongoKeyRepository(database)
        await keys.prepare()
        readers = None
        if settings.nats_operator_key:
            readers = await stack.enter_async_context(_tenant_accounts(keys, settings))
        access = AccessService(keys, lambda: time.time_ns() // 1000, readers)
        rpc.add_AccessServiceServicer_to_server(AccessServicer(access), server)
        name = access_pb2.DESCRIPTOR.services_by_name["AccessService"].full_name
        yield MountedService([name], {"mongodb": partial(ping, database)}, internal=[name])


@asynccontextmanager
async def _tenant_accounts(keys: KeyRepository, settings: AccessSettings) -> AsyncIterator[TenantAccounts]:
    """Raises Unavailable, and as `read_operator`."""
    accounts = NatsAccounts(read_operator(Path(settings.nats_operator_key)))
    system_credentials = RawCredentials(accounts.system_credentials())
    async with (
        open_bus(settings.nats_url, "access system", credentials=system_credentials) as system,
        open_bus(settings.nats_url, "access", credentials=settings.nats_credentials) as services,
    ):
        tenants = TenantAccounts(accounts, keys, system, services)
        async with running(accounts=tenants.run):
            yield tenants
