"""Pictures that a task names by URL: whose fault it is when their server does not give them."""

from __future__ import annotations

import asyncio
import gzip
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast
from uuid import uuid4

import pytest
from compute.tasks.v1 import params_pb2, tasks_pb2
from PIL import Image

from services.imaging.loader import ImageSettings, open_loader
from services.inference.images import TaskImages
from services.net.guarded_http import GuardedHttp
from services.providers.directory import Providers
from tests.integration.tasks_host import hosting
from tests.integration.worker_host import WorkerHost
from tests.waiting import time_passes

HOST = "pictures.example"
BUFFER = io.BytesIO()
Image.new("RGB", (32, 24), (200, 30, 60)).save(BUFFER, "PNG")
PNG = BUFFER.getvalue()


def said(status: str, body: bytes = b"", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


GOOD = said("200 OK", PNG)
CUT = GOOD[:-20]
SILENCE = b""


@dataclass
class PictureServer:
    """Gives one answer after the other, the last one for ever; an empty one is silence."""

    port: int = 0
    answers: Sequence[bytes] = (GOOD,)
    asked: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/picture.png"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answer = self.answers[min(len(self.asked), len(self.answers) - 1)]
            self.asked.append(await reader.readuntil(b"\r\n\r\n"))
            if answer == SILENCE:
                await time_passes(3, because="a server that is silent for so long")
            writer.write(answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@dataclass
class Rig:
    """A worker that loads pictures for real, from `server` alone."""

    server: PictureServer
    host: WorkerHost

    async def adjust(self, *answers: bytes) -> tasks_pb2.Task:
        self.server.answers, self.server.asked = answers, []
        adjusting = params_pb2.ImageAdjusterParams(input_image=self.server.url, target_width=16, target_height=12)
        return await self.host.run(params_pb2.TaskParams(image_adjuster=adjusting))


@pytest.fixture
async def rig(mongodb_url: str, nats_url: str) -> AsyncIterator[Rig]:
    server = PictureServer()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    async with (
        listening,
        _loader(server.port) as images,
        hosting(mongodb_url, nats_url, f"t{uuid4().hex[:12]}", retry_first_seconds=0.05) as tasks,
    ):
        host = WorkerHost(tasks, nats_url, images=cast("Any", images))
        async with host.worker(Providers({})):
            yield Rig(server, host)


@asynccontextmanager
async def _loader(port: int) -> AsyncIterator[TaskImages]:
    async def resolve(host: str, _: int) -> list[str]:
        return ["127.0.0.1"]

    def hurried(limits: Any, **more: Any) -> GuardedHttp:
        return GuardedHttp(replace(limits, read_seconds=0.5), **more)

    settings = ImageSettings(image_workers=1, allow_private_urls=frozenset({f"{HOST}:{port}"}))
    async with open_loader(settings, cast("Any", None), http=partial(hurried, resolve=resolve)) as loader:
        yield TaskImages(loader)


@pytest.mark.field("picture-server-fault")
@pytest.mark.parametrize(
    "fault", [said("500 Oops"), said("429 Slowly"), CUT, SILENCE], ids=["500", "429", "cut", "silent"]
)
async def test_a_passing_fault_of_a_picture_server_is_tried_again(rig: Rig, fault: bytes) -> None:
    ended = await rig.adjust(fault, fault, GOOD)
    assert ended.status == tasks_pb2.TASK_STATUS_COMPLETED, ended.errors
    assert (ended.attempt, len(rig.server.asked)) == (3, 3)


@pytest.mark.parametrize("fault", [said("503 Busy"), CUT], ids=["503", "cut"])
async def test_a_picture_server_that_keeps_failing_is_not_the_callers_fault_and_not_asked_for_ever(
    rig: Rig, fault: bytes
) -> None:
    ended = await rig.adjust(fault)
    assert ended.status == tasks_pb2.TASK_STATUS_FAILED
    assert (ended.error_category, ended.error_reason) == ("UNAVAILABLE", "URL_UNAVAILABLE")
    assert (ended.attempt, len(rig.server.asked), ended.dead_letter) == (3, 3, True)
    assert HOST in ended.errors[-1] and "picture.png" not in ended.errors[-1]


@pytest.mark.parametrize("status", ["404 Not Found", "403 Forbidden"])
async def test_a_picture_that_is_not_given_is_the_callers_fault_at_once(rig: Rig, status: str) -> None:
    ended = await rig.adjust(said(status))
    assert (ended.error_category, ended.error_reason) == ("VALIDATION", "URL_UNREACHABLE")
    assert (ended.attempt, len(rig.server.asked)) == (1, 1)


@pytest.mark.field("42")
@pytest.mark.parametrize(
    ("coding", "body"),
    [("aws-chunked", PNG), ("utf-8", PNG), ("binary", PNG), ("none", PNG), ("gzip", gzip.compress(PNG))],
)
async def test_a_picture_comes_through_its_servers_content_coding(rig: Rig, coding: str, body: bytes) -> None:
    ended = await rig.adjust(said("200 OK", body, f"Content-Encoding: {coding}\r\n"))
    assert ended.status == tasks_pb2.TASK_STATUS_COMPLETED, ended.errors
