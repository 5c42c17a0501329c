"""Links that open one object without a key, for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from services.common.errors import InvalidRequest
from services.common.signed_tokens import TokenSigner, expired
from services.common.storage_links import LONGEST_SECONDS, MAX_NAME
from services.storage.domain import ObjectKey, StoredObject

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
        self._tokens = TokenSigner(secrets, _PURPOSE)
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
        return self._tokens.sign(stored.key.tenant, stored.key.path, link.etag, expires, download_name), link

    def verify(self, token: str) -> LinkTarget:
        """Raises NotFound: LINK_INVALID for what this deployment has not signed, LINK_EXPIRED."""
        tenant, path, etag, expires, download_name = self._tokens.read(token)
        if expires <= self._clock():
            raise expired()
        return LinkTarget(ObjectKey(tenant, path), etag, datetime.fromtimestamp(expires, UTC), download_name)


def _may_be_in_a_name(sign: str) -> bool:
    return sign.isprintable() and sign not in '/\\"'
