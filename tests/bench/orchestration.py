"""`make bench`: the task path beside the peer in the same run, pass by pass in turn."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import uvloop

from deploy.local.paths import LOCAL, StackFolder
from deploy.local.settings import ProcessLayout
from tests.bench import report
from tests.bench.celery_side import DEFAULT_STYLE, LEAN_STYLE, celery_side
from tests.bench.figures import Row
from tests.bench.our_side import SLOTS, our_side
from tests.bench.passes import PASSES, warm_up
from tests.bench.sides import Side

# On the disk where the real data lies: fsync costs what it costs there.
HOME = LOCAL / "bench"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure. `poll` is in seconds; `together` adds Atelier with all of its services in one process; with few
    `slots` nearly every task waits for the worker.
    """

    tasks: int = 2_000
    concurrencies: tuple[int, ...] = (1, 16, 64)
    kinds: tuple[str, ...] = ("submit", "follow")
    lean: bool = True
    together: bool = False
    poll: float = 0.01
    slots: int = SLOTS


SHORT = Plan(tasks=300, concurrencies=(64,), kinds=("submit",), lean=False)


def measure(plan: Plan) -> list[Row]:
    """Prints each row as it is measured. Raises LocalError, RuntimeError."""
    with fresh_home("orchestration") as home, ExitStack() as stack:
        layouts = ProcessLayout if plan.together else (ProcessLayout.APART,)
        sides: list[Side] = [
            stack.enter_context(our_side(StackFolder(home.folder / layout), layout, slots=plan.slots))
            for layout in layouts
        ]
        for style in (DEFAULT_STYLE, LEAN_STYLE) if plan.lean else (DEFAULT_STYLE,):
            peer_home = StackFolder(home.folder / style.name.replace(" ", "-"))
            sides.append(stack.enter_context(celery_side(style, peer_home, poll=plan.poll)))
        return uvloop.run(_measure(plan, sides))


@contextmanager
def fresh_home(name: str) -> Iterator[StackFolder]:
    """An empty folder, removed afterwards unless something failed: then the logs are wanted."""
    home = StackFolder(HOME / name)
    shutil.rmtree(home.folder, ignore_errors=True)
    home.make()
    yield home
    shutil.rmtree(home.folder)


async def _measure(plan: Plan, sides: Sequence[Side]) -> list[Row]:
    for side in sides:
        await warm_up(side)
    print(report.heading())
    rows = []
    for concurrency in plan.concurrencies:
        for kind in plan.kinds:
            for side in sides:
                rows.append(await PASSES[kind](side, concurrency, plan.tasks))
                print(report.line(rows[-1]), flush=True)
    return rows
