"""What a task's `config` says of its webhook.

`webhook_events` is a list of the events it hears; left out, how the task ended. `webhook_content_type` is what the
calls say their body is; left out, a CloudEvent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator

from services.catalog.free_json import JsonObject

KEY, CONTENT_TYPE = "webhook_events", "webhook_content_type"
CONTENT_TYPES = ("application/cloudevents+json", "application/json")
EVENTS = frozenset(
    {"created", "executing", "retrying", "returned", "completed", "failed", "cancelled", "replayed"}
    | {"cleaned", "deleted"}
)
DEFAULT = frozenset({"completed", "failed", "cancelled"})


def check_webhook_config(config: dict[str, Any]) -> dict[str, Any]:
    """Raises ValueError unless each choice, where there is one, is a list of names of events, or a content type."""
    _check_events(config.get(KEY))
    if config.get(CONTENT_TYPE) not in (None, *CONTENT_TYPES):
        raise ValueError(f"config.{CONTENT_TYPE} must be one of {', '.join(CONTENT_TYPES)}")
    return config


def _check_events(chosen: object) -> None:
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


def content_type(config: Mapping[str, Any] | None) -> str:
    """What the configuration asks for; one stored before anybody checked it counts as none."""
    chosen = (config or {}).get(CONTENT_TYPE)
    return chosen if chosen in CONTENT_TYPES else CONTENT_TYPES[0]


TaskConfig = Annotated[JsonObject, AfterValidator(check_webhook_config)]
