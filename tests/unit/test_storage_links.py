"""Signed links: what opens, what does not, and how keys rotate."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import NotFound
from services.storage.domain import ObjectKey, ObjectMetadata, StoredObject
from services.storage.links import LinkSigner

STORED = StoredObject(ObjectKey("acme", "shop/mug.png"), ObjectMetadata(3, "ab" * 32, "image/png"), datetime.now(UTC))


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def reason_of(signer: LinkSigner, token: str) -> str:
    with pytest.raises(NotFound) as refused:
        signer.verify(token)
    return refused.value.reason


def test_a_link_says_what_was_signed() -> None:
    token, link = LinkSigner([b"one"]).sign(STORED, 60, "mug.png")
    assert LinkSigner([b"one"]).verify(token) == link
    assert (link.key, link.etag, link.download_name) == (STORED.key, STORED.facts.etag, "mug.png")


def test_a_link_ends_in_time() -> None:
    clock = Clock()
    signer = LinkSigner([b"one"], clock)
    token, _ = signer.sign(STORED, 60, "")
    clock.now += 59
    signer.verify(token)
    clock.now += 1
    assert reason_of(signer, token) == "LINK_EXPIRED"


def test_keys_rotate_without_breaking_links() -> None:
    token, _ = LinkSigner([b"old"]).sign(STORED, 60, "")
    both = LinkSigner([b"new", b"old"])
    both.verify(token)
    fresh, _ = both.sign(STORED, 60, "")
    LinkSigner([b"new"]).verify(fresh)
    assert reason_of(LinkSigner([b"new"]), token) == "LINK_INVALID"
    assert reason_of(LinkSigner([b"old"]), fresh) == "LINK_INVALID"


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_whatever_is_changed_of_a_link_it_opens_nothing(place: int, by: int) -> None:
    signer = LinkSigner([b"one"])
    token, _ = signer.sign(STORED, 60, "")
    payload, mac = (urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split("."))
    whole = bytearray(payload + mac)
    whole[place % len(whole)] ^= by
    parts = (bytes(whole[: len(payload)]), bytes(whole[len(payload) :]))
    changed = ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
    assert reason_of(signer, changed) == "LINK_INVALID"


@given(st.text(max_size=200))
def test_any_other_text_is_no_link(text: str) -> None:
    assert reason_of(LinkSigner([b"one"]), text) == "LINK_INVALID"


@pytest.mark.parametrize("payload", [b"[]", b"{}", b"null", b"[[],1,2,3,4,5]", b'["x","a","b","c",1,"d"]'])
def test_what_is_no_payload_is_no_link(payload: bytes) -> None:
    text = urlsafe_b64encode(payload).rstrip(b"=").decode()
    assert reason_of(LinkSigner([b"one"]), f"{text}.{text}") == "LINK_INVALID"


def test_a_token_in_another_spelling_is_no_link() -> None:
    signer = LinkSigner([b"one"])
    token, _ = signer.sign(STORED, 60, "")
    for changed in (token + "=", token + "\n", token.replace(".", "=."), token + ".", " " + token):
        assert reason_of(signer, changed) == "LINK_INVALID"
