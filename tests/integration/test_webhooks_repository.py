"""Deliveries in the store and in the tests' memory behave alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import pytest

from services.common.errors import NotFound
from services.common.paging import ListWindow
from services.durable.store import open_database
from services.webhooks.domain import Delivery, DeliveryAttempt, DeliveryState, Endpoint, WebhookNotice, new_delivery
from services.webhooks.ports import DeliveryQuery, DeliveryRepository, EndpointRepository, SecretRepository
from services.webhooks.repository import MongoDeliveryRepository
from services.webhooks.tenant_records import MongoEndpointRepository, MongoSecretRepository
from tests.fakes.webhooks import MemoryDeliveryRepository, MemoryEndpointRepository, MemorySecretRepository

Parts = tuple[DeliveryRepository, EndpointRepository, SecretRepository]


@pytest.fixture(params=["memory", "store"])
async def parts(request: pytest.FixtureRequest) -> AsyncIterator[Parts]:
    if request.param == "memory":
        yield MemoryDeliveryRepository(), MemoryEndpointRepository(), MemorySecretRepository()
        return
    async with open_database(request.getfixturevalue("mongodb_url"), f"hooks_{uuid4().hex[:12]}") as database:
        deliveries = MongoDeliveryRepository(database)
        await deliveries.prepare()
        yield deliveries, MongoEndpointRepository(database), MongoSecretRepository(database)
        await deliveries.drain()


@pytest.fixture
def deliveries(parts: Parts) -> DeliveryRepository:
    return parts[0]


def made(number: int, host: str = "a.example", tenant: str = "acme") -> Delivery:
    url = f"https://{host}/hook?key=1"
    return new_delivery(WebhookNotice(tenant, f"t{number}", f"t{number}.2", "x", url, '{"a": "ü"}'), 1_000 + number)


async def test_what_is_written_is_read_back(deliveries: DeliveryRepository) -> None:
    whole = replace(
        made(1), owner="o", reason="r", history=(DeliveryAttempt(5, 0.25, 500, "answered 500"), DeliveryAttempt(6, 1.0))
    )
    assert not (await deliveries.add(whole)).existing
    assert await deliveries.get(whole.id) == whole
    with pytest.raises(NotFound):
        await deliveries.get("nothing")


async def test_of_many_that_record_one_event_one_does(deliveries: DeliveryRepository) -> None:
    added = await asyncio.gather(*(deliveries.add(made(1)) for _ in range(20)))
    assert sorted(one.existing for one in added) == [False] + [True] * 19


async def test_of_many_that_claim_one_does(deliveries: DeliveryRepository) -> None:
    await deliveries.add(made(1))
    claims = [made(1).claimed(f"owner {number}", until=9) for number in range(20)]
    won = await asyncio.gather(*(deliveries.save(claim) for claim in claims))
    assert won.count(True) == 1
    assert (await deliveries.get(made(1).id)).owner == claims[won.index(True)].owner


async def test_what_is_due_comes_in_its_order_and_not_for_busy_hosts(deliveries: DeliveryRepository) -> None:
    for number in (3, 1, 2):
        await deliveries.add(made(number))
    await deliveries.add(made(0, "busy.example"))
    due = await deliveries.due(1_002, since=0, without=["busy.example"], limit=10)
    assert [item.task_id for item in due] == ["t1", "t2"]
    assert [item.task_id for item in await deliveries.due(1_002, since=0, without=[], limit=2)] == ["t0", "t1"]
    assert [item.task_id for item in await deliveries.due(1_003, since=1_002, without=[], limit=9)] == ["t2", "t3"]
    assert [item.task_id for item in await deliveries.due_at("a.example", 1_003, limit=2)] == ["t1", "t2"]
    assert await deliveries.next_due(1_001) == 1_002
    assert await deliveries.next_due(1_003) is None


async def test_only_what_has_not_changed_is_removed(deliveries: DeliveryRepository) -> None:
    for number in (1, 2):
        await deliveries.add(made(number))
    assert await deliveries.save(made(2).claimed("o", until=9))
    await deliveries.remove([made(1), made(2)])
    assert [item.task_id for item in (await deliveries.find(DeliveryQuery(), ListWindow(10))).items] == ["t2"]


async def test_lists_are_filtered_and_paged_newest_first(deliveries: DeliveryRepository) -> None:
    for number in range(5):
        await deliveries.add(made(number))
    await deliveries.add(made(7, tenant="acme2"))
    assert await deliveries.save(made(4).claimed("o", until=9))

    async def listed(wanted: DeliveryQuery, limit: int = 10, skip: int = 0) -> list[str]:
        return [item.task_id for item in (await deliveries.find(wanted, ListWindow(limit, skip))).items]

    assert await listed(DeliveryQuery("acme")) == ["t4", "t3", "t2", "t1", "t0"]
    assert await listed(DeliveryQuery("acme"), limit=2, skip=1) == ["t3", "t2"]
    assert set(await listed(DeliveryQuery())) == {"t0", "t1", "t2", "t3", "t4", "t7"}
    assert await listed(DeliveryQuery("acme", state=DeliveryState.SENDING)) == ["t4"]
    assert await listed(DeliveryQuery("acme", task_id="t2")) == ["t2"]
    assert await listed(DeliveryQuery("acme", url="https://a.example/")) == []


async def test_whoever_asks_first_everybody_gets_the_same_secret(parts: Parts) -> None:
    _, _, secrets = parts
    found = await asyncio.gather(*(secrets.get("acme") for _ in range(10)))
    assert len({pair.current for pair in found}) == 1
    rotations = [found[0].rotated(5, overlap=10) for _ in range(5)]
    won = await asyncio.gather(*(secrets.save(pair) for pair in rotations))
    assert won.count(True) == 1
    assert await secrets.get("acme") == rotations[won.index(True)]
    assert (await secrets.get("rival")).current != found[0].current


async def test_the_first_reason_an_address_is_disabled_for_stands(parts: Parts) -> None:
    _, endpoints, _ = parts
    first, second = (Endpoint("e", "acme", "https://a.example/", number, f"reason {number}") for number in (1, 2))
    await endpoints.add(first)
    await endpoints.add(second)
    assert await endpoints.get("e") == first
    assert [await endpoints.remove("e"), await endpoints.remove("e"), await endpoints.get("e")] == [True, False, None]
