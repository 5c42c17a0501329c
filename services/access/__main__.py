"""`python -m services.access create-key|list-keys|revoke-key|nats-setup`: who is let in, from the command line."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from compute.access.v1 import access_pb2 as pb
from compute.access.v1 import access_pb2_grpc as rpc

from services.access.nats_setup import write_setup
from services.access.settings import AccessSettings
from services.common.errors import ComputeError
from services.common.scopes import EVENTS, SCOPES
from services.common.settings import read_settings
from services.rpc.grpc_client import Credentials, call, connect

_SCOPES = f"may be repeated; default: tasks. {EVENTS} alone makes credentials for NATS instead of an API key"


def read_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.access", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create-key", help="make a key and print it, once")
    create.add_argument("--tenant", required=True)
    create.add_argument("--name", required=True)
    create.add_argument("--scope", action="append", choices=[*SCOPES, EVENTS], help=_SCOPES)
    listing = commands.add_parser("list-keys", help="show keys, never their secrets")
    listing.add_argument("--tenant", default="")
    revoke = commands.add_parser("revoke-key", help="end a key by its id")
    revoke.add_argument("id")
    setup = commands.add_parser("nats-setup", help="make the files a NATS server with accounts needs")
    setup.add_argument("folder", type=Path)
    return parser.parse_args(arguments)


async def run(arguments: argparse.Namespace, settings: AccessSettings) -> str:
    """What the command prints. Raises ComputeError."""
    metadata = Credentials(settings.internal_token.get_secret_value()).metadata()
    async with connect(settings.access_target) as channel:
        stub = rpc.AccessServiceStub(channel)
        if arguments.command == "create-key":
            wanted = pb.CreateKeyRequest(tenant=arguments.tenant, name=arguments.name, scopes=arguments.scope)
            created: pb.CreateKeyResponse = await call(stub.CreateKey, wanted, timeout=10, metadata=metadata)
            return created.key
        if arguments.command == "list-keys":
            request = pb.ListKeysRequest(tenant=arguments.tenant)
            found: pb.ListKeysResponse = await call(stub.ListKeys, request, timeout=10, metadata=metadata)
            return "\n".join(_line(key) for key in found.api_keys)
        revoked: pb.RevokeKeyResponse = await call(
            stub.RevokeKey, pb.RevokeKeyRequest(id=arguments.id), timeout=10, metadata=metadata
        )
        return _line(revoked.api_key)


def _line(key: pb.ApiKey) -> str:
    state = f"revoked {key.revoked_at.ToJsonString()}" if key.HasField("revoked_at") else "active"
    return "\t".join([key.id, key.tenant, key.name, ",".join(key.scopes), key.created_at.ToJsonString(), state])


def main() -> None:
    arguments = read_arguments(sys.argv[1:])
    if arguments.command == "nats-setup":
        write_setup(arguments.folder)
        return
    settings = read_settings(AccessSettings)
    try:
        print(asyncio.run(run(arguments, settings)))
    except ComputeError as error:
        raise SystemExit(f"{error.reason}: {error.message} (access service at {settings.access_target})") from None


if __name__ == "__main__":
    main()
