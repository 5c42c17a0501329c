"""Workflows of probes over HTTP, and a worker made of bare calls that ends their tasks."""

from __future__ import annotations

import re
from typing import Any

from compute.tasks.v1 import params_pb2, tasks_pb2, worker_pb2, worker_pb2_grpc

from services.rpc.grpc_client import Credentials
from tests.integration.gateway_host import TOKEN, Stack
from tests.waiting import time_passes, until

WORKFLOWS = "/api/v1/workflows/"
METADATA = Credentials(TOKEN).metadata()


class Flows:
    """Workflows of probes as acme's administrator makes them, and a worker that ends their tasks."""

    def __init__(self, api: Stack, authorization: str) -> None:
        self.takes = 0.0
        """Seconds that its tasks run."""
        self._api = api
        self.authorization = authorization
        self._headers = {"authorization": authorization}
        self._worker = worker_pb2_grpc.WorkerServiceStub(api.channel)

    async def create(self, *steps: dict[str, Any], start: bool = True, **more: Any) -> dict[str, Any]:
        body = {"name": "test", "origin_instance": "test", "steps": steps, **more}
        answer = await self._api.http.post(f"{WORKFLOWS}?start={str(start).lower()}", json=body, headers=self._headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def get(self, workflow_id: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self._api.http.get(WORKFLOWS + workflow_id)).json()
        return found

    async def post(self, workflow_id: str, verb: str, expected: int = 200) -> dict[str, Any]:
        answer = await self._api.http.post(f"{WORKFLOWS}{workflow_id}/{verb}")
        assert answer.status_code == expected, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def ask(self, workflow_id: str, verb: str) -> int:
        return (await self._api.http.post(f"{WORKFLOWS}{workflow_id}/{verb}")).status_code

    async def step(self, workflow_id: str, step_id: str, status: str = "RUNNING") -> dict[str, Any]:
        """Once it has that status."""

        async def look() -> dict[str, Any] | None:
            steps = (await self.get(workflow_id))["steps"]
            rows = {one["step_id"]: one for one in steps} | {
                one["slot_id"]: one for step in steps for one in step["slots"]
            }
            found: dict[str, Any] | None = rows.get(step_id)
            return found if found is not None and found["status"] == status else None

        found: dict[str, Any] = await until(look)
        return found

    async def ended(self, workflow_id: str, status: str) -> dict[str, Any]:
        async def look() -> dict[str, Any] | None:
            found = await self.get(workflow_id)
            return found if found["status"] == status else None

        found: dict[str, Any] = await until(look)
        return found

    async def end(self, workflow_id: str, step_id: str, payload: str | None = None, **failure: Any) -> None:
        """Runs its task as a worker does; what it answers is what it was sent unless said otherwise."""
        task_id = (await self.step(workflow_id, step_id))["task_id"]
        task = await until(lambda: self._assigned(task_id))
        await time_passes(self.takes, because="its task runs so long")
        request = worker_pb2.FinishTasksRequest(worker_id="worker-1")
        said = task.spec.params.diagnostic.payload if payload is None else payload
        outcome: dict[str, Any] = {
            "result": params_pb2.TaskResult(diagnostic=params_pb2.DiagnosticResult(payload=said))
        }
        if failure:
            outcome = {"failure": worker_pb2.TaskFailure(**failure)}
        request.finished.add(task_id=task_id, attempt=task.attempt, **outcome)
        done = await self._worker.FinishTasks(request, metadata=METADATA, timeout=10)
        assert list(done.accepted) == [True]

    async def end_badly(self, task_id: str) -> None:
        """For good, whatever its type."""
        task = await until(lambda: self._assigned(task_id))
        request = worker_pb2.FinishTasksRequest(worker_id="worker-1")
        failure = worker_pb2.TaskFailure(reason="PROMPT_REFUSED", message="no", category="VALIDATION")
        request.finished.add(task_id=task_id, attempt=task.attempt, failure=failure)
        assert list((await self._worker.FinishTasks(request, metadata=METADATA, timeout=10)).accepted) == [True]

    async def _assigned(self, task_id: str) -> tasks_pb2.Task | None:
        task = await self._api.assign(task_id)
        return task if task.id else None


def probe(step_id: str, *before: str, **more: Any) -> dict[str, Any]:
    """A step that answers what it is sent, or what the first of those before it answered."""
    step: dict[str, Any] = {"id": step_id, "task_type": "DIAGNOSTIC", "config": {}, "depends_on": list(before)}
    if before:
        step["input_mappings"] = [{"from_step": before[0], "from_field": "payload", "to_field": "payload"}]
    else:
        step["config"] = {"payload": f"of {step_id}"}
    return step | more


async def position(api: Stack) -> str:
    """Behind which whatever happens from now on is told: tests before this one may have taken what came first."""
    task = await api.create()
    await api.http.post(f"/api/v1/tasks/{task['id']}/cancel")
    told = (await api.http.get(f"/api/v1/tasks/{task['id']}/events")).text
    return re.findall(r"^id: (\d+)", told, re.MULTILINE)[-1]


async def exists(api: Stack, task_id: str) -> Any:
    answer = await api.http.get(f"/api/v1/tasks/{task_id}")
    return answer.json() if answer.status_code == 200 else None
