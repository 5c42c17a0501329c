"""OpenAI's Chat Completions with stored completions, as its reference and its error guide describe them.

Written from developers.openai.com: /api/reference/resources/chat (create, retrieve, list by metadata) and
/api/docs/guides/{error-codes,rate-limits,structured-outputs}. Not documented and therefore assumed: when a stored
completion becomes visible to the list, which `appears_after` look-ups stand for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from tests.fakes.vendors.chat import Charge, ChatVendor, Heard, Refusal, size_of, unknown_fields
from tests.fakes.vendors.streaming import events, pieces
from tests.fakes.vendors.wire import Answer, Asked, json_answer

_KNOWN = frozenset(
    [
        "model",
        "messages",
        "max_completion_tokens",
        "max_tokens",
        "temperature",
        "response_format",
        "store",
        "metadata",
        "n",
        "seed",
        "stream",
        "stream_options",
        "stop",
        "user",
        "safety_identifier",
        "reasoning_effort",
        "service_tier",
        "top_p",
    ]
)
# As servers name it that speak this protocol: OpenAI itself shows no thoughts.
_THINKING = {"thinking aloud": "reasoning_content", "reasoning aloud": "reasoning"}
_LIMITS = frozenset({"max_tokens", "max_completion_tokens"})
_PATH = "/v1/chat/completions"
_IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/gif")


def _error(status: int, kind: str, code: str | None, message: str, **headers: str) -> Answer:
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return json_answer(body, status, x_request_id="req_test", **headers)


def _broke(code: str) -> Answer:
    return _error(429, "insufficient_quota", code, "You exceeded your current quota, please check your plan.")


class OpenAi(ChatVendor):
    """Keeps what was asked to be stored. `appears_after`: look-ups in vain before a stored completion shows.

    `limits` are the names it knows a limit of tokens by, `refuses` how it answers to the other: as OpenAI, as a server
    written with pydantic, or not at all. Some servers `always_streams`, whether they are asked to or not.
    """

    errors: ClassVar[Mapping[str, Answer]] = {
        "bad request": _error(400, "invalid_request_error", "invalid_value", "Invalid value."),
        "too long": _error(400, "invalid_request_error", "context_length_exceeded", "maximum context length is 8"),
        "image refused": _error(400, "invalid_request_error", "image_content_policy_violation", "not allowed"),
        "prompt refused": _error(400, "invalid_request_error", "content_policy_violation", "not allowed"),
        "region": _error(403, "invalid_request_error", "unsupported_country_region_territory", "not supported"),
        "no permission": _error(403, "permission_error", None, "insufficient permissions"),
        "conflict": _error(409, "conflict_error", None, "try again"),
        "too fast": _error(429, "requests", "rate_limit_exceeded", "Rate limit reached.", retry_after="7"),
        "slow down": _error(429, "rate_limit_error", "slow_down", "Slow down.", retry_after="9"),
        "no credit": _broke("credit_balance_exhausted"),
        "project limit": _broke("project_spend_limit_exceeded"),
        "organization limit": _broke("organization_spend_limit_exceeded"),
        "usage limit": _broke("organization_usage_limit_exceeded"),
        "old quota": _broke("insufficient_quota"),
        "plan's limit": _broke("usage_limit_exceeded"),
        "billing off": _error(429, "billing_not_active", "billing_not_active", "Your account is not active."),
        "billing off, newer": _error(403, "invalid_request_error", "billing_not_active", "Your account is not active."),
        "deactivated": _error(401, "invalid_request_error", "account_deactivated", "This account was deactivated."),
        "cyber": _error(400, "invalid_request_error", "cyber_policy", "rejected by a safety policy"),
        "cyber, newer": _error(403, "invalid_request_error", "cyber_policy", "rejected by a safety policy"),
        "server error": _error(500, "server_error", None, "The server had an error while processing your request."),
        "overloaded": _error(503, "service_unavailable_error", "server_is_overloaded", "overloaded"),
        "edge": Answer(502, b"<html>Bad gateway</html>", {"content-type": "text/html"}),
    }
    outcomes = frozenset({"truncated", "filtered", "refused", "thinking aloud", "reasoning aloud", "broken off"})

    def __init__(
        self,
        *,
        appears_after: int = 0,
        limits: frozenset[str] = _LIMITS,
        refuses: Literal["openai", "pydantic", "never"] = "openai",
        always_streams: bool = False,
        **ours: Any,
    ) -> None:
        super().__init__(**ours)
        self.always_streams = always_streams
        self.appears_after, self.limits, self.refuses = appears_after, limits, refuses
        self.stored: list[dict[str, Any]] = []
        self.lookups = 0

    def route(self, asked: Asked) -> Answer:
        if asked.headers.get("authorization") != f"Bearer {self.key}":
            shown = asked.headers.get("authorization", "")[-4:]
            message = f"Incorrect API key provided: ****{shown}."
            return _error(401, "invalid_request_error", "invalid_api_key", message)
        if asked.path == _PATH and asked.method == "POST":
            return self.run(asked.json())
        if asked.path == "/v1/models" and asked.method == "GET":
            return json_answer({"object": "list", "data": [_model(name) for name in sorted(self.models)]})
        if asked.path == _PATH and asked.method == "GET":
            return self._listed(asked)
        if asked.path.startswith(f"{_PATH}/") and asked.method == "GET":
            return self._kept(asked.path.rpartition("/")[2])
        return _error(404, "invalid_request_error", None, f"Invalid URL ({asked.method} {asked.path})")

    def _kept(self, identity: str) -> Answer:
        found = [kept for kept in self.stored if kept["id"] == identity]
        return json_answer(found[0]) if found else _error(404, "invalid_request_error", None, "No such completion.")

    def _listed(self, asked: Asked) -> Answer:
        self.lookups += 1
        if unknown := [name for name in asked.query if not name.startswith("metadata[")]:
            assert set(unknown) <= {"model", "order", "after", "limit"}, unknown
        wanted = {name[9:-1]: values[0] for name, values in asked.query.items() if name.startswith("metadata[")}
        shown = self.stored if self.lookups > self.appears_after else []
        data = [kept for kept in shown if wanted.items() <= kept["metadata"].items()]
        ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
        return json_answer({"object": "list", "data": data, **ends, "has_more": False})

    def hear(self, body: Any) -> Heard:
        if unknown := unknown_fields(body, _KNOWN):
            raise _refused("unknown_parameter", f"Unknown parameter: '{unknown[0]}'.")
        if body.get("model") not in self.models:
            message = f"The model `{body.get('model')}` does not exist or you do not have access to it."
            raise Refusal(_error(404, "invalid_request_error", "model_not_found", message))
        metadata = body.get("metadata") or {}
        if any(len(name) > 64 or not isinstance(text, str) or len(text) > 512 for name, text in metadata.items()):
            raise _refused("invalid_value", "Invalid metadata.")
        if metadata and not body.get("store"):
            raise _refused("invalid_value", "The 'metadata' parameter is only allowed when 'store' is enabled.")
        texts: dict[str, str] = {}
        sizes = []
        for message in body["messages"]:
            texts[message["role"]], found = _content(message["content"])
            sizes += found
        limit = self._limit(body)
        return Heard(texts["user"], texts.get("system"), sizes, _schema(body.get("response_format")), limit)

    def streams(self, body: Any) -> bool:
        return self.always_streams or super().streams(body)

    def streamed(self, body: Any, outcome: str, made: Any) -> Answer:
        """Told `broken off`, without its end."""
        head = {name: made[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
        [choice] = made["choices"]
        said = {name: text for name, text in choice["message"].items() if name != "role" and text is not None}
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += [{name: piece} for name, text in said.items() for piece in pieces(text)]
        chunks = [{**head, "choices": [_choice(delta)]} for delta in deltas]
        if outcome == "broken off":
            return events(chunks)
        chunks.append({**head, "choices": [_choice({}, choice["finish_reason"])]})
        if self.always_streams or (body.get("stream_options") or {}).get("include_usage"):
            chunks.append({**head, "choices": [], "usage": made["usage"]})
        return events(chunks, done="[DONE]")

    def _limit(self, body: Any) -> int | None:
        """Raises Refusal."""
        told = [name for name in sorted(_LIMITS) if name in body]
        if len(told) > 1:
            raise _refused("invalid_value", "Setting 'max_tokens' and 'max_completion_tokens' together: unsupported.")
        for name in told:
            if name in self.limits:
                return int(body[name])
            if self.refuses == "openai":
                message = f"Unsupported parameter: '{name}' is not supported with this model."
                raise Refusal(_error(400, "invalid_request_error", "unsupported_parameter", message))
            if self.refuses == "pydantic":
                wrong = {"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted"}
                raise Refusal(json_answer({"detail": [wrong]}, 422))
        return None

    def reply(self, body: Any, heard: Heard, outcome: str, charge: Charge, text: str) -> Any:
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        finish = "stop"
        if outcome == "truncated":
            message["content"], finish = text[: len(text) // 2], "length"
        elif outcome == "filtered":
            message["content"], finish = None, "content_filter"
        elif outcome == "refused":
            message["content"], message["refusal"] = None, "I'm sorry, I can't help with that."
        elif outcome in _THINKING:
            message[_THINKING[outcome]] = "Let me think."
        made = {
            "id": f"chatcmpl-{charge.id}",
            "object": "chat.completion",
            "created": 1_790_000_000,
            "model": f"{body['model']}-2026-01-01",
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
            "usage": {
                "prompt_tokens": charge.input_tokens,
                "completion_tokens": charge.output_tokens,
                "total_tokens": charge.input_tokens + charge.output_tokens,
                "prompt_tokens_details": {"cached_tokens": 0},
            },
        }
        if body.get("store"):
            # Only what is read again tells its metadata.
            self.stored.append({**made, "metadata": body.get("metadata") or {}})
        return made


def _choice(delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1_790_000_000, "owned_by": "a-test"}


def _refused(code: str, message: str) -> Refusal:
    return Refusal(_error(400, "invalid_request_error", code, message))


def _content(content: Any) -> tuple[str, list[tuple[int, int]]]:
    if isinstance(content, str):
        return content, []
    texts, sizes = [], []
    for part in content:
        if part["type"] == "text":
            texts.append(part["text"])
            continue
        head, _, data = part["image_url"]["url"].partition(";base64,")
        try:
            if head.removeprefix("data:") not in _IMAGE_TYPES:
                raise ValueError(head)
            sizes.append(size_of(data, head.removeprefix("data:")))
        except ValueError as error:
            raise _refused("invalid_image_format", "You uploaded an unsupported image.") from error
    return "\n".join(texts), sizes


def _schema(form: Any) -> Any:
    """Strict schemas must close every object and require all of its fields."""
    if form is None:
        return None
    if form["type"] != "json_schema" or not form["json_schema"].get("name"):
        raise _refused("invalid_value", "Missing required parameter: 'response_format.json_schema.name'.")
    schema = form["json_schema"]["schema"]
    if form["json_schema"].get("strict"):
        _check_strict(schema)
    return schema


def _check_strict(schema: Any) -> None:
    if schema.get("type") == "object":
        properties = schema.get("properties", {})
        if schema.get("additionalProperties") is not False or set(schema.get("required", [])) != set(properties):
            raise _refused("invalid_schema", "'additionalProperties' is required to be supplied and to be false.")
        for part in properties.values():
            _check_strict(part)
    if "items" in schema:
        _check_strict(schema["items"])
