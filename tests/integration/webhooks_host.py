"""The webhooks service on a real socket, store and bus, and somebody who receives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from compute.webhooks.v1 import webhooks_pb2 as pb
from compute.webhooks.v1 import webhooks_pb2_grpc as rpc
from nats.aio.client import Client
from standardwebhooks.webhooks import Webhook

from services.messaging.streams import ensure_streams
from services.messaging.subjects.webhooks import WEBHOOKS_STREAM, webhook_subject
from services.rpc import grpc_server
from services.rpc.grpc_client import Credentials, connect
from services.webhooks import app
from services.webhooks.settings import WebhooksSettings
from tests.nats_server import connected

TOKEN = "test-token"
NAME = "hooks.example.com"


@dataclass
class Received:
    """One request; header names in lower case."""

    target: str
    headers: dict[str, str]
    body: bytes

    def verified(self, secret: str) -> Any:
        """The event, if the library's own verifier takes it."""
        return Webhook(secret).verify(self.body, self.headers)


@dataclass
class Receiver:
    """Answers what the script says, its last line for ever; while `hold` is set and not released it does not answer."""

    port: int = 0
    script: list[str] = field(default_factory=lambda: ["200 OK"])
    received: list[Received] = field(default_factory=list)
    hold: asyncio.Event | None = None
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        return f"http://{NAME}:{self.port}/hook?key=of-the-receiver"

    @property
    def place(self) -> str:
        """For the settings that open it."""
        return f"{NAME}:{self.port}"

    async def wait(self, count: int = 1, timeout: float = 15.0) -> list[Received]:
        async with asyncio.timeout(timeout), self._news:
            await self._news.wait_for(lambda: len(self.received) >= count)
        return self.received

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers["content-length"]))
            async with self._news:
                self.received.append(Received(head[0].split(" ")[1], headers, body))
                self._news.notify_all()
            if self.hold is not None:
                await self.hold.wait()
            status = self.script.pop(0) if len(self.script) > 1 else self.script[0]
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 4\r\n\r\nsaid".encode())
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiving(*script: str) -> AsyncIterator[Receiver]:
    """Each line a status line, and header lines behind it if need be."""
    receiver = Receiver(script=list(script) or ["200 OK"])
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()


@dataclass
class Hooks:
    """One replica, and a stub that speaks for the tenant `acme`."""

    target: str
    stub: rpc.WebhookServiceStub
    bus: Client
    metadata: tuple[tuple[str, str], ...] = Credentials(TOKEN).metadata("acme")

    async def secret(self) -> str:
        answer = await self.stub.GetSecret(pb.GetSecretRequest(), timeout=10, metadata=self.metadata)
        return str(answer.secret.current)

    async def find(self, **wanted: Any) -> list[pb.Delivery]:
        request = pb.ListDeliveriesRequest(**wanted)
        return list((await self.stub.ListDeliveries(request, timeout=10, metadata=self.metadata)).deliveries)

    async def replay(self, delivery_id: str) -> pb.Delivery:
        request = pb.ReplayDeliveryRequest(delivery_id=delivery_id)
        return (await self.stub.ReplayDelivery(request, timeout=10, metadata=self.metadata)).delivery

    async def enable(self, url: str) -> None:
        await self.stub.EnableEndpoint(pb.EnableEndpointRequest(url=url), timeout=10, metadata=self.metadata)

    async def notice(self, url: str, *, event: str = "", tenant: str = "acme", **more: Any) -> str:
        return await publish_notice(self.bus, url, event=event, tenant=tenant, **more)


async def publish_notice(bus: Client, url: str, *, event: str = "", tenant: str = "acme", **more: Any) -> str:
    """What the relay would publish for a task of that address; answers the event's id."""
    event = event or f"{uuid4()}.3"
    said = pb.Notice(
        tenant=tenant,
        task_id=event.partition(".")[0],
        event_id=event,
        event_type="atelier.task.completed.v1",
        url=url,
        body=b'{"specversion":"1.0","type":"atelier.task.completed.v1"}',
    )
    said.MergeFrom(pb.Notice(**more))
    if more.get("task_deleted"):
        said.body = more.get("body", b"")
        said.silent = not said.body
    await bus.jetstream().publish(webhook_subject(tenant), said.SerializeToString())
    return event


@asynccontextmanager
async def hooking(mongodb_url: str, nats_url: str, database: str, *ports: int, **settings: Any) -> AsyncIterator[Hooks]:
    """A replica that may call those ports of this machine as `hooks.example.com`."""
    given: dict[str, Any] = {"mongodb_url": mongodb_url, "mongodb_database": database, "nats_url": nats_url}
    given["internal_token"] = TOKEN
    given["webhook_allow_private"] = [f"{NAME}:{port}" for port in ports]
    quick = {"webhook_leader_timeout_seconds": 1.5, "webhook_margin_seconds": 0.5, "webhook_timeout_seconds": 1.0}
    server = grpc_server.build_server(grpc_server.AuthInterceptor(internal_token=TOKEN, authenticator=None, timeout=20))
    made = WebhooksSettings(**{**given, **quick, **settings})
    async with app.mount(server, made, resolve=_this_machine):
        port = grpc_server.bind(server, "127.0.0.1:0")
        await server.start()
        bus = await connected(nats_url)
        await ensure_streams(bus, WEBHOOKS_STREAM)
        async with connect(f"127.0.0.1:{port}") as channel:
            try:
                yield Hooks(f"127.0.0.1:{port}", rpc.WebhookServiceStub(channel), bus)
            finally:
                await bus.close()
                await server.stop(1)


async def _this_machine(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]
