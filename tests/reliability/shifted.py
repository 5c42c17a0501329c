"""`python -m tests.reliability.shifted SECONDS MODULE ARGUMENTS…` runs a module whose wall clock is wrong."""

from __future__ import annotations

import runpy
import sys
import time


def main() -> None:
    shift = float(sys.argv[1])
    seconds, nanoseconds = time.time, time.time_ns
    time.time = lambda: seconds() + shift
    time.time_ns = lambda: nanoseconds() + int(shift * 1e9)
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
