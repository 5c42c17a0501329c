"""API keys. A key is `atl_<id>_<secret>`; only the secret's SHA-256 is kept, which is enough for 256 random bits.

Of a key with the scope `events`, which opens NATS and no API, the public half is kept instead.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, replace

from services.common.errors import InvalidRequest, Violation
from services.common.identity import check_tenant
from services.common.scopes import EVENTS, SCOPES

PREFIX = "atl"
DEFAULT_SCOPES = frozenset({"tasks"})
_NAME_LIMIT = 100
_NOBODY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Times are microseconds since the epoch."""

    id: str
    tenant: str
    name: str
    scopes: frozenset[str]
    digest: str
    created_at: int
    revoked_at: int | None = None

    @property
    def reads_events(self) -> bool:
        """Then `digest` is its public nkey."""
        return EVENTS in self.scopes

    def revoked(self, now: int) -> ApiKey:
        """The first revocation stands."""
        return self if self.revoked_at is not None else replace(self, revoked_at=now)


@dataclass(frozen=True, slots=True)
class PresentedKey:
    """What a caller sent, taken apart."""

    id: str
    secret: str

    def opens(self, stored: ApiKey | None) -> bool:
        """Takes the same time whether the key is unknown or its secret is wrong."""
        given = hashlib.sha256(self.secret.encode()).hexdigest()
        same = hmac.compare_digest(given, stored.digest if stored else _NOBODY)
        return same and stored is not None and stored.revoked_at is None


def parse_key(text: str) -> PresentedKey | None:
    """None for what is no key of ours."""
    prefix, _, rest = text.partition("_")
    key_id, _, secret = rest.partition("_")
    well_formed = prefix == PREFIX and key_id.isalnum() and bool(secret) and text.isascii() and len(text) <= 200
    return PresentedKey(key_id, secret) if well_formed else None


def issue_key(*, tenant: str, name: str, scopes: frozenset[str], now: int) -> tuple[ApiKey, str]:
    """A new key and its text, which is shown once. Raises InvalidRequest."""
    _check(tenant, name, scopes)
    key_id, secret = new_key_id(), secrets.token_urlsafe(32)
    digest = hashlib.sha256(secret.encode()).hexdigest()
    key = ApiKey(key_id, tenant, name, scopes or DEFAULT_SCOPES, digest, now)
    return key, f"{PREFIX}_{key_id}_{secret}"


def new_key_id() -> str:
    return secrets.token_hex(8)


def check_reader(tenant: str, name: str, scopes: frozenset[str]) -> None:
    """Raises InvalidRequest unless a key with the scope `events` may be like that."""
    _check(tenant, name, scopes - {EVENTS})
    if scopes != {EVENTS}:
        why = f"{EVENTS!r} stands alone: it opens NATS, with credentials that are no API key"
        raise InvalidRequest(f"scopes: {why}", violations=(Violation("scopes", why),))


def _check(tenant: str, name: str, scopes: frozenset[str]) -> None:
    wrong: list[Violation] = []
    try:
        check_tenant(tenant)
    except InvalidRequest as error:
        wrong += error.violations
    if not 1 <= len(name) <= _NAME_LIMIT:
        wrong.append(Violation("name", f"1 to {_NAME_LIMIT} characters"))
    if unknown := sorted(scopes - set(SCOPES)):
        wrong.append(Violation("scopes", f"{unknown[0]!r} is none of {', '.join([*SCOPES, EVENTS])}"))
    if wrong:
        raise InvalidRequest("; ".join(f"{item.field}: {item.description}" for item in wrong), violations=tuple(wrong))
