"""Use cases of the access service. No transport, no storage."""

from __future__ import annotations

from services.access.domain import ApiKey, check_reader, issue_key, new_key_id, parse_key
from services.access.ports import Clock, EventReaders, KeyRepository
from services.common.errors import InvalidRequest, NotFound, Unauthenticated
from services.common.scopes import EVENTS


class AccessService:
    def __init__(self, keys: KeyRepository, clock: Clock, readers: EventReaders | None = None) -> None:
        """Without `readers` nobody gets credentials for NATS."""
        self._keys = keys
        self._clock = clock
        self._readers = readers

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
        if EVENTS in scopes:
            return await self._create_reader(tenant, name, scopes)
        key, text = issue_key(tenant=tenant, name=name, scopes=scopes, now=self._clock())
        await self._keys.add(key)
        return key, text

    async def revoke(self, key_id: str) -> ApiKey:
        """Connections to NATS that were opened with it are cut. Raises NotFound."""
        key = (await self._keys.get(key_id)).revoked(self._clock())
        await self._keys.save(key)
        if key.reads_events and self._readers is not None:
            await self._readers.renew(key.tenant)
        return key

    async def find(self, tenant: str) -> list[ApiKey]:
        return await self._keys.find(tenant)

    async def _create_reader(self, tenant: str, name: str, scopes: frozenset[str]) -> tuple[ApiKey, str]:
        check_reader(tenant, name, scopes)
        if self._readers is None:
            raise InvalidRequest("this deployment gives nobody access to NATS", reason="EVENTS_NOT_OFFERED")
        await self._readers.renew(tenant)
        key_id = new_key_id()
        public, text = self._readers.issue(tenant, key_id)
        key = ApiKey(key_id, tenant, name, scopes, public, self._clock())
        await self._keys.add(key)
        return key, text

    async def _find(self, key_id: str) -> ApiKey | None:
        try:
            return await self._keys.get(key_id)
        except NotFound:
            return None
