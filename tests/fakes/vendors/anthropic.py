"""Anthropic's Messages, as its reference, its error page and its page on structured outputs describe them.

Written from docs.claude.com/en/api/errors and, under platform.claude.com/docs/en/build-with-claude, vision and
structured-outputs. The wording of an empty account's 400 is as customers report it; that a spend limit's 429 says
`x-should-retry: false` is taken from the vendor's SDK.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from tests.fakes.vendors.chat import Charge, ChatVendor, Heard, Refusal, size_of, unknown_fields
from tests.fakes.vendors.streaming import events, pieces
from tests.fakes.vendors.wire import Answer, Asked, json_answer

_KNOWN = frozenset(
    [
        "model",
        "max_tokens",
        "messages",
        "system",
        "temperature",
        "top_p",
        "top_k",
        "stop_sequences",
        "metadata",
        "output_config",
        "stream",
        "thinking",
        "service_tier",
    ]
)
# Dates; the vendor knows newer ones than the first.
_VERSION = re.compile(r"202[3-9]-\d\d-\d\d")
_MOST_SIDE = 8000
_MOST_SIDE_OF_MANY = 2000
_MANY = 20
_MOST_BYTES = 32 << 20


def _error(status: int, kind: str, message: str, *, code: str = "", **headers: str) -> Answer:
    """`code` is the machine's word for it, where there is one."""
    error = {"type": kind, "message": message, **({"details": {"error_code": code}} if code else {})}
    body = {"type": "error", "error": error, "request_id": "req_test"}
    return json_answer(body, status, request_id="req_test", **headers)


class Anthropic(ChatVendor):
    """Wants its version header, and the key in either of two others; takes no keys in the address."""

    request_header = "request-id"

    errors: ClassVar[Mapping[str, Answer]] = {
        "bad request": _error(400, "invalid_request_error", "messages: at least one message is required"),
        "too long": _error(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
        "credit too low": _error(
            400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API."
        ),
        "usage limits": _error(
            400,
            "invalid_request_error",
            "You have reached your specified API usage limits. You will regain access on 2026-12-01",
        ),
        "no billing": _error(402, "billing_error", "there is an issue with your billing"),
        "no permission": _error(403, "permission_error", "your key may not use this resource"),
        "too large": Answer(413, b"<html>413 Request Entity Too Large</html>", {"content-type": "text/html"}),
        "too fast": _error(429, "rate_limit_error", "would exceed your organization's rate limit", retry_after="11"),
        "spend limit": _error(
            429, "rate_limit_error", "You have reached your specified API usage limits.", x_should_retry="false"
        ),
        "workspace limits": _error(
            400, "invalid_request_error", "You have reached your specified workspace API usage limits."
        ),
        "disabled": _error(400, "invalid_request_error", "This organization has been disabled."),
        "enforced limit": _error(429, "rate_limit_error", "spent", code="enforced_spend_limit_reached"),
        "contract limit": _error(429, "rate_limit_error", "spent", code="contract_spend_limit_reached"),
        "on hold": _error(400, "invalid_request_error", "disabled", code="organization_on_hold"),
        "linked limit": _error(402, "billing_error", "spent", code="linked_organization_spend_limit_reached"),
        "ramp": _error(429, "rate_limit_error", "too steep", code="ramp_limit_exceeded", retry_after_ms="1500"),
        "key out of reach": _error(503, "api_error", "away", code="cmek_key_unreachable"),
        "key disabled": _error(400, "invalid_request_error", "disabled", code="cmek_key_disabled"),
        "not again": _error(500, "api_error", "Internal server error", x_should_retry="false"),
        "again": _error(400, "invalid_request_error", "odd", x_should_retry="true"),
        "server error": _error(500, "api_error", "Internal server error"),
        "timeout": _error(504, "timeout_error", "the request timed out while processing"),
        "overloaded": _error(529, "overloaded_error", "Overloaded"),
        "edge": Answer(502, b"<html>Bad gateway</html>", {"content-type": "text/html"}),
    }
    outcomes = frozenset(
        {"truncated", "refused", "context full", "paused", "thinking aloud", "overloaded midway", "broken off"}
    )

    def route(self, asked: Asked) -> Answer:
        if asked.path != "/v1/messages" or asked.method != "POST":
            return _error(404, "not_found_error", "Not found")
        if self.key not in (asked.headers.get("x-api-key"), _bearer(asked)):
            return _error(401, "authentication_error", "invalid x-api-key")
        if not _VERSION.fullmatch(asked.headers.get("anthropic-version", "")):
            return _error(400, "invalid_request_error", "anthropic-version: header is required")
        if len(asked.body) > _MOST_BYTES:
            return self.errors["too large"]
        return self.run(asked.json())

    def hear(self, body: Any) -> Heard:
        if unknown := unknown_fields(body, _KNOWN):
            raise _refused(f"{unknown[0]}: Extra inputs are not permitted")
        if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
            raise _refused("max_tokens: Field required")
        if not 0 <= body.get("temperature", 1.0) <= 1:
            raise _refused("temperature: range: 0..1")
        if body.get("model") not in self.models:
            raise Refusal(_error(404, "not_found_error", f"model: {body.get('model')}"))
        thinking = (body.get("thinking") or {}).get("type", "disabled")
        if thinking == "enabled" and body["thinking"]["budget_tokens"] >= body["max_tokens"]:
            raise _refused("`max_tokens` must be greater than `thinking.budget_tokens`")
        if thinking not in ("enabled", "adaptive", "disabled"):
            raise _refused("thinking.type: unexpected value")
        texts, sizes = _conversation(body["messages"])
        config = body.get("output_config")
        schema = None
        if config is not None:
            if config["format"]["type"] != "json_schema":
                raise _refused("output_config.format.type: Input should be 'json_schema'")
            schema = config["format"]["schema"]
        return Heard(texts, _system(body.get("system")), sizes, schema, body["max_tokens"])

    def reply(self, body: Any, heard: Heard, outcome: str, charge: Charge, text: str) -> Any:
        stop, details, thoughts = "end_turn", None, []
        if outcome == "truncated":
            text, stop = text[: len(text) // 2], "max_tokens"
        elif outcome == "context full":
            text, stop = text[: len(text) // 2], "model_context_window_exceeded"
        elif outcome == "thinking aloud" or (body.get("thinking") or {}).get("type", "disabled") != "disabled":
            thoughts = [
                {"type": "thinking", "thinking": "Let me think.", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "c2VjcmV0"},
            ]
        elif outcome == "paused":
            stop = "pause_turn"
        elif outcome == "refused":
            text, stop = "", "refusal"
            details = {"type": "refusal", "category": "cyber", "explanation": "This request could lead to harm."}
        return {
            "id": f"msg_{charge.id}",
            "type": "message",
            "role": "assistant",
            "model": f"{body['model']}-20260101",
            "content": [*thoughts, *([{"type": "text", "text": text}] if text else [])],
            "stop_reason": stop,
            "stop_sequence": None,
            "stop_details": details,
            "usage": {
                "input_tokens": charge.input_tokens - 3,
                "cache_creation_input_tokens": 2,
                "cache_read_input_tokens": 1,
                "output_tokens": charge.output_tokens,
                "service_tier": "standard",
            },
        }

    def streamed(self, body: Any, outcome: str, made: Any) -> Answer:
        """Told `broken off` without its end; told `overloaded midway` an error ends it."""
        counts = {**made["usage"], "output_tokens": 1}
        told: list[dict[str, Any]] = [
            {"type": "message_start", "message": {**made, "content": [], "stop_reason": None, "usage": counts}},
            {"type": "ping"},
        ]
        for index, block in enumerate(made["content"]):
            told += _told(index, block)
        if outcome == "overloaded midway":
            overloaded = {"type": "overloaded_error", "message": "Overloaded"}
            return events([*told, {"type": "error", "error": overloaded, "request_id": "req_test"}], named=True)
        if outcome != "broken off":
            ended = {name: made[name] for name in ("stop_reason", "stop_sequence", "stop_details")}
            usage = {"output_tokens": made["usage"]["output_tokens"]}
            told += [{"type": "message_delta", "delta": ended, "usage": usage}, {"type": "message_stop"}]
        return events(told, named=True)


def _told(index: int, block: Mapping[str, Any]) -> list[dict[str, Any]]:
    kind = block["type"]
    spoken = kind in ("text", "thinking")
    begun = {**block, kind: ""} if spoken else block
    deltas = [{"type": f"{kind}_delta", kind: piece} for piece in pieces(block[kind])] if spoken else []
    if "signature" in block:
        begun = {**begun, "signature": ""}
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    return [
        {"type": "content_block_start", "index": index, "content_block": begun},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def _bearer(asked: Asked) -> str:
    return asked.headers.get("authorization", "").removeprefix("Bearer ")


def _system(told: Any) -> str | None:
    """A text, or blocks of it."""
    if told is None or isinstance(told, str):
        return told
    if any(block.get("type") != "text" for block in told):
        raise _refused("system: only text blocks are permitted")
    return "\n".join(block["text"] for block in told)


def _refused(message: str) -> Refusal:
    return Refusal(_error(400, "invalid_request_error", message))


def _conversation(messages: Any) -> tuple[str, list[tuple[int, int]]]:
    """What is asked last, and all pictures."""
    if not messages or messages[0]["role"] != "user":
        raise _refused("messages: first message must use the user role")
    found = [_content(message) for message in messages]
    return found[-1][0], [size for _, sizes in found for size in sizes]


def _content(message: Any) -> tuple[str, list[tuple[int, int]]]:
    if message["role"] not in ("user", "assistant"):
        raise _refused("messages: Unexpected role")
    texts: list[str] = []
    sizes: list[tuple[int, int]] = []
    content: str | list[Any] = message["content"]
    blocks: list[Any] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    for block in blocks:
        if block["type"] in ("thinking", "redacted_thinking") and message["role"] == "assistant":
            continue
        if block["type"] == "text":
            if not block["text"]:
                raise _refused("messages: text content blocks must be non-empty")
            texts.append(block["text"])
            continue
        try:
            assert block["source"]["type"] == "base64"
            sizes.append(size_of(block["source"]["data"], block["source"]["media_type"]))
        except ValueError as error:
            raise _refused("messages.0.content.0.image.source.base64: Could not process image") from error
    most = _MOST_SIDE_OF_MANY if len(sizes) > _MANY else _MOST_SIDE
    if any(max(size) > most for size in sizes):
        raise _refused(f"At least one of the image dimensions exceed max allowed size: {most} pixels")
    return "\n".join(texts), sizes
