"""Which addresses of the web are public: one strict reading of a URL, and the ranges of IANA's registries.

Sources: the IANA IPv4 and IPv6 special-purpose registries, RFC 6598 (shared), RFC 6052 (NAT64), RFC 6761 (names).
"""

from __future__ import annotations

import ipaddress
import re
import socket
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urljoin

import httpx2

from services.common.errors import InvalidRequest

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
PORTS = frozenset({80, 443, 8080, 8443})
_URL_LIMIT = 4096
_DEFAULT_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_END_OF_AUTHORITY = re.compile("[/?#]")
# UTS 46 reads these as dots, too.
_DOTS = str.maketrans({"\u3002": ".", "\uff0e": ".", "\uff61": "."})
_INWARD_NAMES = (
    *("localhost", "localdomain", "local", "internal", "intranet", "private", "corp", "home", "lan"),
    *("arpa", "test", "invalid", "onion"),
)

_NOT_PUBLIC_V4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        # Served to its own virtual machines by one cloud: its metadata and its name server.
        "168.63.129.16/32",
    )
)
_PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
# Among them what carries an IPv4 address inside: Teredo and 6to4.
_NOT_PUBLIC_V6 = tuple(
    ipaddress.IPv6Network(network)
    for network in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class UrlTarget:
    """Where a URL leads. `host` is lower-case ASCII without a trailing dot; `literal` its address when it is one."""

    url: httpx2.URL
    host: str
    port: int
    literal: Address | None

    @property
    def authority(self) -> str:
        """For the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.url.scheme] else f"{host}:{self.port}"

    def at(self, address: str) -> httpx2.URL:
        """The same resource, by address."""
        return self.url.copy_with(host=address, fragment=None)

    def joined(self, location: str) -> str:
        """Where a redirect leads, to be parsed as suspiciously as the first."""
        return urljoin(str(self.url), location)

    @property
    def is_loopback(self) -> bool:
        """Whether it names this machine, by address or by RFC 6761's name."""
        if self.literal is not None:
            return self.literal.is_loopback
        return self.host.rpartition(".")[2] == "localhost"

    def check_name(self) -> None:
        """Raises InvalidRequest: URL_NOT_ALLOWED for a name that means something inward."""
        if self.literal is not None:
            return
        top = self.host.rpartition(".")[2]
        if "." not in self.host or top in _INWARD_NAMES:
            raise not_allowed("the host's name is not public")


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Which of the addresses that callers name may be called; applied when a task is created and before each call.

    Public hosts on `ports`; what `private` lists as "host:port"; with `loopback` this machine itself on any port.
    """

    ports: frozenset[int] = PORTS
    private: frozenset[str] = frozenset()
    loopback: bool = False

    def check(self, target: UrlTarget) -> Callable[[str], bool]:
        """Whether an address that its name turns out to have may be called.

        Raises InvalidRequest: URL_NOT_ALLOWED for what the URL itself tells already.
        """
        if f"{target.host}:{target.port}" in self.private:
            return _anything
        if self.loopback and target.is_loopback:
            return is_loopback
        if target.port not in self.ports:
            allowed = ", ".join(map(str, sorted(self.ports)))
            raise not_allowed(f"port {target.port} is not allowed; allowed are {allowed}")
        target.check_name()
        if target.literal is not None and not is_public(str(target.literal)):
            raise not_allowed("the address is not public")
        return is_public


def parse_target(url: str) -> UrlTarget:
    """Reads an http(s) URL in one way, and refuses whatever could be read in another.

    Raises:
        InvalidRequest: URL_NOT_ALLOWED.
    """
    if len(url) > _URL_LIMIT:
        raise not_allowed("the address is too long")
    if "\\" in url or any(character.isspace() or not character.isprintable() for character in url):
        raise not_allowed("the address has characters that no address has")
    plain = _with_plain_dots(url)
    try:
        parsed = httpx2.URL(plain)
        host, port = _host_of(parsed), parsed.port
    except (httpx2.InvalidURL, ValueError) as error:
        raise not_allowed("this is not an address") from error
    if parsed.scheme not in _DEFAULT_PORTS:
        raise not_allowed("only http and https are fetched")
    if port is not None and not 0 < port < 65_536:
        raise not_allowed("this is not a port")
    if "@" in _END_OF_AUTHORITY.split(plain.partition("://")[2])[0]:
        raise not_allowed("an address with a user name is not fetched")
    literal = _literal(host)
    return UrlTarget(parsed, str(literal or host), port or _DEFAULT_PORTS[parsed.scheme], literal)


def is_public(address: str) -> bool:
    """Whether the whole internet may know this IPv4 or IPv6 address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        if found in _MAPPED or found in _NAT64:
            return _is_public_v4(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF))
        scoped = found.scope_id is not None
        return not scoped and found in _PUBLIC_V6 and not any(found in network for network in _NOT_PUBLIC_V6)
    return _is_public_v4(found)


def is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _anything(_: str) -> bool:
    return True


def not_allowed(why: str) -> InvalidRequest:
    return InvalidRequest(why, reason="URL_NOT_ALLOWED")


def _is_public_v4(address: ipaddress.IPv4Address) -> bool:
    return not any(address in network for network in _NOT_PUBLIC_V4)


def _with_plain_dots(url: str) -> str:
    """Full-width letters, digits and dots of the host in the spelling they would be looked up by."""
    scheme, mark, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    if authority.isascii():
        return url
    return scheme + mark + unicodedata.normalize("NFKC", authority).translate(_DOTS) + slash + path


def _host_of(url: httpx2.URL) -> str:
    host = url.raw_host.decode("ascii").lower().removesuffix(".")
    if not host or "%" in host:
        raise ValueError("no host, or one with escapes or a zone")
    return host


def _literal(host: str) -> Address | None:
    """The address a host is, in any spelling the C library takes; None for a name."""
    if ":" in host:
        try:
            return ipaddress.IPv6Address(host)
        except ValueError as error:
            raise not_allowed("this is not an IPv6 address") from error
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except OSError as error:
            raise not_allowed("this is not an IPv4 address") from error
    if not _NAME.fullmatch(host):
        raise not_allowed("this is not a host's name")
    return None
