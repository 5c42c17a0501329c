"""What an API key may do: its scopes, and how a route or a method declares which of them it accepts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from services.common.errors import PermissionDenied
from services.common.identity import Caller

SCOPES = {
    "read": "looks at the tenant's own tasks, pictures and deliveries, and changes nothing",
    "tasks": "everything with the tenant's own tasks, pictures and deliveries",
    "admin": "that, and what only the tenant's administrators may: its webhook secret and disabled addresses",
    "operator": "sees and steers the deployment as a whole, and nothing of any tenant's",
}
# Of keys that are no API keys: credentials with which the tenant's events are read on NATS, and nothing else done.
EVENTS = "events"
# Any one of a set is enough.
TO_READ = frozenset({"read", "tasks", "admin"})
TO_CHANGE = frozenset({"tasks", "admin"})
TO_ADMINISTER = frozenset({"admin"})
TO_OPERATE = frozenset({"operator"})
ANY_KEY = frozenset(SCOPES)
# Services of this deployment only.
OURS: frozenset[str] = frozenset()

_Function = TypeVar("_Function", bound=Callable[..., Any])


def needs(scopes: frozenset[str]) -> Callable[[_Function], _Function]:
    """Declares the scopes of which a caller needs one to reach the route or method."""

    def declared(function: _Function) -> _Function:
        function.needed_scopes = scopes  # type: ignore[attr-defined]  # read by needed_scopes
        return function

    return declared


def needed_scopes(function: object) -> frozenset[str] | None:
    """None where nothing is declared."""
    found: frozenset[str] | None = getattr(function, "needed_scopes", None)
    return found


def check_scopes(caller: Caller, needed: frozenset[str]) -> None:
    """Raises PermissionDenied: SCOPE_MISSING, or INTERNAL_ONLY where no key would do."""
    if not needed:
        caller.require_internal()
    elif not caller.internal and caller.scopes.isdisjoint(needed):
        told = " or ".join(repr(scope) for scope in SCOPES if scope in needed)
        raise PermissionDenied(f"this needs the scope {told}", reason="SCOPE_MISSING")
