"""Who watches which aggregate: told of every change, and where some may have been missed, of what is stored now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Generic, NamedTuple, Protocol, TypeAlias, TypeVar

import structlog

from services.common.errors import ComputeError

log = structlog.get_logger()
_GROUP = 500
_PAUSE_SECONDS = 1.0


class Watchable(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def tenant(self) -> str: ...


class WatchedName(NamedTuple):
    tenant: str
    id: str


WatchedT = TypeVar("WatchedT", bound=Watchable)
Tell: TypeAlias = Callable[[WatchedT | None], None]


class Watchers(Generic[WatchedT]):
    """What they are told may be older than what they know; None says only that it had better be read."""

    def __init__(self, stored: Callable[[Sequence[WatchedName]], Awaitable[Mapping[WatchedName, WatchedT]]]) -> None:
        """`stored` reads many at once, those of them that there are; one that fails is asked again."""
        self._stored = stored
        self._watching: dict[WatchedName, set[Tell[WatchedT]]] = {}
        self._doubt = asyncio.Event()

    def noticed(self, changed: WatchedT) -> None:
        for tell in self._watching.get(WatchedName(changed.tenant, changed.id), ()):
            tell(changed)

    @contextmanager
    def watching(self, tenant: str, name: str, tell: Tell[WatchedT]) -> Iterator[None]:
        watched = WatchedName(tenant, name)
        self._watching.setdefault(watched, set()).add(tell)
        try:
            yield
        finally:
            left = self._watching[watched]
            left.discard(tell)
            if not left:
                del self._watching[watched]

    def missed(self) -> None:
        """Changes may have been: all that is watched is read again, in groups, however many watch it."""
        self._doubt.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._doubt.wait()
            self._doubt.clear()
            try:
                await self._read_again()
            except ComputeError as error:
                log.warning("what is watched cannot be read", count=len(self._watching), reason=error.reason)
                await asyncio.sleep(_PAUSE_SECONDS)
                self._doubt.set()

    async def _read_again(self) -> None:
        names = iter(list(self._watching))
        while group := list(islice(names, _GROUP)):
            stored = await self._stored(group)
            for name in group:
                for tell in tuple(self._watching.get(name, ())):
                    tell(stored.get(name))
