"""Signed links over HTTP: a picture for whoever has its link, and nothing else."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from PIL import Image

from tests.integration.gateway_host import IMAGES, Stack, stack

pytestmark = pytest.mark.asyncio(loop_scope="module")
LINKS = "/api/v1/storage/links"


def picture(colour: str = "red") -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(target, "PNG")
    return target.getvalue()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(mongodb_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    folder: Path = tmp_path_factory.mktemp("links")
    async with stack(mongodb_url, nats_url, folder) as started:
        yield started


async def stored(api: Stack, path: str, content: bytes) -> None:
    answer = await api.http.post(f"{IMAGES}/{path}", files={"file": ("x.png", content)})
    assert answer.status_code == 200, answer.text


async def link(api: Stack, path: str, **fields: Any) -> dict[str, Any]:
    answer = await api.http.post(LINKS, json={"path": path, **fields})
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_a_link_opens_its_picture_without_a_key(api: Stack) -> None:
    await stored(api, "shop/mug one.png", picture())
    made = await link(api, "shop/mug one.png", expires_in=60, download_name="mug é.png")
    assert made["url"].startswith(f"{api.url}/files/") and made["path"] == "shop/mug one.png"
    whole = await api.stranger.get(made["url"])
    assert (whole.status_code, whole.content) == (200, picture())
    assert (whole.headers["content-type"], whole.headers["etag"]) == ("image/png", made["etag"])
    assert whole.headers["content-disposition"] == "attachment; filename*=UTF-8''mug%20%C3%A9.png"
    assert whole.headers["referrer-policy"] == "no-referrer" and "private" in whole.headers["cache-control"]
    part = await api.stranger.get(made["url"], headers={"range": "bytes=0-7"})
    assert (part.status_code, part.content) == (206, picture()[:8])
    same = await api.stranger.get(made["url"], headers={"if-none-match": made["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    head = await api.stranger.head(made["url"])
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(picture())))


async def test_a_link_opens_nothing_else(api: Stack) -> None:
    await stored(api, "shop/a.png", picture())
    made = await link(api, "shop/a.png")
    for url in (made["url"][:-1], made["url"] + "A", f"{api.url}/files/x", f"{api.url}/files/{'A' * 5000}"):
        refused = await api.stranger.get(url)
        assert refused.status_code == 404, refused.text
        assert refused.json()["reason"] == "LINK_INVALID"
    for method in ("PUT", "POST", "DELETE"):
        assert (await api.stranger.request(method, made["url"])).status_code == 405
    await stored(api, "shop/a.png", picture("blue"))
    replaced = await api.stranger.get(made["url"])
    assert (replaced.status_code, replaced.json()["reason"]) == (404, "NOT_FOUND")
    fresh = await link(api, "shop/a.png")
    assert (await api.http.delete(f"{IMAGES}/shop/a.png")).status_code == 200
    assert (await api.stranger.get(fresh["url"])).status_code == 404


async def test_only_who_may_change_things_makes_links_and_only_to_its_own(api: Stack) -> None:
    await stored(api, "shop/b.png", picture())
    reader = {"authorization": f"Bearer {await api.key('acme', 'read')}"}
    refused = await api.stranger.post(LINKS, json={"path": "shop/b.png"}, headers=reader)
    assert (refused.status_code, refused.json()["reason"]) == (403, "SCOPE_MISSING")
    foreign = await api.other.post(LINKS, json={"path": "shop/b.png"})
    assert (foreign.status_code, foreign.json()["reason"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"expires_in": 0}, 422),
        ({"expires_in": 7 * 24 * 3600 + 1}, 422),
        ({"expires_in": "60"}, 422),
        ({"unknown": 1}, 422),
        ({"download_name": "a/b"}, 400),
        ({"download_name": "a\r\nb"}, 400),
        ({"path": "../b.png"}, 400),
    ],
)
async def test_a_link_that_cannot_be_made_is_refused(api: Stack, fields: dict[str, Any], status: int) -> None:
    await stored(api, "shop/c.png", picture())
    answer: httpx2.Response = await api.http.post(LINKS, json={"path": "shop/c.png", **fields})
    assert answer.status_code == status, answer.text


async def test_links_name_the_public_address_where_it_is_known(mongodb_url: str, nats_url: str, tmp_path: Path) -> None:
    async with stack(mongodb_url, nats_url, tmp_path, public_url="https://pictures.example/atelier") as api:
        await stored(api, "x.png", picture())
        assert (await link(api, "x.png"))["url"].startswith("https://pictures.example/atelier/files/")
