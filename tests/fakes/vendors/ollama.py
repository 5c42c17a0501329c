"""A local Ollama's chat and its models, as docs/api.md of its repository describes them.

It bills nobody: what others call charges are runs of the model here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tests.fakes.vendors.chat import Charge, ChatVendor, Heard, Refusal, size_of
from tests.fakes.vendors.streaming import lines, pieces
from tests.fakes.vendors.wire import Answer, Asked, json_answer


def _error(status: int, message: str, **more: str) -> Answer:
    return json_answer({"error": message, **more}, status)


_MADE = "2026-11-21T12:00:00.000000000Z"
_DETAILS = {
    "parent_model": "",
    "format": "gguf",
    "family": "llama",
    "families": ["llama"],
    "parameter_size": "8.0B",
    "quantization_level": "Q4_0",
}


def _model(name: str) -> dict[str, Any]:
    return {"name": name, "model": name, "modified_at": _MADE, "size": 42, "digest": "d" * 64, "details": _DETAILS}


class Ollama(ChatVendor):
    """Fields it does not know it ignores, as the real one does. With a `key` it wants it as bearer: the cloud does."""

    errors: ClassVar[Mapping[str, Answer]] = {
        "bad request": _error(400, "invalid options"),
        "no vision": _error(400, "this model is missing data required for image input"),
        "too fast": _error(429, "too many requests"),
        "week's use": _error(429, "you (acme) have reached your weekly usage limit, upgrade for higher limits"),
        "server error": _error(500, "llama runner process has terminated"),
        "cloud away": _error(502, "cloud model cannot be reached"),
        "overloaded": _error(503, "server busy, please try again.  maximum pending requests exceeded"),
        "failed midway": json_answer({"error": "an error was encountered while running the model"}, 200),
    }
    outcomes = frozenset({"truncated", "loading", "thinking aloud", "cached prompt", "unfinished", "broken off"})

    def __init__(self, *, key: str = "", always_streams: bool = False, **ours: Any) -> None:
        super().__init__(key=key, **ours)
        self.always_streams = always_streams

    def route(self, asked: Asked) -> Answer:
        known = {"/api/chat": "POST", "/api/show": "POST", "/api/tags": "GET", "/api/version": "GET"}
        if known.get(asked.path) != asked.method:
            return Answer(404, b"404 page not found", {"content-type": "text/plain"})
        if self.key and asked.headers.get("authorization") != f"Bearer {self.key}":
            return _error(401, "unauthorized", signin_url="https://ollama.com/connect")
        if asked.path == "/api/version":
            return json_answer({"version": "0.24.0"})
        if asked.path == "/api/tags":
            return json_answer({"models": [_model(name) for name in sorted(self.models)]})
        try:
            return self._show(asked.json()) if asked.path == "/api/show" else self.run(asked.json())
        except ValueError:
            return _error(400, "invalid character in body")

    def _show(self, body: Any) -> Answer:
        name = body.get("model")
        if name not in self.models:
            return _error(404, f"model '{name}' not found")
        told = {"details": _DETAILS, "model_info": {"general.architecture": "llama"}, "capabilities": ["completion"]}
        return json_answer({"modelfile": f"FROM {name}", "template": "{{ .Prompt }}", "modified_at": _MADE, **told})

    def streams(self, body: Any) -> bool:
        """Unless told not to."""
        return self.always_streams or body.get("stream") is not False

    def streamed(self, body: Any, outcome: str, made: Any) -> Answer:
        """Told `broken off` without its end."""
        said = [(name, text) for name, text in made["message"].items() if name != "role"]
        head = {"model": made["model"], "created_at": made["created_at"], "done": False}
        told = [
            {**head, "message": {"role": "assistant", "content": "", name: piece}}
            for name, text in reversed(said)
            for piece in pieces(text)
        ]
        if outcome != "broken off":
            told.append({**made, "message": {"role": "assistant", "content": ""}})
        return lines(told)

    def hear(self, body: Any) -> Heard:
        if body.get("model") not in self.models:
            raise Refusal(_error(404, f"model '{body.get('model')}' not found"))
        said = {message["role"]: message["content"] for message in body["messages"]}
        sizes = []
        for message in body["messages"]:
            for data in message.get("images", []):
                try:
                    sizes.append(size_of(data))
                except ValueError as error:
                    raise Refusal(_error(400, "illegal base64 data at input byte 4")) from error
        limit = body.get("options", {}).get("num_predict")
        return Heard(said["user"], said.get("system"), sizes, body.get("format"), limit)

    def reply(self, body: Any, heard: Heard, outcome: str, charge: Charge, text: str) -> Any:
        message: dict[str, Any] = {"role": "assistant", "content": text}
        reason = "stop"
        if outcome == "truncated":
            message["content"], reason = text[: len(text) // 2], "length"
        elif outcome == "loading":
            message["content"], reason = "", "load"
        elif outcome == "thinking aloud":
            message["thinking"] = "Let me think."
        answer = {
            "model": body["model"],
            "created_at": _MADE,
            "message": message,
            "done": outcome != "unfinished",
            "done_reason": reason,
            "total_duration": 4_000_000,
            "prompt_eval_count": charge.input_tokens,
            "eval_count": charge.output_tokens,
        }
        if outcome == "cached prompt":
            # Counts of zero are left out.
            del answer["prompt_eval_count"]
        return answer
