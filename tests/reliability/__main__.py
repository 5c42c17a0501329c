"""`python -m tests.reliability` runs the promises' tests in their long form, and shows the figures."""

from __future__ import annotations

import os
import sys

import pytest

# What each counts; a variable that is set already wins.
LONG = {
    "NATS_RESTARTS": "50",
    "SIGTERM_STOPS": "50",
    "STORE_AWAY_SECONDS": "30",
    "TASK_LIVES": "3000",
    "WORKFLOW_LIVES": "30000",
    "WORKFLOW_KILLS": "20",
    "WORKFLOW_LEADER_AWAY_SECONDS": "30",
    "FLOOD_SECONDS": "30",
}


def main() -> None:
    os.environ.update({name: value for name, value in LONG.items() if name not in os.environ})
    raise SystemExit(pytest.main(["-q", "-s", "--hypothesis-profile=default", "tests/reliability", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
