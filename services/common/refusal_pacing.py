"""A rate limiter of refusals: clients that come back at once, whatever a refusal says, are answered more slowly."""

from __future__ import annotations

import asyncio
import time

# A refused client that does as it is told never notices the one, and a server that refuses so many a second not the
# other; a client gives up on neither.
_A_SECOND = 200.0
_LONGEST_SECONDS = 2.0
_MOST_TENANTS = 10_000


class RefusalPacer:
    """Lets so many refusals of a tenant go a second, one after the other."""

    def __init__(self, *, rate: float = _A_SECOND, longest: float = _LONGEST_SECONDS) -> None:
        self._interval = 1 / rate
        self._longest = longest
        self._due: dict[str, float] = {}

    def delay(self, tenant: str) -> float:
        """Seconds after which the next refusal of `tenant` is due, at most `longest`."""
        now = time.monotonic()
        due = max(now, min(self._due.get(tenant, 0.0), now + self._longest))
        if len(self._due) >= _MOST_TENANTS:
            self._due = {name: at for name, at in self._due.items() if at > now}
        self._due[tenant] = due + self._interval
        return due - now

    async def wait(self, tenant: str) -> None:
        """Until the next refusal of `tenant` is due; holds nothing but the time."""
        if (delay := self.delay(tenant)) > 0:
            await asyncio.sleep(delay)
