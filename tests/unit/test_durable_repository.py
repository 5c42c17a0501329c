"""What the kit's repository makes of a store that fails in the middle: a lost answer is no lost write."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from pymongo.errors import AutoReconnect, BulkWriteError, OperationFailure

from services.common.errors import NotFound, OutOfSpace, Overloaded, Unavailable
from services.common.paging import ListWindow
from services.durable import metrics
from services.durable.relay import OutboxRelay
from services.durable.repository import GroupRepository
from tests.fakes.mongo import Collection, Document, Life, Store
from tests.fakes.parcels import CODEC, Parcel, news_of
from tests.waiting import turns

NAMES = {1: ["p1"], 3: ["p1", "p2", "p3"]}


class Flaky(Collection):
    """Applies `applied` of what is written next, all if None, and then fails with `error`."""

    def __init__(self) -> None:
        super().__init__("parcels", Store(), Life())
        self.error: Exception | None = None
        self.applied: int | None = None
        self.away = 0

    def fail(self, error: Exception, applied: int | None = None) -> None:
        self.error, self.applied = error, applied

    async def insert_one(self, document: Document) -> None:
        if self._part([document]):
            await super().insert_one(document)
        self._fail()

    async def insert_many(self, documents: Sequence[Document], *, ordered: bool) -> None:
        try:
            await super().insert_many(self._part(documents), ordered=ordered)
        finally:
            self._fail()

    async def replace_one(self, query: Document, document: Document, *, upsert: bool = False) -> Any:
        found = await super().replace_one(query, document) if self._part([document]) else None
        self._fail()
        return found

    async def bulk_write(self, operations: Sequence[Any], *, ordered: bool) -> Any:
        found = await super().bulk_write(self._part(operations), ordered=ordered)
        self._fail()
        return found

    def find(self, query: Document, fields: Any = None) -> Any:
        if self.away:
            self.away -= 1
            raise OperationFailure("not now")
        return super().find(query, fields)

    def _part(self, items: Sequence[Any]) -> Sequence[Any]:
        return items if self.error is None else items[: self.applied]

    def _fail(self) -> None:
        error, self.error = self.error, None
        if error is not None:
            raise error


class Place:
    def __init__(self, store: Flaky | None = None) -> None:
        self.store = store or Flaky()
        self.relay: OutboxRelay[Parcel] = OutboxRelay(None, None, news_of)  # type: ignore[arg-type]  # nothing is published
        self.written: list[tuple[str, int]] = []
        collection: Any = self.store
        self.parcels = GroupRepository(
            collection, CODEC, self.relay, self._note, remembered=10, remembered_bytes=100_000
        )

    def _note(self, parcel: Parcel) -> None:
        self.written.append((parcel.id, parcel.version))

    async def packed(self, count: int) -> list[Parcel]:
        added = await asyncio.gather(*(self.parcels.add(Parcel(name, "acme")) for name in NAMES[count]))
        self.written.clear()
        return [one.stored for one in added]


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.mark.parametrize("count", NAMES)
async def test_what_was_added_and_not_answered_is_found_to_be_ones_own(place: Place, count: int) -> None:
    place.store.fail(AutoReconnect("the answer was lost"))
    added = await asyncio.gather(*(place.parcels.add(Parcel(name, "acme")) for name in NAMES[count]))
    assert [one.existing for one in added] == [False] * count
    assert place.written == [(name, 1) for name in NAMES[count]] and place.relay.waiting == count


@pytest.mark.parametrize("count", NAMES)
@pytest.mark.parametrize("applied", [0, 1, None])
async def test_what_was_saved_and_not_answered_stands(place: Place, count: int, applied: int | None) -> None:
    parcels = await place.packed(count)
    place.store.fail(AutoReconnect("the answer was lost"), applied)
    assert await asyncio.gather(*(place.parcels.save(one.taken("c1")) for one in parcels)) == [True] * count
    assert sorted(place.written) == [(name, 2) for name in NAMES[count]]


@pytest.mark.parametrize("applied", [0, 1, 2, 3])
@pytest.mark.parametrize("away", [0, 2])
async def test_what_stood_when_the_store_failed_for_good_is_told_and_the_rest_is_not(
    place: Place, monkeypatch: pytest.MonkeyPatch, applied: int, away: int
) -> None:
    """Its callers are told that it failed; whether it stands is read when the store answers again."""
    monkeypatch.setattr("services.durable.repository.asyncio.sleep", _at_once)
    parcels = await place.packed(3)
    place.store.fail(OperationFailure("disk is full"), applied)
    place.store.away = away
    answers = await asyncio.gather(*(place.parcels.save(one.taken("c1")) for one in parcels), return_exceptions=True)
    assert [type(answer) for answer in answers] == [OutOfSpace] * 3
    await place.parcels.settled()
    assert place.written == [(name, 2) for name in NAMES[3][:applied]]
    assert place.relay.through + 1 == 1 and place.relay.waiting == 3 + applied
    for name in NAMES[3]:
        assert (await place.parcels.get(name)).version == (2 if name in NAMES[3][:applied] else 1)


async def test_of_a_group_one_that_exists_and_one_that_is_refused_leave_the_third_alone(place: Place) -> None:
    await place.packed(1)
    place.store.fail(BulkWriteError({"writeErrors": [{"index": 0, "code": 11000}, {"index": 1, "code": 121}]}), None)
    asked = [
        place.parcels.add(Parcel(name, "rival", state=state))
        for name, state in (("p1", "LOST"), ("p8", "BAD"), ("p9", "PACKED"))
    ]
    existing, refused, added = await asyncio.gather(*asked, return_exceptions=True)
    assert not isinstance(existing, BaseException) and existing.existing and existing.stored.tenant == "acme"
    assert isinstance(refused, Unavailable) and refused.reason == "STORE_REFUSED"
    assert not isinstance(added, BaseException) and not added.existing
    assert place.written == [("p9", 1)]


async def test_who_loses_a_race_is_told_and_forgets_what_it_knew(place: Place) -> None:
    [parcel] = await place.packed(1)
    won = await asyncio.gather(place.parcels.save(parcel.taken("c1")), place.parcels.save(parcel.taken("c2")))
    assert sorted(won) == [False, True] and len(place.written) == 1
    assert (await place.parcels.get("p1")).courier == ("c1" if won[0] else "c2")


async def test_who_loses_to_another_process_sees_what_that_one_wrote(place: Place) -> None:
    [parcel] = await place.packed(1)
    other = Place(place.store)
    assert await other.parcels.save(parcel.taken("c2"))
    assert (await place.parcels.get("p1")).version == 1  # as it was remembered
    assert not await place.parcels.save(parcel.taken("c1"))
    assert (await place.parcels.get("p1")).courier == "c2"


async def test_whoever_asks_for_many_afresh_sees_what_another_process_wrote_and_else_what_is_remembered(
    place: Place,
) -> None:
    for parcel in await place.packed(3):
        assert await Place(place.store).parcels.save(parcel.taken("c2"))
    ids = [*NAMES[3], "nobody"]
    assert {name: one.version for name, one in (await place.parcels.get_many(ids)).items()} == dict.fromkeys(
        NAMES[3], 1
    )
    fresh = await place.parcels.get_many(ids, fresh=True)
    assert {name: one.courier for name, one in fresh.items()} == dict.fromkeys(NAMES[3], "c2")
    assert (await place.parcels.get("p1")).version == 2, "what is newer is remembered from then on"


async def test_one_of_a_group_that_is_there_already_keeps_no_neighbour_out(place: Place) -> None:
    await place.packed(1)
    added = await asyncio.gather(*(place.parcels.add(Parcel(name, "acme")) for name in NAMES[3]))
    assert [one.existing for one in added] == [True, False, False]
    assert set(place.store._documents) == set(NAMES[3])


async def test_what_another_process_made_first_leaves_nothing_to_publish(place: Place) -> None:
    await place.packed(1)
    other = Place(place.store)
    assert (await other.parcels.add(Parcel("p1", "acme"))).existing
    assert other.relay.settled and other.written == []


async def test_what_is_forgotten_is_what_the_store_holds_a_later_version_of(place: Place) -> None:
    [parcel] = await place.packed(1)
    assert await place.parcels.save(parcel.taken("c1"))
    assert place.parcels.forget("p1", 2)
    known = place.parcels.known("p1")
    assert known is not None and known.version == 2
    assert not place.parcels.forget("p1", 1), "a later one was written here since"
    assert place.parcels.known("p1") is known
    assert place.parcels.forget("p1", 3) and place.parcels.known("p1") is None
    assert place.parcels.forget("nobody", 1)


async def test_whoever_reads_afresh_remembers_nothing_older(place: Place) -> None:
    [parcel] = await place.packed(1)
    assert await Place(place.store).parcels.save(parcel.taken("c2"))
    assert (await place.parcels.get_fresh("p1")).version == 2
    assert place.parcels.known("p1") is None
    with pytest.raises(NotFound):
        await place.parcels.get_fresh("nobody")


async def test_a_drained_repository_has_written_all_that_was_asked_of_it(place: Place) -> None:
    [parcel] = await place.packed(1)
    place.parcels.add(Parcel("p2", "acme"))
    await place.parcels.drain()
    assert place.written == [("p2", 1)]
    place.parcels.save(parcel.taken("c1"))
    await place.parcels.drain()
    assert place.written == [("p2", 1), ("p1", 2)]


async def test_more_creates_than_may_wait_are_refused_before_anything_is_done(place: Place) -> None:
    collection: Any = place.store
    narrow = GroupRepository(collection, CODEC, place.relay, waiting_creates=2)
    waiting = [narrow.add(Parcel(f"p{number}", "acme")) for number in range(2)]
    with pytest.raises(Overloaded):
        narrow.check_room("acme")
    with pytest.raises(Overloaded):
        narrow.add(Parcel("p9", "acme"))
    await asyncio.gather(*waiting)
    narrow.check_room("acme")


async def test_a_page_shows_what_can_be_read_and_where_it_goes_on(place: Place) -> None:
    for name in NAMES[3]:
        listed = {"_id": name, "listing": f"acme/{name}", **CODEC.write(Parcel(name, "acme"))}
        place.store._documents[name] = listed
    del place.store._documents["p2"]["state"]
    page = await place.parcels.page({"listing": {"$gte": "acme/", "$lt": "acme/~"}}, ListWindow(2))
    assert [parcel.id for parcel in page.items] == ["p3"]
    assert page.behind is not None
    rest = await place.parcels.page(
        {"listing": {"$gte": "acme/", "$lte": page.behind.listing}}, ListWindow(2, 0, page.behind)
    )
    assert [parcel.id for parcel in rest.items] == ["p1"]


async def test_what_a_relay_wrote_is_found_in_its_order_from_a_number_on(place: Place) -> None:
    await place.packed(3)
    owner = place.relay.owner
    found = await place.parcels.written_after(owner, 1, limit=10)
    assert [(number, parcel.id) for number, parcel in found] == [(2, "p2"), (3, "p3")]
    assert [number for number, _ in await place.parcels.written_after(owner, 0, limit=2)] == [1, 2]
    assert await place.parcels.written_after("other", 0, limit=2) == []
    assert await place.parcels.last_write("p3") == (owner, 3)
    assert await place.parcels.last_write("nobody") is None


async def test_an_index_is_made_of_each_name(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    made = list[Any]()

    async def create_index(keys: Any) -> None:
        made.append(keys)

    monkeypatch.setattr(place.store, "create_index", create_index)
    await place.parcels.index("relay", "state")
    assert made == [[("relay", 1)], [("state", 1)]]


async def test_writes_are_counted_by_the_kind_of_what_is_written(place: Place) -> None:
    collection: Any = place.store
    crates = GroupRepository(collection, replace(CODEC, kind="crate"), place.relay)
    await asyncio.gather(*(crates.add(Parcel(name, "acme")) for name in ("p1", "p2", "p1")))
    parcel = await crates.get("p1")
    saved = await asyncio.gather(*(crates.save(parcel.taken(name)) for name in ("c1", "c2")))
    assert saved == [True, False]
    assert [metrics.WRITES.value("crate", operation) for operation in ("create", "change")] == [2, 1]
    assert [metrics.GROUP_SIZE.count("crate", operation) for operation in ("create", "change")] == [1, 1]
    assert [metrics.GROUP_SECONDS.count("crate", operation) for operation in ("create", "change")] == [1, 1]


async def _at_once(_: float) -> None:
    await turns()
