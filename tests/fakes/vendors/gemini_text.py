"""Gemini's generateContent where it answers in words, as its reference and its troubleshooting pages describe it.

Written from ai.google.dev/gemini-api/docs (text-generation, structured-output, api-errors, troubleshooting).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from tests.fakes.vendors.chat import Charge, ChatVendor, Heard, Refusal, camel, size_of, unknown_fields
from tests.fakes.vendors.pictures import plain_base64
from tests.fakes.vendors.streaming import events, pieces
from tests.fakes.vendors.wire import Answer, Asked, json_answer

_KNOWN = frozenset({"contents", "systemInstruction", "generationConfig", "safetySettings", "tools", "cachedContent"})
_KNOWN_CONFIG = frozenset(
    [
        "temperature",
        "maxOutputTokens",
        "responseMimeType",
        "responseJsonSchema",
        "responseSchema",
        "candidateCount",
        "seed",
        "topP",
        "topK",
        "stopSequences",
        "responseModalities",
        "thinkingConfig",
    ]
)
_MODEL_PATH = re.compile(r"/v1(?:beta|alpha)?/models/([^/:]+):(generateContent|streamGenerateContent)")


def _error(code: int, status: str, message: str, *details: Mapping[str, Any], wrapped: bool = False) -> Answer:
    body = {"error": {"code": code, "message": message, "status": status, "details": list(details)}}
    return json_answer([body] if wrapped else body, code)


def _info(reason: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}


def _quota(window: str) -> dict[str, Any]:
    identity = f"GenerateRequestsPer{window}PerProjectPerModel-FreeTier"
    violation = {"quotaMetric": "generativelanguage.googleapis.com/requests", "quotaId": identity, "quotaValue": "5"}
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}


def _wait(delay: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


class GeminiText(ChatVendor):
    """The Gemini API with a key in its header."""

    errors: ClassVar[Mapping[str, Answer]] = {
        "bad request": _error(400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
        "bad request in a list": _error(400, "INVALID_ARGUMENT", "Request contains an invalid argument.", wrapped=True),
        "region": _error(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
        "no credit": _error(402, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."),
        "no permission": _error(403, "PERMISSION_DENIED", "The caller does not have permission"),
        "too fast": _error(429, "RESOURCE_EXHAUSTED", "You exceeded your quota.", _quota("Minute"), _wait("25.5s")),
        "day's quota": _error(429, "RESOURCE_EXHAUSTED", "You exceeded your quota.", _quota("Day"), _wait("40s")),
        "shared quota": _error(429, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later."),
        "spending cap": _error(429, "RESOURCE_EXHAUSTED", "Your project has exceeded its monthly spending cap."),
        "billing off": _error(403, "PERMISSION_DENIED", "This API requires billing.", _info("BILLING_DISABLED")),
        "suspended": _error(403, "PERMISSION_DENIED", "Consumer is suspended.", _info("CONSUMER_SUSPENDED")),
        "server error": _error(500, "INTERNAL", "An internal error has occurred."),
        "overloaded": _error(503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
        "timeout": _error(504, "DEADLINE_EXCEEDED", "The service is unable to finish in time."),
        "edge": Answer(502, b"<html>Bad gateway</html>", {"content-type": "text/html"}),
    }
    outcomes = frozenset(
        {
            *("truncated", "prompt blocked", "safety", "recitation", "prohibited", "spii", "nothing said"),
            *("thinking aloud", "escalation", "model armor", "language", "account limited", "malformed"),
        }
    )

    def route(self, asked: Asked) -> Answer:
        named = _MODEL_PATH.fullmatch(asked.path)
        if named is None or asked.method != "POST":
            return _error(404, "NOT_FOUND", "Requested entity was not found.")
        if asked.headers.get("x-goog-api-key") != self.key:
            message = "API key not valid. Please pass a valid API key."
            return _error(400, "INVALID_ARGUMENT", message, _info("API_KEY_INVALID"))
        if named[1] not in self.models:
            return _error(404, "NOT_FOUND", f"models/{named[1]} is not found for API version v1beta.")
        return self.run({**asked.json(), "@model": named[1], "@stream": named[2] != "generateContent"})

    def streams(self, body: Any) -> bool:
        return bool(body["@stream"])

    def streamed(self, body: Any, outcome: str, made: Any) -> Answer:
        """Each part as a chunk of its own; how it ended comes with the last."""
        [candidate] = made["candidates"]
        about = {name: made[name] for name in ("modelVersion", "responseId")}
        told = [
            {"candidates": [{"content": {"role": "model", "parts": [{**part, "text": piece}]}, "index": 0}], **about}
            for part in candidate["content"]["parts"]
            for piece in pieces(part["text"])
        ]
        ended = {"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": candidate["finishReason"]}
        return events([*told, {"candidates": [ended | {"index": 0}], "usageMetadata": made["usageMetadata"], **about}])

    def hear(self, body: Any) -> Heard:
        config = body.get("generationConfig", {})
        unknown = [*unknown_fields(body, _KNOWN | {"@model", "@stream"}), *unknown_fields(config, _KNOWN_CONFIG)]
        if unknown:
            raise _refused(f'Invalid JSON payload received. Unknown name "{unknown[0]}"')
        if "responseJsonSchema" in config and config.get("responseMimeType") != "application/json":
            raise _refused("response_mime_type must be application/json when a schema is set")
        texts, sizes = [], []
        for part in (part for content in body["contents"] for part in content["parts"]):
            if "text" in part:
                texts.append(part["text"])
                continue
            inline = camel(part["inlineData"])
            try:
                sizes.append(size_of(plain_base64(inline["data"]), inline["mimeType"]))
            except ValueError as error:
                raise _refused("Unable to process input image.") from error
        said = body.get("systemInstruction")
        system = None if said is None else said["parts"][0]["text"]
        schema = config.get("responseJsonSchema")
        return Heard("\n".join(texts), system, sizes, schema, config.get("maxOutputTokens"))

    def reply(self, body: Any, heard: Heard, outcome: str, charge: Charge, text: str) -> Any:
        answer: dict[str, Any] = {
            "usageMetadata": {
                "promptTokenCount": charge.input_tokens,
                "candidatesTokenCount": charge.output_tokens,
                "totalTokenCount": charge.input_tokens + charge.output_tokens,
            },
            "modelVersion": body["@model"],
            "responseId": charge.id,
        }
        if outcome == "prompt blocked":
            answer["promptFeedback"] = {"blockReason": "PROHIBITED_CONTENT", "safetyRatings": []}
            return answer
        ends = {
            "truncated": ("MAX_TOKENS", text[: len(text) // 2]),
            "safety": ("SAFETY", None),
            "recitation": ("RECITATION", None),
            "prohibited": ("PROHIBITED_CONTENT", None),
            "spii": ("SPII", None),
            "nothing said": ("STOP", None),
            "escalation": ("ESCALATION", None),
            "model armor": ("MODEL_ARMOR", None),
            "language": ("LANGUAGE", None),
            "account limited": ("PUP_LIMITED_DISABLED", None),
            "malformed": ("MALFORMED_RESPONSE", None),
        }
        finish, said = ends.get(outcome, ("STOP", text))
        parts: list[dict[str, Any]] = [] if said is None else [{"text": said}]
        if outcome == "thinking aloud":
            parts.insert(0, {"text": "Let me think.", "thought": True})
            answer["usageMetadata"]["thoughtsTokenCount"] = 7
        candidate = {"content": {"role": "model", "parts": parts}, "finishReason": finish, "index": 0}
        return {"candidates": [candidate], **answer}


def _refused(message: str) -> Refusal:
    return Refusal(_error(400, "INVALID_ARGUMENT", message))
