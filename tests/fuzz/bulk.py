"""Large requests that would cost far more to read than to send."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator

from tests.fuzz.cases import HttpCase, Shoot, http_request, json_request
from tests.fuzz.raw_http import TASKS, task

KIND = "large requests"
_MIB = 1 << 20
_FORM = {"Content-Type": "multipart/form-data; boundary=b"}
_PATH = "/api/v1/storage/images/bulk.png"


def attack(shoot: Shoot, cases: int, seed: int) -> None:
    """The gateway's limits are 32 MiB of JSON and 64 MiB of a form; all of these are below or just above."""
    rng = random.Random(f"{seed}:{KIND}")
    made: list[tuple[str, Callable[[], bytes]]] = []
    while len(made) < cases:
        made += rng.sample(list(_makers(rng.choice((1, 4, 31)))), k=12)
    for note, make in made[:cases]:
        shoot(HttpCase(KIND, note, make(), refused=True))


def _makers(size: int) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """`size` in MiB."""
    count = size * _MIB
    yield f"{size} MiB of prompt", lambda: _json(task(prompt="x" * count))
    yield f"{size} MiB of numbers", lambda: _json(task(config={"a": [0] * (count // 3)}))
    yield f"{size} MiB of lists", lambda: _post(b'{"config":{"a":[' + b"[[]]," * (count // 5) + b"[]]}}")
    yield f"{size} MiB of unknown fields", lambda: _json({f"f{number}": 1 for number in range(count // 13)})
    yield (
        f"{size} MiB of fields beside a type",
        lambda: _json(task(**{f"f{number}": 1 for number in range(count // 13)})),
    )
    yield f"{size} MiB of base64", lambda: _json(task(reference_image_data="A" * (count * 3 // 4)))
    yield f"{size} MiB of spaces", lambda: _post(b" " * count)
    yield f"{size} MiB of header", lambda: http_request("GET", f"{TASKS}x", {"X-Long": "x" * count})
    yield (
        f"{size} MiB of headers",
        lambda: http_request("GET", f"{TASKS}x", {f"X-{number}": "y" for number in range(count // 12)}),
    )
    yield (
        f"{size} MiB of a part's header",
        lambda: _form(b'Content-Disposition: form-data; name="' + b"f" * count + b'"'),
    )
    yield f"{size} MiB of parts' headers", lambda: _form(b"X: y\r\n" * (count // 6))
    yield (
        f"{size} MiB of boundaries begun",
        lambda: _form(b'Content-Disposition: form-data; name="file"', b"\r\n--" * (count // 4)),
    )


def _json(body: dict[str, object]) -> bytes:
    return _post(json.dumps(body).encode())


def _post(body: bytes) -> bytes:
    return json_request("POST", TASKS, body)


def _form(head: bytes, content: bytes = b"x") -> bytes:
    return http_request("POST", _PATH, _FORM, b"--b\r\n" + head + b"\r\n\r\n" + content + b"\r\n--b--\r\n")
