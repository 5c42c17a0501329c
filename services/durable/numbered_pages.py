"""Numbered pages of a collection, within what a store of hundreds of thousands of documents can answer at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import orjson

from services.common.numbered_pages import CountedPage, NumberedPage
from services.common.shared_answers import SharedAnswers
from services.durable.store import Collection, Document, read

# Of the newest: what is counted, searched and sorted. It takes the embedded store a quarter of a second.
MOST_LOOKED_AT = 10_000
_COUNT_SECONDS, _ROWS_SECONDS = 5.0, 3.0
# Rows of a page that is turned; each set of them may take 10 MB.
_SETS = 4
_HOUR, _DAY = 3_600_000_000, 86_400_000_000
Matches = Callable[[Document], bool]


class PageReader:
    """Pages of documents with a `listing`; `fields` of each are read.

    What an index has in its order is read page by page. What is searched or sorted otherwise is looked for among the
    newest MOST_LOOKED_AT. Answers of the last seconds serve whoever asks the same again.
    """

    def __init__(self, collection: Collection, fields: Sequence[str]) -> None:
        self._collection = collection
        self._fields = dict.fromkeys(fields, 1)
        self._counts: SharedAnswers[bytes, int] = SharedAnswers(_COUNT_SECONDS)
        self._rows: SharedAnswers[bytes, list[Document]] = SharedAnswers(_ROWS_SECONDS, room=_SETS)

    async def page(self, query: Document, page: NumberedPage, matches: Matches) -> CountedPage[Document]:
        """`matches` says of a document whether it is what `page` searches for."""
        if page.search or page.sort_by != "created_at":
            return await self._looked_for(query, page, matches)
        way = 1 if page.ascending else -1
        find = self._collection.find
        rows = await read(lambda: find(query, self._fields).sort("listing", way).skip(page.skip).limit(page.size))
        if 0 < len(rows) < page.size:
            return CountedPage(rows, page.skip + len(rows), bounded=False)
        total = await self._counts.get(_key(query), lambda: self._count(query))
        total = max(total, page.skip + len(rows) if rows else 0)
        return CountedPage(rows, total, bounded=total >= MOST_LOOKED_AT)

    async def newest(self, query: Document) -> CountedPage[Document]:
        """All of them, MOST_LOOKED_AT at most."""
        rows = await self._rows.get(_key(query), lambda: self._newest(query, self._fields))
        return CountedPage(rows, len(rows), bounded=len(rows) >= MOST_LOOKED_AT)

    async def _looked_for(self, query: Document, page: NumberedPage, matches: Matches) -> CountedPage[Document]:
        newest = await self.newest(query)
        found = [row for row in newest.items if matches(row)]
        if page.sort_by != "created_at":
            # Those that are alike stay as they are: the newest first.
            found.sort(key=lambda row: _rank(row.get(page.sort_by)), reverse=not page.ascending)
        elif page.ascending:
            found.reverse()
        rows = found[page.skip : page.skip + page.size]
        return CountedPage(rows, len(found), bounded=newest.bounded)

    async def _count(self, query: Document) -> int:
        return len(await self._newest(query, {"_id": 1}))

    async def _newest(self, query: Document, fields: Document) -> list[Document]:
        return await read(lambda: self._collection.find(query, fields).sort("listing", -1).limit(MOST_LOOKED_AT))


def created_lately(rows: Sequence[Document], now: int) -> tuple[int, int]:
    """How many of them within the last hour, and within the last 24; `now` is in microseconds."""
    hour, day = (sum(row["created_at"] >= now - span for row in rows) for span in (_HOUR, _DAY))
    return hour, day


def _key(query: Document) -> bytes:
    return orjson.dumps(query, option=orjson.OPT_SORT_KEYS)


def _rank(value: str | int | None) -> tuple[bool, str | int]:
    """What is not there is smallest."""
    return (value is not None, 0 if value is None else value)
