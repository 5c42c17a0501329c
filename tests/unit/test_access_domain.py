"""API keys: who may have which, what opens, and that a revoked one opens nothing. The store is a fake."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.access.domain import ApiKey, issue_key, parse_key
from services.access.service import AccessService
from services.common.errors import InvalidRequest, NotFound, Unauthenticated

NOW = 1_000_000


class Keys:
    """A repository in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, ApiKey] = {}

    async def add(self, key: ApiKey) -> None:
        assert key.id not in self.kept
        self.kept[key.id] = key

    async def save(self, key: ApiKey) -> None:
        self.kept[key.id] = key

    async def get(self, key_id: str) -> ApiKey:
        if key_id not in self.kept:
            raise NotFound("no such key")
        return self.kept[key_id]

    async def find(self, tenant: str) -> list[ApiKey]:
        return [key for key in self.kept.values() if tenant in ("", key.tenant)]

    async def readers(self, tenant: str) -> list[ApiKey]:
        return [key for key in await self.find(tenant) if key.reads_events]


class Readers:
    """NATS, which is told of tenants whose users change."""

    def __init__(self) -> None:
        self.renewed: list[str] = []

    def issue(self, tenant: str, key_id: str) -> tuple[str, str]:
        return f"public-{key_id}", f"credentials of {tenant}"

    async def renew(self, tenant: str) -> None:
        self.renewed.append(tenant)


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def readers() -> Readers:
    return Readers()


@pytest.fixture
def service(keys: Keys, readers: Readers) -> AccessService:
    return AccessService(keys, lambda: NOW, readers)


async def made(service: AccessService, *scopes: str, tenant: str = "acme", name: str = "laptop") -> tuple[ApiKey, str]:
    return await service.create(tenant=tenant, name=name, scopes=frozenset(scopes))


async def test_a_key_opens_with_its_own_secret_and_no_other(service: AccessService) -> None:
    key, text = await made(service, "tasks")
    other, _ = await made(service, "tasks")
    assert await service.verify(text) == key
    assert (key.tenant, key.name, set(key.scopes), key.created_at) == ("acme", "laptop", {"tasks"}, NOW)
    secret = text.split("_", 2)[2]
    for wrong in (f"atl_{key.id}_x{secret}", f"atl_{other.id}_{secret}", f"atl_{'0' * 16}_{secret}", f"atl_{key.id}_"):
        with pytest.raises(Unauthenticated) as caught:
            await service.verify(wrong)
        assert caught.value.reason == "KEY_UNKNOWN"


async def test_nobody_s_secret_opens_a_key_that_is_not_there(service: AccessService) -> None:
    """What stands in for the missing one is the hash of nothing at all."""
    assert parse_key("atl_0_") is None
    with pytest.raises(Unauthenticated):
        await service.verify("atl_0_anything")


async def test_a_revoked_key_opens_nothing_and_its_first_revocation_stands(keys: Keys) -> None:
    moments = iter((1, 2, 3))
    service = AccessService(keys, lambda: next(moments))
    key, text = await made(service)
    assert (await service.revoke(key.id)).revoked_at == 2
    assert (await service.revoke(key.id)).revoked_at == 2
    assert keys.kept[key.id].revoked_at == 2
    with pytest.raises(Unauthenticated):
        await service.verify(text)


async def test_a_key_that_says_nothing_of_scopes_is_for_tasks(service: AccessService) -> None:
    key, _ = await made(service)
    assert key.scopes == {"tasks"} and not key.reads_events


async def test_only_hashes_are_kept(service: AccessService, keys: Keys) -> None:
    key, text = await made(service)
    assert text.startswith(f"atl_{key.id}_") and len(key.id) == 16 and len(text) > 50
    assert text.split("_", 2)[2] not in repr(keys.kept[key.id])
    assert len(key.digest) == 64


@pytest.mark.parametrize(
    "text",
    [
        "",
        "atl",
        "atl_",
        "atl__secret",
        "atl_id_",
        "xyz_id_secret",
        "atl_i-d_secret",
        "atl_id_s\u00e4cret",
        "atl_id_" + "x" * 194,
    ],
)
def test_what_is_no_key_of_ours_is_not_looked_for(text: str) -> None:
    assert parse_key(text) is None


def test_the_longest_key_is_taken_apart() -> None:
    presented = parse_key("atl_id_" + "x_" * 96 + "x")
    assert presented is not None
    assert (presented.id, len(presented.secret)) == ("id", 193)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"tenant": "a.b"}, "tenant"),
        ({"tenant": ""}, "tenant"),
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"scopes": frozenset({"everything"})}, "scopes"),
    ],
)
def test_what_a_key_cannot_be_is_refused_by_name(fields: dict[str, object], named: str) -> None:
    wanted = {"tenant": "acme", "name": "x" * 100, "scopes": frozenset({"tasks"}), "now": NOW}
    issue_key(**wanted)  # type: ignore[arg-type]  # a table of fields
    with pytest.raises(InvalidRequest) as caught:
        issue_key(**{**wanted, **fields})  # type: ignore[arg-type]  # a table of fields
    assert [item.field for item in caught.value.violations] == [named]
    assert named in caught.value.message


def test_a_name_of_one_character_is_one() -> None:
    key, _ = issue_key(tenant="acme", name="x", scopes=frozenset(), now=NOW)
    assert key.name == "x"


async def test_a_reader_of_events_gets_credentials_and_no_api_key(
    service: AccessService, keys: Keys, readers: Readers
) -> None:
    key, text = await made(service, "events")
    assert text == "credentials of acme" and key.digest == f"public-{key.id}"
    assert key.reads_events and keys.kept[key.id] == key and key.created_at == NOW
    assert readers.renewed == ["acme"]
    with pytest.raises(Unauthenticated):
        await service.verify(text)


async def test_who_reads_events_reads_nothing_else(service: AccessService, keys: Keys) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await made(service, "events", "tasks")
    assert [item.field for item in caught.value.violations] == ["scopes"]
    for fields in ({"tenant": "a.b"}, {"name": ""}):
        with pytest.raises(InvalidRequest):
            await made(service, "events", **fields)
    assert keys.kept == {}


async def test_where_nats_is_not_offered_nobody_gets_credentials(keys: Keys) -> None:
    service = AccessService(keys, lambda: NOW)
    with pytest.raises(InvalidRequest) as caught:
        await made(service, "events")
    assert caught.value.reason == "EVENTS_NOT_OFFERED"
    key, _ = await made(service)
    keys.kept[key.id] = replace(key, scopes=frozenset({"events"}))
    assert (await service.revoke(key.id)).revoked_at == NOW


async def test_a_revoked_reader_is_cut_and_an_api_key_cuts_nobody(service: AccessService, readers: Readers) -> None:
    reader, _ = await made(service, "events")
    plain, _ = await made(service, "tasks")
    readers.renewed.clear()
    await service.revoke(plain.id)
    assert readers.renewed == []
    await service.revoke(reader.id)
    assert readers.renewed == ["acme"]


async def test_keys_are_listed_by_tenant(service: AccessService) -> None:
    ours, _ = await made(service)
    await made(service, tenant="other")
    assert await service.find("acme") == [ours]
    with pytest.raises(NotFound):
        await service.revoke("nothing")
