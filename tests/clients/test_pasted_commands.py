"""The commands of /docs, pasted into a shell as they stand there."""

from __future__ import annotations

import json
import re
import subprocess
from html import unescape
from typing import Any

import httpx2
import pytest

from services.catalog.schemas import SCHEMAS
from tests.clients.customer import Customer

# They are for a provider's account or a language model, which a test has not.
ELSEWHERE = {"EXPERIMENTAL_FAL", "LLM_INTERACTION"}


@pytest.fixture(scope="module")
def commands(customer: Customer) -> list[str]:
    page = httpx2.get(f"{customer.url}/docs", timeout=10).raise_for_status().text
    return [unescape(found) for found in re.findall(r'<pre class="curl">(.*?)</pre>', page, re.DOTALL)]


def _creating(name: str, commands: list[str]) -> str:
    """The one that creates a single task of this type."""
    [command] = [one for one in commands if f'"task_type": "{name}"' in one and '/api/v1/tasks/"' in one]
    return command


def _paste(command: str, customer: Customer, **variables: str) -> Any:
    quiet = command.replace("curl ", "curl --silent --show-error --max-time 60 ", 1)
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "KEY": customer.key, **variables}
    done = subprocess.run(["sh", "-c", quiet], env=environment, capture_output=True, text=True, timeout=70)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", SCHEMAS)
def test_an_example_of_each_task_type_runs_as_it_is_shown(
    name: str, commands: list[str], customer: Customer, curl: str
) -> None:
    task = _paste(_creating(name, commands), customer)
    assert task.get("task_type") == name, task
    if name not in ELSEWHERE:
        assert _ended(customer, task["id"])["status"] == "COMPLETED"


def test_the_commands_of_one_task_run_with_its_id(commands: list[str], customer: Customer, curl: str) -> None:
    task_id = str(_paste(_creating("GENERATION", commands), customer)["id"])
    _ended(customer, task_id)
    for end in ("$TASK_ID", "$TASK_ID/provenance", "$TASK_ID/cleanup"):
        [command, *_] = [command for command in commands if f'/api/v1/tasks/{end}"' in command]
        told = _paste(command, customer, TASK_ID=task_id)
        assert task_id in (told.get("id"), told.get("task_id")), told


def _ended(customer: Customer, task_id: str) -> Any:
    headers = {"Authorization": customer.authorization, "Prefer": "wait=60"}
    return httpx2.get(f"{customer.tasks}{task_id}", headers=headers, timeout=60).json()
