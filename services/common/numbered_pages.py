"""Lists in numbered pages, sorted by any of several fields, for people who look through them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from services.common.errors import ViolationCollector, check_field

PAGE_SIZE, MOST_PAGE_SIZE, LAST_PAGE = 50, 1_000, 1_000_000
_LONGEST_SEARCH = 255
ItemT = TypeVar("ItemT")
_END = "~"


class NumberedPage(NamedTuple):
    """Which part of a list is wanted. Microseconds, neither included; `sort_by` is the field of the store."""

    created_after: int | None = None
    created_before: int | None = None
    search: str = ""
    sort_by: str = "created_at"
    ascending: bool = False
    number: int = 1
    size: int = PAGE_SIZE

    @property
    def skip(self) -> int:
        return (self.number - 1) * self.size

    def bounds(self, tenant: str) -> dict[str, str]:
        """Of `listing`, as a query of MongoDB."""
        begin = f"{tenant}/"
        after = "" if self.created_after is None else f"{max(self.created_after + 1, 0):020d}"
        before = _END if self.created_before is None else f"{max(self.created_before, 0):020d}"
        return {"$gte": begin + after, "$lt": begin + before}


FIRST_PAGE = NumberedPage()


class CountedPage(NamedTuple, Generic[ItemT]):
    """Items of a page. `bounded`: the conditions find more than `total`, which were not counted."""

    items: list[ItemT]
    total: int
    bounded: bool


def read_numbered_page(request: Any, sorts: Mapping[str, str]) -> NumberedPage:
    """That of a message with these fields; `sorts` names the store's field for each name that may be sorted by.

    Raises:
        InvalidRequest: with a violation for each field that cannot be used.
    """
    refusals = ViolationCollector()
    number, size, sort = request.page or 1, request.page_size or PAGE_SIZE, request.sort_by or "created_at"
    with refusals:
        check_field("page", 1 <= number <= LAST_PAGE, f"must be from 1 to {LAST_PAGE}")
    with refusals:
        check_field("page_size", 1 <= size <= MOST_PAGE_SIZE, f"must be from 1 to {MOST_PAGE_SIZE}")
    with refusals:
        check_field("sort_by", sort in sorts, f"must be one of {', '.join(sorts)}")
    with refusals:
        check_field("search", len(request.search) <= _LONGEST_SEARCH, f"must have at most {_LONGEST_SEARCH} characters")
    refusals.told()
    return NumberedPage(
        created_after=_moment(request, "created_after"),
        created_before=_moment(request, "created_before"),
        search=request.search,
        sort_by=sorts[sort],
        ascending=request.ascending,
        number=number,
        size=size,
    )


def _moment(request: Any, name: str) -> int | None:
    if not request.HasField(name):
        return None
    moment: Timestamp = getattr(request, name)
    return moment.seconds * 1_000_000 + moment.nanos // 1000
