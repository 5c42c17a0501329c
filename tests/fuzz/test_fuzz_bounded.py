"""A few hundred cases of `make fuzz`, and the search for secrets behind them."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import replace

import pytest

from deploy.local.paths import StackFolder
from tests.fuzz.campaign import Tally, fight
from tests.fuzz.cases import GrpcCase, HttpCase, from_json
from tests.fuzz.leaks import leaks
from tests.fuzz.sending import loaded
from tests.fuzz.target import CALLERS_SECRET, Target, attacked

CASES = 300
SEED = 7
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with attacked(StackFolder(tmp_path_factory.mktemp("fuzz"))) as made:
        yield made


@pytest.fixture(scope="module")
def tally(target: Target) -> Tally:
    with loaded(target) as gun:
        return fight(gun, target, cases=CASES, seed=SEED, tell=print)


def test_every_generated_case_gets_a_clear_answer(tally: Tally) -> None:
    assert tally.report()["failures"] == []
    assert tally.cases >= CASES
    assert len(tally.answers) == 8


def test_no_secret_is_in_a_log_an_event_or_a_page(target: Target, tally: Tally) -> None:
    assert tally.answers
    key = {"authorization": f"Bearer {target.api_key}"}
    request = urllib.request.Request(f"{target.url}/api/v1/tasks/", headers=key)
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert CALLERS_SECRET in answer.read().decode()
    assert leaks(target) == []


def test_the_search_finds_what_is_there(target: Target, tally: Tally) -> None:
    assert tally.answers
    found = leaks(replace(target, secrets={"a common word": "task"}))
    assert any("log tasks.log" in line for line in found)
    assert any("event evt.v1." in line for line in found)
    assert "a common word in /openapi.json" in found


@pytest.mark.parametrize(
    "case",
    [
        HttpCase("raw HTTP", "a note", b"GET / HTTP/1.1\r\n\xff", refused=True),
        GrpcCase("protobufs", "a note", "/a.B/C", (("a", "b"), ("a", "c")), (b"", b"\x00\xff")),
    ],
)
def test_a_case_can_be_kept_and_sent_again(case: HttpCase | GrpcCase) -> None:
    assert from_json(json.loads(json.dumps(case.to_json()))) == case
