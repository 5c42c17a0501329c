"""Hosts take turns, and nothing that does not fit is forgotten."""

from __future__ import annotations

from collections.abc import Callable

from services.webhooks.domain import Delivery, WebhookNotice, new_delivery
from services.webhooks.ready_queue import ReadyQueue


def made(number: int, host: str) -> Delivery:
    return new_delivery(WebhookNotice("acme", f"t{number}", f"t{number}.2", "x", f"https://{host}/", "{}"), number)


def taken(ready: ReadyQueue, has_room: Callable[[str], bool] = lambda _: True) -> list[str]:
    found = []
    while (delivery := ready.take(has_room)) is not None:
        found.append(f"{delivery.host}{delivery.created_at}")
    return found


def test_hosts_take_turns_each_in_its_own_order() -> None:
    ready = ReadyQueue()
    for number, host in enumerate("aaabc"):
        ready.offer(made(number, host))
    assert taken(ready) == ["a0", "b3", "c4", "a1", "a2"]


def test_a_host_without_room_is_passed_over() -> None:
    ready = ReadyQueue()
    for number, host in enumerate("aab"):
        ready.offer(made(number, host))
    assert taken(ready, lambda host: host != "a") == ["b2"]
    assert taken(ready) == ["a0", "a1"]


def test_what_does_not_fit_is_known_to_be_in_the_store() -> None:
    ready = ReadyQueue(depth=2, most=3)
    for number, host in enumerate("aaab"):
        ready.offer(made(number, host))
    ready.offer(made(9, "c"))
    assert ready.cut == {"a", "c"} and ready.starving == ["c"]
    assert taken(ready) == ["a0", "b3", "a1"]
    assert set(ready.starving) == {"a", "c"}
    ready.whole("a")
    assert ready.starving == ["c"]


def test_a_later_version_takes_the_place_of_the_one_that_waits() -> None:
    ready = ReadyQueue()
    ready.offer(made(1, "a"))
    ready.offer(made(1, "a").replayed(7))
    first, second = ready.take(lambda _: True), ready.take(lambda _: True)
    assert first is not None and first.version == 2
    assert second is None
