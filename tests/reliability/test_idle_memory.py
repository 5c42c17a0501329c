"""What the stack takes of a machine on which it has nothing to do."""

from __future__ import annotations

from pathlib import Path

import pytest
import uvloop

from deploy.local.paths import StackFolder
from tests.bench.memory import MOST_IDLE_MIB, at_rest
from tests.bench.our_side import OurSide, our_side
from tests.bench.passes import submit_pass, warm_up

TASKS, CLIENTS = 1_000, 64


async def at_first_and_later(side: OurSide) -> tuple[dict[str, float], dict[str, float]]:
    await warm_up(side)
    first = await at_rest(side)
    assert not (await submit_pass(side, CLIENTS, TASKS)).lost
    return first, await at_rest(side)


@pytest.mark.timeout(120)
def test_an_idle_stack_without_its_model_server_takes_no_more_than_it_may(tmp_path: Path) -> None:
    with our_side(StackFolder(tmp_path)) as side:
        sizes = uvloop.run(at_first_and_later(side))
    print("", *(f"{sum(each.values()):.0f} MiB: {each}" for each in sizes), sep="\n")
    assert max(sum(each.values()) for each in sizes) <= MOST_IDLE_MIB
