"""Use cases of the access service. No transport, no storage."""

from __future__ import annotations

from services.access.domain import ApiKey, issue_key, parse_key
from services.access.ports import Clock, KeyRepository
from services.common.errors import NotFound, Unauthenticated


class AccessService:
    def __init__(self, keys: KeyRepository, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock

    async def verify(self, text: str) -> ApiKey:
        """Raises Unauthenticated, the same for an unknown, a revoked and a malformed key."""
        presented = parse_key(text)
        if presented is not None:
            stored = await self._find(presented.id)
            if presented.opens(stored) and stored is not None:
                return stored
        raise Unauthenticated("this API key is unknown or revoked", reason="KEY_UNKNOWN")

    async def create(self, *, tenant: str, name: str, scopes: frozenset[str]) -> tuple[ApiKey, str]:
        """The key and its text, which nobody can show again. Raises InvalidRequest."""
        key, text = issue_key(tenant=tenant, name=name, scopes=scopes, now=self._clock())
        await self._keys.add(key)
        return key, text

    async def revoke(self, key_id: str) -> ApiKey:
        """Raises NotFound."""
        key = (await self._keys.get(key_id)).revoked(self._clock())
        await self._keys.save(key)
        return key

    async def find(self, tenant: str) -> list[ApiKey]:
        return await self._keys.find(tenant)

    async def _find(self, key_id: str) -> ApiKey | None:
        try:
            return await self._keys.get(key_id)
        except NotFound:
            return None
