"""The leader's loop: whatever is due is sent, many at a time but few to one host.

A delivery is claimed in the store before it is sent, and only by whoever finds the version it read. One that somebody
else had claimed is taken over after it stood still for longer than any call may last, by this process' own clock.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from services.common.errors import Unavailable
from services.webhooks.domain import SECOND, Attempt, Delivery, DeliveryState, Endpoint
from services.webhooks.ports import Answer, Clock, Courier, DeliveryRepository, EndpointRepository
from services.webhooks.schedule import Schedule

log = structlog.get_logger()
_PAGE = 256
_GONE = 410


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds, where not said otherwise.

    A claim is good for `patience`: a call begins within `margin` of it, and lasts less than what is left.
    """

    patience: float = 25.0
    margin: float = 5.0
    everywhere: int = 64
    per_host: int = 4
    look: float = 5.0
    keep: float = 3 * 86_400.0
    keep_dead: float = 30 * 86_400.0


class Sender:
    def __init__(
        self,
        deliveries: DeliveryRepository,
        endpoints: EndpointRepository,
        courier: Courier,
        clock: Clock,
        leads: Callable[[], bool],
        *,
        owner: str,
        schedule: Schedule,
        limits: Limits,
    ) -> None:
        self._deliveries = deliveries
        self._endpoints = endpoints
        self._courier = courier
        self._clock = clock
        self._leads = leads
        self._owner = owner
        self._schedule = schedule
        self._limits = limits
        self._running: dict[str, asyncio.Task[None]] = {}
        self._hosts: Counter[str] = Counter()
        # Since when another's claim stands still.
        self._seen: dict[tuple[str, int], float] = {}
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Something may be due."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._wake.clear()
            pause = await self.turn()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):  # wait_for may swallow a cancel that comes with the event
                    await self._wake.wait()

    async def turn(self) -> float:
        """Starts what is due and has room; answers in how many seconds to look again, unless woken."""
        if not self._leads():
            return min(1.0, self._limits.look)
        watched = False
        while len(self._running) < self._limits.everywhere:
            page = await self._deliveries.due(self._clock.now(), without=self._busy(), limit=_PAGE)
            started, waiting = self._begin([item for item in page if not item.state.over])
            removed = [item for item in page if item.state.over]
            await self._deliveries.remove(removed)
            watched = watched or waiting
            if not started and not removed:
                break
        return min(await self._until_next(), 1.0 if watched else self._limits.look)

    async def settled(self) -> None:
        """Waits until nothing is being sent."""
        while self._running:
            await asyncio.wait(set(self._running.values()))

    async def close(self, seconds: float) -> None:
        """Lets what is being sent end; what does not is sent again by the next leader."""
        if self._running:
            await asyncio.wait(set(self._running.values()), timeout=seconds)
        for task in list(self._running.values()):
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _busy(self) -> list[str]:
        return [host for host, count in self._hosts.items() if count >= self._limits.per_host]

    async def _until_next(self) -> float:
        now = self._clock.now()
        due = await self._deliveries.next_due(now, without=self._busy())
        return self._limits.look if due is None else max(0.0, (due - now) / SECOND)

    def _begin(self, page: Sequence[Delivery]) -> tuple[int, bool]:
        """How many were started, and whether another's claim is being watched."""
        started, watched = 0, False
        for delivery in page:
            if delivery.id in self._running or not self._has_room(delivery.host):
                continue
            if delivery.state is DeliveryState.SENDING and not self._is_left(delivery):
                watched = True
                continue
            self._start(delivery)
            started += 1
        return started, watched

    def _has_room(self, host: str) -> bool:
        return len(self._running) < self._limits.everywhere and self._hosts[host] < self._limits.per_host

    def _is_left(self, delivery: Delivery) -> bool:
        """Whether nobody can be sending it any more."""
        if delivery.owner == self._owner:
            return True
        key = (delivery.id, delivery.version)
        since = self._seen.setdefault(key, self._clock.elapsed())
        left = self._clock.elapsed() - since > self._limits.patience
        if left:
            del self._seen[key]
        return left

    def _start(self, delivery: Delivery) -> None:
        self._hosts[delivery.host] += 1
        task = asyncio.create_task(self._send(delivery), name="delivery")
        self._running[delivery.id] = task

        def ended(_: asyncio.Task[None]) -> None:
            self._running.pop(delivery.id, None)
            self._hosts[delivery.host] -= 1
            if not self._hosts[delivery.host]:
                del self._hosts[delivery.host]
            self._wake.set()

        task.add_done_callback(ended)

    async def _send(self, delivery: Delivery) -> None:
        """The border of one delivery: what fails here is found again when its claim is over."""
        try:
            await self._attempt(delivery)
            return
        except Unavailable as error:
            log.warning("delivery waits", delivery=delivery.id, reason=error.reason)
        except Exception:
            log.exception("delivery failed on our side", delivery=delivery.id)
        await asyncio.sleep(1.0)  # keeps its place, lest it is tried again at once, and again

    async def _attempt(self, delivery: Delivery) -> None:
        disabled = await self._endpoints.get(delivery.endpoint)
        if disabled is not None:
            await self._deliveries.save(delivery.skipped(disabled.reason, until=self._in(self._limits.keep_dead)))
            return
        claimed = delivery.claimed(self._owner, until=self._in(self._limits.margin))
        asked = self._clock.elapsed()
        if not self._leads() or not await self._deliveries.save(claimed):
            return
        if self._clock.elapsed() - asked < self._limits.margin:
            await self._call(claimed)

    async def _call(self, claimed: Delivery) -> None:
        at, began = self._clock.now(), self._clock.elapsed()
        answer = await self._courier.call(claimed)
        attempt = Attempt(at, round(self._clock.elapsed() - began, 3), answer.status, answer.error)
        if answer.status == _GONE:
            await self._disable(claimed)
        ended = self._ended(claimed, attempt, answer)
        stands = await self._deliveries.save(ended)
        log.info("called", delivery=claimed.id, state=ended.state, status=answer.status, recorded=stands)

    async def _disable(self, delivery: Delivery) -> None:
        reason = f"answered 410 Gone to {delivery.id}"
        endpoint = Endpoint(delivery.endpoint, delivery.tenant, delivery.url, self._clock.now(), reason)
        await self._endpoints.add(endpoint)
        log.info("address disabled", tenant=delivery.tenant, endpoint=endpoint.id)

    def _ended(self, claimed: Delivery, attempt: Attempt, answer: Answer) -> Delivery:
        limits = self._limits
        if not attempt.error:
            return claimed.delivered(attempt, until=self._in(limits.keep))
        if answer.status == _GONE:
            return claimed.skipped(attempt.error, attempt, until=self._in(limits.keep_dead))
        delay = self._schedule.delay(claimed.attempts, answer.retry_after)
        if delay is None:
            return claimed.given_up(attempt, until=self._in(limits.keep_dead))
        return claimed.failed(attempt, again=self._clock.now() + delay)

    def _in(self, seconds: float) -> int:
        return self._clock.now() + int(seconds * SECOND)
