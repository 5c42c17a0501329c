"""What may become of a delivery, and of the secrets that sign it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from services.common.errors import IllegalTransition
from services.webhooks.domain import (
    MAX_HISTORY,
    SECOND,
    Delivery,
    DeliveryAttempt,
    DeliveryState,
    SecretPair,
    WebhookNotice,
    endpoint_id,
    host_of,
    new_delivery,
)

THEN, NOW, LATER = 1_000 * SECOND, 2_000 * SECOND, 3_000 * SECOND
URL = "https://hooks.example.com/a"
NOTICE = WebhookNotice("acme", "t", "t.2", "atelier.task.completed.v1", URL, "{}", "application/json", traceparent="00")
NEW = new_delivery(NOTICE, THEN)
SENDING = NEW.claimed("one", until=NOW)
WELL, ILL = DeliveryAttempt(NOW, 0.1, 200), DeliveryAttempt(NOW, 0.1, 500, "answered 500")
PENDING, DELIVERED, SKIPPED, DEAD = (
    DeliveryState.PENDING,
    DeliveryState.DELIVERED,
    DeliveryState.SKIPPED,
    DeliveryState.DEAD,
)
ENDED: dict[DeliveryState, Delivery] = {
    PENDING: SENDING.failed(ILL, again=LATER),
    DELIVERED: SENDING.delivered(WELL, until=LATER),
    SKIPPED: SENDING.skipped("gone", ILL, until=LATER),
    DEAD: SENDING.given_up(ILL, until=LATER),
}


def test_a_new_delivery_says_all_that_its_notice_does_and_is_due_at_once() -> None:
    assert (NEW.state, NEW.version, NEW.attempts, NEW.due, NEW.created_at) == (PENDING, 1, 0, THEN, THEN)
    assert (NEW.tenant, NEW.task_id, NEW.event_id, NEW.event_type) == ("acme", "t", "t.2", "atelier.task.completed.v1")
    assert (NEW.url, NEW.body, NEW.content_type, NEW.traceparent) == (URL, "{}", "application/json", "00")


def test_each_attempt_is_counted_as_it_begins_and_belongs_to_whoever_claimed_it() -> None:
    assert (SENDING.state, SENDING.version, SENDING.attempts) == (DeliveryState.SENDING, 2, 1)
    assert (SENDING.owner, SENDING.due) == ("one", NOW)
    taken_over = SENDING.claimed("two", until=LATER)
    assert (taken_over.owner, taken_over.attempts, taken_over.version) == ("two", 2, 3)


@pytest.mark.parametrize("state", ENDED)
def test_an_attempt_that_ends_is_kept_and_nobody_owns_it_any_longer(state: DeliveryState) -> None:
    ended = ENDED[state]
    assert (ended.state, ended.version, ended.attempts) == (state, 3, 1)
    assert (ended.owner, ended.due) == (None, LATER)
    assert ended.history == (WELL if state is DELIVERED else ILL,)
    assert ended.reason == {DELIVERED: None, SKIPPED: "gone"}.get(state, "answered 500")


@pytest.mark.parametrize("state", ENDED)
def test_only_what_is_being_sent_can_end_in_an_answer(state: DeliveryState) -> None:
    ends: list[Callable[[Delivery], Delivery]] = [
        lambda one: one.delivered(WELL, until=LATER),
        lambda one: one.failed(ILL, again=LATER),
        lambda one: one.given_up(ILL, until=LATER),
    ]
    for end in ends:
        with pytest.raises(IllegalTransition) as refused:
            end(ENDED[state])
        assert refused.value.reason == "DELIVERY_STATE"


@pytest.mark.parametrize("state", [DELIVERED, SKIPPED, DEAD])
def test_nobody_sends_what_is_over(state: DeliveryState) -> None:
    assert state.over
    with pytest.raises(IllegalTransition):
        ENDED[state].claimed("one", until=LATER)


def test_what_arrived_is_not_skipped_afterwards() -> None:
    for state in (DELIVERED, SKIPPED):
        with pytest.raises(IllegalTransition):
            ENDED[state].skipped("gone", until=LATER)
    assert ENDED[DEAD].skipped("gone", until=NOW).history == (ILL,)


@pytest.mark.parametrize("state", [PENDING, DEAD])
def test_what_was_not_delivered_when_its_task_was_deleted_is_called_no_more(state: DeliveryState) -> None:
    orphaned = ENDED[state].orphaned(until=NOW)
    assert (orphaned.state, orphaned.due, orphaned.reason) == (SKIPPED, NOW, "the task was deleted")
    assert orphaned.task_deleted and orphaned.version == ENDED[state].version + 1
    with pytest.raises(IllegalTransition) as refused:
        orphaned.replayed(LATER)
    assert refused.value.reason == "TASK_DELETED"


@pytest.mark.parametrize("state", [DELIVERED, SKIPPED])
def test_what_was_over_when_its_task_was_deleted_stays_as_it_was(state: DeliveryState) -> None:
    ended = ENDED[state]
    assert ended.orphaned(until=NOW) == replace(ended, version=ended.version + 1, task_deleted=True)


def test_a_call_that_is_being_made_is_neither_orphaned_nor_replayed() -> None:
    with pytest.raises(IllegalTransition):
        SENDING.orphaned(until=NOW)
    with pytest.raises(IllegalTransition) as refused:
        SENDING.replayed(NOW)
    assert refused.value.reason == "DELIVERY_SENDING"


@pytest.mark.parametrize("state", ENDED)
def test_a_replay_begins_with_the_first_step_and_keeps_the_history(state: DeliveryState) -> None:
    replayed = ENDED[state].replayed(NOW)
    assert (replayed.state, replayed.due, replayed.attempts, replayed.reason) == (PENDING, NOW, 0, None)
    assert replayed.history == ENDED[state].history


def test_the_last_attempts_are_kept_and_no_more() -> None:
    delivery = NEW
    for number in range(MAX_HISTORY + 5):
        delivery = delivery.claimed("one", until=NOW).failed(replace(ILL, at=number), again=NOW)
    assert [attempt.at for attempt in delivery.history] == [*range(5, MAX_HISTORY + 5)]


def test_the_list_of_a_tenant_is_in_the_order_of_creation() -> None:
    listings = [replace(NEW, created_at=at).listing for at in (9, 10, 10**15)]
    assert listings == sorted(listings) and listings[0].startswith("acme/")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Hooks.example.com/a", "hooks.example.com"),
        ("https://user:word@hooks.example.com:8443/a", "hooks.example.com:8443"),
        ("https://[half/a", "https://[half/a"),
    ],
)
def test_calls_are_counted_by_host_whoever_they_go_as(url: str, host: str) -> None:
    assert host_of(url) == replace(NEW, url=url).host == host


def test_an_address_is_known_by_an_id_for_each_tenant() -> None:
    assert NEW.endpoint == endpoint_id("acme", URL) != endpoint_id("rival", URL)
    assert len(NEW.endpoint) == 16


def test_the_previous_secret_signs_for_as_long_as_the_two_overlap() -> None:
    first = SecretPair("acme", "whsec_one")
    assert first.valid(NOW) == ("whsec_one",)
    second = first.rotated(NOW, overlap=5 * SECOND)
    assert (second.tenant, second.version, second.previous) == ("acme", 2, "whsec_one")
    assert second.valid(NOW + 5 * SECOND - 1) == (second.current, "whsec_one")
    assert second.valid(NOW + 5 * SECOND) == (second.current,)
    assert second.current not in ("whsec_one", first.rotated(NOW, overlap=0).current)
