"""fal's queue, its runs at once, its platform list, its uploads and its media, as fal documents them.

The vendor has a host for each; here they are `url`, `run_url`, `rest_url` and `cdn_url` of one server.

Sources: fal.ai/docs/documentation/model-apis/inference/queue, …/common-parameters, …/request-errors,
fal.ai/docs/errors, the reference of the platform's list of requests, the OpenAPI of the queue, the schemas of its apps.
Chosen here, as it is not documented: a cancelled request shows COMPLETED with the error type client_cancelled; the list
shows what has ended only; 400 for a result that is asked for too early. Uploads follow the vendor's SDK (1.0).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from tests.fakes.vendors.films import tiny_film
from tests.fakes.vendors.pictures import Unreadable, encode, noise, open_data_url
from tests.fakes.vendors.script import Charge, Script
from tests.fakes.vendors.wire import Answer, Asked, json_answer, serving

_REQUEST = re.compile(r"/(?P<app>.+)/requests/(?P<id>[^/]+)(?P<what>/status|/response|/cancel)?")
_PRESETS = ("square_hd", "square", "portrait_4_3", "portrait_16_9", "landscape_4_3", "landscape_16_9")
_KONTEXT = ("21:9", "16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "9:21")
_BANANA = ("auto", "21:9", "16:9", "3:2", "4:3", "5:4", "1:1", "4:5", "3:4", "2:3", "9:16")
_RECENT = 24 * 3600
_TOKEN = "token-of-a-test"
_PLACES = {
    "/at-once/": "run",
    "/rest/storage/auth/token": "token",
    "/rest/storage/upload/initiate": "initiate",
    "/cdn/files/upload": "upload",
    "/put/": "put",
}


@dataclass(frozen=True)
class Ending:
    """How a request ends: well, or with the model's or the platform's error."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    error_type: str = ""

    @classmethod
    def model(
        cls, status: int, kind: str, message: str, *, retryable: bool | None = None, units: str = "", **headers: str
    ) -> Ending:
        """`detail` is a list; says in a header whether to try again, and what is charged for it."""
        headers = {name.replace("_", "-"): text for name, text in headers.items()}
        headers |= {} if retryable is None else {"X-Fal-Retryable": str(retryable).lower()}
        headers |= {"X-Fal-Billable-Units": units} if units else {}
        detail = [{"loc": ["body"], "msg": message, "type": kind, "url": f"https://docs.fal.ai/errors#{kind}"}]
        return cls(status, {"detail": detail}, headers, message, kind)

    @classmethod
    def platform(cls, status: int, kind: str, message: str, **headers: str) -> Ending:
        """`detail` is a text."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return cls(status, {"detail": message, "error_type": kind}, {"X-Fal-Error-Type": kind, **named}, message, kind)


@dataclass
class Request:
    """`states` still to be told, one at each look. `held` keeps it running; `sent_at` in seconds since the epoch."""

    id: str
    app: str
    inputs: dict[str, Any]
    states: deque[str]
    ending: Ending
    headers: Mapping[str, str]
    held: bool = False
    cancelled: bool = False
    sent_at: float = field(default_factory=time.time)
    ended_at: float | None = None
    output: dict[str, Any] | None = None


class Fal:
    """`endings` of requests to come; none left, they go well. `path` is what each look tells before COMPLETED.

    `stumbles` are answers to submissions that are taken all the same; the header names the request, as fal's own
    servers do.

    Charged when it is accepted, for it runs whoever asks for it or not; but not when it ends in 5xx, or is cancelled
    while it waits; its reference says 200 OK to that (`removes`), its guide 202 CANCELLATION_REQUESTED. `more` is in
    every answer. `form` is that of its pictures, as Pillow names it; `film` is what it makes in place of a
    tiny one.
    """

    def __init__(self, key: str = "fal-id:fal-secret") -> None:
        self.key = key
        self.script = Script()
        self.ledger: list[Charge] = []
        self.requests: dict[str, Request] = {}
        self.endings: deque[Ending] = deque()
        self.stumbles: deque[Answer] = deque()
        self.path: tuple[str, ...] = ("IN_QUEUE", "IN_PROGRESS")
        self.holding = False
        self.more: dict[str, Any] = {}
        self.form = "PNG"
        self.film = b""
        self.payloads_kept = True
        self.removes = True
        self.media: dict[str, tuple[bytes, str]] = {}
        self.asked: list[Asked] = []
        self.url = ""

    @property
    def run_url(self) -> str:
        return f"{self.url}/at-once"

    @property
    def rest_url(self) -> str:
        return f"{self.url}/rest"

    @property
    def cdn_url(self) -> str:
        return f"{self.url}/cdn"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Fal]:
        async with serving(self.answer) as self.url:
            yield self

    def settings(self) -> dict[str, str]:
        """For a process that is to use it."""
        return {
            "FAL_KEY": self.key,
            "FAL_BASE_URL": self.url,
            "FAL_PLATFORM_URL": f"{self.url}/platform/v1",
            "FAL_POLL_SECONDS": "0.05",
            "FAL_FIND_SECONDS": "3",
            "ALLOW_PRIVATE_URLS": self.url.removeprefix("http://"),
        }

    def release(self) -> None:
        """What was held goes on."""
        self.holding = False
        for request in self.requests.values():
            request.held = False

    def operations(self, name: str) -> int:
        """How often a request was submitted, looked at …"""
        return sum(_operation(asked) == name for asked in self.asked)

    async def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        if asked.path.startswith("/media/"):
            return await self.script.play("media", self._given(lambda: self._file(asked)))
        operation = _operation(asked)
        access = f"Bearer {_TOKEN}" if operation == "upload" else f"Key {self.key}"
        if operation != "put" and asked.headers.get("authorization") != access:
            return json_answer({"detail": "Authentication is required to access this application."}, 401)
        work: dict[str, Callable[[Asked], Answer]] = {
            "submit": self._submit,
            "status": self._status,
            "result": self._result,
            "cancel": self._cancel,
            "list": self._list,
            "run": self._run,
            "token": self._token,
            "upload": self._upload,
            "initiate": self._initiate,
            "put": self._put,
        }
        if operation not in work:
            return json_answer({"detail": "Not Found"}, 404)
        return await self.script.play(operation, self._given(lambda: work[operation](asked)))

    def _given(self, work: Callable[[], Answer]) -> Any:
        async def carry_out() -> Answer:
            return await asyncio.to_thread(work)

        return carry_out

    def _submit(self, asked: Asked) -> Answer:
        request = self._taken(asked, asked.path)
        if isinstance(request, Answer):
            return request
        if self.stumbles:
            given = self.stumbles.popleft()
            return replace(given, headers={**given.headers, "x-fal-request-id": request.id})
        return json_answer(self._links(request) | {"status": "IN_QUEUE", "queue_position": 0})

    def _taken(self, asked: Asked, path: str) -> Request | Answer:
        """The request begun, or why it was not."""
        try:
            inputs = asked.json()
        except ValueError:
            return json_answer({"detail": "Invalid JSON", "error_type": "bad_request"}, 400)
        if not isinstance(inputs, dict):
            return json_answer({"detail": "the body must be an object", "error_type": "bad_request"}, 400)
        app = path.strip("/")
        ending = self.endings.popleft() if self.endings else check(app, inputs) or Ending()
        request = Request(str(uuid4()), app, inputs, deque(self.path), ending, asked.headers, held=self.holding)
        self.requests[request.id] = request
        if ending.status < 500:
            self.ledger.append(Charge(request.id, 1.0))
        return request

    def _run(self, asked: Asked) -> Answer:
        """Answered while the line is open, as the model says it."""
        request = self._taken(asked, asked.path.removeprefix("/at-once"))
        if isinstance(request, Answer):
            return request
        request.states.clear()
        request.held, request.ended_at = False, time.time()
        return self._told(request)

    def _status(self, asked: Asked) -> Answer:
        request = self._request(asked)
        if request is None:
            return json_answer({"status": "NOT_FOUND"}, 404)
        state = self._state(request)
        body = self._links(request) | {"status": state}
        if state == "IN_QUEUE":
            body["queue_position"] = len(request.states)
        elif state == "IN_PROGRESS":
            body["logs"] = None
        else:
            body |= {"logs": None, "metrics": {"inference_time": 0.1}}
            if request.ending.status >= 400:
                body |= {"error": request.ending.error, "error_type": request.ending.error_type}
        return json_answer(body, 200 if state == "COMPLETED" else 202)

    def _result(self, asked: Asked) -> Answer:
        request = self._request(asked)
        if request is None:
            return json_answer({"status": "NOT_FOUND"}, 404)
        if request.ended_at is None:
            return json_answer({"detail": "Request is still in progress", "error_type": "bad_request"}, 400)
        return self._told(request)

    def _told(self, request: Request) -> Answer:
        if request.ending.status >= 400:
            return json_answer(request.ending.body, request.ending.status, **request.ending.headers)
        if request.output is None:
            request.output = self._output(request) | self.more
        headers = {"x-fal-request-id": request.id, "X-Fal-Billable-Units": "2"}
        return json_answer(request.output, 200, **headers)

    def _cancel(self, asked: Asked) -> Answer:
        request = self._request(asked)
        if asked.method != "PUT" or request is None:
            return json_answer({"status": "NOT_FOUND"}, 404)
        if request.ended_at is not None:
            return json_answer({"status": "ALREADY_COMPLETED"}, 400)
        in_queue = bool(request.states) and request.states[0] == "IN_QUEUE"
        if in_queue:
            self.ledger = [charge for charge in self.ledger if charge.request != request.id]
        request.ending = Ending.platform(499, "client_cancelled", "Request was cancelled by the client")
        request.states.clear()
        request.held, request.cancelled = False, True
        self._state(request)
        if in_queue and self.removes:
            return json_answer({"status": "OK"}, 200)
        return json_answer({"status": "CANCELLATION_REQUESTED"}, 202)

    def _list(self, asked: Asked) -> Answer:
        """Sorted by when they ended, so what still runs is not there."""
        endpoints = ",".join(asked.query.get("endpoint_id", [])).split(",")
        start, end = (_moment(asked.query.get(name, [""])[0]) for name in ("start", "end"))
        limit, cursor = int(asked.query.get("limit", ["50"])[0]), int(asked.query.get("cursor", ["0"])[0])
        for request in self.requests.values():
            if not request.held:
                request.ended_at = request.ended_at or time.time()
        found = [
            request
            for request in self.requests.values()
            if request.app in endpoints
            and request.ended_at is not None
            and (start or time.time() - _RECENT) <= request.ended_at <= (end or time.time() + 1)
        ]
        page = found[cursor : cursor + limit]
        more = len(found) > cursor + limit
        expanded = "payloads" in asked.query.get("expand", [])
        items = [self._item(request, payloads=expanded and self.payloads_kept) for request in page]
        return json_answer({"items": items, "has_more": more, "next_cursor": str(cursor + limit) if more else None})

    def _item(self, request: Request, *, payloads: bool) -> dict[str, Any]:
        item = {
            "request_id": request.id,
            "endpoint_id": request.app,
            "sent_at": _iso(request.sent_at),
            "started_at": _iso(request.sent_at),
            "ended_at": _iso(request.ended_at or 0.0),
            "status_code": request.ending.status,
            "duration": 0.1,
        }
        return item | ({"json_input": request.inputs} if payloads else {})

    def _state(self, request: Request) -> str:
        if request.ended_at is not None:
            return "COMPLETED"
        if request.held:
            return "IN_PROGRESS"
        if request.states:
            return request.states.popleft()
        request.ended_at = time.time()
        return "COMPLETED"

    def _request(self, asked: Asked) -> Request | None:
        """Under the first two parts of the app's id, three in two namespaces, or all of them."""
        match = _REQUEST.fullmatch(asked.path)
        request = self.requests.get(match["id"]) if match else None
        if match is None or request is None:
            return None
        return request if match["app"] in (_root(request.app), request.app) else None

    def _links(self, request: Request) -> dict[str, Any]:
        base = f"{self.url}/{_root(request.app)}/requests/{request.id}"
        return {
            "request_id": request.id,
            "response_url": base,
            "status_url": f"{base}/status",
            "cancel_url": f"{base}/cancel",
        }

    def _output(self, request: Request) -> dict[str, Any]:
        if "video" in request.app or "veo" in request.app:
            url = self.keep(self.film or tiny_film(), "video/mp4", "mp4")
            return {"video": {"url": url, "content_type": "video/mp4", "file_name": "output.mp4"}}
        width, height = _size(request)
        content, kind = encode(noise(width, height, len(self.media)), self.form), self.form.lower()
        image: dict[str, Any] = {"url": self.keep(content, f"image/{kind}", kind), "content_type": f"image/{kind}"}
        image |= {"width": width, "height": height}
        if "upscaler" in request.app:
            return {"image": image, "seed": request.inputs.get("seed", 1)}
        if "nano-banana" in request.app:
            return {"images": [image], "description": "as asked"}
        return {
            "images": [image],
            "seed": request.inputs.get("seed", 1),
            "prompt": request.inputs.get("prompt"),
            "has_nsfw_concepts": [request.inputs.get("prompt") == "nsfw"],
            "timings": {"inference": 0.1},
        }

    def keep(self, content: bytes, kind: str, suffix: str) -> str:
        """The address of a file of its media."""
        path = f"/media/{uuid4().hex}.{suffix}"
        self.media[path] = content, kind
        return self.url + path

    def _token(self, asked: Asked) -> Answer:
        """For uploads alone; its end is told as a date."""
        ends = datetime.fromtimestamp(time.time() + 600, UTC).isoformat()
        told = {"token": _TOKEN, "token_type": "Bearer", "base_url": self.cdn_url, "expires_at": ends}
        return json_answer(told)

    def _upload(self, asked: Asked) -> Answer:
        kind = asked.headers.get("content-type", "")
        name = asked.headers.get("x-fal-file-name", "upload.bin")
        return json_answer({"access_url": self.keep(asked.body, kind, name.rpartition(".")[2])})

    def _initiate(self, asked: Asked) -> Answer:
        """The file lies at its address once it was put at the other one."""
        told = asked.json()
        url = self.keep(b"", told["content_type"], told["file_name"].rpartition(".")[2])
        return json_answer({"upload_url": url.replace("/media/", "/put/"), "file_url": url})

    def _put(self, asked: Asked) -> Answer:
        self.media[asked.path.replace("/put/", "/media/")] = asked.body, asked.headers.get("content-type", "")
        return json_answer({})

    def _file(self, asked: Asked) -> Answer:
        """Anybody may have it: it must never be asked for with the key."""
        if "authorization" in asked.headers or asked.path not in self.media:
            return json_answer({"detail": "Not Found"}, 404)
        content, kind = self.media[asked.path]
        return Answer(200, content, {"content-type": kind})


def check(app: str, inputs: Mapping[str, Any]) -> Ending | None:
    """What the app's schema has against its inputs."""
    for name, allowed in _schema(app).items():
        required, is_right = allowed
        if name not in inputs:
            if required:
                return _wrong(name, "missing", "Field required")
        elif not is_right(inputs[name]):
            return _wrong(name, "value_error", f"{name} is not one of what {app} takes")
    return None


Rule = tuple[bool, Callable[[Any], bool]]


def _schema(app: str) -> dict[str, Rule]:
    text: Rule = (True, lambda value: isinstance(value, str) and bool(value))
    picture: Rule = (True, _is_picture)
    common: dict[str, Rule] = {"prompt": text, "seed": (False, _is_whole), "num_images": (False, lambda n: 1 <= n <= 4)}
    if "kontext" in app:
        return common | {"image_url": picture, "aspect_ratio": (False, _KONTEXT.__contains__)}
    if "nano-banana" in app:
        rules: dict[str, Rule] = {"image_urls": (True, lambda urls: bool(urls) and all(map(_is_picture, urls)))}
        return common | rules | {"aspect_ratio": (False, _BANANA.__contains__)}
    if "kling-video/v3" in app:
        durations = tuple(str(number) for number in range(3, 16))
        return {"start_image_url": picture, "duration": (False, durations.__contains__)}
    if "kling-video" in app:
        return {"prompt": text, "image_url": picture, "duration": (False, ("5", "10").__contains__)}
    if "veo" in app:
        return {"prompt": text, "image_url": picture, "duration": (False, ("4s", "6s", "8s").__contains__)}
    if "upscaler" in app:
        return {"image_url": picture, "upscale_factor": (False, lambda factor: 1 <= factor <= 4)}
    if "flux" in app:
        flux = common | {"image_size": (False, _is_size), "loras": (False, _are_loras)}
        drawn_from = "image-to-image" in app or "inpainting" in app
        flux |= {"image_url": picture, "strength": (False, lambda share: 0 < share <= 1)} if drawn_from else {}
        return flux | ({"mask_url": picture} if "inpainting" in app else {})
    return {}


def _is_picture(value: Any) -> bool:
    if isinstance(value, str) and value.startswith("data:"):
        try:
            open_data_url(value)
        except Unreadable:
            return False
        return True
    return isinstance(value, str) and value.startswith("http")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_size(value: Any) -> bool:
    return value in _PRESETS or (isinstance(value, dict) and {"width", "height"} <= set(value))


def _are_loras(value: Any) -> bool:
    return isinstance(value, list) and all(str(lora.get("path", "")).startswith("http") for lora in value)


def _wrong(name: str, kind: str, message: str) -> Ending:
    detail = [{"loc": ["body", name], "msg": message, "type": kind, "url": "https://docs.fal.ai/errors"}]
    return Ending(422, {"detail": detail}, {"X-Fal-Retryable": "false"}, message, kind)


def _size(request: Request) -> tuple[int, int]:
    size, image = request.inputs.get("image_size"), request.inputs.get("image_url")
    if isinstance(size, dict):
        return size["width"], size["height"]
    if isinstance(image, str) and image.startswith("data:"):
        width, height = open_data_url(image).size
        factor = request.inputs.get("upscale_factor", 1)
        return round(width * factor), round(height * factor)
    return 64, 48


def _root(app: str) -> str:
    """Below which its requests lie."""
    parts = app.split("/")
    return "/".join(parts[: 3 if parts[0] in ("workflows", "comfy") else 2])


def _operation(asked: Asked) -> str:
    if asked.path.endswith("/platform/v1/models/requests/by-endpoint"):
        return "list"
    for beginning, operation in _PLACES.items():
        if asked.path.startswith(beginning):
            return operation
    match = _REQUEST.fullmatch(asked.path)
    if match is None:
        return "submit" if asked.method == "POST" else "unknown"
    return {"/status": "status", "/cancel": "cancel"}.get(match["what"] or "", "result")


def _moment(text: str) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
