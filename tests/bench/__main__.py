"""`python -m tests.bench [--short]` measures the task path, `python -m tests.bench profile` shows where time goes."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from deploy.local.failures import LocalError
from tests.bench import orchestration, profiling, report
from tests.bench.figures import Row, complaints, losses


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.bench", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("orchestration", "profile"), default="orchestration")
    parser.add_argument("--short", action="store_true", help="300 tasks, ratios only: for CI")
    parser.add_argument("--tasks", type=int, help="tasks of each pass")
    parser.add_argument("--concurrency", help="for instance 16,64; others are left out")
    arguments = parser.parse_args()
    try:
        profile(arguments) if arguments.what == "profile" else bench(arguments)
    except (LocalError, RuntimeError) as error:
        raise SystemExit(f"\n{error}") from error


def bench(arguments: argparse.Namespace) -> None:
    plan = orchestration.SHORT if arguments.short else orchestration.Plan()
    if arguments.tasks:
        plan = replace(plan, tasks=arguments.tasks)
    if arguments.concurrency:
        plan = replace(plan, concurrencies=tuple(map(int, arguments.concurrency.split(","))))
    rows, found = _measure(plan, short=arguments.short)
    if found and arguments.short:
        print(f"\nonce more, for machines are noisy: {'; '.join(found)}")
        rows, found = _measure(plan, short=True)
    models: dict[str, Any] = {}
    print(f"\nwritten to {report.write('orchestration.json', report.orchestration(rows, models))}")
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
