"""API keys in MongoDB; times as whole microseconds, 0 where there is none."""

from __future__ import annotations

from pymongo.errors import DuplicateKeyError

from services.access.domain import ApiKey
from services.common.errors import NotFound
from services.durable.store import Collection, Database, Document, persist, read

COLLECTION = "api_keys"
_LIMIT = 1_000
# A login does not wait for a store that is down.
_PATIENCE = 3.0


class MongoKeyRepository:
    def __init__(self, database: Database) -> None:
        self._keys: Collection = database[COLLECTION]

    async def prepare(self) -> None:
        """Makes the index; harmless when repeated."""
        await persist(lambda: self._keys.create_index([("tenant", 1), ("created", -1)]))

    async def add(self, key: ApiKey) -> None:
        async def insert() -> None:
            try:
                await self._keys.insert_one(_to_document(key))
            except DuplicateKeyError:
                return  # ids are random: it is our own insert whose answer was lost

        await persist(insert)

    async def save(self, key: ApiKey) -> None:
        await persist(lambda: self._keys.replace_one({"_id": key.id}, _to_document(key)))

    async def get(self, key_id: str) -> ApiKey:
        document = await persist(lambda: self._keys.find_one({"_id": key_id}), patience=_PATIENCE)
        if document is None:
            raise NotFound(f"API key {key_id} does not exist", reason="KEY_NOT_FOUND")
        return _from_document(document)

    async def find(self, tenant: str) -> list[ApiKey]:
        wanted = {"tenant": tenant} if tenant else {}
        documents = await read(lambda: self._keys.find(wanted).sort("created", -1).limit(_LIMIT))
        return [_from_document(document) for document in documents]

    async def readers(self, tenant: str) -> list[ApiKey]:
        wanted = {"tenant": tenant} if tenant else {}
        keys = map(_from_document, await read(lambda: self._keys.find(wanted)))
        return [key for key in keys if key.reads_events]


def _to_document(key: ApiKey) -> Document:
    return {
        "_id": key.id,
        "tenant": key.tenant,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "digest": key.digest,
        "created": key.created_at,
        "revoked": key.revoked_at or 0,
    }


def _from_document(document: Document) -> ApiKey:
    return ApiKey(
        id=document["_id"],
        tenant=document["tenant"],
        name=document["name"],
        scopes=frozenset(document["scopes"]),
        digest=document["digest"],
        created_at=document["created"],
        revoked_at=document["revoked"] or None,
    )
