"""Puts the access service together."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import grpc
from compute.access.v1 import access_pb2
from compute.access.v1 import access_pb2_grpc as rpc

from services.access.repository import MongoKeyRepository
from services.access.service import AccessService
from services.access.servicer import AccessServicer
from services.access.settings import Settings
from services.durable.store import open_database, ping
from services.host.mount import Mounted

__all__ = ["Settings", "mount"]


@asynccontextmanager
async def mount(server: grpc.aio.Server, settings: Settings) -> AsyncIterator[Mounted]:
    """Serves AccessService on `server` for as long as the block runs."""
    async with open_database(settings.mongodb_url, settings.mongodb_database) as database:
        keys = MongoKeyRepository(database)
        await keys.prepare()
        access = AccessService(keys, lambda: time.time_ns() // 1000)
        rpc.add_AccessServiceServicer_to_server(AccessServicer(access), server)
        name = access_pb2.DESCRIPTOR.services_by_name["AccessService"].full_name
        yield Mounted([name], {"mongodb": partial(ping, database)}, internal=[name])
