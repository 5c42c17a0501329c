"""Plain HTTP to one vendor: a pool, a deadline on every request, answers within a size, errors by whose fault they are.

What costs money is sent once and never again by itself; what only asks is asked again while that may help. No key ever
stands in an error or a log, no redirect is followed, and no proxy or password of the environment takes part.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

import httpx2
import orjson

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
from services.net.header_values import parse_number, parse_pause
from services.net.tls import authorities
from services.providers import streams
from services.telemetry import tracing

_TEXT_LIMIT = 500
# Before the first byte has left: the vendor has seen nothing.
_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
_FAILURES = (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, OSError)


@dataclass(frozen=True, slots=True)
class VendorResponse:
    """`body` is the JSON, of a stream all of it in a list; None where there is none, then `text` is how it begins.

    Names of headers are low.
    """

    status: int
    headers: Mapping[str, str]
    body: Any = field(default=None, repr=False)
    text: str = field(default="", repr=False)

    def member(self, *path: str | int) -> Any:
        """What lies at that path of the body; None where nothing does."""
        found = self.body
        for step in path:
            try:
                found = found[step]
            except (KeyError, IndexError, TypeError):
                return None
        return found


# What an answer means: None when it is good. An adapter that knows more of its vendor asks `judge_by_status` last.
Judge: TypeAlias = Callable[[VendorResponse], ComputeError | None]


@dataclass(frozen=True, slots=True)
class HttpTerms:
    """Seconds; bytes. `patience`: how long a question that fails is asked again."""

    connect_seconds: float = 10.0
    request_seconds: float = 60.0
    patience: float = 60.0
    max_answer_bytes: int = 64 << 20
    connections: int = 32


class VendorHttp:
    """`headers` go with every request, `secrets` (the key) are blotted out of every message."""

    def __init__(
        self,
        client: httpx2.AsyncClient,
        vendor: str,
        terms: HttpTerms,
        *,
        secrets: tuple[str, ...] = (),
        judge: Judge | None = None,
    ) -> None:
        self._client = client
        self._vendor = vendor
        self._terms = terms
        self._secrets = tuple(secret for secret in secrets if secret)
        self._judge = judge or judge_by_status

    async def send(
        self,
        url: str,
        body: Any = None,
        *,
        method: str = "POST",
        seconds: float | None = None,
        blank: bool = False,
        **options: Any,
    ) -> VendorResponse:
        """Sends what may cost money, once. `options`: `headers`, `params`, `content`, `files`, `judge`.

        `blank`: an answer without JSON will do, when it is judged as good.

        Raises:
            OutcomeUnknown: it may have arrived, and no usable answer came.
            Unavailable: it never left.
            ComputeError: what the vendor said, as judged; a 502 or 504 not judged otherwise leaves it unknown.
        """
        judge = options.pop("judge", None) or self._judge
        try:
            answer = await self._exchange(method, url, body, seconds, options)
        except _NEVER_SENT as error:
            raise self._unreachable(error) from error
        except _FAILURES as error:
            message = f"{self._vendor} gave no whole answer ({type(error).__name__})"
            raise OutcomeUnknown(message) from error
        verdict = judge(answer)
        if verdict is not None:
            if answer.status in (502, 504) and verdict.reason == ProviderFailed.default_reason:
                raise OutcomeUnknown(f"{self._vendor} answered {answer.status}: something in between gave up")
            raise self._clean(verdict)
        if answer.body is None and answer.status != httpx2.codes.NO_CONTENT and not blank:
            raise OutcomeUnknown(f"{self._vendor} answered {answer.status} without JSON")
        return answer

    async def ask(
        self,
        url: str,
        *,
        method: str = "GET",
        body: Any = None,
        seconds: float | None = None,
        patience: float | None = None,
        **options: Any,
    ) -> VendorResponse:
        """Asks what is free to ask, and again with growing pauses while that may help. Options as those of `send`.

        Raises:
            ComputeError: what the vendor said, as judged; Unavailable when nothing usable came within `patience`.
        """
        judge = options.pop("judge", None) or self._judge
        give_up = time.monotonic() + (self._terms.patience if patience is None else patience)
        pause = 0.25
        while True:
            error = await self._once(method, url, body, seconds, options, judge)
            if isinstance(error, VendorResponse):
                return error
            wait = max(pause * random.uniform(0.5, 1.5), error.retry_after or 0.0)
            if not _may_pass(error) or time.monotonic() + wait > give_up:
                raise error
            await asyncio.sleep(wait)
            pause = min(5.0, pause * 2)

    async def _once(
        self, method: str, url: str, body: Any, seconds: float | None, options: dict[str, Any], judge: Judge
    ) -> VendorResponse | ComputeError:
        try:
            answer = await self._exchange(method, url, body, seconds, options)
        except _FAILURES as error:
            return self._unreachable(error)
        verdict = judge(answer)
        if answer.status >= 500 and isinstance(verdict, ProviderFailed | ProviderRefused):
            # A question that failed says nothing of what it was about: a job may well go on.
            verdict = Unavailable(verdict.message, reason="PROVIDER_UNREACHABLE", retry_after=verdict.retry_after)
        if verdict is not None:
            return self._clean(verdict)
        if answer.body is None and answer.status != httpx2.codes.NO_CONTENT:
            return Unavailable(f"{self._vendor} answered without JSON", reason="PROVIDER_ANSWER_UNREADABLE")
        return answer

    async def _exchange(
        self, method: str, url: str, body: Any, seconds: float | None, options: dict[str, Any]
    ) -> VendorResponse:
        if body is not None:
            options = options | {"content": orjson.dumps(body)}
            options["headers"] = {"content-type": "application/json", **options.get("headers", {})}
        if shown := tracing.shown_to_vendors():
            options = options | {"headers": {**options.get("headers", {}), **shown}}
        async with asyncio.timeout(seconds or self._terms.request_seconds):
            async with self._client.stream(method, url, **options) as response:
                content = await self._read(response)
        headers = {name.lower(): value for name, value in response.headers.items()}
        try:
            return VendorResponse(
                response.status_code, headers, streams.parse(content, headers.get("content-type", ""))
            )
        except ValueError:
            text = content[: 4 * _TEXT_LIMIT].decode("utf-8", "replace")
            return VendorResponse(response.status_code, headers, text=text[:_TEXT_LIMIT])

    async def _read(self, response: httpx2.Response) -> bytes:
        parts, size = [], 0
        async for part in response.aiter_bytes():
            size += len(part)
            if size > self._terms.max_answer_bytes:
                raise httpx2.RemoteProtocolError(f"the answer has more than {self._terms.max_answer_bytes} bytes")
            parts.append(part)
        return b"".join(parts)

    def _unreachable(self, error: BaseException) -> Unavailable:
        message = f"{self._vendor} cannot be reached ({type(error).__name__})"
        return Unavailable(message, reason="PROVIDER_UNREACHABLE", retry_after=None)

    def _clean(self, error: ComputeError) -> ComputeError:
        """The vendor's own words may repeat what they were sent."""
        for secret in self._secrets:
            error.message = error.message.replace(secret, "***")
        error.args = (error.message,)
        return error


@asynccontextmanager
async def open_http(
    vendor: str,
    *,
    headers: Mapping[str, str] | None = None,
    secrets: tuple[str, ...] = (),
    terms: HttpTerms | None = None,
    judge: Judge | None = None,
) -> AsyncIterator[VendorHttp]:
    """A client for one vendor, for as long as the block lasts; it connects when first used."""
    terms = terms or HttpTerms()
    limits = httpx2.Limits(max_connections=terms.connections, max_keepalive_connections=terms.connections // 4)
    timeout = httpx2.Timeout(None, connect=terms.connect_seconds)
    async with httpx2.AsyncClient(
        headers={"user-agent": "atelier", **(headers or {})},
        limits=limits,
        timeout=timeout,
        verify=authorities(trust_env=False),
        trust_env=False,
        follow_redirects=False,
    ) as client:
        yield VendorHttp(client, vendor, terms, secrets=secrets, judge=judge)


def judge_by_status(answer: VendorResponse) -> ComputeError | None:
    """What every vendor means by a status, in its own words where the body has some.

    `x-should-retry`, which the vendors' own clients obey, goes before that.
    """
    status, advice = answer.status, answer.headers.get("x-should-retry")
    if 200 <= status < 300:
        return None
    said = f"the provider answered {status}: {words_of(answer)}"
    if status in (401, 403):
        return ProviderRefused(said, reason="PROVIDER_KEY_REFUSED")
    if status == 402:
        return ProviderExhausted(said)
    if status == 429 and advice == "false":
        return ProviderExhausted(said, reason=ProviderExhausted.USED_UP)
    if status == 429:
        return RateLimited(said, retry_after=retry_after(answer))
    if advice == "true" or (advice != "false" and (status in (408, 409, 425) or status >= 500)):
        return ProviderFailed(said, retry_after=retry_after(answer))
    if status in (400, 413, 415, 422):
        return InvalidRequest(said, reason="PROVIDER_REJECTED")
    return ProviderRefused(said)


def words_of(answer: VendorResponse) -> str:
    """The vendor's explanation: the first text among the members vendors use for one."""
    for path in (("detail",), ("message",), ("error", "message"), ("error",), ("detail", 0, "msg"), ("title",)):
        found = answer.member(*path)
        if isinstance(found, str) and found:
            return found[:_TEXT_LIMIT]
    return answer.text[:_TEXT_LIMIT] or "no explanation"


def retry_after(answer: VendorResponse) -> float | None:
    """Seconds of a Retry-After header; `retry-after-ms` is finer."""
    millis = parse_number(answer.headers.get("retry-after-ms", ""))
    if millis is not None:
        return millis / 1000
    return parse_pause(answer.headers.get("retry-after", ""), datetime.now(UTC))


def _may_pass(error: ComputeError) -> bool:
    return isinstance(error, Unavailable | RateLimited | ProviderFailed)
