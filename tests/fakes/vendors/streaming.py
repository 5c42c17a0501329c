"""Answers as streams: server-sent events, or one JSON value a line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tests.fakes.vendors.wire import Answer


def events(values: Iterable[Any], *, named: bool = False, done: str = "") -> Answer:
    """`named`: each event bears its `type` as its name. `done`: the word that ends the stream, where there is one."""
    parts = []
    for value in values:
        name = f"event: {value['type']}\n" if named else ""
        parts.append(f"{name}data: {json.dumps(value)}\n\n")
    if done:
        parts.append(f"data: {done}\n\n")
    return Answer(200, "".join(parts).encode(), {"content-type": "text/event-stream; charset=utf-8"})


def lines(values: Iterable[Any]) -> Answer:
    content = "".join(f"{json.dumps(value)}\n" for value in values)
    return Answer(200, content.encode(), {"content-type": "application/x-ndjson"})


def pieces(text: str) -> list[str]:
    """A text as a model writes it, a few letters at a time; one piece at least."""
    return [text[at : at + 7] for at in range(0, len(text), 7)] or [""]
