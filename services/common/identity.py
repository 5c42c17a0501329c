"""Who is calling: found once at the border, read wherever a tenant matters."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

from services.common.errors import PermissionDenied, Unauthenticated

TENANT_HEADER = "atelier-tenant"
REQUEST_ID_HEADER = "x-request-id"


@dataclass(frozen=True, slots=True)
class Caller:
    """`internal` is a service of ours, which may speak for any tenant."""

    tenant: str
    scopes: frozenset[str] = frozenset()
    internal: bool = False

    def require_internal(self) -> None:
        if not self.internal:
            raise PermissionDenied("only services of this deployment may call this", reason="INTERNAL_ONLY")

    def require(self, scope: str) -> None:
        if not self.internal and scope not in self.scopes:
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
