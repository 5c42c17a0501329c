"""Answers as they come: JSON, or a stream of it, as server-sent events or one value a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

_LINES = ("application/x-ndjson", "application/jsonl", "application/x-jsonlines")
_END = "[DONE]"


def parse(content: bytes, content_type: str) -> Any:
    """The value; of a stream the list of its values, in order. Raises ValueError for what is none."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "text/event-stream":
        return [orjson.loads(data) for data in _events(content) if data != _END]
    if kind in _LINES:
        return [orjson.loads(line) for line in content.splitlines() if line.strip()]
    return orjson.loads(content)


def _events(content: bytes) -> Iterator[str]:
    """The data of each event (html.spec.whatwg.org, 9.2.6); its name is within the data, of every vendor."""
    data: list[str] = []
    for line in (*content.decode("utf-8", "strict").splitlines(), ""):
        name, _, value = line.partition(":")
        if name == "data":
            data.append(value.removeprefix(" "))
        elif not line and data:
            yield "\n".join(data)
            data = []
