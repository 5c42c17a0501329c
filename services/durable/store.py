"""MongoDB, real or embedded: opening it, and what its failures mean."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, TypeVar

import structlog
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection, AsyncIOMotorCursor, AsyncIOMotorDatabase
from pymongo.errors import ConnectionFailure, DuplicateKeyError, OperationFailure, PyMongoError

from services.common.errors import OutOfSpace, Unavailable
from services.common.paging import ListPage, ListWindow

log = structlog.get_logger()
ResultT = TypeVar("ResultT")
Document: TypeAlias = dict[str, Any]
Database: TypeAlias = "AsyncIOMotorDatabase[Document]"
# MongoDB's OutOfDiskSpace, and what the embedded store says in SQLite's words and the system's.
_FULL_CODE, _FULL_WORDS = 14031, ("disk is full", "no space left")
Collection: TypeAlias = "AsyncIOMotorCollection[Document]"
Find: TypeAlias = "Callable[[], AsyncIOMotorCursor[Document]]"


@asynccontextmanager
async def open_database(url: str, name: str) -> AsyncIterator[Database]:
    """Connects lazily: a store that is down shows when it is first asked."""
    client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(
        url,
        maxPoolSize=8,
        serverSelectionTimeoutMS=5_000,
        connectTimeoutMS=3_000,
        socketTimeoutMS=20_000,
        retryWrites=False,
    )
    try:
        yield client[name]
    finally:
        client.close()


async def ping(database: Database) -> None:
    await database.command("ping")


async def persist(operation: Callable[[], Awaitable[ResultT]], *, patience: float = 60.0) -> ResultT:
    """Repeats an idempotent `operation` while the store cannot be reached.

    Raises:
        OutOfSpace: its disk is full (STORE_FULL).
        Unavailable: not reached for `patience` seconds (STORE_UNREACHABLE), or it refused (STORE_REFUSED).
        DuplicateKeyError: as the store says it.
    """
    give_up, pause = time.monotonic() + patience, 0.05
    while True:
        try:
            return await operation()
        except ConnectionFailure as error:
            if time.monotonic() + pause > give_up:
                raise Unavailable("the store cannot be reached", reason="STORE_UNREACHABLE", retry_after=5.0) from error
            log.warning("store not reached", error=str(error)[:200])
            await asyncio.sleep(pause)
            pause = min(pause * 2, 1.0)
        except DuplicateKeyError:
            raise
        except OperationFailure as error:
            if _is_full(error):
                log.error("store full", error=str(error)[:200])
                raise OutOfSpace("the store's disk is full", reason="STORE_FULL", retry_after=30.0) from error
            log.error("store refused", error=str(error)[:500])
            raise Unavailable("the store refused the operation", reason="STORE_REFUSED", retry_after=5.0) from error
        except PyMongoError as error:
            raise Unavailable("the store failed", reason="STORE_FAILED", retry_after=5.0) from error


async def read(find: Find) -> list[Document]:
    """What `find` finds, as `persist`.

    Every try takes a cursor of its own: the driver's says that nothing is left once it has lost its connection.
    """
    return await persist(lambda: find().to_list(None))


async def list_page(collection: Collection, query: Document, window: ListWindow) -> ListPage[Document]:
    """The documents of a page, those listed last first. Which of one `listing` comes first is up to the store."""
    limit = window.limit + 1 + len(window.seen)
    found = await read(lambda: collection.find(query).sort("listing", -1).skip(window.skip).limit(limit))
    fresh = [document for document in found if document["_id"] not in window.seen]
    page = fresh[: window.limit]
    more = len(fresh) > window.limit
    return ListPage(page, window.after([(document["listing"], document["_id"]) for document in page]) if more else None)


async def read_in_parts(find: Find, size: int) -> AsyncIterator[list[Document]]:
    """What `find` finds, `size` documents at a time, for what may be long. Between two parts nothing is tried again.

    Raises:
        Unavailable: as `persist`, and when the connection was lost between two parts.
    """

    async def begin() -> tuple[AsyncIOMotorCursor[Document], list[Document]]:
        cursor = find()
        cursor.batch_size(size)
        return cursor, await cursor.to_list(size)

    cursor, documents = await persist(begin)
    while documents:
        yield documents
        documents = await persist(lambda: cursor.to_list(size), patience=0.0)


def equals(value: Any) -> Any:
    """Equality as a range, for which the embedded store has an index; a truth value has no range."""
    return value if isinstance(value, bool) else {"$gte": value, "$lte": value}


def _is_full(error: OperationFailure) -> bool:
    said = str(error).lower()
    return error.code == _FULL_CODE or any(words in said for words in _FULL_WORDS)
