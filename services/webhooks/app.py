"""Puts the webhooks service together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from compute.webhooks.v1 import webhooks_pb2_grpc as rpc

from services.common.background import running
from services.durable import store
from services.host.mount import MountedService
from services.messaging import bus as nats_bus
from services.net.guarded_http import GuardedHttp, Resolver
from services.telemetry.instruments import plain, reading
from services.webhooks.clock import SystemClock
from services.webhooks.metrics import UNDER_WAY
from services.webhooks.replica import WebhooksReplica, http_limits
from services.webhooks.servicer import WebhookServicer
from services.webhooks.settings import WebhooksSettings

Settings = WebhooksSettings


@asynccontextmanager
async def mount(
    server: grpc.aio.Server, settings: WebhooksSettings, *, resolve: Resolver | None = None
) -> AsyncIterator[MountedService]:
    """Adds WebhookService to `server` and keeps its loops running. `resolve` takes the place of the system's names."""
    async with (
        store.open_database(settings.mongodb_url, settings.mongodb_database) as database,
        nats_bus.open_bus(settings.nats_url, "webhooks", credentials=settings.nats_credentials) as bus,
        GuardedHttp(http_limits(settings), resolve=resolve) as http,
    ):
        replica = WebhooksReplica(database, bus, http, SystemClock(), settings)
        await replica.prepare()
        rpc.add_WebhookServiceServicer_to_server(WebhookServicer(replica.service), server)
        try:
            async with running(**replica.loops()), reading({UNDER_WAY: plain(lambda: replica.sender.under_way)}):
                yield MountedService(
                    ["compute.webhooks.v1.WebhookService"],
                    {"webhooks-store": lambda: store.ping(database), "webhooks-bus": lambda: nats_bus.ping(bus)},
                )
        finally:
            await replica.close()
