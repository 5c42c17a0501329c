"""Runs and how long their holders' word for them holds, by a clock that the test turns."""

from __future__ import annotations

import math

import pytest

from services.durable.leases import LeaseTable

LEASE, CLAIM = 30.0, 5.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    turned = Clock()
    monkeypatch.setattr("services.durable.leases.time", turned)
    return turned


@pytest.fixture
def table(clock: Clock) -> LeaseTable:
    return LeaseTable(LEASE, CLAIM)


def begun(table: LeaseTable, name: str = "t", fence: int = 1, holder: str | None = "w") -> bool:
    return table.begin(name, fence, "acme", holder, version=7)


def late(table: LeaseTable, now: float) -> list[str]:
    return [lease.id for lease in table.late(now)]


def reminded(table: LeaseTable, now: float) -> list[str]:
    return [lease.id for lease in table.to_remind(now)]


def counts(table: LeaseTable) -> tuple[int, int, int]:
    """Of all, of the tenant, of the worker."""
    return len(table), table.running("acme"), table.held("w")


def test_a_run_is_late_when_its_lease_is_over_and_not_before(table: LeaseTable, clock: Clock) -> None:
    assert begun(table)
    assert late(table, clock.now + LEASE - 0.001) == []
    assert late(table, clock.now + LEASE) == ["t"]


def test_whoever_confirms_it_has_the_whole_lease_again(table: LeaseTable, clock: Clock) -> None:
    begun(table)
    clock.now += 20
    assert table.renew("t", 1, 42.0)
    assert late(table, clock.now + LEASE - 0.001) == [] and late(table, clock.now + LEASE) == ["t"]
    lease = table.get("t")
    assert lease is not None and lease.progress == 42.0
    assert table.renew("t", 1) and lease.progress == 0.0


def test_nobody_confirms_another_run(table: LeaseTable, clock: Clock) -> None:
    begun(table, fence=2)
    clock.now += 20
    assert not table.renew("t", 1) and not table.renew("t", 3) and not table.renew("other", 2)
    assert late(table, clock.now + LEASE - 20) == ["t"]
    table.reserve("kept", 1, "acme", "w")
    assert not table.renew("kept", 1)


def test_an_unconfirmed_run_is_reminded_of_after_the_claim_s_time_again_and_again(
    table: LeaseTable, clock: Clock
) -> None:
    begun(table)
    assert table.unconfirmed("t", 1) and not table.unconfirmed("t", 2) and not table.unconfirmed("other", 1)
    due = clock.now + CLAIM
    assert reminded(table, due - 0.001) == []
    assert reminded(table, due) == ["t"]
    assert reminded(table, due + CLAIM - 0.001) == []
    assert reminded(table, due + CLAIM) == ["t"]


def test_a_confirmed_run_is_reminded_of_no_more(table: LeaseTable, clock: Clock) -> None:
    begun(table)
    table.renew("t", 1)
    assert not table.unconfirmed("t", 1)
    assert reminded(table, clock.now + 1e9) == []


def test_the_silence_of_this_process_counts_against_nobody(table: LeaseTable, clock: Clock) -> None:
    begun(table)
    table.extend_deadlines(10)
    assert late(table, clock.now + LEASE + 9.999) == [] and late(table, clock.now + LEASE + 10) == ["t"]
    assert reminded(table, clock.now + CLAIM + 9.999) == [] and reminded(table, clock.now + CLAIM + 10) == ["t"]


def test_a_run_is_counted_for_its_tenant_and_its_worker_until_it_is_dropped(table: LeaseTable) -> None:
    begun(table, "a")
    begun(table, "b", holder=None)
    assert counts(table) == (2, 2, 1)
    assert table.by_group == {"acme": 2}
    dropped = table.drop("a")
    assert dropped is not None and dropped.id == "a" and dropped.version == 7 and dropped.written
    assert table.drop("a") is None
    table.drop("b")
    assert counts(table) == (0, 0, 0) and table.by_group == {}


def test_the_same_run_begins_once_and_its_successor_takes_its_place(table: LeaseTable) -> None:
    assert begun(table, fence=1)
    assert not begun(table, fence=1)
    assert begun(table, fence=2)
    assert counts(table) == (1, 1, 1)
    lease = table.get("t")
    assert lease is not None and (lease.fence, lease.group, lease.holder) == (2, "acme", "w")


def test_a_place_is_kept_once_and_becomes_the_run(table: LeaseTable, clock: Clock) -> None:
    place = table.reserve("t", 1, "acme", "w", until=clock.now + 3)
    assert place is not None and not place.written and not place.unconfirmed
    assert (place.progress, place.version) == (0.0, 0)
    assert table.reserve("t", 2, "acme", "w") is None
    assert counts(table) == (1, 1, 1)
    assert late(table, clock.now + 2.999) == [] and late(table, clock.now + 3) == ["t"]
    assert begun(table)
    assert counts(table) == (1, 1, 1)
    assert late(table, clock.now + 3) == []


def test_a_place_without_an_end_is_never_late(table: LeaseTable) -> None:
    place = table.reserve("t", 1, "acme", "w")
    assert place is not None and place.until == math.inf
    assert late(table, 1e18) == []


def test_a_run_that_is_over_frees_its_worker_and_still_counts_for_its_tenant(table: LeaseTable) -> None:
    begun(table)
    table.vacate("t", 2)
    table.vacate("other", 1)
    assert counts(table) == (1, 1, 1)
    table.vacate("t", 1)
    assert counts(table) == (1, 1, 0)
    lease = table.get("t")
    assert lease is not None and lease.holder is None
    table.drop("t")
    assert counts(table) == (0, 0, 0)
    assert not table._held  # nothing stays of what is not there any more


def test_all_that_run_are_told(table: LeaseTable) -> None:
    for name in ("a", "b"):
        begun(table, name)
    assert [lease.id for lease in table] == ["a", "b"]
    assert table.get("nobody") is None
