"""The other peer: DBOS with its embedded store, whose steps are functions in this process. Prints figures as JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from itertools import pairwise

from dbos import DBOS

CHAIN, CHAINS, ROWS, WIDE, FAN = 40, 5, 20, 50, 256
# Its shortest: it polls its queue.
_POLL_SECONDS = 0.01
_times: list[tuple[float, float]] = []


@DBOS.step()
def step(value: str) -> str:
    began = time.time()
    _times.append((began, time.time()))
    return value


@DBOS.workflow()
def line(steps: int) -> str:
    value = "first"
    for _ in range(steps):
        value = step(value)
    return value


@DBOS.workflow()
def lines(count: int, steps: int) -> int:
    """Side by side, each a workflow of its own in the queue."""
    step("first")
    queue = DBOS.retrieve_queue("bench")
    handles = [queue.enqueue(line, steps) for _ in range(count)]
    return len([handle.get_result() for handle in handles])


def chains() -> list[float]:
    """Milliseconds from the end of a step to the start of the next."""
    gaps: list[float] = []
    for _ in range(CHAINS):
        _times.clear()
        line(CHAIN)
        gaps += [(after[0] - before[1]) * 1e3 for before, after in pairwise(_times)]
    return gaps


def layers() -> tuple[float, float]:
    """Microseconds of CPU for each step, and steps a second."""
    used, began = sum(os.times()[:2]), time.perf_counter()
    lines(WIDE, ROWS)
    return (sum(os.times()[:2]) - used) * 1e6 / (ROWS * WIDE), ROWS * WIDE / (time.perf_counter() - began)


def fan_out() -> float:
    """Seconds from the end of a step to the start of the last of many."""
    _times.clear()
    lines(FAN, 1)
    return max(started for started, _ in _times) - _times[0][1]


def main(folder: str) -> None:
    DBOS(
        config={
            "name": "bench",
            "system_database_url": f"sqlite:///{folder}/dbos.sqlite",
            "log_level": "ERROR",
            "run_admin_server": False,
        }
    )
    DBOS.launch()
    DBOS.register_queue("bench", polling_interval_sec=_POLL_SECONDS)
    line(5)
    gaps = chains()
    cpu, rate = layers()
    print(json.dumps({"gaps_ms": gaps, "cpu_us": cpu, "steps_per_s": rate, "fan_out_s": fan_out()}))
    DBOS.destroy()


if __name__ == "__main__":
    main(sys.argv[1])
