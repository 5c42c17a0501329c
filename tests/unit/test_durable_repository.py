"""What the kit's repository makes of a store that fails in the middle: a lost answer is no lost write."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from pymongo.errors import AutoReconnect, BulkWriteError, OperationFailure

from services.common.errors import OutOfSpace, Unavailable
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


async def _at_once(_: float) -> None:
    await turns()
