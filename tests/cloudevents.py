"""What makes JSON a CloudEvent 1.0, as the specification says and the Go and JavaScript SDKs check it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

_REQUIRED = ("specversion", "id", "source", "type")
_NAME = re.compile(r"[a-z0-9]{1,20}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(\s*;.*)?")
# RFC 3986: what a URI is made of, percent signs only before two digits.
_URI = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")


def faults(text: bytes | str) -> list[str]:
    """What is wrong with an event in structured JSON mode; none for a valid one."""
    event = json.loads(text)
    return list(_faults(event)) if isinstance(event, dict) else ["is no JSON object"]


def _faults(event: dict[str, Any]) -> Iterator[str]:
    for name in _REQUIRED:
        if not isinstance(event.get(name), str) or not event[name]:
            yield f"{name} is missing"
    if event.get("specversion") != "1.0":
        yield "specversion is not 1.0"
    if not _URI.fullmatch(str(event.get("source", ""))):
        yield "source is no URI reference"
    if "dataschema" in event and not _absolute(event["dataschema"]):
        yield "dataschema is no absolute URI"
    if "subject" in event and not (isinstance(event["subject"], str) and event["subject"]):
        yield "subject is empty"
    if "time" in event and not _moment(event["time"]):
        yield "time is not of RFC 3339"
    if "datacontenttype" in event and not _MEDIA_TYPE.fullmatch(str(event["datacontenttype"])):
        yield "datacontenttype is no media type"
    if "data" in event and "data_base64" in event:
        yield "data comes twice"
    for name, value in event.items():
        if name != "data_base64" and not _NAME.fullmatch(name):
            yield f"{name} is no name of an attribute"
        if name not in ("data", "data_base64") and not isinstance(value, str | bool | int):
            yield f"{name} is of no type that attributes have"


def _absolute(value: object) -> bool:
    """With a scheme and something behind it: Go asks `url.IsAbs`, JavaScript for JSON Schema's format `uri`."""
    if not isinstance(value, str) or not _URI.fullmatch(value):
        return False
    parts = urlsplit(value)
    return bool(parts.scheme) and bool(parts.netloc or parts.path)


def _moment(value: object) -> bool:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True
