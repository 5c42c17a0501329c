"""When a delivery is tried, how often, and what its signature says."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from services.webhooks.domain import SECOND, SecretPair, WebhookNotice, delivery_id, new_secret
from services.webhooks.http_transport import sign
from services.webhooks.retry_schedule import STEPS, RetrySchedule

HOUR = 3_600


def test_the_steps_are_those_the_specification_recommends() -> None:
    assert [step / HOUR for step in STEPS[4:]] == [2, 5, 10, 14, 20, 24]
    assert STEPS[:4] == (0, 5, 300, 1_800)
    assert 3 < sum(STEPS) / (24 * HOUR) < 4


@pytest.mark.parametrize(("draw", "share"), [(0.0, 0.9), (0.5, 1.0), (1.0, 1.1)])
def test_a_step_is_a_tenth_shorter_or_longer_at_most(draw: float, share: float) -> None:
    schedule = RetrySchedule(draw=lambda: draw)
    for attempts, step in enumerate(STEPS[1:], start=1):
        assert schedule.delay(attempts) == pytest.approx(step * share * SECOND)


def test_after_the_last_step_there_is_none() -> None:
    assert RetrySchedule().delay(len(STEPS) - 1) is not None
    assert RetrySchedule().delay(len(STEPS)) is None


def test_a_server_may_ask_for_more_time_but_not_for_less_and_not_for_ever() -> None:
    schedule = RetrySchedule(draw=lambda: 0.5)
    assert schedule.delay(1, retry_after=120) == 120 * SECOND
    assert schedule.delay(2, retry_after=1) == 300 * SECOND
    assert schedule.delay(1, retry_after=10**9) == 24 * HOUR * SECOND


def test_what_is_signed_is_verified_by_the_library_with_either_secret_while_they_change() -> None:
    now = datetime.now(UTC)
    old = SecretPair("acme", new_secret())
    microseconds = int(now.timestamp() * SECOND)
    pair = old.rotated(microseconds, overlap=SECOND)
    headers = sign("a_2_b", '{"a": 1}', pair.valid(microseconds), now)
    for secret in (old.current, pair.current):
        assert Webhook(secret).verify(b'{"a": 1}', headers) == {"a": 1}
    late = sign("a_2_b", '{"a": 1}', pair.valid(microseconds + SECOND), now)
    with pytest.raises(WebhookVerificationError):
        Webhook(old.current).verify(b'{"a": 1}', late)
    with pytest.raises(WebhookVerificationError):
        Webhook(pair.current).verify(b'{"a": 2}', headers)


def test_a_secret_is_long_and_never_shown_by_accident() -> None:
    pair = SecretPair("acme", new_secret()).rotated(0, overlap=SECOND)
    assert pair.current.startswith("whsec_") and len(pair.current) > 40
    assert pair.current not in repr(pair) and str(pair.previous) not in repr(pair)


def test_an_event_for_an_address_has_one_id_for_ever_without_full_stops() -> None:
    notice = WebhookNotice("acme", "t", "t.2", "atelier.task.completed.v1", "https://a.example/", "{}")
    assert delivery_id(notice) == delivery_id(notice)
    assert "." not in delivery_id(notice)
    other = WebhookNotice("acme", "t", "t.2", "atelier.task.completed.v1", "https://b.example/", "{}")
    assert delivery_id(notice) != delivery_id(other)
