"""Which events of a task its webhook hears: `config.webhook_events`, a list of names; left out, how the task ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KEY = "webhook_events"
EVENTS = frozenset(
    {"created", "executing", "retrying", "returned", "completed", "failed", "cancelled", "replayed"}
    | {"cleaned", "deleted"}
)
DEFAULT = frozenset({"completed", "failed", "cancelled"})


def check_webhook_events(config: Mapping[str, Any] | None) -> None:
    """Raises ValueError unless the choice, where there is one, is a list of names of events; [] is silence."""
    chosen = (config or {}).get(KEY)
    if chosen is None:
        return
    if not isinstance(chosen, list) or not all(isinstance(name, str) and name in EVENTS for name in chosen):
        raise ValueError(f"config.{KEY} must be a list of {', '.join(sorted(EVENTS))}")


def wanted_events(config: Mapping[str, Any] | None) -> frozenset[str]:
    """What the configuration asks for; one stored before anybody checked it counts as none."""
    chosen = (config or {}).get(KEY)
    if not isinstance(chosen, list):
        return DEFAULT
    return frozenset(name for name in chosen if isinstance(name, str))
