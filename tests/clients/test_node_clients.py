"""Node: its own fetch, and the EventSource that follows the browsers' rules."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.customer import check_picture, drawing


@pytest.fixture
def environment(child_environment: dict[str, str]) -> dict[str, str]:
    return {**child_environment, "TASK": json.dumps(drawing("node"))}


def test_fetch_draws_waits_and_fetches(node: str, scripts: Path, environment: dict[str, str], tmp_path: Path) -> None:
    target = tmp_path / "mug.png"
    run(node, scripts, "fetch.mjs", environment, str(target))
    check_picture(target.read_bytes())


@pytest.mark.field("39")
def test_an_event_source_sees_the_task_end_and_does_not_come_back(
    node: str, scripts: Path, environment: dict[str, str]
) -> None:
    told: dict[str, Any] = json.loads(run(node, scripts, "eventsource.mjs", environment))
    states = [event["data"]["data"]["status"] for event in told["seen"] if event["name"] == "status"]
    assert states[-1] == "COMPLETED", told
    assert all(event["id"] for event in told["seen"] if event["name"] == "status")
    assert told["closed"] and told["answers"] == [200, 204]


def run(node: str, scripts: Path, script: str, environment: dict[str, str], *arguments: str, sent: str = "") -> str:
    """What the script prints."""
    done = subprocess.run(
        [node, script, *arguments], cwd=scripts, env=environment, input=sent, capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
