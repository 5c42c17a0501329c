"""`python -m services.webhooks secret|replay|list|enable`: webhooks from the command line."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

from compute.webhooks.v1 import webhooks_pb2 as pb
from compute.webhooks.v1 import webhooks_pb2_grpc as rpc
from google.protobuf.message import Message

from services.common.errors import ComputeError
from services.common.settings import read_settings
from services.rpc.grpc_client import Credentials, call, connect
from services.webhooks.settings import WebhooksSettings

ResponseT = TypeVar("ResponseT")
_PAGE = 100
_STATES = ("PENDING", "SENDING", "DELIVERED", "SKIPPED", "DEAD")


def read_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.webhooks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    secret = commands.add_parser("secret", help="print what signs a tenant's deliveries")
    secret.add_argument("tenant")
    secret.add_argument("--rotate", action="store_true", help="make a new one; the former signs too for a while")
    replay = commands.add_parser("replay", help="send again, from the first step")
    what = replay.add_mutually_exclusive_group(required=True)
    what.add_argument("id", nargs="?")
    what.add_argument("--dead", action="store_true", help="every dead letter")
    replay.add_argument("--tenant", default="", help="of this tenant only")
    listing = commands.add_parser("list", help="show deliveries, newest first")
    listing.add_argument("--tenant", default="")
    listing.add_argument("--state", choices=_STATES)
    listing.add_argument("--limit", type=int, default=_PAGE)
    enable = commands.add_parser("enable", help="call an address again that had answered 410 Gone")
    enable.add_argument("tenant")
    enable.add_argument("url")
    return parser.parse_args(arguments)


class WebhookAdminClient:
    """WebhookService for one tenant, or for all of them."""

    def __init__(self, stub: rpc.WebhookServiceStub, credentials: Credentials, tenant: str) -> None:
        self._stub = stub
        self._metadata = credentials.metadata(tenant)

    async def secret(self, *, rotate: bool) -> str:
        if rotate:
            rotated: pb.RotateSecretResponse = await self._call(self._stub.RotateSecret, pb.RotateSecretRequest())
            return rotated.secret.current
        found: pb.GetSecretResponse = await self._call(self._stub.GetSecret, pb.GetSecretRequest())
        return found.secret.current

    async def replay(self, delivery_id: str) -> str:
        request = pb.ReplayDeliveryRequest(delivery_id=delivery_id)
        answer: pb.ReplayDeliveryResponse = await self._call(self._stub.ReplayDelivery, request)
        return _line(answer.delivery)

    async def replay_dead(self) -> str:
        """Until none is left."""
        lines: list[str] = []
        while dead := await self.find("DEAD", _PAGE):
            lines += [await self.replay(item.id) for item in dead]
        return "\n".join(lines)

    async def find(self, state: str | None, limit: int) -> list[pb.Delivery]:
        wanted = pb.ListDeliveriesRequest(limit=limit)
        if state is not None:
            wanted.state = pb.DeliveryState.Value(f"DELIVERY_STATE_{state}")  # type: ignore[assignment]  # a known name
        answer: pb.ListDeliveriesResponse = await self._call(self._stub.ListDeliveries, wanted)
        return list(answer.deliveries)

    async def enable(self, url: str) -> str:
        await self._call(self._stub.EnableEndpoint, pb.EnableEndpointRequest(url=url))
        return "enabled"

    async def _call(self, method: Callable[..., Awaitable[ResponseT]], request: Message) -> ResponseT:
        return await call(method, request, timeout=10, metadata=self._metadata)


async def run(arguments: argparse.Namespace, settings: WebhooksSettings) -> str:
    """What the command prints. Raises ComputeError."""
    credentials = Credentials(settings.internal_token.get_secret_value())
    async with connect(settings.webhooks_target) as channel:
        client = WebhookAdminClient(rpc.WebhookServiceStub(channel), credentials, arguments.tenant)
        if arguments.command == "secret":
            return await client.secret(rotate=arguments.rotate)
        if arguments.command == "replay":
            return await (client.replay_dead() if arguments.dead else client.replay(arguments.id))
        if arguments.command == "enable":
            return await client.enable(arguments.url)
        return "\n".join(map(_line, await client.find(arguments.state, arguments.limit)))


def _line(delivery: pb.Delivery) -> str:
    state = pb.DeliveryState.Name(delivery.state).removeprefix("DELIVERY_STATE_")
    made = delivery.created_at.ToJsonString()
    return "\t".join([delivery.id, delivery.tenant, delivery.event_type, state, made, delivery.reason])


def main() -> None:
    arguments = read_arguments(sys.argv[1:])
    settings = read_settings(WebhooksSettings)
    try:
        print(asyncio.run(run(arguments, settings)))
    except ComputeError as error:
        raise SystemExit(f"{error.reason}: {error.message} (webhooks service at {settings.webhooks_target})") from None


if __name__ == "__main__":
    main()
