"""`python -m tests.bench [--quick]` measures the task path, `python -m tests.bench profile` shows where time goes."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from deploy.local.failures import LocalError
from tests.bench import orchestration, profiling, report
from tests.bench.figures import complaints


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.bench", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("orchestration", "profile"), default="orchestration")
    parser.add_argument("--quick", action="store_true", help="300 tasks, ratios only: for CI")
    parser.add_argument("--tasks", type=int, help="tasks of each pass")
    parser.add_argument("--concurrency", help="for instance 16,64; others are left out")
    arguments = parser.parse_args()
    try:
        profile(arguments) if arguments.what == "profile" else bench(arguments)
    except (LocalError, RuntimeError) as error:
        raise SystemExit(f"\n{error}") from error


def bench(arguments: argparse.Namespace) -> None:
    plan = orchestration.QUICK if arguments.quick else orchestration.Plan()
    if arguments.tasks:
        plan = replace(plan, tasks=arguments.tasks)
    if arguments.concurrency:
        plan = replace(plan, concurrencies=tuple(map(int, arguments.concurrency.split(","))))
    rows = orchestration.measure(plan)
    models: dict[str, Any] = {}
    print(f"\n{report.summary(rows)}")
    print(f"\nwritten to {report.write('orchestration.json', report.orchestration(rows, models))}")
    if found := complaints(rows, quick=arguments.quick):
        raise SystemExit("\n" + "\n".join(found))


def profile(arguments: argparse.Namespace) -> None:
    found = profiling.measure(tasks=arguments.tasks or 6_000)
    print(profiling.table(found))
    print(f"\nwritten to {report.write('profile.json', found)}")


if __name__ == "__main__":
    main()
