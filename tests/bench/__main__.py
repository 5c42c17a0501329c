"""`python -m tests.bench [--short]` measures the task path, `python -m tests.bench profile` shows where time goes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace

from deploy.local.failures import LocalError
from tests.bench import memory, models, orchestration, profiling, report, workflows
from tests.bench.figures import Row, complaints, losses, models_complaints, workflow_complaints

# Of the short form, ten seconds each.
_MORE_TRIES = 4


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.bench", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("orchestration", "profile"), default="orchestration")
    parser.add_argument("--short", action="store_true", help="300 tasks, ratios only: for CI")
    parser.add_argument("--models", action="store_true", help="pictures: through the system beside Triton alone")
    parser.add_argument("--memory", action="store_true", help="of every process, idle and after up to 60,000 tasks")
    parser.add_argument("--workflows", action="store_true", help="steps of workflows: time and CPU beside their tasks")
    parser.add_argument("--together", action="store_true", help="also with all services in one process")
    parser.add_argument("--tasks", type=int, help="tasks of each pass")
    parser.add_argument("--concurrency", help="for instance 16,64; others are left out")
    parser.add_argument(
        "--slots", type=int, help="how many tasks the worker runs at once: with 8 nearly every one waits"
    )
    arguments = parser.parse_args()
    try:
        _chosen(arguments)(arguments)
    except (LocalError, RuntimeError) as error:
        raise SystemExit(f"\n{error}") from error


def _chosen(arguments: argparse.Namespace) -> Callable[[argparse.Namespace], None]:
    if arguments.what == "profile":
        return profile
    if arguments.models:
        return models_bench
    if arguments.workflows:
        return workflows_bench
    return memory_bench if arguments.memory else bench


def models_bench(_: argparse.Namespace) -> None:
    found = models.measure()
    print(json.dumps(found, indent=1))
    print(f"\nwritten to {report.update('orchestration.json', found)}")
    if short := models_complaints(found):
        raise SystemExit("\n" + "\n".join(short))


def workflows_bench(_: argparse.Namespace) -> None:
    found = workflows.measure()
    print(json.dumps(found, indent=1))
    print(f"\nwritten to {report.write('workflows.json', found)}")
    if short := workflow_complaints(found):
        raise SystemExit("\n" + "\n".join(short))


def memory_bench(_: argparse.Namespace) -> None:
    found = memory.measure()
    print(memory.table(found))
    print(f"\nFlat is: {found['rule']}.\nwritten to {report.write('memory.json', found)}")
    if not found["small"]:
        raise SystemExit(f"\nnot small: {found['idle_mib']:.0f} MiB idle, where {memory.MOST_IDLE_MIB:.0f} are allowed")
    if grew := found["grown_mib"]:
        raise SystemExit("\nnot flat: " + ", ".join(f"{role} grew by {size:g} MiB" for role, size in grew.items()))


def bench(arguments: argparse.Namespace) -> None:
    plan = orchestration.SHORT if arguments.short else orchestration.Plan()
    plan = replace(plan, together=arguments.together)
    if arguments.tasks:
        plan = replace(plan, tasks=arguments.tasks)
    if arguments.slots:
        plan = replace(plan, slots=arguments.slots)
    if arguments.concurrency:
        plan = replace(plan, concurrencies=tuple(map(int, arguments.concurrency.split(","))))
    rows, found = _measure(plan, short=arguments.short)
    for _ in range(_MORE_TRIES if arguments.short else 0):
        if found:
            print(f"\nonce more, for machines are noisy: {'; '.join(found)}")
            rows, found = _measure(plan, short=True)
    print(f"\nwritten to {report.update('orchestration.json', report.orchestration(rows))}")
    if found:
        raise SystemExit("\n" + "\n".join(found))


def _measure(plan: orchestration.Plan, *, short: bool) -> tuple[list[Row], list[str]]:
    """The rows, and what they fall short of. Raises RuntimeError at once when a task was lost or finished twice."""
    rows = orchestration.measure(plan)
    print(f"\n{report.summary(rows)}")
    if short and (faults := losses(rows)):
        raise RuntimeError("\n".join(faults))
    return rows, complaints(rows, short=short)


def profile(arguments: argparse.Namespace) -> None:
    found = profiling.measure(tasks=arguments.tasks or 6_000)
    print(profiling.table(found))
    print(f"\nwritten to {report.write('profile.json', found)}")


if __name__ == "__main__":
    main()
