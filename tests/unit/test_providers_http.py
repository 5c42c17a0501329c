"""The client of vendors: what it sends once, what it asks again, and what it never says."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from services.common.errors import (
    ComputeError,
    InvalidRequest,
    OutcomeUnknown,
    ProviderExhausted,
    ProviderFailed,
    ProviderRefused,
    RateLimited,
    Unavailable,
)
from services.providers.http import HttpTerms, VendorHttp, judge_by_status, open_http, retry_after, words_of
from services.providers.http import VendorResponse as Told
from tests.fakes.vendors.wire import Answer, Asked, json_answer, serving

KEY = "a-key-nobody-may-see"
TERMS = HttpTerms(request_seconds=0.5, patience=1.0, max_answer_bytes=1000)


class Vendor:
    """Answers in order, the last for ever."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[Asked] = []
        self.url = ""

    async def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
async def http() -> AsyncIterator[VendorHttp]:
    async with open_http("Acme", headers={"x-key": KEY}, secrets=(KEY,), terms=TERMS) as client:
        yield client


GOOD = json_answer({"ok": True})
PASSING = {
    "the line dies": Answer(cut_at=0),
    "the answer breaks off": Answer(200, b'{"ok": true}', cut_at=4),
    "nothing comes": Answer(silent=True),
    "no JSON": Answer(200, b"<html>"),
    "an empty body": Answer(200, b""),
    "too large": json_answer({"ok": "x" * 2000}),
    "503": json_answer({}, 503),
    "429": json_answer({}, 429, Retry_After="0"),
}


@pytest.mark.parametrize("trouble", PASSING)
async def test_a_question_is_asked_again(http: VendorHttp, trouble: str) -> None:
    vendor = Vendor(PASSING[trouble], GOOD)
    async with serving(vendor.answer) as url:
        answer = await http.ask(url, patience=5.0)
    assert answer.body == {"ok": True}
    assert len(vendor.asked) == 2


@pytest.mark.parametrize("trouble", PASSING)
async def test_a_question_is_given_up_after_a_while_without_a_word_on_the_job(http: VendorHttp, trouble: str) -> None:
    vendor = Vendor(PASSING[trouble])
    async with serving(vendor.answer) as url:
        began = time.monotonic()
        with pytest.raises(RateLimited if trouble == "429" else Unavailable):
            await http.ask(url)
    assert time.monotonic() - began < 3.0


@pytest.mark.parametrize("trouble", PASSING)
async def test_what_costs_money_is_sent_once(http: VendorHttp, trouble: str) -> None:
    vendor = Vendor(PASSING[trouble])
    known = {"503": ProviderFailed, "429": RateLimited}
    async with serving(vendor.answer) as url:
        with pytest.raises(known.get(trouble, OutcomeUnknown)):
            await http.send(url, {"prompt": "x"})
    assert len(vendor.asked) == 1


async def test_what_never_left_is_told_from_what_may_have_arrived(http: VendorHttp) -> None:
    with pytest.raises(Unavailable) as failed:
        await http.send("http://127.0.0.1:1/", {})
    assert failed.value.reason == "PROVIDER_UNREACHABLE"


async def test_no_redirect_is_followed_with_the_key(http: VendorHttp) -> None:
    other = Vendor(GOOD)
    async with serving(other.answer) as elsewhere:
        vendor = Vendor(Answer(307, b"{}", {"location": elsewhere}))
        async with serving(vendor.answer) as url:
            with pytest.raises(ProviderRefused):
                await http.send(url, {})
    assert not other.asked


async def test_the_environment_changes_nothing(http: VendorHttp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    vendor = Vendor(GOOD)
    async with serving(vendor.answer) as url, open_http("Acme", terms=TERMS) as client:
        assert (await client.ask(url)).body == {"ok": True}


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 422, 429, 500])
async def test_a_key_that_a_vendor_repeats_is_blotted_out(http: VendorHttp, status: int) -> None:
    vendor = Vendor(json_answer({"error": {"message": f"the key {KEY} is odd"}}, status))
    async with serving(vendor.answer) as url:
        with pytest.raises(ComputeError) as failed:
            await http.send(url, {})
    assert KEY not in failed.value.message and KEY not in str(failed.value) and "***" in failed.value.message


async def test_headers_of_one_request_go_beside_those_of_all(http: VendorHttp) -> None:
    vendor = Vendor(GOOD)
    async with serving(vendor.answer) as url:
        await http.send(url, {"a": 1}, headers={"x-more": "1"})
    [asked] = vendor.asked
    assert (asked.headers["x-key"], asked.headers["x-more"], asked.json()) == (KEY, "1", {"a": 1})
    assert asked.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (200, None, ""),
        (202, None, ""),
        (400, InvalidRequest, "PROVIDER_REJECTED"),
        (401, ProviderRefused, "PROVIDER_KEY_REFUSED"),
        (402, ProviderExhausted, "PROVIDER_NO_CREDITS"),
        (403, ProviderRefused, "PROVIDER_KEY_REFUSED"),
        (404, ProviderRefused, "PROVIDER_REFUSED"),
        (408, ProviderFailed, "PROVIDER_FAILED"),
        (409, ProviderFailed, "PROVIDER_FAILED"),
        (413, InvalidRequest, "PROVIDER_REJECTED"),
        (422, InvalidRequest, "PROVIDER_REJECTED"),
        (429, RateLimited, "RATE_LIMITED"),
        (500, ProviderFailed, "PROVIDER_FAILED"),
        (529, ProviderFailed, "PROVIDER_FAILED"),
    ],
)
def test_a_status_says_whose_fault_it_is(status: int, kind: type[ComputeError] | None, reason: str) -> None:
    error = judge_by_status(Told(status, {}))
    assert (type(error) if error else None, error.reason if error else "") == (kind, reason)


@pytest.mark.parametrize(
    ("status", "advice", "kind"),
    [
        (400, "true", ProviderFailed),
        (500, "false", ProviderRefused),
        (529, "false", ProviderRefused),
        (409, "false", ProviderRefused),
        (429, "false", ProviderExhausted),
        (429, "true", RateLimited),
        (401, "true", ProviderRefused),
        (402, "true", ProviderExhausted),
        (422, "false", InvalidRequest),
        (503, "perhaps", ProviderFailed),
    ],
)
def test_what_a_vendor_says_of_trying_again_goes_before_its_status(
    status: int, advice: str, kind: type[ComputeError]
) -> None:
    assert type(judge_by_status(Told(status, {"x-should-retry": advice}))) is kind


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"detail": "a"}, "a"),
        ({"message": "a"}, "a"),
        ({"error": {"message": "a"}}, "a"),
        ({"error": "a"}, "a"),
        ({"detail": [{"msg": "a"}]}, "a"),
        ({"title": "a"}, "a"),
        ({"detail": {"odd": 1}}, "no explanation"),
        ([], "no explanation"),
        (None, "no explanation"),
        ({"detail": "x" * 9000}, "x" * 500),
    ],
)
def test_a_vendors_own_words_are_found(body: Any, words: str) -> None:
    assert words_of(Told(400, {}, body)) == words


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *(("7", 7.0), ("0.5", 0.5), ("", None), ("soon", None), ("-1", None), ("1.2.3", None), ("\u00b2", None)),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999999999", None),
    ],
)
def test_a_wait_is_read_in_seconds(value: str, seconds: float | None) -> None:
    assert retry_after(Told(429, {"retry-after": value})) == seconds


def test_a_wait_in_milliseconds_is_finer_than_one_in_seconds() -> None:
    assert retry_after(Told(429, {"retry-after-ms": "1250", "retry-after": "2"})) == 1.25
    assert retry_after(Told(429, {"retry-after-ms": "soon", "retry-after": "2"})) == 2.0


def test_a_wait_is_read_as_a_date() -> None:
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    found = retry_after(Told(429, {"retry-after": moment}))
    assert found is not None and 25 < found <= 30
    assert retry_after(Told(429, {"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"})) == 0.0
