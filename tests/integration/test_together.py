"""All of Atelier's services in one process: the layout `together`."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
from collections.abc import Iterator

import httpx2
import psutil
import pytest
from PIL import Image

from deploy.local.paths import StackFolder
from deploy.local.settings import ProcessLayout
from tests.bench.connection import Connection, connections
from tests.bench.our_side import TASKS_PATH, OurSide, our_side, task_body
from tests.scraping import Scrape
from tests.waiting import time_passes

_PICTURE = "/api/v1/storage/images/references/a-folder-of-its-own/dot.png"
_STARTED, _ENDED = 30.0, 30.0


@pytest.fixture(scope="module")
def side(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OurSide]:
    with our_side(StackFolder(tmp_path_factory.mktemp("together")), ProcessLayout.TOGETHER) as opened:
        yield opened


def _png() -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (3, 2), "red").save(content, "PNG")
    return content.getvalue()


async def _until_served(side: OurSide) -> None:
    async with asyncio.timeout(_STARTED), connections(1, *side.address, side.headers) as [connection]:
        while True:
            try:
                return await side.follow(connection)
            except RuntimeError:  # its worker is still on its way
                await time_passes(0.1, because="who asks again is in no hurry")


async def test_tasks_go_all_the_way(side: OurSide) -> None:
    await _until_served(side)
    async with connections(8, *side.address, side.headers) as opened:
        await asyncio.gather(*(side.follow(connection) for connection in opened))


async def test_a_picture_is_kept_and_given_back(side: OurSide) -> None:
    host, port = side.address
    async with httpx2.AsyncClient(base_url=f"http://{host}:{port}", headers=dict(side.headers)) as client:
        stored = await client.post(_PICTURE, files={"file": ("dot.png", _png(), "image/png")})
        assert stored.status_code == 200, stored.text
        found = await client.get("/api/v1/storage/images/" + stored.json()["path"])
        missing = await client.get("/api/v1/storage/images/references/a-folder-of-its-own/nothing.png")
    assert found.content == _png()
    assert (missing.status_code, missing.json()["reason"]) == (404, "NOT_FOUND")


async def test_one_port_apart_from_the_public_one_tells_what_every_service_counts(side: OurSide) -> None:
    await _until_served(side)
    open_ports = psutil.Process(side.pids["atelier"]).net_connections("tcp")
    listening = {found.laddr.port for found in open_ports if found.status == psutil.CONN_LISTEN}
    told = [scraped for port in listening - {side.address[1]} if (scraped := await _scraped(port)) is not None]
    assert len(told) == 1
    assert told[0].total("atelier_tasks_ended_total", status="COMPLETED") > 0
    assert told[0].total("atelier_worker_runs_total", outcome="result") > 0
    assert told[0].total("atelier_http_requests_total", method="POST") > 0
    async with httpx2.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{side.address[1]}/metrics")).status_code == 404


async def _scraped(port: int) -> Scrape | None:
    """None where something else listens."""
    async with httpx2.AsyncClient() as client:
        try:
            return Scrape((await client.get(f"http://127.0.0.1:{port}/metrics")).raise_for_status().text)
        except httpx2.HTTPError:
            return None


async def test_what_was_accepted_before_a_sigterm_is_done_after_it(side: OurSide) -> None:
    await _until_served(side)
    accepted: list[str] = []
    refused: set[int] = set()

    async def submit(connection: Connection) -> None:
        while True:
            try:
                status, answer = await connection.call("POST", TASKS_PATH, task_body())
            except (OSError, EOFError):
                return
            if status == 200:
                accepted.append(json.loads(answer)["id"])
                if len(accepted) == 200:
                    os.kill(side.pids["atelier"], signal.SIGTERM)
            else:
                refused.add(status)

    process = psutil.Process(side.pids["atelier"])
    async with asyncio.timeout(_ENDED), connections(8, *side.address, side.headers) as opened:
        await asyncio.gather(*map(submit, opened))
        await asyncio.to_thread(psutil.wait_procs, [process], _ENDED)
    await side.drain(accepted, _ENDED)
    assert len(accepted) >= 200
    assert refused <= {503}
    assert (await side.ends(accepted)).keys() == set(accepted)
    assert await side.doubled(accepted) == 0
