"""Lists in pages.

A token says behind what a list goes on, so that nothing comes twice and nothing that stays is left out while items come
and go.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import orjson
from google.protobuf.message import Message

from services.common.errors import InvalidRequest, Violation, ViolationCollector, check_field

# A client that says nothing else takes messages of 4 MiB.
PAGE_BYTES = 7 << 19
MAX_LIMIT, MAX_SKIP = 1_000, 1_000_000
_LONGEST = 8_192
_NO_CONDITIONS = frozenset({"limit", "skip", "page_token", "public_types_only"})
ItemT = TypeVar("ItemT")
MessageT = TypeVar("MessageT", bound=Message)


class Listable(Protocol):
    """An item of a list; `listing` is what the list is ordered by, and is hardly ever another item's too."""

    @property
    def id(self) -> str: ...

    @property
    def listing(self) -> str: ...


class ListPosition(NamedTuple):
    """After everything listed before `listing`, and after those with that `listing` whose ids are `seen`."""

    listing: str
    seen: tuple[str, ...]

    def token(self, of: str = "") -> str:
        """`of` says which list it is of."""
        return base64.urlsafe_b64encode(orjson.dumps([of, self.listing, *self.seen])).decode().rstrip("=")


class ListWindow(NamedTuple):
    """Which part of a list is wanted; `of` stands for the conditions of the list."""

    limit: int
    skip: int = 0
    behind: ListPosition | None = None
    of: str = ""

    @property
    def seen(self) -> tuple[str, ...]:
        return self.behind.seen if self.behind else ()

    def bounds(self, begin: str) -> dict[str, str]:
        """Of `listing`, as a query of MongoDB, for items whose listing begins so."""
        return {"$gte": begin, "$lte": self.behind.listing} if self.behind else {"$gte": begin, "$lt": f"{begin}~"}

    def after(self, entries: Sequence[tuple[str, str]]) -> ListPosition | None:
        """The place behind `entries`, listings and ids of a page that began here."""
        if not entries:
            return self.behind
        last = entries[-1][0]
        seen = tuple(item_id for listing, item_id in entries if listing == last)
        return ListPosition(last, (self.seen if self.behind and self.behind.listing == last else ()) + seen)


class ListPage(NamedTuple, Generic[ItemT]):
    """A page. `behind` is where the list continues, None at its end."""

    items: list[ItemT]
    behind: ListPosition | None


def read_window(request: Any, begin: str) -> ListWindow:
    """That of a message with `limit`, `skip` and `page_token`, for a list of what begins so.

    Raises:
        InvalidRequest: for each of them that cannot be used.
    """
    limit, refusals, of = (
        request.limit if request.HasField("limit") else 100,
        ViolationCollector(),
        _digest(conditions(request)),
    )
    behind: ListPosition | None = None
    with refusals:
        check_field("limit", 1 <= limit <= MAX_LIMIT, f"must be from 1 to {MAX_LIMIT}")
    with refusals:
        check_field("skip", 0 <= request.skip <= MAX_SKIP, f"must be from 0 to {MAX_SKIP}")
    with refusals:
        check_field("skip", not (request.skip and request.page_token), "counts from the beginning: no token beside it")
    with refusals:
        behind = _place(request.page_token, of, begin) if request.page_token else None
    refusals.told()
    return ListWindow(limit, request.skip, behind, of)


def conditions(request: Message) -> dict[str, Any]:
    """Those of a list's request, by field: what is left is which page is wanted, and what the caller may see at all."""
    return {field.name: value for field, value in request.ListFields() if field.name not in _NO_CONDITIONS}


def next_token(window: ListWindow, found: ListPage[Any], count: int) -> str:
    """Of a page that shows the first `count` of what was found; empty at the end of the list."""
    items: Sequence[Listable] = found.items
    place = found.behind if count == len(items) else window.after([(item.listing, item.id) for item in items[:count]])
    return place.token(window.of) if place else ""


def fitting(messages: Iterable[MessageT]) -> list[MessageT]:
    """The first of them, as many as a client takes that says nothing else; at least one."""
    found: list[MessageT] = []
    size = 0
    for message in messages:
        size += message.ByteSize() + 8  # what tells it from the next
        if found and size > PAGE_BYTES:
            break
        found.append(message)
    return found


def _digest(wanted: dict[str, Any]) -> str:
    told = orjson.dumps(wanted, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(told).hexdigest()[:16] if wanted else ""


def _place(token: str, of: str, begin: str) -> ListPosition:
    try:
        if len(token) > _LONGEST:
            raise ValueError("too long")
        made_of, listing, *seen = orjson.loads(base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True))
        texts = all(isinstance(part, str) for part in (listing, *seen))
        if not texts or not listing.startswith(begin) or made_of != of:
            raise ValueError("of another list")
    except (ValueError, TypeError, binascii.Error):
        why = "is none of this list's: begin again without it"
        violation = Violation("page_token", why)
        raise InvalidRequest(f"page_token {why}", reason="PAGE_TOKEN_INVALID", violations=(violation,)) from None
    return ListPosition(listing, tuple(seen))
