"""The access service with tenants' accounts on a NATS server, and what the tests ask and see of both."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import nats
import nats.errors
from compute.access.v1 import access_pb2 as pb
from compute.access.v1 import access_pb2_grpc as rpc
from nats.aio.client import Client, RawCredentials
from nats.aio.msg import Msg
from nats.js.client import JetStreamContext

from services.access import app
from services.access.nats_setup import OPERATOR
from services.messaging.streams import ensure_streams
from services.messaging.subjects.tasks import EVENTS_STREAM
from services.messaging.subjects.webhooks import WEBHOOKS_STREAM
from services.messaging.tenant_events import DOMAIN, durable_of
from services.rpc import grpc_server
from services.rpc.grpc_client import Credentials, call, connect
from tests.nats_server import access_folder, services_bus
from tests.waiting import time_passes

TOKEN = "internal-token"


@dataclass
class Reader:
    """A program of a tenant's: what it hears, and what NATS refused it."""

    tenant: str
    key_id: str
    credentials: str
    client: Client
    heard: list[Msg] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    cut: asyncio.Event = field(default_factory=asyncio.Event)
    back: asyncio.Event = field(default_factory=asyncio.Event)

    async def hear(self, subject: str) -> None:
        async def note(message: Msg) -> None:
            self.heard.append(message)

        await self.client.subscribe(subject, cb=note)

    async def say(self, subject: str, payload: bytes = b"", reply: str = "") -> None:
        await self.client.publish(subject, payload, reply=reply)

    async def settled(self) -> None:
        """Everything said has been taken or refused."""
        await self.client.flush(timeout=5)
        await time_passes(0.05, because="refusals are told by a task of the client's own")

    async def durable(self) -> JetStreamContext.PullSubscription:
        """As the documentation has it."""
        return await self.client.jetstream(domain=DOMAIN).pull_subscribe(
            "", durable=durable_of(self.tenant), stream="EVENTS"
        )


@dataclass
class Tenants:
    nats_url: str
    database: str
    services: Client
    stub: rpc.AccessServiceStub
    _stack: AsyncExitStack

    async def ask(self, method: str, request: object) -> Any:
        return await call(getattr(self.stub, method), request, timeout=20, metadata=Credentials(TOKEN).metadata())

    async def issue(self, tenant: str) -> tuple[str, str]:
        """The id of a new key, and its credentials."""
        answer = await self.ask("CreateKey", pb.CreateKeyRequest(tenant=tenant, name="reader", scopes=["events"]))
        return answer.api_key.id, answer.key

    async def revoke(self, reader: Reader) -> None:
        await self.ask("RevokeKey", pb.RevokeKeyRequest(id=reader.key_id))

    async def reader(self, tenant: str) -> Reader:
        key_id, credentials = await self.issue(tenant)
        refused: list[str] = []
        cut, back = asyncio.Event(), asyncio.Event()

        async def note(error: Exception) -> None:
            refused.append(str(error))

        async def on_cut() -> None:
            cut.set()

        async def on_back() -> None:
            back.set()

        told = {"error_cb": note, "disconnected_cb": on_cut, "reconnected_cb": on_back, "max_reconnect_attempts": -1}
        client = await enter(self.nats_url, credentials, **told)
        self._stack.push_async_callback(client.close)
        return Reader(tenant, key_id, credentials, client, refused=refused, cut=cut, back=back)

    async def tell(self, tenant: str, *names: str) -> None:
        """Events, as the relay publishes them."""
        for name in names:
            payload = json.dumps({"tenant": tenant, "id": name}).encode()
            await self.services.jetstream().publish(f"evt.v1.{tenant}.task.{name}.created", payload)

    async def books(self) -> dict[str, tuple[int, Sequence[str]]]:
        """Each stream: how much was ever stored and deleted, and its consumers."""
        manager = self.services.jsm()
        return {
            str(info.config.name): (
                info.state.last_seq * 1_000 + (info.state.num_deleted or 0),
                sorted(consumer.name for consumer in await manager.consumers_info(str(info.config.name))),
            )
            for info in await manager.streams_info()
        }


async def enter(url: str, credentials: str, **options: Any) -> Client:
    """A plain client of NATS's own library."""
    settings = {"reconnect_time_wait": 0.1, **options}
    return await nats.connect(url, user_credentials=RawCredentials(credentials), **settings)


async def lets_in(url: str, **options: Any) -> bool:
    client = Client()
    try:
        await client.connect(url, allow_reconnect=False, **options)
    except nats.errors.Error as error:
        if "Authorization Violation" not in str(error):
            raise
        return False
    finally:
        await client.close()
    return True


async def lets_back(url: str, credentials: str) -> bool:
    return await lets_in(url, user_credentials=RawCredentials(credentials))


@asynccontextmanager
async def tenants(mongodb_url: str, nats_url: str, database: str = "", **settings: Any) -> AsyncIterator[Tenants]:
    database = database or f"tenants_{uuid4().hex}"
    given = {
        "internal_token": TOKEN,
        "mongodb_url": mongodb_url,
        "mongodb_database": database,
        "nats_url": nats_url,
        "nats_operator_key": str(access_folder() / OPERATOR),
        **settings,
    }
    server = grpc_server.build_server(
        grpc_server.AuthInterceptor(internal_token=TOKEN, authenticator=_Nobody(), timeout=20)
    )
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(services_bus(nats_url, "test"))
        await ensure_streams(services, EVENTS_STREAM, WEBHOOKS_STREAM)
        await stack.enter_async_context(app.mount(server, app.Settings(**given)))
        port = grpc_server.bind(server, "127.0.0.1:0")
        await server.start()
        stack.push_async_callback(server.stop, None)
        channel = await stack.enter_async_context(connect(f"127.0.0.1:{port}"))
        yield Tenants(nats_url, database, services, rpc.AccessServiceStub(channel), stack)


class _Nobody:
    async def authenticate(self, key: str) -> Any:
        raise AssertionError("only the internal token is used")
