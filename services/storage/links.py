"""Links that open one object without a key, for a while: signed, never stored.

A token is `<payload>.<signature>`, both in base64url: the payload is JSON, the signature its HMAC-SHA-256 (RFC 2104).
It names the key that signed it, so that keys rotate: a new one is put in front of the old, which goes on verifying
until its last link has expired.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import orjson

from services.common.errors import InvalidRequest, NotFound
from services.common.storage_links import LONGEST_SECONDS, MAX_NAME
from services.storage.domain import ObjectKey, StoredObject

_LONGEST_TOKEN = 2048
_PURPOSE = b"atelier storage link v1"


class LinkTarget(NamedTuple):
    """What a token says. `etag`: of the content that was there when it was signed."""

    key: ObjectKey
    etag: str
    expires_at: datetime
    download_name: str = ""


class LinkSigner:
    """`secrets`: the first signs, all verify."""

    def __init__(self, secrets: Sequence[bytes], clock: Callable[[], float] = time.time) -> None:
        keys = [hmac.digest(secret, _PURPOSE, "sha256") for secret in secrets]
        self._keys = {hashlib.sha256(key).hexdigest()[:8]: key for key in keys}
        self._newest = next(iter(self._keys))
        self._clock = clock

    def sign(self, stored: StoredObject, seconds: int, download_name: str) -> tuple[str, LinkTarget]:
        """Raises InvalidRequest: LINK_LIFETIME_INVALID, LINK_NAME_INVALID."""
        if not 1 <= seconds <= LONGEST_SECONDS:
            why = f"a link lives 1 to {LONGEST_SECONDS} seconds"
            raise InvalidRequest(why, reason="LINK_LIFETIME_INVALID")
        if len(download_name) > MAX_NAME or not all(map(_may_be_in_a_name, download_name)):
            why = f"a file name has at most {MAX_NAME} printable characters, none of them / \\ or a quote"
            raise InvalidRequest(why, reason="LINK_NAME_INVALID")
        expires = int(self._clock()) + seconds
        link = LinkTarget(stored.key, stored.facts.etag, datetime.fromtimestamp(expires, UTC), download_name)
        payload = orjson.dumps([self._newest, stored.key.tenant, stored.key.path, link.etag, expires, download_name])
        mac = hmac.digest(self._keys[self._newest], payload, "sha256")
        return f"{_encode(payload)}.{_encode(mac)}", link

    def verify(self, token: str) -> LinkTarget:
        """Raises NotFound: LINK_INVALID for what this deployment has not signed, LINK_EXPIRED."""
        payload, mac = _parts(token)
        try:
            name, tenant, path, etag, expires, download_name = orjson.loads(payload)
            key = self._keys[name]
        except (ValueError, TypeError, KeyError):
            raise _invalid() from None
        if not hmac.compare_digest(mac, hmac.digest(key, payload, "sha256")):
            raise _invalid()
        if expires <= self._clock():
            raise NotFound("this link has expired; ask for a new one", reason="LINK_EXPIRED")
        return LinkTarget(ObjectKey(tenant, path), etag, datetime.fromtimestamp(expires, UTC), download_name)


def _may_be_in_a_name(sign: str) -> bool:
    return sign.isprintable() and sign not in '/\\"'


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
