"""Steps that are the same are done once: what came of one is given to the others, and what is under way is waited for.

A record says whose task does a piece of work; it is written before that task is made. Whoever wants the same joins it.
Once the task is over the record holds what came of it, and every waiter gets copies of the files in its own workflow's
folder, then a hit, which is what the engine finds instead of a task. Each step of this is safe to repeat: after a crash
the engine asks again for whatever has neither task nor hit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import orjson
import structlog

from services.catalog.enums import CacheMode
from services.common.background import together
from services.common.errors import ComputeError, NotFound, Overloaded, name_of
from services.common.keyed_locks import KeyedLocks
from services.workflows.cache_identity import Identities, Identity
from services.workflows.cache_records import CacheEntry, CacheHit, CacheRecord, CacheRepository, HitRepository
from services.workflows.cached_files import CachedFiles
from services.workflows.domain import SECOND
from services.workflows.metrics import CACHE, SAVED_SECONDS, SAVED_USD
from services.workflows.ports import NewStepTask, StepName, StepTask, StepTasks

log = structlog.get_logger()
_TRIES, _AT_ONCE = 20, 16
# A leader's task that is not there after so long will not come: whoever was to make it died, or was refused.
_PATIENCE = 30 * SECOND
# How long those who waited may take to copy what a task made that is to be cleaned up.
_COPYING = 60 * SECOND
_RESULT_BYTES = 64 << 10
_NEVER_MADE = StepTask(over=True, reason="STEP_TASK_MISSING")
WorkKey = tuple[str, str]
Refused = dict[StepName, ComputeError]


class Work(NamedTuple):
    """A step's task, and which work that is."""

    new: NewStepTask
    identity: Identity

    @property
    def name(self) -> StepName:
        return self.new.name


class StepCache:
    def __init__(
        self,
        records: CacheRepository,
        hits: HitRepository,
        tasks: StepTasks,
        files: CachedFiles,
        identities: Identities,
        clock: Callable[[], int],
        wake: Callable[[StepName], None],
        ended: Callable[[Collection[str]], Awaitable[set[str]]],
        *,
        most_entries: int,
        most_age: int,
    ) -> None:
        """`wake` has the engine look at a step of which there is something new; `ended` answers which of these
        workflows have. `most_entries` of each tenant are kept, none that was not used for `most_age` microseconds.
        """
        self._records = records
        self._hits = hits
        self._tasks = tasks
        self._files = files
        self._identities = identities
        self._clock = clock
        self._wake = wake
        self._ended = ended
        self._most_entries = most_entries
        self._most_age = most_age
        self._locks: KeyedLocks[WorkKey] = KeyedLocks()
        # What this process began and waits for; whatever another one did is found again when the engine asks again.
        self._leading: dict[StepName, tuple[WorkKey, NewStepTask]] = {}
        self._waiting: dict[WorkKey, dict[StepName, NewStepTask]] = defaultdict(dict)
        self._waits_for: dict[StepName, WorkKey] = {}

    async def begin(self, tenant: str, wanted: Sequence[NewStepTask]) -> Refused:
        """By a hit, by joining what is under way, or by a task of its own. Answers what was refused."""
        found = await together([self._identity(tenant, new) for new in wanted])
        plain = [new for new, identity in zip(wanted, found, strict=True) if identity is None]
        groups: dict[tuple[str, bool], list[Work]] = defaultdict(list)
        for new, identity in zip(wanted, found, strict=True):
            if identity is not None:
                groups[identity.key, new.cache is CacheMode.REFRESH].append(Work(new, identity))
        refused = await self._tasks.create(tenant, plain) if plain else {}
        for (key, refresh), group in groups.items():
            refused |= await self._begin((tenant, key), group, refresh=refresh)
        return refused

    def leads(self, name: StepName) -> bool:
        """Whether something is to be done once its task is over."""
        return name in self._leading

    async def ended(self, name: StepName) -> None:
        """Its task is over, perhaps: whoever waits for it is given what came of it, or one of them does it now."""
        led = self._leading.get(name)
        if led is None:
            return
        place, new = led
        task = (await self._tasks.get(place[0], [name])).get(name)
        if task is None or not task.over:
            return
        identity = await self._identity(place[0], new)
        async with self._locks.held(place):
            record = await self._records.get(*place)
            if record is not None and record.leader == name:
                await self._settle(record, task, identity)
            waiting = self._forget(name, place)
        if waiting:
            for refused in await self.begin(place[0], waiting):
                log.warning("step that waited was refused", workflow=refused.workflow_id, step=refused.step_id)

    async def sweep(self) -> None:
        """For the leader: what was not heard of, what was to be cleaned up, and what is too old or too much."""
        for name in list(self._leading):
            await self.ended(name)
        for record in await self._records.left():
            await self._release(record, ())
        now = self._clock()
        for record in await self._records.to_clean(now - _COPYING):
            assert record.to_clean is not None
            with suppress(NotFound):
                await self._tasks.clean(record.tenant, record.to_clean)
            await self._change((record.tenant, record.key), lambda found: replace(found, to_clean=None))
        await self._records.evict(before=now - self._most_age, most=self._most_entries)

    async def hits(self, names: Sequence[StepName]) -> dict[StepName, CacheHit]:
        return await self._hits.get(names)

    async def leave(self, tenant: str, names: Sequence[StepName]) -> list[StepName]:
        """Nobody wants these any more, as the heads of their workflows say already. Answers whose tasks are to be
        cancelled: not those that others wait for. What the last who waited has waited for is cancelled here.
        """
        for name in names:
            if (place := self._waits_for.pop(name, None)) is not None:
                self._waiting.get(place, {}).pop(name, None)
        for record in await self._records.led_by(names):
            await self._change((record.tenant, record.key), partial(self._left, led=names))
        # Only after that: of two who leave at once the later one sees that both did.
        kept = [await self._release(record, names) for record in await self._records.left(tenant)]
        return [name for name in names if name not in kept]

    async def keeps(self, name: StepName) -> bool:
        """Whether others wait for what its task does; it is cleaned up at the end then."""
        for record in await self._records.led_by([name]):
            changed = await self._change((record.tenant, record.key), partial(_cleaned_later, name=name))
            if changed is not None and changed.to_clean == name:
                return True
        return False

    async def _identity(self, tenant: str, new: NewStepTask) -> Identity | None:
        """None also where it cannot be told now: then it is done as if there was no cache."""
        try:
            return await self._identities.of(tenant, new.task_type, new.task)
        except ComputeError as error:
            log.warning("step not looked for in the cache", workflow=new.name.workflow_id, error=name_of(error))
            return None

    async def _begin(self, place: WorkKey, group: list[Work], *, refresh: bool) -> Refused:
        refused: Refused = {}
        for _ in range(_TRIES):
            async with self._locks.held(place):
                left = await self._turn(place, group, refused, refresh=refresh)
            if not left:
                return refused
            group = left
        log.warning("work contended", key=place[1])
        return refused | await self._tasks.create(place[0], [work.new for work in group])

    async def _turn(self, place: WorkKey, group: list[Work], refused: Refused, *, refresh: bool) -> list[Work]:
        """Answers those that are to be looked at once more."""
        tenant, key = place
        record = await self._records.get(tenant, key) or CacheRecord(tenant, key)
        names = [work.name for work in group]
        if record.leader is not None and record.leader not in names:
            task = (await self._tasks.get(tenant, [record.leader])).get(record.leader)
            if task is None and self._clock() - record.since >= _PATIENCE:
                task = _NEVER_MADE
            if task is None or not task.over:
                return group if not await self._join(record, group) else []
            await self._settle(record, task, group[0].identity)
            return group
        if record.entry is not None and not refresh:
            return await self._give(record, record.entry, group)
        first = next((work for work in group if work.name == record.leader), group[0])
        return await self._lead(record, first, [work for work in group if work is not first], refused)

    async def _join(self, record: CacheRecord, group: list[Work]) -> bool:
        joined = record.joined([work.name for work in group])
        if joined.waiters != record.waiters:
            if not await self._records.save(joined):
                return False
            CACHE.add(len(joined.waiters) - len(record.waiters), "joined")
        self._wait(record, group)
        return True

    def _wait(self, record: CacheRecord, group: Sequence[Work]) -> None:
        """Its end is heard of here, too, where another process began it."""
        assert record.leader is not None
        place = (record.tenant, record.key)
        for work in group:
            self._waiting[place][work.name] = work.new
            self._waits_for[work.name] = place
        if group:
            self._leading.setdefault(record.leader, (place, group[0].new))

    async def _lead(self, record: CacheRecord, first: Work, rest: list[Work], refused: Refused) -> list[Work]:
        again = record.waiters if record.leader == first.name else ()
        led = record.led_by(first.name, [*again, *(work.name for work in rest)], self._clock())
        if not await self._records.save(led):
            return [first, *rest]
        place = (record.tenant, record.key)
        self._leading[first.name] = (place, first.new)
        self._wait(led, rest)
        CACHE.count("miss")
        CACHE.add(len(rest), "joined")
        errors = await self._tasks.create(record.tenant, [first.new])
        if not errors:
            return []
        refused |= errors
        await self._change(place, partial(self._without, leader=first.name))
        self._forget(first.name, place)
        return rest

    async def _give(self, record: CacheRecord, entry: CacheEntry, group: list[Work]) -> list[Work]:
        """Copies, then the hits; nothing where the files are gone."""
        place = await self._files.place_of(record.tenant, entry)
        if place is None:
            CACHE.count("gone")
            await self._records.save(record.used_at(self._clock(), None))
            return group
        hits: dict[StepName, CacheHit] = {}
        used = entry
        for part in (group[at : at + _AT_ONCE] for at in range(0, len(group), _AT_ONCE)):
            given = [self._files.given(record.tenant, entry, place, work.name, work.identity.pictures) for work in part]
            for work, (copies, result) in zip(part, await together(given), strict=True):
                hits[work.name] = CacheHit(result, *_told(entry))
                used = used.copied(copies)
        await self._hits.add(hits)
        await self._records.save(record.used_at(self._clock(), used))
        CACHE.add(len(hits), "hit")
        SAVED_SECONDS.add(entry.seconds * len(hits))
        SAVED_USD.add((entry.cost_usd or 0.0) * len(hits))
        for name in hits:
            self._wake(name)
        return []

    async def _settle(self, record: CacheRecord, task: StepTask, identity: Identity | None) -> None:
        """What came of it is kept where it was a success and what it followed from is as it was."""
        leader = record.leader
        assert leader is not None
        same = identity if identity is not None and identity.key == record.key else None
        entry = None if same is None else _entry(leader, self._tasks.task_id(record.tenant, leader), task, same)
        if entry is not None:
            entry = entry._replace(made_at=self._clock())
        await self._records.save(record.over(self._clock(), entry))

    async def _release(self, record: CacheRecord, names: Collection[StepName]) -> StepName | None:
        """Drops these, and whoever waits in a workflow that has ended, from what a workflow has left to others.
        Answers whose task goes on for the rest; without any it is cancelled before the record forgets it.
        """
        place = (record.tenant, record.key)
        ended = await self._ended({name.workflow_id for name in record.waiters})
        gone = [name for name in record.waiters if name in names or name.workflow_id in ended]
        changed = await self._change(place, lambda found: found.without(gone) if found.left and gone else found)
        if changed is None or changed.leader is None or not changed.left:
            return None
        if changed.waiters:
            return changed.leader
        await self._tasks.cancel(record.tenant, [changed.leader])
        await self._change(place, partial(self._without, leader=changed.leader))
        return None

    def _without(self, record: CacheRecord, leader: StepName) -> CacheRecord:
        return record.over(self._clock(), None) if record.leader == leader else record

    def _left(self, record: CacheRecord, led: Sequence[StepName]) -> CacheRecord:
        """By its leader's own workflow: whoever waits keeps it going."""
        if record.leader not in led:
            return record
        rest = record.without(led)
        return replace(rest, left=True) if rest.waiters else record.over(self._clock(), None)

    async def _change(self, place: WorkKey, change: Callable[[CacheRecord], CacheRecord]) -> CacheRecord | None:
        """The record after it; None where there is none."""
        for _ in range(_TRIES):
            record = await self._records.get(*place)
            if record is None:
                return None
            changed = change(record)
            if changed is record or await self._records.save(changed):
                return changed
        raise Overloaded("a record of the step cache changes too fast", reason="CONTENTION", retry_after=0.1)

    def _forget(self, leader: StepName, place: WorkKey) -> list[NewStepTask]:
        """Those that waited here for what is over."""
        self._leading.pop(leader, None)
        waiting = self._waiting.pop(place, {})
        for name in waiting:
            self._waits_for.pop(name, None)
        return list(waiting.values())


def _cleaned_later(record: CacheRecord, name: StepName) -> CacheRecord:
    waited_for = record.leader == name and record.waiters
    return replace(record, to_clean=name) if waited_for else record


def _entry(leader: StepName, task_id: str, task: StepTask, identity: Identity) -> CacheEntry | None:
    """None for what is not to be given to others: a failure, what a fallback made, and what is very long."""
    facts, result = task.facts, task.result
    if result is None or facts is None or facts.fell_back or len(orjson.dumps(result)) > _RESULT_BYTES:
        return None
    paths = [path for path, _ in facts.files]
    return CacheEntry(
        leader, task_id, 0, result, identity.pictures, facts.files, [paths], task.seconds or 0.0, facts.cost_usd
    )


def _told(entry: CacheEntry) -> tuple[StepName, str, int, float, float | None]:
    return entry.made_by, entry.task_id, entry.made_at, entry.seconds, entry.cost_usd
