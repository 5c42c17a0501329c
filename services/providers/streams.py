"""Answers as they come: JSON, or a stream of it, as server-sent events or one value a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

_LINES = ("application/x-ndjson", "application/jsonl", "application/x-jsonlines")
_END = b"[DONE]"


def parse(content: bytes, content_type: str) -> Any:
    """The value; of a stream the list of its values, in order. Raises ValueError for what is none."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "text/event-stream":
        return [orjson.loads(data) for data in _events(content) if data != _END]
    if kind in _LINES:
        return [orjson.loads(line) for line in content.splitlines() if line.strip()]
    return orjson.loads(content)


def _events(content: bytes) -> Iterator[bytes]:
    """The data of each event (html.spec.whatwg.org, 9.2.6); its name is within the data, of every vendor."""
    data: list[bytes] = []
    # As bytes, which end a line at no other character than these streams do.
    for line in (*content.splitlines(), b""):
        name, _, value = line.partition(b":")
        if name == b"data":
            data.append(value.removeprefix(b" "))
        elif not line and data:
            yield b"\n".join(data)
            data = []
