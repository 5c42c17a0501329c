"""Node: its own fetch, and the EventSource that follows the browsers' rules."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.clients.customer import Customer, check_picture, drawing

PAGE = Path(__file__).parents[2] / "docs" / "http.md"


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


@pytest.mark.field("browser-without-header")
def test_what_docs_http_md_shows_a_browser_hears_a_task_until_its_end(
    node: str, customer: Customer, child_environment: dict[str, str], tmp_path: Path
) -> None:
    [code] = re.findall(r"```js\n(.*?)```", PAGE.read_text(), re.DOTALL)
    headers = {"Authorization": customer.authorization}
    task = httpx2.post(customer.tasks, json=drawing("page"), headers=headers, timeout=60).raise_for_status().json()
    known = {"url": customer.url, "key": customer.key, "id": task["id"]}
    (tmp_path / "page.mjs").write_text(f"const {{ url, key, id }} = {json.dumps(known)};\n{code}")
    states = run(node, tmp_path, "page.mjs", child_environment).splitlines()
    assert states[-1] == "COMPLETED", states


def run(node: str, scripts: Path, script: str, environment: dict[str, str], *arguments: str, sent: str = "") -> str:
    """What the script prints."""
    done = subprocess.run(
        [node, script, *arguments], cwd=scripts, env=environment, input=sent, capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
