"""Lists while their items come and go: nothing comes twice, nothing that stays is left out, and the end is told."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit
from uuid import uuid4

import grpc
import httpx2
import pytest
from compute.tasks.v1 import tasks_pb2 as pb
from PIL import Image

from services.common.errors import InvalidRequest
from services.common.paging import Listable, ListPage, ListPosition, ListWindow, read_window
from services.durable.store import Database, open_database
from services.durable.write_log import WriteLog
from services.tasks.domain import Task
from services.tasks.ports import TaskQuery
from services.tasks.repository import MongoTaskRepository, to_document
from services.webhooks import ports as webhook_ports
from services.webhooks.domain import Delivery
from services.webhooks.repository import COLLECTION, MongoDeliveryRepository
from services.webhooks.repository import to_document as delivery_document
from tests.fakes.task_repository import MemoryTaskRepository
from tests.integration.gateway_host import IMAGES, TASKS, Stack, stack
from tests.integration.tasks_host import hosting

DELIVERIES = "/api/v1/webhooks/deliveries"


def task(number: int, at: int, kind: str = "GENERATION", tenant: str = "acme") -> Task:
    made = Task(f"t{number}", tenant, kind, "q", "{}", priority=0, created_at=at, updated_at=at)
    return made.created()


class TasksInMemory:
    def __init__(self) -> None:
        self._tasks = MemoryTaskRepository()

    async def add(self, number: int, at: int) -> None:
        await self._tasks.add(task(number, at))

    async def remove(self, number: int) -> None:
        self._tasks.stored.pop(f"t{number}", None)

    async def find(self, window: ListWindow) -> ListPage[Any]:
        return await self._tasks.find(TaskQuery("acme"), window)


class TasksInStore:
    def __init__(self, database: Database) -> None:
        self._documents = database["tasks"]
        self._tasks = MongoTaskRepository(database, WriteLog(), lambda _: None)

    async def add(self, number: int, at: int) -> None:
        await self._documents.insert_one(to_document(task(number, at)))

    async def remove(self, number: int) -> None:
        await self._documents.delete_one({"_id": f"t{number}"})

    async def find(self, window: ListWindow) -> ListPage[Any]:
        return await self._tasks.find(TaskQuery("acme"), window)


class DeliveriesInStore:
    def __init__(self, database: Database) -> None:
        self._documents = database[COLLECTION]
        self._deliveries = MongoDeliveryRepository(database)

    async def add(self, number: int, at: int) -> None:
        made = Delivery(f"t{number}", "acme", "t", "e", "x", "https://a.example/", "{}", created_at=at, due=at)
        await self._documents.insert_one(delivery_document(made))

    async def remove(self, number: int) -> None:
        await self._documents.delete_one({"_id": f"t{number}"})

    async def find(self, window: ListWindow) -> ListPage[Any]:
        return await self._deliveries.find(webhook_ports.DeliveryQuery("acme"), window)


Shelf = TasksInMemory | TasksInStore | DeliveriesInStore


@pytest.fixture(params=["tasks in memory", "tasks in the store", "deliveries in the store"])
async def shelf(request: pytest.FixtureRequest) -> AsyncIterator[Shelf]:
    if request.param == "tasks in memory":
        yield TasksInMemory()
        return
    async with open_database(request.getfixturevalue("mongodb_url"), f"lists_{uuid4().hex[:12]}") as database:
        yield TasksInStore(database) if request.param == "tasks in the store" else DeliveriesInStore(database)


async def walk(find: Callable[[ListWindow], Any], limit: int, between: Callable[[], Any]) -> list[str]:
    """Every page to the end, with `between` two of them; a token is all that is carried over."""
    seen: list[str] = []
    behind: ListPosition | None = None
    while True:
        found: ListPage[Listable] = await find(ListWindow(limit, behind=behind))
        seen += [item.id for item in found.items]
        if found.behind is None:
            return seen
        assert len(found.items) == limit
        wanted = pb.ListTasksRequest(page_token=found.behind.token())
        behind = read_window(wanted, "acme/").behind
        await between()


@pytest.mark.parametrize("seed", range(6))
async def test_what_stays_comes_once_however_many_come_and_go(shelf: Shelf, seed: int) -> None:
    """Among them several of the very same moment, more than a page of them too."""
    chance = Random(seed)
    moments = {number: chance.randint(1, 12) for number in range(60)}
    await asyncio.gather(*(shelf.add(number, at) for number, at in moments.items()))
    leaving = set(chance.sample(range(60), 20))
    going, coming = chance.sample(sorted(leaving), 20), iter(range(100, 10_000))

    async def change() -> None:
        for number in [going.pop() for _ in range(min(2, len(going)))]:
            await shelf.remove(number)
        await shelf.add(next(coming), chance.randint(1, 20))

    seen = await walk(shelf.find, chance.choice((1, 2, 3, 7)), change)
    stayed = {f"t{number}" for number in set(range(60)) - leaving}
    assert len(seen) == len(set(seen)) and stayed <= set(seen)


async def test_the_end_of_a_list_is_told_with_its_last_page(shelf: Shelf) -> None:
    for number in range(4):
        await shelf.add(number, 5)
    first = await shelf.find(ListWindow(2))
    assert first.behind is not None
    assert (await shelf.find(ListWindow(2, behind=first.behind))).behind is None
    assert (await shelf.find(ListWindow(4))).behind is None
    assert (await shelf.find(ListWindow(100))).behind is None


@pytest.mark.parametrize(
    "token", ["x", "===", "WyJhIl0", ListPosition("rival/00000000000000000001", ()).token(), "W10", "MQ", "a" * 9_000]
)
def test_a_token_of_another_list_is_refused(token: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_window(pb.ListTasksRequest(page_token=token), "acme/")
    assert caught.value.reason == "PAGE_TOKEN_INVALID"


def test_everything_that_is_wrong_with_a_window_is_told() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_window(pb.ListTasksRequest(limit=0, skip=-1, page_token="x"), "acme/")  # of a list
    assert [item.field for item in caught.value.violations] == ["limit", "skip", "skip", "page_token"]


async def test_internal_types_are_left_out_in_the_store(mongodb_url: str) -> None:
    async with open_database(mongodb_url, f"lists_{uuid4().hex[:12]}") as database:
        tasks = MongoTaskRepository(database, WriteLog(), lambda _: None)
        for number in range(30):
            made = task(number, number + 1, "GENERATION" if number % 10 == 0 else "DIAGNOSTIC")
            await database["tasks"].insert_one(to_document(made))
        public = TaskQuery("acme", without_types=("DIAGNOSTIC",))
        found = await tasks.find(public, ListWindow(2))
        assert [item.id for item in found.items] == ["t20", "t10"] and found.behind is not None
        rest = await tasks.find(public, ListWindow(2, behind=found.behind))
        assert [item.id for item in rest.items] == ["t0"] and rest.behind is None
        assert (await tasks.find(replace(public, task_type="DIAGNOSTIC"), ListWindow(9))).items == []
        assert len((await tasks.find(TaskQuery("acme"), ListWindow(99))).items) == 30


@pytest.fixture
async def api(mongodb_url: str, nats_url: str, tmp_path: Path) -> AsyncIterator[Stack]:
    async with stack(mongodb_url, nats_url, tmp_path) as made:
        yield made


async def followed(http: httpx2.AsyncClient, path: str, between: Callable[[], Any], **query: Any) -> list[Any]:
    """What all pages answer, from link to link as any client follows them."""
    answers: list[Any] = []
    answer = await http.get(path, params=query)
    while True:
        assert answer.status_code == 200, answer.text
        answers.append(answer.json())
        if "next" not in answer.links:
            return answers
        await between()
        answer = await http.get(answer.links["next"]["url"])


async def nothing() -> None:
    return None


async def test_links_lead_through_tasks_that_come_and_go(api: Stack) -> None:
    ids = [(await api.create(origin_zone="eu & us"))["id"] for _ in range(9)]
    await api.create(origin_zone="elsewhere")
    gone = iter([ids[0], ids[4]])

    async def change() -> None:
        await api.create(origin_zone="eu & us")
        if (name := next(gone, None)) is not None:
            await api.http.post(f"{TASKS}{name}/cancel")
            await api.http.delete(f"{TASKS}{name}")

    pages = await followed(api.http, TASKS, change, limit=2, origin_zone="eu & us")
    seen = [item["id"] for page in pages for item in page]
    assert len(seen) == len(set(seen)) and set(ids) - {ids[0], ids[4]} <= set(seen) <= set(ids)


@pytest.mark.field("empty-pages")
async def test_no_page_before_the_end_is_empty_for_a_tenant_with_diagnostic_tasks(api: Stack) -> None:
    admin = {"authorization": f"Bearer {await api.key('acme', 'tasks', 'admin')}"}
    for number in range(12):
        if number % 6 == 0:
            await api.create()
        body = {"task_type": "DIAGNOSTIC", "origin_instance": "test"}
        assert (await api.http.post(TASKS, json=body, headers=admin)).status_code == 200
    pages = await followed(api.http, TASKS, nothing, limit=1)
    assert [[item["task_type"] for item in page] for page in pages] == [["GENERATION"], ["GENERATION"]]
    counted = await api.http.get(TASKS, params={"skip": 1, "limit": 1})
    assert [item["task_type"] for item in counted.json()] == ["GENERATION"]
    everything = await api.http.get(TASKS, headers=admin)
    assert len(everything.json()) == 14 and "link" not in everything.headers


async def test_a_list_of_large_tasks_is_whole_over_rest(api: Stack) -> None:
    wide = {"a": "ü" * 30_000}
    for _ in range(40):
        await api.create(config=wide)
    [page] = await followed(api.http, TASKS, nothing, limit=1000)
    assert len(page) == 40
    assert [len(page) for page in await followed(api.http, TASKS, nothing, limit=39)] == [39, 1]


@pytest.mark.field("cursor-of-another-filter")
@pytest.mark.parametrize("path", [TASKS, f"{TASKS}generation", DELIVERIES])
async def test_a_cursor_that_is_none_is_refused_by_name(api: Stack, path: str) -> None:
    answer = await api.http.get(path, params={"cursor": "x"})
    assert (answer.status_code, answer.json()["reason"]) == (400, "PAGE_TOKEN_INVALID")
    assert [item["field"] for item in answer.json()["violations"]] == ["cursor"]
    assert answer.json()["detail"].startswith("cursor ") and "page_token" not in answer.text
    [first] = (await api.http.get(path, params={"cursor": "x", "skip": 1})).json()["detail"]
    assert "give cursor or skip" in first["msg"]


@pytest.mark.field("cursor-of-another-filter")
async def test_a_cursor_is_of_the_list_that_it_was_made_for(api: Stack) -> None:
    for _ in range(3):
        await api.create(origin_zone="a")
    first = await api.http.get(TASKS, params={"origin_zone": "a", "limit": 1})
    cursor = parse_qs(urlsplit(first.links["next"]["url"]).query)["cursor"][0]
    for query in ({"origin_zone": "b"}, {}, {"origin_zone": "a", "status": "PENDING"}, {"origin_instance": "a"}):
        answer = await api.http.get(TASKS, params={**query, "cursor": cursor})
        assert (answer.status_code, answer.json()["reason"]) == (400, "PAGE_TOKEN_INVALID"), query
    same = await api.http.get(TASKS, params={"limit": 2, "cursor": cursor, "origin_zone": "a"})
    assert (same.status_code, len(same.json())) == (200, 2)


@pytest.mark.field("parameter-twice")
@pytest.mark.parametrize(
    ("path", "name"),
    [
        *((TASKS, name) for name in ("status", "origin_zone", "limit", "skip", "cursor")),
        (f"{TASKS}generation", "workflow_id"),
        (DELIVERIES, "state"),
        (IMAGES, "prefix"),
        (f"{TASKS}events?id=x", "previews"),
        (f"{TASKS}00000000-0000-4000-8000-000000000000/events", "previews"),
    ],
)
async def test_a_parameter_that_has_one_value_is_given_once(api: Stack, path: str, name: str) -> None:
    values = {"status": ("COMPLETED", "FAILED"), "state": ("DEAD", "PENDING"), "previews": ("true", "false")}
    one, other = values.get(name, ("1", "2"))
    answer = await api.http.get(f"{path}{'&' if '?' in path else '?'}{name}={one}&{name}={other}")
    assert answer.status_code == 422, answer.text
    assert [item["loc"] for item in answer.json()["detail"]] == [["query", name]]


async def test_links_lead_through_images_whatever_their_names(api: Stack) -> None:
    content = io.BytesIO()
    Image.new("RGB", (1, 1)).save(content, "PNG")
    names = [f"uploads/größe & 100% {number}.png" for number in range(5)]
    for name in names:
        answer = await api.http.post(f"{IMAGES}/{quote(name)}", files={"file": content.getvalue()})
        assert answer.status_code == 200, answer.text
    pages = await followed(api.http, IMAGES, nothing, limit=2, prefix="uploads/größe & 100%")
    assert [item["path"] for page in pages for item in page["images"]] == names


async def test_a_client_of_grpc_is_told_that_there_is_more(mongodb_url: str, nats_url: str) -> None:
    async with hosting(mongodb_url, nats_url, f"t{uuid4().hex[:12]}") as host:
        made = [await host.create() for _ in range(3)]
        first = await host.tasks.ListTasks(pb.ListTasksRequest(limit=2), timeout=10, metadata=host.metadata)
        rest = pb.ListTasksRequest(limit=2, page_token=first.next_page_token)
        last = await host.tasks.ListTasks(rest, timeout=10, metadata=host.metadata)
        assert [item.id for item in (*first.tasks, *last.tasks)] == [item.id for item in reversed(made)]
        assert first.next_page_token and not last.next_page_token
        rest.skip = 1
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await host.tasks.ListTasks(rest, timeout=10, metadata=host.metadata)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
