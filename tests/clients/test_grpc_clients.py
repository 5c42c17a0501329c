"""gRPC clients that know nothing but what reflection tells them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.customer import Customer
from tests.stack import RunningStack

TASKS = "compute.tasks.v1.TaskService"
ENDED = ("TASK_STATUS_COMPLETED", "TASK_STATUS_FAILED", "TASK_STATUS_CANCELLED")


class Grpcurl:
    """grpcurl with a customer's key."""

    def __init__(self, program: Path, target: str, customer: Customer) -> None:
        self._command = [str(program), "-plaintext", "-H", f"authorization: {customer.authorization}"]
        self._target = target

    def ask(self, *words: str, data: Any = None) -> str:
        body = [] if data is None else ["-d", json.dumps(data)]
        command = [*self._command, *body, self._target, *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def create(self) -> str:
        params = {"generation": {"prompt": "a red mug on a white background", "width": 128, "height": 128, "seed": 7}}
        spec = {"origin": {"instance": "grpcurl"}, "params": params}
        return str(json.loads(self.ask(f"{TASKS}/CreateTask", data={"spec": spec}))["task"]["id"])


@pytest.fixture
def caller(stack: RunningStack, customer: Customer, grpcurl: Path) -> Grpcurl:
    return Grpcurl(grpcurl, stack.addresses.tasks, customer)


def test_grpcurl_finds_the_services_and_draws_by_reflection_alone(caller: Grpcurl) -> None:
    assert TASKS in caller.ask("list").split()
    assert "rpc CreateTask" in caller.ask("describe", TASKS)
    task_id = caller.create()
    # the stream ends with the task
    caller.ask(f"{TASKS}/WatchTask", data={"task_id": task_id})
    task = json.loads(caller.ask(f"{TASKS}/GetTask", data={"task_id": task_id}))["task"]
    assert task["status"] == "TASK_STATUS_COMPLETED", task
    picture = task["result"]["generation"]["result_image_path"]
    assert picture.endswith(".png")


def test_ghz_calls_a_method_it_learnt_by_reflection(
    stack: RunningStack, customer: Customer, ghz: Path, caller: Grpcurl
) -> None:
    key = json.dumps({"authorization": customer.authorization})
    command = [
        str(ghz), "--insecure", "--call", f"{TASKS}.GetTask", "--total", "200", "--concurrency", "4",
        "--data", json.dumps({"task_id": caller.create()}),
        "--metadata", key, "--reflect-metadata", key,
        "--format", "json", stack.addresses.tasks,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["statusCodeDistribution"] == {"OK": 200}
