"""Answers of vendors as they come: whole, or as a stream."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from services.providers.chat.streams import of_anthropic, of_ollama, of_openai
from services.providers.http import VendorResponse
from services.providers.streams import parse

ODD = "line\u2028next\u0085more"
BLOCK = [{"type": "content_block_delta", "index": [], "delta": {"text": 5}}, {"type": "message_stop"}]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_events_end_at_their_own_line_ends_alone(end: str) -> None:
    said = json.dumps({"text": ODD}, ensure_ascii=False)
    first = [": a comment", "event: message", f"data: {said}", "id: 1", ""]
    stream = end.join([*first, "data:{", 'data: "a": 1}', "", "data: [DONE]"])
    assert parse(stream.encode(), "text/event-stream; charset=utf-8") == [{"text": ODD}, {"a": 1}]


def test_lines_are_read_one_by_one() -> None:
    values = [{"text": ODD}, {"done": True}]
    content = "\n\n".join(json.dumps(value, ensure_ascii=False) for value in values).encode()
    assert parse(content, "application/x-ndjson") == values


@pytest.mark.parametrize("kind", ["application/json", "", "text/html"])
def test_anything_else_is_json_or_nothing(kind: str) -> None:
    assert parse(b'{"a": [1]}', kind) == {"a": [1]}
    with pytest.raises(orjson.JSONDecodeError):
        parse(b"<html>", kind)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("text/event-stream", b"data: {torn"),
        ("text/event-stream", b'data: "\xff"\n\n'),
        ("application/x-ndjson", b'{"a": 1}\n{'),
    ],
)
def test_a_torn_stream_is_none(kind: str, content: bytes) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        parse(content, kind)


@pytest.mark.parametrize("together", [of_openai, of_ollama, of_anthropic])
@pytest.mark.parametrize("body", [[], [1, None, "x"], [{}], [{"choices": 5, "message": 5}], [[{}]], BLOCK])
def test_a_stream_of_anything_is_put_together_without_a_fault(together: Any, body: list[Any]) -> None:
    assert together(VendorResponse(200, {}, body)).member("choices", 0, "finish_reason") is None
