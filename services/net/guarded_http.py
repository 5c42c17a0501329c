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
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import httpx2

from services.common.errors import InvalidRequest, PayloadTooLarge, Unavailable
from services.net.addresses import PORTS, AddressPolicy, UrlTarget, not_allowed, parse_target
from services.net.content_codings import is_packed, unpacked
from services.net.header_values import parse_number

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Of the server's own making, or of the moment: another try may go well.
_PASSING = frozenset({408, 421, 425, 429})
_LONGEST_PAUSE = 3600.0
_BODY_SECONDS = 1.0
_HEADERS = {"user-agent": "atelier", "accept-encoding": "identity", "connection": "close"}

# A host's addresses, as text. Raises OSError when it has none.
Resolver = Callable[[str, int], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """`allowed_private` and `loopback` open inward servers, for development and tests, as `AddressPolicy` says."""

    ports: frozenset[int] = PORTS
    allowed_private: frozenset[str] = frozenset()
    loopback: bool = False
    redirects: int = 3
    connect_seconds: float = 5.0
    read_seconds: float = 10.0
    total_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class FetchedContent:
    """`url` is where the redirects ended."""

    content: bytes = field(repr=False)
    content_type: str
    url: str


@dataclass(frozen=True, slots=True)
class PostResponse:
    """What a server said to a POST; `content` is the beginning of its body. Header names in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)


class GuardedHttp:
    """What the naming party got wrong is an InvalidRequest; a passing fault of the server it named is Unavailable."""

    def __init__(
        self, limits: HttpLimits, *, resolve: Resolver | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._limits = limits
        self._reach = AddressPolicy(limits.ports, limits.allowed_private, limits.loopback)
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

    async def get(self, url: str, *, max_bytes: int) -> FetchedContent:
        """The body, at most `max_bytes` of it, after at most `redirects` redirects, each judged as the first address.

        Raises:
            InvalidRequest: URL_NOT_ALLOWED for an address that is not public http(s) on an allowed port, or a redirect
                to one; URL_UNREACHABLE when the host is unknown or the answer is a refusal; CONTENT_CODING_UNSUPPORTED
                or CONTENT_CODING_BROKEN for what is packed in another way than gzip or deflate, or badly.
            PayloadTooLarge: CONTENT_TOO_LARGE, packed or unpacked.
            Unavailable: URL_UNAVAILABLE when the server fails, falls silent or breaks off.
        """
        async with self._bounded():
            return await self._follow(url, max_bytes)

    async def post(self, url: str, content: bytes, headers: Mapping[str, str], *, max_bytes: int) -> PostResponse:
        """Whatever is answered, a redirect as well: none is followed. Its head decides.

        Of the body at most `max_bytes` are read, and for a moment only: what is slow or broken off there is left.

        Raises:
            InvalidRequest: URL_NOT_ALLOWED as `get`; URL_UNREACHABLE when the host is unknown.
            Unavailable: URL_UNAVAILABLE when there is no answer in time.
        """
        clock = asyncio.get_running_loop().time
        last = clock() + self._limits.total_seconds
        async with self._bounded():
            target = parse_target(url)
            async with self._answer(target, "POST", content, headers) as response:
                said = {name.lower(): value for name, value in response.headers.items()}
                # Half of what is left, so that the body cannot use up the whole call's time.
                seconds = min(_BODY_SECONDS, (last - clock()) / 2)
                return PostResponse(response.status_code, said, await _beginning(response, max_bytes, seconds))

    @asynccontextmanager
    async def _bounded(self) -> AsyncIterator[None]:
        """In time, and with every failure named by whose it is."""
        try:
            async with asyncio.timeout(self._limits.total_seconds):
                yield
        except TimeoutError as error:
            raise _unavailable(f"no whole answer within {self._limits.total_seconds:g} s") from error
        except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError, OSError) as error:
            raise _failed(error) from error

    async def _follow(self, url: str, max_bytes: int) -> FetchedContent:
        for _ in range(self._limits.redirects + 1):
            target = parse_target(url)
            async with self._answer(target) as response:
                if response.status_code in _REDIRECTS and "location" in response.headers:
                    url = target.joined(response.headers["location"])
                    continue
                content = await _body(response, max_bytes)
                return FetchedContent(content, response.headers.get("content-type", ""), url)
        raise _unreachable(f"more than {self._limits.redirects} redirects")

    @asynccontextmanager
    async def _answer(
        self,
        target: UrlTarget,
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

    async def _judged(self, target: UrlTarget) -> str:
        """The one address to connect to."""
        may_be_called = self._reach.check(target)
        addresses = await self._addresses(target)
        if not all(map(may_be_called, addresses)):
            raise not_allowed("the address is not public")
        return addresses[0]

    async def _addresses(self, target: UrlTarget) -> list[str]:
        if target.literal is not None:
            return [str(target.literal)]
        try:
            found = await self._resolve(target.host, target.port)
        except (OSError, UnicodeError) as error:
            if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
                raise _unavailable("the host's name cannot be looked up just now") from error
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
    _check_status(response)
    packed = is_packed(response.headers.get("content-encoding", ""))
    announced = response.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    raw = _bounded_parts(response.aiter_raw(), max_bytes)
    # Unpacking is where a small answer becomes a large one: what comes of it is counted, too.
    parts = _bounded_parts(unpacked(raw), max_bytes) if packed else raw
    return b"".join([part async for part in parts])


async def _bounded_parts(parts: AsyncIterator[bytes], max_bytes: int) -> AsyncIterator[bytes]:
    size = 0
    async for part in parts:
        size += len(part)
        if size > max_bytes:
            raise _too_large(max_bytes)
        yield part


def _check_status(response: httpx2.Response) -> None:
    status = response.status_code
    if status >= 500 or status in _PASSING:
        raise _unavailable(f"the server answered {status}", retry_after=_pause(response))
    if status != httpx2.codes.OK:
        raise _unreachable(f"the server answered {status}")


async def _beginning(response: httpx2.Response, max_bytes: int, seconds: float) -> bytes:
    """What came of it in that time."""
    content = b""
    with suppress(TimeoutError, httpx2.HTTPError, OSError):
        async with asyncio.timeout(seconds):
            async for part in response.aiter_raw():
                content += part
                if len(content) >= max_bytes:
                    break
    return content[:max_bytes]


def _pause(response: httpx2.Response) -> float | None:
    """Retry-After in seconds; a date is not looked at, the task's own pause is as good."""
    seconds = parse_number(response.headers.get("retry-after", ""))
    return None if seconds is None else min(seconds, _LONGEST_PAUSE)


def _failed(error: Exception) -> InvalidRequest | Unavailable:
    """An address or a certificate that is wrong stays so; a connection that fails may not."""
    causes: list[BaseException | None] = [error, error.__cause__, error.__context__]
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return _unreachable("the server's certificate is not to be trusted")
    if isinstance(error, httpx2.InvalidURL | httpx2.LocalProtocolError | httpx2.UnsupportedProtocol):
        return _unreachable(f"the address cannot be fetched ({type(error).__name__})")
    return _unavailable(f"the server does not answer as it should ({type(error).__name__})")


def _unavailable(why: str, *, retry_after: float | None = None) -> Unavailable:
    return Unavailable(why, reason="URL_UNAVAILABLE", retry_after=retry_after)


def _unreachable(why: str) -> InvalidRequest:
    return InvalidRequest(why, reason="URL_UNREACHABLE")


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the answer has more than {limit} bytes", reason="CONTENT_TOO_LARGE")
