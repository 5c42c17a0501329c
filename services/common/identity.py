"""Who is calling: established once where a request enters, read wherever a tenant matters."""

from __future__ import annotations

import re
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

from services.common.errors import InvalidRequest, PermissionDenied, Unauthenticated, Violation, check_field

TENANT_HEADER = "atelier-tenant"
REQUEST_ID_HEADER = "x-request-id"
# Part of event subjects and of paths, so neither dots nor wildcards.
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,63}")


@dataclass(frozen=True, slots=True)
class Caller:
    """`internal` is a service of ours, which may speak for any tenant."""

    tenant: str
    scopes: frozenset[str] = frozenset()
    internal: bool = False

    def require_internal(self) -> None:
        if not self.internal:
            raise PermissionDenied("only services of this deployment may call this", reason="INTERNAL_ONLY")

    def may(self, scope: str) -> bool:
        return self.internal or scope in self.scopes

    def require(self, scope: str) -> None:
        if not self.may(scope):
            raise PermissionDenied(f"this needs the scope {scope!r}", reason="SCOPE_MISSING")


class Authenticator(Protocol):
    """Turns an API key into a caller."""

    async def authenticate(self, key: str) -> Caller:
        """Raises Unauthenticated for an unknown, revoked or malformed key."""
        ...


_current: ContextVar[Caller | None] = ContextVar("caller", default=None)


def current_caller() -> Caller:
    caller = _current.get()
    if caller is None:
        raise Unauthenticated("no caller is known here")
    return caller


def set_caller(caller: Caller) -> None:
    """Binds the caller to the running task."""
    _current.set(caller)


def check_tenant(name: str) -> str:
    """Raises InvalidRequest: TENANT_MISSING, TENANT_INVALID."""
    if _TENANT.fullmatch(name):
        return name
    why = "1 to 64 letters, digits, - and _, beginning with a letter or digit"
    if not name:
        raise InvalidRequest(f"tenant: {why}", reason="TENANT_MISSING", violations=(Violation("tenant", why),))
    raise InvalidRequest(f"tenant: {why}", reason="TENANT_INVALID", violations=(Violation("tenant", why),))


def calling_tenant() -> str:
    """The caller's own. Raises InvalidRequest where a service of ours forgot to name one."""
    name = current_caller().tenant
    check_field("tenant", bool(name), "is missing: name it in the metadata atelier-tenant")
    return check_tenant(name)
