"""What the four chat vendors share: a ledger, a plan of what happens next, and a model that says what it was shown."""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

from PIL import Image

from tests.fakes.vendors.wire import Answer, Asked, json_answer


class Refusal(Exception):
    """The request is answered with an error and costs nothing."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


@dataclass(frozen=True)
class Charge:
    """One run of the model somebody pays for."""

    id: str
    input_tokens: int
    output_tokens: int


class Heard(NamedTuple):
    """A request understood: sizes are (width, height) of its pictures, in order."""

    prompt: str
    system: str | None
    sizes: list[tuple[int, int]]
    schema: Any
    limit: int | None


# What can happen to any vendor's answer on its way, after the model has run and the run is on the bill.
MISHAPS: Mapping[str, Mapping[str, Any]] = {
    "lost": {"cut_at": 0},
    "torn": {"cut_at": 40},
    "silent": {"silent": True},
    "garbled": {"body": b"<html>upstream closed</html>"},
    "empty": {"body": b"{}"},
    "a list": {"body": b"[]"},
}


class ChatVendor:
    """Answers well until told otherwise: `plan` names what becomes of the next paid requests, one each.

    Names are those of `errors` (documented, not charged), of MISHAPS (charged), `unsent` (the line dies before the
    request is looked at), or an outcome the vendor documents. `next`: an answer to the next one that costs nothing.
    """

    errors: ClassVar[Mapping[str, Answer]] = {}
    outcomes: ClassVar[frozenset[str]] = frozenset()
    request_header: ClassVar[str] = "x-request-id"

    def __init__(self, key: str = "key-of-a-test", models: Iterable[str] = ("model-of-a-test",)) -> None:
        self.key = key
        self.models = set(models)
        self.asked: list[Asked] = []
        self.heard: list[Heard] = []
        self.charges: list[Charge] = []
        self.says: str | None = None
        self.next: Answer | None = None
        self._plan: deque[str] = deque()

    def plan(self, *turns: str) -> None:
        known = {"answers", "unsent", *MISHAPS, *self.errors, *self.outcomes}
        assert set(turns) <= known, set(turns) - known
        self._plan.extend(turns)

    async def __call__(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        try:
            return self.route(asked)
        except Refusal as refusal:
            return refusal.answer

    def route(self, asked: Asked) -> Answer:
        """Raises Refusal."""
        raise NotImplementedError

    def hear(self, body: Any) -> Heard:
        """Raises Refusal for what the vendor would not take."""
        raise NotImplementedError

    def reply(self, body: Any, heard: Heard, outcome: str, charge: Charge, text: str) -> Any:
        raise NotImplementedError

    def run(self, body: Any) -> Answer:
        """One paid request. Raises Refusal."""
        heard = self.hear(body)
        if self.next is not None:
            given, self.next = self.next, None
            return given
        turn = self._plan.popleft() if self._plan else "answers"
        if turn == "unsent":
            return Answer(cut_at=0)
        if turn in self.errors:
            return self.errors[turn]
        self.heard.append(heard)
        text = self.says if self.says is not None else speak(heard)
        if heard.limit is not None and len(text.split()) > heard.limit:
            text = " ".join(text.split()[: heard.limit])
        charge = self.charge(heard, text)
        made = self.reply(body, heard, turn, charge, text)
        answer = self.streamed(body, turn, made) if self.streams(body) else json_answer(made)
        named = {**answer.headers, self.request_header: f"req_{charge.id}"}
        return replace(answer, headers=named, **MISHAPS.get(turn, {}))

    def streams(self, body: Any) -> bool:
        """Whether the request asks for its answer bit by bit."""
        return body.get("stream") is True

    def streamed(self, body: Any, outcome: str, made: Any) -> Answer:
        """What `reply` made, bit by bit."""
        raise NotImplementedError

    def charge(self, heard: Heard, text: str) -> Charge:
        tokens = len(heard.prompt.split()) + len((heard.system or "").split()) + 100 * len(heard.sizes)
        made = Charge(f"run-{len(self.charges) + 1}", tokens, len(text.split()))
        self.charges.append(made)
        return made


def speak(heard: Heard) -> str:
    """What the model makes of it: JSON where a schema asks for it."""
    if heard.schema is not None:
        return json.dumps(instance_of(heard.schema))
    seen = ", ".join(f"{width}x{height}" for width, height in heard.sizes) or "nothing"
    return f"I see {seen}. You said: {heard.prompt}"


def instance_of(schema: Any) -> Any:
    """Some value that follows `schema`, for the few keywords tests use."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {name: instance_of(part) for name, part in schema.get("properties", {}).items()}
        case "array":
            return [instance_of(schema.get("items", {}))]
        case "integer":
            return schema.get("minimum", 1)
        case "number":
            return 0.5
        case "boolean":
            return True
        case _:
            return "word"


def size_of(data: str, media_type: str | None = None) -> tuple[int, int]:
    """Raises ValueError unless `data` is the base64 of a whole picture of that type."""
    try:
        content = base64.b64decode(data, validate=True)
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
            if media_type is not None and Image.MIME[picture.format or ""] != media_type:
                raise ValueError(f"the picture is no {media_type}")
            return picture.size
    except (binascii.Error, OSError, KeyError) as error:
        raise ValueError("no picture") from error


def camel(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Names as JSON of protobuf has them, which takes those with underscores too."""
    return {re.sub("_([a-z])", lambda found: found[1].upper(), name): value for name, value in fields.items()}


def unknown_fields(value: Mapping[str, Any], known: frozenset[str]) -> list[str]:
    return sorted(set(value) - known)
