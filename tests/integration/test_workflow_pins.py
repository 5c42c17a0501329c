"""Pictures by address in workflows: fetched once, guarded as those of tasks, and the same ever after."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from PIL import Image

from services.clients.storage_client import StorageClient
from services.net import guarded_http
from services.rpc.grpc_client import Credentials
from tests.integration.gateway_host import IMAGES, TOKEN, Stack, stack
from tests.integration.workflows_host import WORKFLOWS, Flows, exists
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
HOST, TENANT = "pictures.example", "acme"


def png(colour: tuple[int, int, int]) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (16, 16), colour).save(target, "PNG")
    return target.getvalue()


def said(status: str, body: bytes = b"", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


RED, BLUE = png((200, 0, 0)), png((0, 0, 200))


@dataclass
class PictureServer:
    """Gives one answer after the other by path, the last one for ever."""

    port: int = 0
    answers: dict[str, Sequence[bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def url(self, name: str, *answers: bytes) -> str:
        self.answers[f"/{name}"] = answers
        return f"http://{HOST}:{self.port}/{name}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ")[1].decode()
        answers = self.answers[path]
        writer.write(answers[min(self.asked.count(path), len(answers) - 1)])
        self.asked.append(path)
        await writer.drain()
        writer.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[PictureServer]:
    made = PictureServer()
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(
    mongodb_url: str, nats_url: str, server: PictureServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    folder: Path = tmp_path_factory.mktemp("files")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guarded_http, "resolve_host", resolve)
        patch.setenv("ALLOW_PRIVATE_URLS", f"{HOST}:{server.port}")
        patch.setenv("MAX_IMAGE_BYTES", "100000")
        async with stack(mongodb_url, nats_url, folder) as made:
            yield made


@pytest.fixture
def storage(api: Stack) -> StorageClient:
    return StorageClient(api.channel, Credentials(TOKEN))


@pytest.fixture
def flows(api: Stack) -> Flows:
    return Flows(api, api.http.headers["authorization"])


def draw(step_id: str, url: str = "", *before: str, **more: Any) -> dict[str, Any]:
    config: dict[str, Any] = {"prompt": f"a mug for {step_id}"} | ({"reference_image_url": url} if url else {})
    step = {"id": step_id, "task_type": "GENERATION", "config": config, "depends_on": list(before), "cache": "off"}
    return step | more


async def task_of(api: Stack, flows: Flows, workflow_id: str, step: str) -> dict[str, Any]:
    """Once it is there, which is after its pictures."""
    task_id = (await flows.step(workflow_id, step))["task_id"]
    found: dict[str, Any] = await until(lambda: exists(api, task_id))
    return found


async def end(api: Stack, storage: StorageClient, flows: Flows, workflow_id: str, step: str) -> None:
    task = await task_of(api, flows, workflow_id, step)
    await storage.upload(f"generations/{task['id']}/picture.png", RED, tenant=TENANT, result=True)
    await api.finish(task["id"])


async def content(api: Stack, path: str) -> bytes | None:
    answer = await api.http.get(f"{IMAGES}/{path}")
    return answer.content if answer.status_code == 200 else None


@pytest.mark.field("picture-changes-between-tries")
async def test_every_step_try_and_fork_sees_the_picture_that_the_first_one_saw(
    api: Stack, storage: StorageClient, flows: Flows, server: PictureServer
) -> None:
    url = server.url("shirt.png", said("200 OK", RED), said("200 OK", BLUE))
    made = await flows.create(draw("a", url), draw("b", url, "a"), draw("c", url, "b"))
    first = await task_of(api, flows, made["id"], "a")
    path = first["reference_image_path"]
    assert first["reference_image_url"] is None
    assert path.startswith(f"workflows/{made['id']}/inputs/")
    await end(api, storage, flows, made["id"], "a")
    second = await task_of(api, flows, made["id"], "b")
    assert second["reference_image_path"] == path
    await flows.end_badly(second["id"])
    await flows.ended(made["id"], "FAILED")
    await flows.post(made["id"], "resume")
    again = await until(lambda: other_task(api, flows, made["id"], "b", second["id"]))
    assert again["reference_image_path"] == path
    fork = (await api.http.post(f"{WORKFLOWS}{made['id']}/fork", json={"from_step": "b"})).json()
    forked = await task_of(api, flows, fork["id"], "b")
    assert forked["reference_image_path"].startswith(f"workflows/{fork['id']}/inputs/")
    assert server.asked.count("/shirt.png") == 1
    told = await flows.get(made["id"])
    assert [(pin["url"], pin["path"]) for pin in told["pinned"]] == [(url, path)]
    cleaned = await flows.post(made["id"], "cleanup")
    assert path in cleaned["cleanup"]["deleted_paths"]
    assert await content(api, path) is None
    assert await content(api, forked["reference_image_path"]) == RED
    await flows.post(fork["id"], "cleanup")


async def other_task(api: Stack, flows: Flows, workflow_id: str, step: str, old: str) -> Any:
    task_id = (await flows.step(workflow_id, step))["task_id"]
    return await exists(api, task_id) if task_id != old else None


async def test_two_addresses_of_one_picture_and_slots_of_one_address_share_a_file(
    api: Stack, storage: StorageClient, flows: Flows, server: PictureServer
) -> None:
    one, other = server.url("one.png", said("200 OK", BLUE)), server.url("other.png", said("200 OK", BLUE))
    inline = base64.b64encode(RED).decode()
    each = {"to_field": "input_image_paths", "items": [one, other, one, inline]}
    step = {"id": "cut", "task_type": "BACKGROUND_REMOVAL", "config": {}, "for_each": each, "cache": "off"}
    made = await flows.create(step)
    tasks = [await task_of(api, flows, made["id"], f"cut[{number}]") for number in range(4)]
    paths = [task["input_image_paths"][0] for task in tasks]
    assert len(set(paths[:3])) == 1 and paths[3] not in paths[:3]
    assert (await content(api, paths[0]), await content(api, paths[3])) == (BLUE, RED)
    assert (server.asked.count("/one.png"), server.asked.count("/other.png")) == (1, 1)
    assert {pin["url"] for pin in (await flows.get(made["id"]))["pinned"]} == {one, other}
    await flows.post(made["id"], "cleanup")
    found, _ = await storage.list(tenant=TENANT, prefix=f"workflows/{made['id']}/")
    assert not found


async def test_a_picture_in_the_workflows_own_config_reaches_its_steps(api: Stack, flows: Flows) -> None:
    config = {"base_image": base64.b64encode(BLUE).decode()}
    step = {"id": "edit", "task_type": "EDITING", "config": {"prompt": "a red mug"}}
    made = await flows.create(step, config=config)
    task = await task_of(api, flows, made["id"], "edit")
    assert await content(api, task["base_image_path"]) == BLUE
    await flows.post(made["id"], "cleanup")
    assert await content(api, task["base_image_path"]) is None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (said("404 Not Found"), "URL_UNREACHABLE"),
        (said("200 OK", b"<html>no picture</html>"), "IMAGE_INVALID"),
        (said("200 OK", RED[:45]), "IMAGE_INVALID"),
        (said("200 OK", b"x" * 100_001), "IMAGE_TOO_LARGE"),
        (said("302 Found", headers="Location: http://10.0.0.1/x.png\r\n"), "URL_NOT_ALLOWED"),
        (said("503 Service Unavailable"), "URL_UNAVAILABLE"),
    ],
    ids=["missing", "no picture", "cut off", "too large", "led inside", "away"],
)
async def test_what_cannot_be_had_fails_the_step_with_the_reason_its_task_would_have(
    api: Stack, flows: Flows, server: PictureServer, answer: bytes, reason: str
) -> None:
    url = server.url(f"bad-{reason}.png", answer)
    made = await flows.create(draw("a", url, max_retries=1), draw("b"))
    failed = await flows.step(made["id"], "a", "FAILED")
    assert failed["error_reason"] == reason, failed["error_message"]
    assert server.asked.count(f"/bad-{reason}.png") <= 2
    assert await exists(api, (await flows.step(made["id"], "b"))["task_id"]), "its sibling runs on"
    await flows.post(made["id"], "cleanup")


async def test_a_server_that_comes_back_in_time_is_asked_again(api: Stack, flows: Flows, server: PictureServer) -> None:
    url = server.url("late.png", said("503 Service Unavailable"), said("200 OK", BLUE))
    made = await flows.create(draw("a", url))
    task = await task_of(api, flows, made["id"], "a")
    assert await content(api, task["reference_image_path"]) == BLUE
    await flows.post(made["id"], "cleanup")


async def test_a_cancel_while_a_picture_is_fetched_leaves_no_task(
    api: Stack, flows: Flows, server: PictureServer
) -> None:
    url = server.url("slow.png", *[said("503 Service Unavailable")] * 5)
    made = await flows.create(draw("a", url, max_retries=5))
    running = await flows.step(made["id"], "a")
    await until(lambda: asked(server, "/slow.png"))
    assert (await api.http.delete(WORKFLOWS + made["id"])).status_code == 200
    server.url("slow.png", said("200 OK", BLUE))

    async def ended() -> bool:
        answer = await api.http.get(f"/api/v1/tasks/{running['task_id']}")
        return answer.status_code == 404 or answer.json()["status"] == "CANCELLED"

    await until(ended)
    await flows.post(made["id"], "cleanup")


async def asked(server: PictureServer, path: str) -> bool:
    return path in server.asked
