"""What callers write reaches no log of any process, and a fault of theirs is no error of ours."""

from __future__ import annotations

import asyncio
import io
import json
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import cv2
import grpc
import httpx2
import numpy as np
import pytest
from compute.tasks.v1 import params_pb2, tasks_pb2
from compute.tasks.v1 import tasks_pb2_grpc as rpc
from PIL import Image, features

from services.rpc.grpc_client import connect
from tests.catalogue import garment_picture
from tests.integration.whole_system import System
from tests.stack import RunningStack
from tests.waiting import time_passes

pytestmark = pytest.mark.timeout(300)
TASKS = "/api/v1/tasks/"
IMAGES = "/api/v1/storage/images/"
MARK = "zxqwort"
PROMPT = f"{MARK}prompt " + f"a product photograph with {MARK}light and a clean look, " * 6 + f"a red mug {MARK}tail"
ENDED = {"COMPLETED", "FAILED", "CANCELLED"}
OURS = re.compile(
    r"Traceback|pip install|TIFF\w+:|libpng|\"level\": ?\"(error|critical)\"|\[(error|critical) +\]|^(ERROR|CRITICAL)"
)


class Logs:
    """What the logs of the whole stack say since this was made."""

    def __init__(self, stack: RunningStack) -> None:
        self._folder = stack.home.log_of("tasks").parent
        self._before = {path: path.stat().st_size for path in self._files()}

    def _files(self) -> list[Path]:
        return [path for path in self._folder.rglob("*") if path.is_file()]

    def lines(self) -> list[str]:
        found = []
        for path in self._files():
            text = path.read_bytes()[self._before.get(path, 0) :].decode(errors="replace")
            found += [f"{path.name}: {line}" for line in text.splitlines()]
        return found


@pytest.fixture
async def http(stack: RunningStack) -> AsyncIterator[httpx2.AsyncClient]:
    headers = {"Authorization": f"Bearer {stack.api_key}"}
    async with httpx2.AsyncClient(base_url=stack.base_url, headers=headers, timeout=60) as client:
        yield client


def _png(pixels: np.ndarray[Any, Any]) -> bytes:
    return cv2.imencode(".png", pixels[:, :, ::-1])[1].tobytes()


def _bad_tiff() -> bytes:
    """A picture that libtiff complains of: cut off, with a tag of nobody's."""
    content = io.BytesIO()
    packed = "tiff_lzw" if features.check("libtiff") else None
    Image.effect_noise((200, 200), 80).save(content, "TIFF", compression=packed, tiffinfo={65000: f"{MARK}tag"})
    return content.getvalue()[:9000]


async def _upload(http: httpx2.AsyncClient, name: str, content: bytes) -> str:
    kind = "image/tiff" if name.endswith("tif") else "image/png"
    answer = await http.post(f"{IMAGES}references/{MARK}/{name}", files={"file": (name, content, kind)})
    return str(answer.json().get("path", f"references/{MARK}/{name}"))


async def _ended(http: httpx2.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    created = await http.post(TASKS, json=body)
    assert created.status_code == 200, created.text
    task_id = created.json()["id"]
    async with asyncio.timeout(150):
        while True:
            task: dict[str, Any] = (await http.get(f"{TASKS}{task_id}")).json()
            if task["status"] in ENDED:
                return task
            await time_passes(0.2, because="who asks again is in no hurry")


def _task(kind: str, **fields: Any) -> dict[str, Any]:
    about = {"origin_instance": MARK, "origin_reference": f"{MARK}-reference", "config": {f"{MARK}key": MARK}}
    return {"task_type": kind, **about, **fields}


def _good(picture: str) -> list[dict[str, Any]]:
    few = {"provider_config": {"steps": 2, "negative_prompt": f"{MARK}negative"}}
    return [
        _task("GENERATION", prompt=PROMPT, seed=1, **few),
        _task("EDITING", prompt=PROMPT, base_image=picture, seed=1, **few),
        _task("REFINE", base_image_url=picture, upscale_prompt=PROMPT, upscale_steps=2, upscale_factor=1),
        _task("DETAIL_ENHANCER", base_image=picture, reference_image=picture, detail_label=f"{MARK}label"),
        _task("FACE_ENHANCER", input_image=picture),
        _task("VIDEO_GENERATION", input_image_path=picture, prompt=PROMPT, duration_seconds=1),
        _task("BACKGROUND_REMOVAL", input_image_paths=[picture]),
        _task("BACKGROUND_FIX", base_image=picture, palette_image=picture),
        _task("IMAGE_ADJUSTER", input_image=picture, target_width=64, target_height=64),
    ]


def _failing(bad: str, picture: str) -> list[dict[str, Any]]:
    return [
        _task("GENERATION", prompt=PROMPT, subject_model_path=f"{MARK}/none.safetensors"),
        _task("GENERATION", prompt=PROMPT, width=4096, height=4096),
        _task("GENERATION", prompt=PROMPT, reference_image_path=bad),
        _task("GENERATION", prompt=PROMPT, reference_image_path=f"references/{MARK}/nowhere.png"),
        _task("EDITING", prompt=PROMPT, base_image=picture, reference_images=[picture]),
        _task("EDITING", prompt=PROMPT, base_image=bad),
        _task("REFINE", base_image_url=bad, upscale_prompt=PROMPT),
        _task("VIDEO_GENERATION", input_image_path=bad, prompt=PROMPT),
        _task("DETAIL_ENHANCER", base_image=bad, reference_image=bad),
        _task("FACE_ENHANCER", input_image=bad),
        _task("BACKGROUND_REMOVAL", input_image_paths=[bad]),
        _task("BACKGROUND_FIX", base_image=bad, palette_image=bad),
        _task("IMAGE_ADJUSTER", input_image=bad, target_width=64, target_height=64),
        _task("LLM_INTERACTION", prompt=PROMPT, system_prompt=PROMPT),
        _task("EXPERIMENTAL_FAL", fal_app_id=f"{MARK}/app", fal_parameters={"prompt": PROMPT}),
    ]


async def _refused(http: httpx2.AsyncClient, stack: RunningStack) -> None:
    """Requests of every kind that the door turns away."""
    for body in (
        _task("GENERATION", prompt=" "),
        _task("GENERATION", prompt=f"{MARK}" * 4000),
        _task(MARK, prompt="x"),
    ):
        assert (await http.post(TASKS, json=body)).status_code == 422
    assert (await http.post(TASKS, content=f'{{"prompt": "{MARK}'.encode())).status_code in (400, 415, 422)
    assert (await http.get(f"{TASKS}{MARK}")).status_code in (404, 422)
    assert (await http.get(f"{IMAGES}references/{MARK}/nothing.png")).status_code == 404
    host, port = stack.base_url.removeprefix("http://").split(":")
    upgrade = f"GET /{MARK} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    for content in (upgrade, f"{MARK} / HTTP/1.1\r\n\r\n", f"GET / HTTP/1.1\r\n{MARK}\r\n\r\n"):
        await asyncio.to_thread(_raw, host, int(port), content.encode())


def _raw(host: str, port: int, content: bytes) -> None:
    with socket.create_connection((host, port), timeout=10) as connection:
        connection.sendall(content)
        connection.recv(4096)


async def _answer_too_large(system: System, stack: RunningStack) -> None:
    """A client's own limit of message size, on an answer that it asked for."""
    await system.create(params_pb2.TaskParams(generation=params_pb2.GenerationParams(prompt=PROMPT)))
    async with grpc.aio.insecure_channel(
        stack.addresses.tasks, options=[("grpc.max_receive_message_length", 64)]
    ) as channel:
        stub: Any = rpc.TaskServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError, match="larger than max"):
            await stub.ListTasks(tasks_pb2.ListTasksRequest(), metadata=system.metadata, timeout=20)


@pytest.mark.field("quiet-logs")
async def test_no_log_quotes_a_caller_and_no_fault_of_theirs_is_an_error_of_ours(
    stack: RunningStack, http: httpx2.AsyncClient, system: System
) -> None:
    logs = Logs(stack)
    picture = await _upload(http, f"{MARK}picture.png", _png(garment_picture(160, 160)[0]))
    bad = await _upload(http, f"{MARK}bad.tif", _bad_tiff())
    done = await asyncio.gather(*(_ended(http, body) for body in _good(picture)))
    failed = await asyncio.gather(*(_ended(http, body) for body in _failing(bad, picture)))
    await _refused(http, stack)
    await _answer_too_large(system, stack)
    assert {task["task_type"]: task["errors"] for task in done if task["status"] != "COMPLETED"} == {}
    assert {task["task_type"] for task in failed if task["status"] != "FAILED"} == set()
    assert {task["task_type"] for task in (*done, *failed)} >= {"GENERATION", "LLM_INTERACTION", "EXPERIMENTAL_FAL"}
    lines = logs.lines()
    assert lines
    assert [line for line in lines if MARK in line.lower()] == []
    assert [line for line in lines if OURS.search(line.partition(": ")[2])] == []


@pytest.mark.field("22")
async def test_a_task_says_everywhere_what_its_model_does_not_know(
    stack: RunningStack, http: httpx2.AsyncClient, system: System
) -> None:
    body = _task("GENERATION", prompt="a woman in a red dress on the beach", width=256, height=256, seed=1)
    task = await _ended(http, {**body, "provider_config": {"steps": 2, "guidance": 1, "negative_prompt": "blue hat"}})
    reasons = ["PROMPT_WORDS_UNKNOWN", "SIZE_UNUSUAL"]
    assert [warning["reason"] for warning in task["warnings"]] == reasons
    assert task["warnings"][0]["words"] == ["woman", "beach"]
    assert task["ignored"] == [{"field": "negative_prompt", "words": ["blue", "hat"]}]
    provenance = (await http.get(f"{TASKS}{task['id']}/provenance")).json()
    assert json.dumps(provenance).count('"PROMPT_WORDS_UNKNOWN"') == 1
    events = (await http.get(f"{TASKS}{task['id']}/events")).text
    assert "PROMPT_WORDS_UNKNOWN" in events


async def test_grpc_callers_read_the_same(stack: RunningStack, system: System) -> None:
    async with connect(stack.addresses.tasks) as channel:
        stub = rpc.TaskServiceStub(channel)
        request = tasks_pb2.CreateTaskRequest()
        request.spec.origin.instance = "test"
        request.spec.params.generation.prompt = "ein Hund"
        created = await stub.CreateTask(request, metadata=system.metadata, timeout=20)
    task = await system.ended(created.task.id)
    warnings = task.result.generation.warnings
    assert [warning.reason for warning in warnings] == ["PROMPT_SUBJECT_UNKNOWN", "PROMPT_WORDS_UNKNOWN"]
    assert list(warnings[1].words) == ["ein", "hund"]
