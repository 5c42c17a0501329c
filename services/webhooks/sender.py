"""The leader's loop: whatever is due is sent, many at a time but few to one host.

A delivery is claimed in the store before it is sent, and only by whoever finds the version it read. One that somebody
else had claimed is taken over after it stood still for longer than any call may last, by this process' own clock.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from services.common.errors import NotFound, Unavailable
from services.webhooks.domain import SECOND, Delivery, DeliveryAttempt, DeliveryState, Endpoint
from services.webhooks.metrics import count_call
from services.webhooks.ports import (
    DeliveryClock,
    DeliveryRepository,
    DeliveryTransport,
    EndpointRepository,
    EndpointResponse,
)
from services.webhooks.ready_queue import ReadyQueue
from services.webhooks.retry_schedule import RetrySchedule

log = structlog.get_logger()
_PAGE = 256
_WHOLE_SECONDS = 30.0
_GONE = 410


@dataclass(frozen=True, slots=True)
class SenderLimits:
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
        transport: DeliveryTransport,
        clock: DeliveryClock,
        leads: Callable[[], bool],
        *,
        owner: str,
        schedule: RetrySchedule,
        limits: SenderLimits,
    ) -> None:
        self._deliveries = deliveries
        self._endpoints = endpoints
        self._transport = transport
        self._clock = clock
        self._leads = leads
        self._owner = owner
        self._schedule = schedule
        self._limits = limits
        self._ready = ReadyQueue()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._hosts: Counter[str] = Counter()
        # Others' claims, and since when they stand still.
        self._watched: dict[str, tuple[int, float]] = {}
        # What was due before then has been looked at, but not since the whole was looked through last.
        self._since = 0
        self._whole_at = -math.inf
        self._wake = asyncio.Event()

    @property
    def under_way(self) -> int:
        """Calls that are being made."""
        return len(self._running)

    def wake(self) -> None:
        """Something may be due."""
        self._since = 0
        self._wake.set()

    def offer(self, delivery: Delivery) -> None:
        """It has just been written, and is due."""
        if self._leads():
            self._ready.offer(delivery)
            self._start_ready()

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
            self._ready.clear()
            self._watched.clear()
            self._since = 0
            return min(1.0, self._limits.look)
        if self._clock.elapsed() - self._whole_at > _WHOLE_SECONDS:
            self._since, self._whole_at = 0, self._clock.elapsed()
        now = self._clock.now()
        await self._load(now)
        for host in self._ready.starving:
            await self._refill(host, now)
        await self._take_over()
        self._start_ready()
        due = await self._deliveries.next_due(now)
        pause = self._limits.look if due is None else max(0.0, (due - self._clock.now()) / SECOND)
        return min(pause, 1.0 if self._watched else self._limits.look)

    async def settled(self) -> None:
        """Waits until nothing is being sent."""
        while self._running:
            await asyncio.wait(set(self._running.values()))

    async def close(self, seconds: float) -> None:
        """Lets what is being sent end; what does not is sent again by the next leader."""
        self._ready.clear()
        if self._running:
            await asyncio.wait(set(self._running.values()), timeout=seconds)
        for task in list(self._running.values()):
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _load(self, now: int) -> None:
        """What became due since the last look. Of hosts that have more than waits here nothing is read."""
        while True:
            page = await self._deliveries.due(now, since=self._since, without=self._ready.cut, limit=_PAGE)
            await self._sort(page)
            if len(page) < _PAGE:
                self._since = now + 1
                return
            if page[0].due == page[-1].due:
                self._whole_at = -math.inf  # there may be more of that very moment: they are next
            self._since = max(page[-1].due, self._since + 1)

    async def _refill(self, host: str, now: int) -> None:
        page = await self._deliveries.due_at(host, now, limit=_PAGE)
        if len(page) < _PAGE:
            self._ready.whole(host)
        await self._sort(page)

    async def _sort(self, page: Sequence[Delivery]) -> None:
        """By what is to be done: to be removed, to be watched, to be sent."""
        await self._deliveries.remove([item for item in page if item.state.over])
        for item in page:
            if item.state.over or item.id in self._running:
                continue
            if item.state is DeliveryState.SENDING and item.owner != self._owner:
                if self._watched.get(item.id, (0, 0.0))[0] != item.version:
                    self._watched[item.id] = (item.version, self._clock.elapsed())
            else:
                self._ready.offer(item)

    async def _take_over(self) -> None:
        """Claims that stood still for so long that nobody can be sending any more."""
        now = self._clock.elapsed()
        left = [(name, at[0]) for name, at in self._watched.items() if now - at[1] > self._limits.patience]
        for name, version in left:
            del self._watched[name]
            with suppress(NotFound):
                delivery = await self._deliveries.get(name)
                if delivery.version == version:
                    self._ready.offer(delivery)

    def _start_ready(self) -> None:
        while len(self._running) < self._limits.everywhere:
            delivery = self._ready.take(self._has_room)
            if delivery is None:
                return
            if delivery.id not in self._running:
                self._start(delivery)

    def _has_room(self, host: str) -> bool:
        return self._hosts[host] < self._limits.per_host

    def _start(self, delivery: Delivery) -> None:
        self._hosts[delivery.host] += 1
        task = asyncio.create_task(self._send(delivery), name="delivery")
        self._running[delivery.id] = task

        def ended(_: asyncio.Task[None]) -> None:
            self._running.pop(delivery.id, None)
            self._hosts[delivery.host] -= 1
            if not self._hosts[delivery.host]:
                del self._hosts[delivery.host]
            self._start_ready()
            self._wake.set()

        task.add_done_callback(ended)

    async def _send(self, delivery: Delivery) -> None:
        """Catches whatever fails in one delivery: it is found again when its claim has expired."""
        try:
            await self._attempt(delivery)
            return
        except Unavailable as error:
            log.warning("delivery waits", delivery=delivery.id, reason=error.reason)
        except Exception:
            log.exception("delivery failed on our side", delivery=delivery.id)
        await asyncio.sleep(1.0)  # keeps its place, lest it is tried again at once, and again
        self._since = 0

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
        answer = await self._transport.call(claimed)
        attempt = DeliveryAttempt(at, round(self._clock.elapsed() - began, 3), answer.status, answer.error)
        if answer.status == _GONE:
            await self._disable(claimed)
        ended = self._ended(claimed, attempt, answer)
        stands = await self._deliveries.save(ended)
        count_call(ended, attempt)
        note = log.info if attempt.error else log.debug
        note("called", delivery=claimed.id, state=ended.state, status=answer.status, recorded=stands)

    async def _disable(self, delivery: Delivery) -> None:
        reason = f"answered 410 Gone to {delivery.id}"
        endpoint = Endpoint(delivery.endpoint, delivery.tenant, delivery.url, self._clock.now(), reason)
        await self._endpoints.add(endpoint)
        log.info("address disabled", tenant=delivery.tenant, endpoint=endpoint.id)

    def _ended(self, claimed: Delivery, attempt: DeliveryAttempt, answer: EndpointResponse) -> Delivery:
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
