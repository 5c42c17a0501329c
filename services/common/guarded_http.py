"""Fetches, and posts to, addresses that strangers name: public hosts only, within limits of size, time and redirects.

Each hop is resolved once, every address found is judged, and the connection goes to exactly the one that was judged, so
a name that changes its mind in between (DNS rebinding) gains nothing. No proxy, cookie, password or certificate of the
environment takes part.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import httpx2

from services.common.addresses import Target, is_public, not_allowed, parse_target
from services.common.errors import InvalidRequest, PayloadTooLarge

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = {"user-agent": "atelier", "accept-encoding": "identity", "connection": "close"}

# A host's addresses, as text. Raises OSError when it has none.
Resolver = Callable[[str, int], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """`allowed_private` holds "host:port" of inward servers that may be reached, for development and tests."""

    ports: frozenset[int] = frozenset({80, 443, 8080, 8443})
    allowed_private: frozenset[str] = frozenset()
    redirects: int = 3
    connect_seconds: float = 5.0
    read_seconds: float = 10.0
    total_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """`url` is where the redirects ended."""

    content: bytes = field(repr=False)
    content_type: str
    url: str


@dataclass(frozen=True, slots=True)
class Answered:
    """What a server said to a POST; `content` is the beginning of its body. Header names in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)


class GuardedHttp:
    """Every failure is the naming party's: an InvalidRequest."""

    def __init__(
        self, limits: HttpLimits, *, resolve: Resolver | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._limits = limits
        self._resolve = resolve or resolve_host
        self._transport = httpx2.AsyncHTTPTransport(
            verify=tls if tls is not None else True,
            trust_env=False,
            # A kept connection would be shared by names that happen to have the same address.
            limits=httpx2.Limits(max_connections=100, max_keepalive_connections=0),
        )

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.__aexit__(kind, error, trace)

    async def get(self, url: str, *, max_bytes: int) -> Fetched:
        """The body, at most `max_bytes` of it, after at most `redirects` redirects, each judged as the first address.

        Raises:
            InvalidRequest: URL_NOT_ALLOWED for an address that is not public http(s) on an allowed port, or a redirect
                to one; URL_UNREACHABLE when there is no answer in time, or not 200.
            PayloadTooLarge: CONTENT_TOO_LARGE.
        """
        async with self._bounded():
            return await self._follow(url, max_bytes)

    async def post(self, url: str, content: bytes, headers: Mapping[str, str], *, max_bytes: int) -> Answered:
        """Whatever is answered, a redirect as well: none is followed. Of the body at most `max_bytes` are read.

        Raises:
            InvalidRequest: URL_NOT_ALLOWED as `get`; URL_UNREACHABLE when there is no answer in time.
        """
        async with self._bounded():
            target = parse_target(url)
            async with self._answer(target, "POST", content, headers) as response:
                said = {name.lower(): value for name, value in response.headers.items()}
                return Answered(response.status_code, said, await _beginning(response, max_bytes))

    @asynccontextmanager
    async def _bounded(self) -> AsyncIterator[None]:
        """In time, and with every failure named by whose it is."""
        try:
            async with asyncio.timeout(self._limits.total_seconds):
                yield
        except TimeoutError as error:
            raise _unreachable(f"no whole answer within {self._limits.total_seconds:g} s") from error
        except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError, OSError) as error:
            raise _unreachable(f"the address cannot be fetched ({type(error).__name__})") from error

    async def _follow(self, url: str, max_bytes: int) -> Fetched:
        for _ in range(self._limits.redirects + 1):
            target = parse_target(url)
            async with self._answer(target) as response:
                if response.status_code in _REDIRECTS and "location" in response.headers:
                    url = target.joined(response.headers["location"])
                    continue
                content = await _body(response, max_bytes)
                return Fetched(content, response.headers.get("content-type", ""), url)
        raise _unreachable(f"more than {self._limits.redirects} redirects")

    @asynccontextmanager
    async def _answer(
        self,
        target: Target,
        method: str = "GET",
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[httpx2.Response]:
        address = await self._judged(target)
        timeout = httpx2.Timeout(self._limits.read_seconds, connect=self._limits.connect_seconds)
        request = httpx2.Request(
            method,
            target.at(address),
            content=content,
            headers={**(headers or {}), **_HEADERS, "host": target.authority},
            extensions={"sni_hostname": target.host, "timeout": timeout.as_dict()},
        )
        response = await self._transport.handle_async_request(request)
        try:
            yield response
        finally:
            await response.aclose()

    async def _judged(self, target: Target) -> str:
        """The one address to connect to."""
        trusted = f"{target.host}:{target.port}" in self._limits.allowed_private
        if not trusted:
            if target.port not in self._limits.ports:
                raise not_allowed(f"port {target.port} is not allowed")
            target.check_name()
        addresses = await self._addresses(target)
        if not trusted and not all(map(is_public, addresses)):
            raise not_allowed("the address is not public")
        return addresses[0]

    async def _addresses(self, target: Target) -> list[str]:
        if target.literal is not None:
            return [str(target.literal)]
        try:
            found = await self._resolve(target.host, target.port)
        except (OSError, UnicodeError) as error:
            raise _unreachable("the host is not known") from error
        if not found:
            raise _unreachable("the host has no address")
        return found


async def resolve_host(host: str, port: int) -> list[str]:
    """The system's own answer."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


async def _body(response: httpx2.Response, max_bytes: int) -> bytes:
    if response.status_code != httpx2.codes.OK:
        raise _unreachable(f"the server answered {response.status_code}")
    if response.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        # Unpacking is where a small answer becomes a large one.
        raise _unreachable("the server sent a packed answer that was not asked for")
    announced = response.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    parts, size = [], 0
    async for part in response.aiter_raw():
        size += len(part)
        if size > max_bytes:
            raise _too_large(max_bytes)
        parts.append(part)
    return b"".join(parts)


async def _beginning(response: httpx2.Response, max_bytes: int) -> bytes:
    content = b""
    async for part in response.aiter_raw():
        content += part
        if len(content) >= max_bytes:
            break
    return content[:max_bytes]


def _unreachable(why: str) -> InvalidRequest:
    return InvalidRequest(why, reason="URL_UNREACHABLE")


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the answer has more than {limit} bytes", reason="CONTENT_TOO_LARGE")
