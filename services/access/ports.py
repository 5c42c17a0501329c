"""What the use cases need from the outside world."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from services.access.domain import ApiKey

# Microseconds since the epoch.
Clock: TypeAlias = Callable[[], int]


class KeyRepository(Protocol):
    """API keys by id."""

    async def add(self, key: ApiKey) -> None: ...

    async def save(self, key: ApiKey) -> None: ...

    async def get(self, key_id: str) -> ApiKey:
        """Raises NotFound."""
        ...

    async def find(self, tenant: str) -> list[ApiKey]:
        """Newest first; every tenant's for an empty name."""
        ...

    async def readers(self, tenant: str) -> list[ApiKey]:
        """All that ever read events, revoked ones too; every tenant's for an empty name."""
        ...


class EventReaders(Protocol):
    """Users of tenants on NATS."""

    def issue(self, tenant: str, key_id: str) -> tuple[str, str]:
        """The public key of a new one, and the text of its credentials, which nobody can show again."""
        ...

    async def renew(self, tenant: str) -> None:
        """Lets those of its keys in that are not revoked, and cuts the others. Raises Unavailable."""
        ...
