"""What is stored of a tenant in MongoDB: its secrets and its disabled endpoints."""

from __future__ import annotations

from contextlib import suppress

from pymongo.errors import DuplicateKeyError

from services.durable.store import Collection, Database, Document, persist
from services.webhooks.domain import Endpoint, SecretPair, new_secret

_SECRETS, _ENDPOINTS = "webhook_secrets", "webhook_endpoints"


class MongoSecretRepository:
    def __init__(self, database: Database) -> None:
        self._secrets: Collection = database[_SECRETS]

    async def get(self, tenant: str) -> SecretPair:
        """Makes the first one where there is none; of two that are made at once the first stands."""
        document = await persist(lambda: self._secrets.find_one({"_id": tenant}))
        if document is not None:
            return _to_pair(document)
        with suppress(DuplicateKeyError):  # somebody else's, or our own whose answer was lost
            await persist(lambda: self._secrets.insert_one(_from_pair(SecretPair(tenant, new_secret()))))
        return await self.get(tenant)

    async def save(self, pair: SecretPair) -> bool:
        wanted = {"_id": pair.tenant, "version": pair.version - 1}
        result = await persist(lambda: self._secrets.replace_one(wanted, _from_pair(pair)))
        return result.matched_count == 1 or await self.get(pair.tenant) == pair


class MongoEndpointRepository:
    def __init__(self, database: Database) -> None:
        self._endpoints: Collection = database[_ENDPOINTS]

    async def add(self, endpoint: Endpoint) -> None:
        document = {
            "_id": endpoint.id,
            "tenant": endpoint.tenant,
            "url": endpoint.url,
            "disabled_at": endpoint.disabled_at,
            "reason": endpoint.reason,
        }
        with suppress(DuplicateKeyError):
            await persist(lambda: self._endpoints.insert_one(document))

    async def get(self, endpoint_id: str) -> Endpoint | None:
        found = await persist(lambda: self._endpoints.find_one({"_id": endpoint_id}))
        if found is None:
            return None
        return Endpoint(found["_id"], found["tenant"], found["url"], found["disabled_at"], found["reason"])

    async def remove(self, endpoint_id: str) -> bool:
        if await self.get(endpoint_id) is None:
            return False
        await persist(lambda: self._endpoints.delete_one({"_id": endpoint_id}))
        return True


def _from_pair(pair: SecretPair) -> Document:
    return {
        "_id": pair.tenant,
        "current": pair.current,
        "version": pair.version,
        "previous": pair.previous or "",
        "previous_until": pair.previous_until,
    }


def _to_pair(document: Document) -> SecretPair:
    return SecretPair(
        tenant=document["_id"],
        current=document["current"],
        version=document["version"],
        previous=document["previous"] or None,
        previous_until=document["previous_until"],
    )
