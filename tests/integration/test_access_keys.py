"""API keys over gRPC and from the command line, on a real store."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from compute.access.v1 import access_pb2 as pb
from compute.access.v1 import access_pb2_grpc as rpc
from pydantic import SecretStr

from services.access import app
from services.clients.access_client import AccessClient
from services.common.errors import ComputeError, InvalidRequest, NotFound, PermissionDenied, Unauthenticated
from services.common.identity import Caller
from services.common.scopes import SCOPES
from services.durable.store import open_database
from services.rpc import grpc_server
from services.rpc.grpc_client import Credentials, call, connect

TOKEN = "internal-token"


@dataclass
class Access:
    target: str
    mongodb_url: str
    database: str
    stub: rpc.AccessServiceStub
    client: AccessClient

    async def ask(self, method: str, request: object, *, key: str = TOKEN) -> object:
        return await call(getattr(self.stub, method), request, timeout=10, metadata=Credentials(key).metadata())

    async def create(self, **fields: Any) -> pb.CreateKeyResponse:
        wanted: dict[str, Any] = {"tenant": "acme", "name": "laptop", "scopes": ["tasks"]} | fields
        answer = await self.ask("CreateKey", pb.CreateKeyRequest(**wanted))
        assert isinstance(answer, pb.CreateKeyResponse)
        return answer


class _Keys:
    """The border's authenticator, once the server is up."""

    client: AccessClient | None = None

    async def authenticate(self, key: str) -> Caller:
        assert self.client is not None
        return await self.client.authenticate(key)


@pytest.fixture
async def access(mongodb_url: str) -> AsyncIterator[Access]:
    keys = _Keys()
    server = grpc_server.build_server(grpc_server.AuthInterceptor(internal_token=TOKEN, authenticator=keys, timeout=10))
    database = f"access_{uuid4().hex}"
    settings = app.Settings(internal_token=SecretStr(TOKEN), mongodb_url=mongodb_url, mongodb_database=database)
    async with app.mount(server, settings):
        port = grpc_server.bind(server, "127.0.0.1:0")
        await server.start()
        target = f"127.0.0.1:{port}"
        async with connect(target) as channel:
            keys.client = AccessClient(channel, Credentials(TOKEN), ttl=0)
            yield Access(target, mongodb_url, database, rpc.AccessServiceStub(channel), keys.client)
        await server.stop(None)


async def test_a_new_key_opens_its_tenant_with_its_scopes(access: Access) -> None:
    created = await access.create(scopes=["tasks", "admin"])
    assert created.key.startswith(f"atl_{created.api_key.id}_")
    caller = await access.client.authenticate(created.key)
    assert (caller.tenant, caller.scopes, caller.internal) == ("acme", frozenset({"tasks", "admin"}), False)


@pytest.mark.parametrize("scope", SCOPES)
async def test_the_deployment_makes_keys_of_every_scope_and_no_key_makes_another(access: Access, scope: str) -> None:
    code, key, _ = await _command(access, "create-key", "--tenant", "demo", "--name", "x", "--scope", scope)
    assert code == 0
    assert (await access.client.authenticate(key)).scopes == {scope}
    with pytest.raises(PermissionDenied) as refusal:
        await access.ask("CreateKey", pb.CreateKeyRequest(tenant="demo", name="y", scopes=["operator"]), key=key)
    assert refusal.value.reason == "INTERNAL_ONLY"


async def test_the_command_line_knows_no_other_scope(access: Access) -> None:
    code, _, err = await _command(access, "create-key", "--tenant", "demo", "--name", "x", "--scope", "root")
    assert code == 2
    assert "invalid choice: 'root'" in err


async def test_a_key_without_named_scopes_may_use_tasks_only(access: Access) -> None:
    created = await access.create(scopes=[])
    assert list(created.api_key.scopes) == ["tasks"]


async def test_the_store_holds_no_secret(access: Access) -> None:
    created = await access.create()
    secret = created.key.split("_", 2)[2]
    async with open_database(access.mongodb_url, access.database) as database:
        documents = await database["api_keys"].find({}).to_list(None)
    assert documents
    assert secret not in repr(documents)


async def test_a_revoked_key_opens_nothing(access: Access) -> None:
    created = await access.create()
    await access.ask("RevokeKey", pb.RevokeKeyRequest(id=created.api_key.id))
    with pytest.raises(Unauthenticated) as refusal:
        await access.client.authenticate(created.key)
    assert refusal.value.reason == "KEY_UNKNOWN"


async def test_revoking_twice_keeps_the_first_time(access: Access) -> None:
    created = await access.create()
    times = [await access.ask("RevokeKey", pb.RevokeKeyRequest(id=created.api_key.id)) for _ in range(2)]
    assert times[0] == times[1]


@pytest.mark.parametrize(
    "key", ["", "x", "atl_", "atl_0_", "atl__secret", "atl_0123456789abcdef_wrong", "atl_ü_x", "atl_a_" + "x" * 500]
)
async def test_a_wrong_key_is_refused_the_same_way_however_wrong(access: Access, key: str) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        await access.ask("VerifyKey", pb.VerifyKeyRequest(key=key))
    assert refusal.value.reason == "KEY_UNKNOWN"


async def test_the_secret_of_one_key_does_not_open_another(access: Access) -> None:
    first, second = await access.create(), await access.create()
    mixed = f"atl_{first.api_key.id}_{second.key.split('_', 2)[2]}"
    with pytest.raises(Unauthenticated):
        await access.client.authenticate(mixed)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"tenant": ""}, "tenant"),
        ({"tenant": "a.b"}, "tenant"),
        ({"tenant": "a*"}, "tenant"),
        ({"tenant": "../x"}, "tenant"),
        ({"name": ""}, "name"),
        ({"name": "n" * 101}, "name"),
        ({"scopes": ["root"]}, "scopes"),
    ],
)
async def test_a_key_with_wrong_fields_is_not_made(access: Access, fields: dict[str, object], wrong: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        await access.create(**fields)
    assert [item.field for item in refusal.value.violations] == [wrong]


async def test_an_unknown_key_cannot_be_revoked(access: Access) -> None:
    with pytest.raises(NotFound):
        await access.ask("RevokeKey", pb.RevokeKeyRequest(id="nothing"))


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("VerifyKey", pb.VerifyKeyRequest(key="x")),
        ("CreateKey", pb.CreateKeyRequest(tenant="acme", name="more")),
        ("RevokeKey", pb.RevokeKeyRequest(id="x")),
        ("ListKeys", pb.ListKeysRequest()),
    ],
)
async def test_even_an_admin_key_may_not_call_the_access_service(access: Access, method: str, request_: object) -> None:
    admin = (await access.create(scopes=["admin"])).key
    with pytest.raises(PermissionDenied):
        await access.ask(method, request_, key=admin)


async def test_a_list_shows_one_tenant_newest_first(access: Access) -> None:
    first, second = await access.create(name="first"), await access.create(name="second")
    await access.create(tenant="other")
    found = await access.ask("ListKeys", pb.ListKeysRequest(tenant="acme"))
    assert isinstance(found, pb.ListKeysResponse)
    assert [key.id for key in found.api_keys] == [second.api_key.id, first.api_key.id]


async def _command(access: Access, *arguments: str, token: str = TOKEN) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.access", *arguments,
        env={**os.environ, "ACCESS_TARGET": access.target, "INTERNAL_TOKEN": token},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode or 0, out.decode().strip(), err.decode().strip()


async def test_the_command_line_makes_lists_and_revokes_keys(access: Access) -> None:
    code, key, _ = await _command(access, "create-key", "--tenant", "demo", "--name", "development", "--scope", "admin")
    assert code == 0
    assert (await access.client.authenticate(key)).scopes == {"admin"}
    code, listed, _ = await _command(access, "list-keys", "--tenant", "demo")
    assert code == 0
    assert "development\tadmin" in listed
    assert key.split("_", 2)[2] not in listed
    code, _, _ = await _command(access, "revoke-key", key.split("_")[1])
    assert code == 0
    with pytest.raises(ComputeError):
        await access.client.authenticate(key)


async def test_the_command_line_says_why_it_failed_without_a_stack_trace(access: Access) -> None:
    code, _, err = await _command(access, "create-key", "--tenant", "a b", "--name", "x")
    assert code == 1
    assert err.startswith("INVALID_REQUEST: tenant:")
    code, _, err = await _command(access, "list-keys", token="wrong")
    assert code == 1
    assert err.startswith("KEY_UNKNOWN:")
