"""How an address of the web is read: what is no host's name, and what is a number in disguise, is refused."""

from __future__ import annotations

import pytest

from services.common.errors import InvalidRequest
from services.net.addresses import AddressPolicy, is_public, parse_target


@pytest.mark.parametrize(
    "host",
    ["-a.example", "a..example", "exa$mple.com", "a,b.example", f"{'x' * 64}.example", "a b.example", "a%2e.example"],
)
def test_what_is_no_host_s_name_is_refused(host: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_target(f"http://{host}/")


@pytest.mark.parametrize("host", ["a.example", "a-b.example", "a_b.example", f"{'x' * 63}.example", "1a.example"])
def test_ordinary_names_are_taken_as_they_are(host: str) -> None:
    target = parse_target(f"http://{host.upper()}./path")
    assert (target.host, target.port, target.literal) == (host, 80, None)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "127.0.0.1"])
def test_a_number_is_an_address_however_it_is_spelt(host: str) -> None:
    target = parse_target(f"http://{host}/")
    assert str(target.literal) == "127.0.0.1" and target.is_loopback


@pytest.mark.parametrize("host", ["0177.0.0.1", "1.2.3.4.5", "256.1.1.1.", "0x", "999999999999", "[::g]", "[1::2::3]"])
def test_what_looks_like_an_address_and_is_none_is_refused(host: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_target(f"http://{host}/")


@pytest.mark.parametrize("name", ["localhost", "a.local", "db.internal", "intranet", "a.lan", "a.test", "a.onion"])
def test_an_inward_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_target(f"http://{name}/").check_name()
    assert caught.value.reason == "URL_NOT_ALLOWED"


def test_a_public_name_and_an_address_pass_that_rule() -> None:
    parse_target("https://shop.example/").check_name()
    parse_target("https://93.184.216.34/").check_name()


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:4700::1111", True),
        ("10.0.0.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("168.63.129.16", False),
        ("168.63.129.17", True),
        ("::1", False),
        ("fe80::1", False),
        ("2001:db8::1", False),
        ("2002:7f00:1::", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::5db8:d822", True),
    ],
)
def test_an_address_is_public_by_the_registries(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_the_host_header_names_the_port_where_it_is_not_the_scheme_s_own() -> None:
    for url, named in (
        ("http://a.example/", "a.example"),
        ("http://a.example:80/", "a.example"),
        ("https://a.example:8443/", "a.example:8443"),
        ("http://a.example:443/", "a.example:443"),
        ("http://[2606:4700::1111]:8080/", "[2606:4700::1111]:8080"),
    ):
        assert parse_target(url).authority == named


def test_the_default_policy_knows_four_ports() -> None:
    assert AddressPolicy().ports == {80, 443, 8080, 8443}
