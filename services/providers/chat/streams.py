"""Streamed answers put together: what comes of each vendor is as its answer would be that comes at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from services.providers.http import VendorResponse

_SPOKEN = ("content", "refusal", "reasoning_content", "reasoning", "thinking")


def of_openai(answer: VendorResponse) -> VendorResponse:
    """The first choice of all chunks. Without a finish reason where it broke off."""
    if not isinstance(answer.body, list):
        return answer
    whole: dict[str, Any] = {}
    choice: dict[str, Any] = {"message": {}}
    for chunk in _objects(answer.body):
        if "error" in chunk:
            return replace(answer, body=chunk)
        whole |= {name: chunk[name] for name in ("id", "model", "usage") if chunk.get(name)}
        for part in _objects(chunk.get("choices")):
            if part.get("index", 0) == 0:
                _speak(choice["message"], part.get("delta"))
                choice["finish_reason"] = part.get("finish_reason") or choice.get("finish_reason")
    return replace(answer, body={**whole, "choices": [choice]})


def of_ollama(answer: VendorResponse) -> VendorResponse:
    """The last line, with what all lines said. An error is a line of its own."""
    if not isinstance(answer.body, list):
        return answer
    whole: dict[str, Any] = {}
    message: dict[str, Any] = {}
    for line in _objects(answer.body):
        if "error" in line:
            return replace(answer, body=line)
        whole |= line
        _speak(message, line.get("message"))
    return replace(answer, body={**whole, "message": message} if whole else {})


def of_anthropic(answer: VendorResponse) -> VendorResponse:
    """The message of all events; nothing where it broke off, the error event where there is one."""
    if not isinstance(answer.body, list):
        return answer
    message: dict[str, Any] = {}
    blocks: dict[str, dict[str, Any]] = {}
    for event in _objects(answer.body):
        match event.get("type"):
            case "message_start":
                message = dict(_object(event.get("message")))
            case "content_block_start":
                blocks[str(event.get("index"))] = dict(_object(event.get("content_block")))
            case "content_block_delta":
                _write(blocks.setdefault(str(event.get("index")), {}), _object(event.get("delta")))
            case "message_delta":
                usage = {**_object(message.get("usage")), **_object(event.get("usage"))}
                message |= {**_object(event.get("delta")), "usage": usage}
            case "message_stop":
                return replace(answer, body={**message, "content": list(blocks.values())})
            case "error":
                return replace(answer, body=event)
    return replace(answer, body={})


def _write(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    for name in ("text", "thinking"):
        if isinstance(delta.get(name), str):
            block[name] = f"{block.get(name) or ''}{delta[name]}"


def _speak(message: dict[str, Any], said: Any) -> None:
    for name in _SPOKEN:
        if isinstance(_object(said).get(name), str):
            message[name] = f"{message.get(name) or ''}{said[name]}"


def _objects(values: Any) -> Iterable[dict[str, Any]]:
    return (value for value in values if isinstance(value, dict)) if isinstance(values, list) else ()


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
