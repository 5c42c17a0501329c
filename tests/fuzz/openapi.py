"""The OpenAPI document turned against the gateway by schemathesis: good requests, bad ones, and chains of them."""

from __future__ import annotations

import json
import urllib.request
from typing import Any
from urllib.parse import urlsplit

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from tests.fuzz.cases import HttpCase, Shoot

KIND = "schemathesis"
STATEFUL = "schemathesis, stateful"
_STEPS = 6


def attack(shoot: Shoot, cases: int, seed: int, url: str) -> None:
    """Half of the cases follow the document, half break it."""
    operations = [found.ok() for found in _schema(url).get_all_operations()]
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    jobs = [(operation, mode) for operation in operations for mode in modes]
    for number, (operation, mode) in enumerate(jobs):
        share = cases * (number + 1) // len(jobs) - cases * number // len(jobs)
        if share:
            _attack_one(shoot, operation, mode, share, seed)


def attack_in_chains(shoot: Shoot, cases: int, seed: int, url: str) -> None:
    """What one answer holds is used in the next request, as far as schemathesis finds links."""
    schema = _schema(url)
    machine: Any = schema.as_state_machine()

    class Chain(machine):  # type: ignore[misc]  # made at run time
        def call(self, case: Any, **more: Any) -> Any:
            shoot(_as_case(STATEFUL, case, url))
            return super().call(case, **more)

        def validate_response(self, response: Any, case: Any, **more: Any) -> None:
            """The gun has judged an answer to the same request already."""

    chosen = settings(_settings(max(1, cases // _STEPS)), stateful_step_count=_STEPS)
    seeded(seed)(Chain.TestCase).settings = chosen
    Chain.run(settings=chosen)


def _attack_one(shoot: Shoot, operation: Any, mode: GenerationMode, cases: int, seed: int) -> None:
    base = operation.schema.get_base_url()

    @seeded(seed)
    @_settings(cases)
    @given(operation.as_strategy(generation_mode=mode))
    def each(case: Any) -> None:
        shoot(_as_case(KIND, case, base))

    try:
        each()
    except Unsatisfiable:
        return  # nothing about this operation can be broken


def _schema(url: str) -> Any:
    with urllib.request.urlopen(f"{url}/openapi.json", timeout=30) as answer:
        schema = schemathesis.openapi.from_dict(json.load(answer))
    schema.config.update(base_url=url)
    return schema


def _settings(cases: int) -> settings:
    quiet = list(HealthCheck)
    return settings(
        max_examples=cases, phases=[Phase.generate], database=None, deadline=None, suppress_health_check=quiet
    )


def _as_case(kind: str, case: Any, base: str) -> HttpCase:
    """The bytes that requests would send."""
    given_parts = case.as_transport_kwargs(base_url=base)
    known = {"method", "url", "headers", "files", "data", "json", "params", "cookies"}
    made = requests.Request(**{name: value for name, value in given_parts.items() if name in known}).prepare()
    body: Any = made.body.encode() if isinstance(made.body, str) else made.body or b""
    kept = {name: value for name, value in made.headers.items() if name.lower() not in ("connection", "authorization")}
    host = urlsplit(base).netloc
    headers = {**kept, "Host": host, "Connection": "close", "Authorization": "Bearer {key}"}
    if body:
        headers["Content-Length"] = str(len(body))
    lines = [b"%s: %s" % (_bytes(name), _bytes(value)) for name, value in headers.items()]
    raw = b"\r\n".join([f"{made.method} {made.path_url} HTTP/1.1".encode(), *lines, b"", b""]) + body
    return HttpCase(kind, f"{case.method} {case.path}", raw)


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1", "replace")
