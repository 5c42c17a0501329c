"""What the demonstration says to the gateway: plain REST with an API key, as any customer would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import httpx2

TERMINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
_SILENCE_SECONDS = 90.0


class RequestFailed(Exception):
    """The gateway refused a request or did not answer."""


class StreamedEvent(NamedTuple):
    """`name` is "task" or "workflow" (it as it is now), "status" (what happened) or "progress" (a step was made)."""

    name: str
    data: dict[str, Any]


class GatewayClient:
    def __init__(self, base_url: str, api_key: str) -> None:
        self._http = httpx2.Client(
            base_url=base_url, headers={"Authorization": f"Bearer {api_key}"}, timeout=30.0, follow_redirects=True
        )

    def create(self, task: dict[str, Any]) -> dict[str, Any]:
        """Answers the task as created. Raises RequestFailed."""
        created: dict[str, Any] = self._ask("POST", "/api/v1/tasks/", json=task).json()
        return created

    def get(self, task_id: str) -> dict[str, Any]:
        task: dict[str, Any] = self._ask("GET", f"/api/v1/tasks/{task_id}").json()
        return task

    def download(self, path: str) -> bytes:
        return self._ask("GET", f"/api/v1/storage/images/{path}").content

    def create_workflow(self, definition: dict[str, Any]) -> dict[str, Any]:
        """Answers the workflow as created. Raises RequestFailed."""
        created: dict[str, Any] = self._ask("POST", "/api/v1/workflows/", json=definition).json()
        return created

    def get_workflow(self, workflow_id: str) -> dict[str, Any]:
        workflow: dict[str, Any] = self._ask("GET", f"/api/v1/workflows/{workflow_id}").json()
        return workflow

    def signal(self, workflow_id: str, step_id: str, decision: dict[str, Any]) -> None:
        """Decides of a step that waits. Raises RequestFailed."""
        self._ask("POST", f"/api/v1/workflows/{workflow_id}/steps/{step_id}/signal", json=decision)

    def resume(self, workflow_id: str) -> None:
        """Raises RequestFailed."""
        self._ask("POST", f"/api/v1/workflows/{workflow_id}/resume")

    def upload(self, path: str, picture: bytes) -> None:
        """Stores a PNG. Raises RequestFailed."""
        self._ask("POST", f"/api/v1/storage/images/{path}", files={"file": ("picture.png", picture, "image/png")})

    def delete_picture(self, path: str) -> None:
        """Whether it is there or not. Raises RequestFailed."""
        with suppress(RequestFailed):
            self._ask("DELETE", f"/api/v1/storage/images/{path}")

    def events(self, task_id: str) -> Iterator[StreamedEvent]:
        """Everything that happens to the task, to its end. Raises RequestFailed after 90 s of silence."""
        return self._events(f"/api/v1/tasks/{task_id}/events", "task")

    def workflow_events(self, workflow_id: str) -> Iterator[StreamedEvent]:
        """Everything that happens to the workflow and its steps, to its end. Raises RequestFailed as `events` does."""
        return self._events(f"/api/v1/workflows/{workflow_id}/events", "workflow")

    def _events(self, address: str, whole: str) -> Iterator[StreamedEvent]:
        try:
            with self._http.stream("GET", address, timeout=_SILENCE_SECONDS) as answer:
                if answer.status_code != 200:
                    raise RequestFailed(f"GET {address} answered {answer.status_code}: {answer.read().decode()}")
                for event in parse_events(answer.iter_lines()):
                    yield event
                    if event.name == whole and event.data["status"] in TERMINAL:
                        return
        except httpx2.HTTPError as error:
            raise RequestFailed(f"GET {address}: {error!r}") from error

    def _ask(self, method: str, address: str, **content: Any) -> httpx2.Response:
        try:
            answer = self._http.request(method, address, **content)
        except httpx2.HTTPError as error:
            raise RequestFailed(f"{method} {address}: {error!r}") from error
        if answer.status_code >= 400:
            raise RequestFailed(f"{method} {address} answered {answer.status_code}: {answer.text}")
        return answer

    def close(self) -> None:
        self._http.close()


def parse_events(lines: Iterator[str]) -> Iterator[StreamedEvent]:
    """Server-sent events whose data is JSON; comments and other fields are passed over."""
    name, data = "message", ""
    for line in lines:
        if line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("data:"):
            data += line[5:].strip()
        elif not line and data:
            yield StreamedEvent(name, json.loads(data))
            name, data = "message", ""


def ask_model(target: str, api_key: str, task_id: str) -> dict[str, str]:
    """Name, content hash and licence of the model that drew a picture, asked over gRPC as any gRPC caller would."""
    import grpc
    from compute.tasks.v1 import tasks_pb2, tasks_pb2_grpc

    with grpc.insecure_channel(target) as channel:
        answer = tasks_pb2_grpc.TaskServiceStub(channel).GetTask(
            tasks_pb2.GetTaskRequest(task_id=task_id), metadata=(("authorization", f"Bearer {api_key}"),), timeout=10
        )
    result = answer.task.result.generation
    return {"name": result.model_name, "sha256": result.model_sha256, "licence": result.model_licence}
