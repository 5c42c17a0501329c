"""The workflows in `examples/` run on the whole system as they stand, and leave the pictures they promise."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image

from tests.stack import RunningStack
from tests.waiting import time_passes

WORKFLOWS, IMAGES = "/api/v1/workflows/", "/api/v1/storage/images"
EXAMPLES = Path(__file__).parents[2] / "examples" / "workflows"
SECONDS = 240


@pytest.fixture
async def http(stack: RunningStack) -> AsyncIterator[httpx2.AsyncClient]:
    headers = {"authorization": f"Bearer {stack.api_key}"}
    async with httpx2.AsyncClient(base_url=stack.base_url, headers=headers, timeout=30) as client:
        yield client


async def run(http: httpx2.AsyncClient, name: str) -> dict[str, Any]:
    """The workflow once it has ended."""
    body = json.loads((EXAMPLES / f"{name}.json").read_text())
    made = await http.post(WORKFLOWS, json=body)
    assert made.status_code == 200, made.text
    place = WORKFLOWS + made.json()["id"]
    async with asyncio.timeout(SECONDS):
        while True:
            found: dict[str, Any] = (await http.get(place)).json()
            if found["status"] not in ("PENDING", "RUNNING"):
                return found
            await time_passes(0.2, because="who asks again is in no hurry")


async def picture(http: httpx2.AsyncClient, path: str) -> Image.Image:
    answer = await http.get(f"{IMAGES}/{path}")
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content))


def result(workflow: dict[str, Any], step_id: str) -> Any:
    return next(step["result"] for step in workflow["steps"] if step["step_id"] == step_id)


async def test_a_packshot_is_drawn_cut_out_recoloured_and_enlarged(http: httpx2.AsyncClient) -> None:
    done = await run(http, "packshot")
    assert done["status"] == "COMPLETED", done["errors"]
    drawn = await picture(http, result(done, "generate")["result_image_path"])
    cut = await picture(http, result(done, "cut_out")["result_image_paths"][0])
    ground = await picture(http, result(done, "background")["result_image_path"])
    large = await picture(http, done["final_step_result"]["result_image_path"])
    assert cut.mode == "RGBA" and cut.getchannel("A").getextrema()[0] == 0
    assert ground.size == drawn.size and ground.convert("RGB").getpixel((2, 2)) == (0xD9, 0xE4, 0xE8)
    assert large.size == (2 * drawn.width, 2 * drawn.height)


def test_every_example_has_its_test() -> None:
    tested = Path(__file__).read_text()
    assert {path.stem for path in EXAMPLES.glob("*.json")} == {
        path.stem for path in EXAMPLES.glob("*.json") if f'"{path.stem}")' in tested
    }


async def test_the_health_page_knows_the_service(http: httpx2.AsyncClient) -> None:
    told = (await http.get("/health")).json()
    assert told["dependencies"]["workflows"]["status"] == "up"


async def test_a_product_is_recoloured_ten_times_from_one_picture(http: httpx2.AsyncClient) -> None:
    done = await run(http, "recolour")
    assert done["status"] == "COMPLETED", done["errors"]
    drawn = await picture(http, result(done, "draw")["result_image_path"])
    paths = result(done, "recolour")["result_image_path"]
    assert len(set(paths)) == 10
    pictures = [await picture(http, path) for path in paths]
    assert {one.size for one in pictures} == {drawn.size}
    assert len({one.convert("RGB").tobytes() for one in pictures}) == 10, "they are not all alike"
