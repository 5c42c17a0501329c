"""A queue in which tenants take turns, and none can fill it for the others."""

from __future__ import annotations

from services.durable.fair_queue import FairQueue


def filled(*items: str, share: int = 4) -> FairQueue[str]:
    """Each item begins with its tenant's letter."""
    queue: FairQueue[str] = FairQueue(share)
    for item in items:
        queue.put(item[0], item)
    return queue


def test_tenants_take_turns_and_each_keeps_its_order() -> None:
    queue = filled("a1", "a2", "a3", "b1", "c1", "b2")
    assert len(queue) == 6
    assert [queue.take() for _ in range(7)] == ["a1", "b1", "c1", "a2", "b2", "a3", None]
    assert len(queue) == 0


def test_who_is_passed_over_keeps_its_turn() -> None:
    queue = filled("a1", "b1", "a2")
    assert queue.take({"a"}) == "b1"
    assert queue.take({"a"}) is None and len(queue) == 2
    assert [queue.take(), queue.take()] == ["a1", "a2"]


def test_alone_a_tenant_has_its_share_and_there_is_always_room_for_the_next() -> None:
    queue = filled(share=4)
    taken = 0
    while queue.has_room("a"):
        queue.put("a", "a")
        taken += 1
    assert taken == len(queue) == 4
    for tenant in "bcd":
        assert queue.has_room(tenant)
        queue.put(tenant, tenant)
    assert not queue.has_room("a") and queue.has_room("e")


def test_it_is_contended_once_another_tenant_has_come() -> None:
    assert not filled("a1", "a2").contended
    assert filled("a1", "b1").contended
