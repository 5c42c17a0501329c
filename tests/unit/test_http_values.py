"""Moments, numbers and pauses of headers."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.net.header_values import parse_date, parse_number, parse_pause

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 1.5 ", 1.5),
        ("9" * 400, 1e9),
        ("Mon, 30 Nov 2026 12:01:00 GMT", 60.0),
        ("Mon, 30 Nov 2026 12:01:00", 60.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
        *((text, None) for text in ("", ".", "-1", "soon", "1.2.3", "٣", "²", "inf", "nan")),
    ],
)
def test_a_pause_is_in_seconds_or_until_a_date(text: str, seconds: float | None) -> None:
    assert parse_pause(text, NOW) == seconds


@pytest.mark.parametrize("text", ["²", "٣", "1e3", "0x10", "+1", "1 2"])
def test_a_number_is_of_digits_and_one_point(text: str) -> None:
    assert parse_number(text) is None


def test_a_date_may_be_without_a_zone_or_beyond_the_calendar() -> None:
    assert parse_date("Mon, 30 Nov 2026 13:00:00 +0100") == NOW
    assert parse_date("Mon, 30 Nov 2026 12:00:00") == NOW
    assert parse_date("Mon, 30 Nov 99999 12:00:00 GMT") is None
