"""Pages of what lies in memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from services.common.paging import Listable, ListPage, ListWindow

ItemT = TypeVar("ItemT", bound=Listable)


def page_of(items: Iterable[ItemT], window: ListWindow) -> ListPage[ItemT]:
    """Last listed first, as the real stores have it."""
    place = window.behind
    left = [item for item in items if place is None or (item.listing <= place.listing and item.id not in place.seen)]
    left = sorted(left, key=lambda item: item.listing, reverse=True)[window.skip :]
    page = left[: window.limit]
    return ListPage(page, window.after([(item.listing, item.id) for item in page]) if len(left) > len(page) else None)
