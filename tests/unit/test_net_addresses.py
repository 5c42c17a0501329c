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


@pytest.mark.parametrize(("length", "taken"), [(4096, True), (4097, False)])
def test_an_address_is_so_long_at_most(length: int, taken: bool) -> None:
    url = "https://a.example/".ljust(length, "x")
    if taken:
        assert parse_target(url).host == "a.example"
    else:
        with pytest.raises(InvalidRequest):
            parse_target(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example\\@b.example/",
        "https://a.example/\t",
        "https://a.example/ b",
        "https://a.example/\x00",
        "https://a.example/\u200b",
        "ftp://a.example/",
        "//a.example/",
        "https:///path",
        "https://a.example:0/",
        "https://a.example:65536/",
        "https://user@a.example/",
        "https://user:word@a.example/",
        "https://@a.example/",
        "https://[fe80::1%25eth0]/",
    ],
)
def test_what_could_be_read_in_another_way_is_refused_with_one_reason(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_target(url)
    assert caught.value.reason == "URL_NOT_ALLOWED"


@pytest.mark.parametrize("rest", ["/@b", "?mail=x@b.example", "#@"])
def test_an_at_sign_behind_the_host_is_no_user_name(rest: str) -> None:
    assert parse_target(f"https://a.example{rest}").host == "a.example"


@pytest.mark.parametrize("port", [1, 65_535])
def test_a_port_is_any_number_that_a_port_can_have(port: int) -> None:
    assert parse_target(f"http://a.example:{port}/").port == port


def test_letters_of_full_width_name_the_host_they_would_be_looked_up_by() -> None:
    target = parse_target("http://ａ。example/ｂ?q=ｃ")
    assert (target.host, str(target.url)) == ("a.example", "http://a.example/%EF%BD%82?q=%EF%BD%83")


def test_a_resource_is_fetched_by_the_address_and_a_redirect_read_from_where_it_came() -> None:
    target = parse_target("https://a.example:8443/one/two?x=1#part")
    assert str(target.at("93.184.216.34")) == "https://93.184.216.34:8443/one/two?x=1"
    assert target.joined("../three") == "https://a.example:8443/three"
    assert target.joined("https://b.example/") == "https://b.example/"


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://127.0.0.1/", True),
        ("http://[::1]/", True),
        ("http://localhost/", True),
        ("http://a.localhost/", True),
        ("http://a.example/", False),
        ("http://localhost.example/", False),
        ("http://93.184.216.34/", False),
    ],
)
def test_this_machine_is_named_by_its_addresses_and_by_localhost(url: str, loopback: bool) -> None:
    assert parse_target(url).is_loopback is loopback
    if loopback:
        assert AddressPolicy(loopback=True).check(parse_target(url))("127.0.0.1")
    with pytest.raises(InvalidRequest) if loopback else pytest.MonkeyPatch.context():
        AddressPolicy().check(parse_target(url))


def test_where_this_machine_may_be_called_what_a_name_leads_to_is_still_looked_at() -> None:
    may = AddressPolicy(loopback=True).check(parse_target("http://localhost:5000/"))
    assert may("127.0.0.1") and may("::1")
    assert not may("10.0.0.1") and not may("93.184.216.34") and not may("no address")


def test_a_public_name_may_lead_to_public_addresses_only() -> None:
    may = AddressPolicy(loopback=True).check(parse_target("https://a.example/"))
    assert may("93.184.216.34") and not may("127.0.0.1") and not may("10.0.0.1") and not may("no address")


def test_what_a_deployment_lists_may_lead_anywhere_and_only_on_its_port() -> None:
    policy = AddressPolicy(private=frozenset({"db.internal:9000"}))
    assert policy.check(parse_target("http://db.internal:9000/"))("10.0.0.1")
    for url in ("http://db.internal:9001/", "http://db.internal:8080/", "http://other.internal:8080/"):
        with pytest.raises(InvalidRequest):
            policy.check(parse_target(url))


@pytest.mark.parametrize("url", ["http://a.example:81/", "http://10.0.0.1/", "http://intranet/", "http://a.lan/"])
def test_another_port_and_what_is_not_public_is_refused_before_anything_is_looked_up(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        AddressPolicy().check(parse_target(url))
    assert caught.value.reason == "URL_NOT_ALLOWED"


@pytest.mark.parametrize("address", ["no address", "", "fe80::1%eth0", "2606:4700::1111%eth0", "4000::1"])
def test_what_is_no_address_or_one_of_a_link_is_not_public(address: str) -> None:
    assert not is_public(address)
