"""What is to be done at some time: written down before it is begun, and looked at when it is due."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import structlog

from services.common.errors import ComputeError, name_of

log = structlog.get_logger()
_PAGE = 256


class Due(Protocol):
    """`id` is that of the aggregate, of which one item at a time is known; `nonce` is the item's own."""

    @property
    def id(self) -> str: ...

    @property
    def nonce(self) -> str: ...

    @property
    def due(self) -> int:
        """Microseconds."""
        ...


DueT = TypeVar("DueT", bound=Due)


class DueItems(Protocol[DueT]):
    """Every method is safe to repeat."""

    async def begin(self, item: DueT, /) -> None:
        """In place of an earlier one of the same aggregate."""
        ...

    async def get(self, item_id: str, /) -> DueT | None: ...

    async def due(self, now: int, *, limit: int) -> list[DueT]:
        """Oldest first."""
        ...

    async def change(self, item: DueT, /) -> None:
        """Unless another one took its place."""
        ...

    async def end(self, item: DueT, /) -> None:
        """As `change`."""
        ...


async def sweep(
    items: DueItems[DueT],
    now: int,
    carry_on: Callable[[DueT], Awaitable[None]],
    postponed: Callable[[DueT], DueT],
) -> None:
    """Carries on with whatever is due; what fails waits as `postponed` says, and holds up no other. For the leader."""
    for item in await items.due(now, limit=_PAGE):
        try:
            await carry_on(item)
        except Exception as error:  # of the store, the bus or another service: tried again
            told = not isinstance(error, ComputeError)
            log.warning("waits", item=type(item).__name__, id=item.id, error=name_of(error), exc_info=told)
            await postpone(items, postponed(item))


async def postpone(items: DueItems[DueT], item: DueT) -> None:
    """What cannot even be postponed stays due."""
    try:
        await items.change(item)
    except Exception as error:  # noqa: BLE001  # as above
        log.warning("not postponed", item=type(item).__name__, id=item.id, error=name_of(error))
