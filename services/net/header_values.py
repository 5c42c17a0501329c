"""Moments, numbers and pauses as headers write them (RFC 9110, 5.6.7 and 10.2.3)."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_LONGEST = 1e9


def parse_date(text: str) -> datetime | None:
    """In UTC; None for what is no date."""
    try:
        found = parsedate_to_datetime(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def parse_number(text: str) -> float | None:
    """Of digits and one point at most; None for anything else, digits of other scripts included."""
    text = text.strip()
    return float(text) if text.isascii() and text.replace(".", "", 1).isdigit() else None


def parse_pause(text: str, now: datetime) -> float | None:
    """Seconds of a Retry-After, which names them or a date; None for neither."""
    seconds = parse_number(text)
    if seconds is not None:
        return min(seconds, _LONGEST)
    moment = parse_date(text)
    return None if moment is None else max(0.0, (moment - now).total_seconds())
