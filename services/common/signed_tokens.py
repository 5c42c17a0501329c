"""Tokens that say something and prove that this deployment said it: signed, never stored.

A token is `<payload>.<signature>`, both in base64url: the payload is JSON, the signature its HMAC-SHA-256 (RFC 2104).
It names the key that signed it, so that keys rotate: a new one is put in front of the old, which goes on verifying
until its last token has expired.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any

import orjson

from services.common.errors import NotFound

_LONGEST_TOKEN = 2048


class TokenSigner:
    """`secrets`: the first signs, all verify. `purpose` keeps one kind of token from being taken for another."""

    def __init__(self, secrets: Sequence[bytes], purpose: bytes) -> None:
        keys = [hmac.digest(secret, purpose, "sha256") for secret in secrets]
        self._keys = {hashlib.sha256(key).hexdigest()[:8]: key for key in keys}
        self._newest = next(iter(self._keys))

    def sign(self, *values: str | int) -> str:
        payload = orjson.dumps([self._newest, *values])
        mac = hmac.digest(self._keys[self._newest], payload, "sha256")
        return f"{_encode(payload)}.{_encode(mac)}"

    def read(self, token: str) -> list[Any]:
        """The values that were signed. Raises NotFound: LINK_INVALID for what this deployment has not signed."""
        payload, mac = _parts(token)
        values: list[Any]
        try:
            name, *values = orjson.loads(payload)
            key = self._keys[name]
        except (ValueError, TypeError, KeyError):
            raise _invalid() from None
        if not hmac.compare_digest(mac, hmac.digest(key, payload, "sha256")):
            raise _invalid()
        return values


def expired() -> NotFound:
    return NotFound("this link has expired; ask for a new one", reason="LINK_EXPIRED")


def _parts(token: str) -> tuple[bytes, bytes]:
    payload, _, mac = token.partition(".")
    if len(token) > _LONGEST_TOKEN:
        raise _invalid()
    try:
        return _decode(payload), _decode(mac)
    except (binascii.Error, ValueError):
        raise _invalid() from None


def _encode(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    """Raises ValueError where another spelling of the same bytes was signed."""
    content = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if _encode(content) != text:
        raise ValueError("not as it was written")
    return content


def _invalid() -> NotFound:
    return NotFound("there is no such link", reason="LINK_INVALID")
