"""The workflows in `examples/` run on the whole system as they stand, and leave the pictures they promise."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image, ImageStat

from tests.stack import RunningStack
from tests.unit.test_pipeline_animating import read_film
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


def subject(image: Image.Image) -> tuple[int, int, int, int]:
    """Where something is to be seen of a cut-out."""
    box = image.getchannel("A").point(lambda alpha: 255 * (alpha > 127)).getbbox()
    assert box is not None
    return box


def mean(image: Image.Image, box: tuple[int, int, int, int]) -> tuple[float, ...]:
    return tuple(ImageStat.Stat(image.convert("RGB").crop(box)).mean)


async def test_a_packshot_is_drawn_cut_out_put_before_a_colour_and_enlarged(http: httpx2.AsyncClient) -> None:
    done = await run(http, "packshot")
    assert done["status"] == "COMPLETED", done["errors"]
    drawn = await picture(http, result(done, "generate")["result_image_path"])
    cut = await picture(http, result(done, "cut_out")["result_image_paths"][0])
    ground = await picture(http, result(done, "background")["result_image_path"])
    large = await picture(http, done["final_step_result"]["result_image_path"])
    assert cut.mode == "RGBA" and cut.getchannel("A").getextrema() == (0, 255)
    assert ground.size == drawn.size and ground.convert("RGB").getpixel((2, 2)) == (0xD9, 0xE4, 0xE8)
    assert large.size == (2 * drawn.width, 2 * drawn.height)


async def test_a_product_is_recoloured_ten_times_from_one_picture(http: httpx2.AsyncClient) -> None:
    done = await run(http, "recolour")
    assert done["status"] == "COMPLETED", done["errors"]
    drawn = await picture(http, result(done, "draw")["result_image_path"])
    paths = result(done, "recolour")["result_image_path"]
    assert len(set(paths)) == 10
    pictures = [await picture(http, path) for path in paths]
    assert {one.size for one in pictures} == {drawn.size}
    body = (40, 50, 80, 100)
    found = [mean(one, body) for one in pictures]
    for one, other in itertools.combinations(found, 2):
        assert max(abs(a - b) for a, b in zip(one, other, strict=True)) > 12, "each has a colour of its own"


async def test_a_mannequin_goes_and_the_garment_is_cut_out_framed_and_enlarged(http: httpx2.AsyncClient) -> None:
    for name in ("mannequin", "mannequin_mask"):
        content = (EXAMPLES / "pictures" / f"{name}.png").read_bytes()
        sent = await http.post(f"{IMAGES}/examples/{name}.png", files={"file": (f"{name}.png", content, "image/png")})
        assert sent.status_code == 200, sent.text
    done = await run(http, "ghost_mannequin")
    assert done["status"] == "COMPLETED", done["errors"]
    before = Image.open(EXAMPLES / "pictures" / "mannequin.png")
    bare = await picture(http, result(done, "remove_mannequin")["result_image_path"])
    for box in ((60, 0, 69, 12), (63, 117, 65, 127)):  # neck and stand
        assert min(mean(bare, box)) > min(mean(before, box)) + 25, "what was there is bright paper now"
    cut = await picture(http, result(done, "cut_out")["result_image_paths"][0])
    top, bottom = subject(cut)[1::2]
    assert top > 10 and bottom < 122, "nothing of the mannequin is cut out with the garment"
    framed = await picture(http, result(done, "frame")["result_image_path"])
    large = await picture(http, done["final_step_result"]["result_image_path"])
    assert (framed.size, large.size) == ((192, 256), (384, 512))
    left, upper, right, lower = subject(framed)
    assert min(left, 192 - right) >= 17 and min(upper, 256 - lower) >= 23, "a tenth of air on every side"


async def test_a_product_is_shown_in_four_places_each_enlarged(http: httpx2.AsyncClient) -> None:
    done = await run(http, "lifestyle")
    assert done["status"] == "COMPLETED", done["errors"]
    drawn = await picture(http, result(done, "product")["result_image_path"])
    pictures = [await picture(http, path) for path in done["final_step_result"]["result_image_path"]]
    assert [one.size for one in pictures] == [(2 * drawn.width, 2 * drawn.height)] * 4
    table, garden, blue, beige = (mean(one, (0, 200, 30, 250)) for one in pictures)
    assert table[0] > table[2] + 40 and garden[1] > max(garden[0], garden[2]) + 20
    assert blue[2] > blue[0] + 20 and beige[0] > beige[2] + 10
    for one in pictures:
        bag = mean(one, (80, 160, 160, 200))
        assert min(bag[:2]) > bag[2] + 80, "the product stays yellow"


async def test_a_product_is_drawn_enlarged_and_filmed(http: httpx2.AsyncClient) -> None:
    done = await run(http, "teaser")
    assert done["status"] == "COMPLETED", done["errors"]
    film = await http.get(f"{IMAGES}/{done['final_step_result']['result_video_path']}")
    assert film.status_code == 200
    _, frames = read_film(film.content, 256, 256)
    assert len(frames) >= 30
    moved = np.abs(frames[0].astype(int) - frames[-1].astype(int)).mean()
    assert moved > 2, "the camera moves"


def test_every_example_has_its_test() -> None:
    tested = Path(__file__).read_text()
    names = {path.stem for path in EXAMPLES.glob("*.json")}
    assert len(names) >= 5
    assert {name for name in names if f'run(http, "{name}")' not in tested} == set()


async def test_the_health_page_knows_the_service(http: httpx2.AsyncClient) -> None:
    told = (await http.get("/health")).json()
    assert told["dependencies"]["workflows"]["status"] == "up"
