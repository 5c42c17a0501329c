"""Pictures over HTTP, on the real storage service."""

from __future__ import annotations

import asyncio
import io
import os
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import pytest
import pytest_asyncio
from PIL import Image

from tests.integration.gateway_host import IMAGES, TASKS, Stack, stack

pytestmark = pytest.mark.asyncio(loop_scope="module")
LIMIT = 3 << 20


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(mongodb_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    folder = tmp_path_factory.mktemp("objects")
    async with stack(mongodb_url, nats_url, folder, max_upload_bytes=LIMIT) as made:
        yield made


def noise(side: int) -> bytes:
    """A PNG of about 3 * side² bytes."""
    buffer = io.BytesIO()
    Image.frombytes("RGB", (side, side), os.urandom(3 * side * side)).save(buffer, "PNG")
    return buffer.getvalue()


PICTURE = noise(40)


async def _save(api: Stack, content: bytes = PICTURE) -> str:
    answer = await api.http.post(f"{IMAGES}/test/{uuid4().hex}.png", files={"file": ("x.png", content)})
    assert answer.status_code == 200, answer.text
    path: str = answer.json()["path"]
    return path


async def test_a_saved_picture_comes_back_byte_for_byte(api: Stack) -> None:
    content = noise(700)
    assert len(content) > 5 * 256 * 1024
    path = await _save(api, content)
    answer = await api.http.get(f"{IMAGES}/{path}")
    assert answer.content == content
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-length"] == str(len(content))
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_picture_that_is_being_replaced_comes_as_one_or_the_other(api: Stack) -> None:
    versions, path = [noise(8), noise(40)], f"{IMAGES}/{uuid4().hex}.png"

    async def replace_often() -> None:
        for number in range(40):
            assert (await api.http.post(path, files={"file": versions[number % 2]})).status_code == 200

    stored = (await api.http.post(path, files={"file": versions[0]})).json()["path"]
    replacing = asyncio.create_task(replace_often())
    while not replacing.done():
        answer = await api.http.get(f"{IMAGES}/{stored}")
        assert answer.status_code == 200, answer.text
        assert answer.content in versions
        assert int(answer.headers["content-length"]) == len(answer.content)
    await replacing


async def test_saving_tells_what_the_picture_is(api: Stack) -> None:
    answer = (await api.http.post(f"{IMAGES}/what/is.jpg", files={"file": PICTURE})).json()
    assert (answer["width"], answer["height"], answer["size"]) == (40, 40, len(PICTURE))
    assert answer["content_type"] == "image/png"
    assert (await api.http.get(answer["url"])).content == PICTURE


async def test_head_says_what_get_would_without_sending_it(api: Stack) -> None:
    path = await _save(api)
    head, get = await api.http.head(f"{IMAGES}/{path}"), await api.http.get(f"{IMAGES}/{path}")
    assert head.content == b""
    for name in ("etag", "content-type", "content-length", "accept-ranges", "last-modified"):
        assert head.headers[name] == get.headers[name]
    assert (await api.http.head(f"{IMAGES}/nothing.png")).status_code == 404


async def test_a_known_etag_saves_the_transfer(api: Stack) -> None:
    path = await _save(api)
    etag = (await api.http.head(f"{IMAGES}/{path}")).headers["etag"]
    for known in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        answer = await api.http.get(f"{IMAGES}/{path}", headers={"if-none-match": known})
        assert (answer.status_code, answer.content) == (304, b"")
    answer = await api.http.get(f"{IMAGES}/{path}", headers={"if-none-match": '"other"'})
    assert answer.status_code == 200


def _http_date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


async def _versions(api: Stack, path: str) -> dict[str, str]:
    """What the placeholders of the tables below stand for."""
    head = (await api.http.head(f"{IMAGES}/{path}")).headers
    modified = parsedate_to_datetime(head["last-modified"])
    return {
        "ETAG": head["etag"],
        "WEAK": "W/" + head["etag"],
        "NOW": head["last-modified"],
        "BEFORE": _http_date(modified - timedelta(seconds=1)),
        "LATER": _http_date(modified + timedelta(hours=1)),
        "NAIVE": modified.strftime("%A, %d-%b-%y %H:%M:%S GMT"),
    }


# As the table of RFC 9110, 13.2.2: headers and the status of GET and HEAD.
CONDITIONS = [
    ({"if-none-match": "ETAG"}, 304),
    ({"if-none-match": "WEAK"}, 304),
    ({"if-none-match": "*"}, 304),
    ({"if-none-match": '"a, b", ETAG'}, 304),
    ({"if-none-match": '"other"'}, 200),
    ({"if-none-match": "unquoted"}, 200),
    ({"if-modified-since": "NOW"}, 304),
    ({"if-modified-since": "LATER"}, 304),
    ({"if-modified-since": "NAIVE"}, 304),
    ({"if-modified-since": "BEFORE"}, 200),
    ({"if-modified-since": "no date"}, 200),
    ({"if-none-match": '"other"', "if-modified-since": "NOW"}, 200),
    ({"if-none-match": "ETAG", "if-modified-since": "BEFORE"}, 304),
    ({"if-match": "ETAG"}, 200),
    ({"if-match": "*"}, 200),
    ({"if-match": '"other", ETAG'}, 200),
    ({"if-match": '"other"'}, 412),
    ({"if-match": "WEAK"}, 412),
    ({"if-match": "unquoted"}, 412),
    ({"if-match": ""}, 412),
    ({"if-match": ","}, 412),
    ({"if-none-match": ""}, 200),
    ({"if-none-match": ",", "if-modified-since": "NOW"}, 200),
    ({"if-unmodified-since": "NOW"}, 200),
    ({"if-unmodified-since": "BEFORE"}, 412),
    ({"if-unmodified-since": "no date"}, 200),
    ({"if-match": "ETAG", "if-unmodified-since": "BEFORE"}, 200),
    ({"if-match": '"other"', "if-unmodified-since": "NOW"}, 412),
    ({"if-match": '"other"', "if-none-match": "ETAG"}, 412),
    ({"if-match": "ETAG", "if-none-match": "ETAG"}, 304),
    ({"if-unmodified-since": "BEFORE", "if-modified-since": "NOW"}, 412),
]


@pytest.mark.field("37")
@pytest.mark.parametrize(("headers", "status"), CONDITIONS)
async def test_get_and_head_keep_to_the_conditions_of_rfc_9110(
    api: Stack, headers: dict[str, str], status: int
) -> None:
    path = await _save(api)
    known = await _versions(api, path)
    given = {name: re.sub("[A-Z]{3,}", lambda found: known[found.group()], value) for name, value in headers.items()}
    for method in ("GET", "HEAD"):
        answer = await api.http.request(method, f"{IMAGES}/{path}", headers=given)
        assert answer.status_code == status, (method, given)
        if status == 304:
            assert answer.headers["etag"] == known["ETAG"] and not answer.content
            assert answer.headers["last-modified"] == known["NOW"]
        if status == 412 and method == "GET":
            assert answer.json()["reason"] == "PRECONDITION_FAILED"
    assert (await api.http.get(f"{IMAGES}/none.png", headers={"if-match": '"a"'})).status_code == 404


@pytest.mark.field("37")
@pytest.mark.parametrize(
    ("condition", "whole"),
    [("ETAG", False), ("NOW", False), ("NAIVE", False), ("BEFORE", True), ("LATER", True), ("WEAK", True), ("x", True)],
)
async def test_if_range_takes_an_etag_or_the_date(api: Stack, condition: str, whole: bool) -> None:
    path = await _save(api)
    given = {"range": "bytes=0-9", "if-range": (await _versions(api, path)).get(condition, condition)}
    answer = await api.http.get(f"{IMAGES}/{path}", headers=given)
    assert (answer.status_code, answer.content) == ((200, PICTURE) if whole else (206, PICTURE[:10]))
    head = await api.http.head(f"{IMAGES}/{path}", headers=given)
    assert (head.status_code, head.headers["content-length"]) == (200, str(SIZE))


@pytest.mark.field("38")
@pytest.mark.parametrize(
    "headers",
    [
        {"if-none-match": "*"},
        {"if-none-match": "WEAK"},
        {"if-match": '"stale"'},
        {"if-match": "WEAK"},
        {"if-unmodified-since": "BEFORE"},
    ],
)
async def test_a_write_or_deletion_whose_condition_fails_changes_nothing(api: Stack, headers: dict[str, str]) -> None:
    path, other = await _save(api), noise(20)
    known = await _versions(api, path)
    given = {name: known.get(value, value) for name, value in headers.items()}
    saved = await api.http.post(f"{IMAGES}/{path}", files={"file": other}, headers=given)
    deleted = await api.http.delete(f"{IMAGES}/{path}", headers=given)
    for answer in (saved, deleted):
        assert (answer.status_code, answer.json()["reason"]) == (412, "PRECONDITION_FAILED")
    assert (await api.http.get(f"{IMAGES}/{path}")).content == PICTURE


@pytest.mark.field("condition-without-etag")
@pytest.mark.parametrize("name", ["if-match", "if-none-match"])
@pytest.mark.parametrize("value", ["", ",", ", ,,", "unquoted", '"a", b'])
async def test_a_condition_that_names_no_etag_is_not_taken_for_none(api: Stack, name: str, value: str) -> None:
    path, other = await _save(api), noise(20)
    saved = await api.http.post(f"{IMAGES}/{path}", files={"file": other}, headers={name: value})
    deleted = await api.http.delete(f"{IMAGES}/{path}", headers={name: value})
    for answer in (saved, deleted):
        assert (answer.status_code, answer.json()["reason"]) == (400, "CONDITION_INVALID")
    assert (await api.http.get(f"{IMAGES}/{path}")).content == PICTURE


@pytest.mark.field("38")
async def test_a_write_or_deletion_whose_condition_holds_goes_through(api: Stack) -> None:
    path, other = f"{IMAGES}/{uuid4().hex}.png", noise(20)
    missing = await api.http.post(path, files={"file": other}, headers={"if-match": "*"})
    assert missing.status_code == 412
    first = await api.http.post(path, files={"file": PICTURE}, headers={"if-none-match": "*"})
    assert first.status_code == 200
    second = await api.http.post(path, files={"file": other}, headers={"if-match": first.json()["etag"]})
    assert second.status_code == 200
    assert (await api.http.get(path)).content == other
    unquoted = await api.http.delete(path, headers={"if-match": second.json()["sha256"]})
    assert (unquoted.status_code, unquoted.json()["reason"]) == (400, "CONDITION_INVALID")
    assert (await api.http.delete(path, headers={"if-match": second.json()["etag"]})).status_code == 200
    assert (await api.http.delete(path, headers={"if-match": "*"})).status_code == 404


async def test_of_20_uploads_that_want_to_be_first_one_is(api: Stack) -> None:
    path = f"{IMAGES}/{uuid4().hex}.png"
    contents = [noise(8) for _ in range(20)]
    answers = await asyncio.gather(
        *(api.http.post(path, files={"file": content}, headers={"if-none-match": "*"}) for content in contents)
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 19
    [winner] = [number for number, answer in enumerate(answers) if answer.status_code == 200]
    assert (await api.http.get(path)).content == contents[winner]


@pytest.mark.field("35")
@pytest.mark.parametrize("space", ["\u202f", "\u00a0", "\u3000", " "], ids=ascii)
async def test_a_screenshot_as_macos_names_it_is_stored_found_and_taken_by_a_task(api: Stack, space: str) -> None:
    path = f"shots/{uuid4().hex} 8.35.02{space}PM.png"
    saved = await api.http.post(f"{IMAGES}/{quote(path)}", files={"file": PICTURE})
    assert saved.json()["path"] == path
    assert (await api.http.get(saved.json()["url"])).content == PICTURE
    page = await api.http.get(IMAGES, params={"prefix": path.removesuffix("PM.png")})
    assert [image["path"] for image in page.json()["images"]] == [path]
    task = {"task_type": "BACKGROUND_REMOVAL", "origin_instance": "test", "input_image_paths": [path]}
    answer = await api.http.post(TASKS, json=task)
    assert answer.status_code == 200, answer.text
    assert answer.json()["input_image_paths"] == [path]


SIZE = len(PICTURE)


@pytest.mark.parametrize(
    ("asked", "expected", "said"),
    [
        ("bytes=0-9", PICTURE[:10], f"bytes 0-9/{SIZE}"),
        ("bytes=10-19", PICTURE[10:20], f"bytes 10-19/{SIZE}"),
        ("bytes=100-", PICTURE[100:], f"bytes 100-{SIZE - 1}/{SIZE}"),
        ("bytes=-10", PICTURE[-10:], f"bytes {SIZE - 10}-{SIZE - 1}/{SIZE}"),
        ("bytes=-9999999", PICTURE, f"bytes 0-{SIZE - 1}/{SIZE}"),
        ("bytes=5-9999999", PICTURE[5:], f"bytes 5-{SIZE - 1}/{SIZE}"),
        (f"bytes={SIZE - 1}-{SIZE - 1}", PICTURE[-1:], f"bytes {SIZE - 1}-{SIZE - 1}/{SIZE}"),
    ],
)
async def test_a_range_gives_that_part(api: Stack, asked: str, expected: bytes, said: str) -> None:
    path = await _save(api)
    answer = await api.http.get(f"{IMAGES}/{path}", headers={"range": asked})
    assert (answer.status_code, answer.content) == (206, expected)
    assert answer.headers["content-range"] == said


@pytest.mark.parametrize("asked", ["bytes=0-1,4-5", "bytes=5-2", "lines=0-1", "bytes=", "bytes=a-b", "bytes=-"])
async def test_a_range_in_another_form_is_ignored(api: Stack, asked: str) -> None:
    answer = await api.http.get(f"{IMAGES}/{await _save(api)}", headers={"range": asked})
    assert (answer.status_code, answer.content) == (200, PICTURE)


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", "bytes=99999999-", "bytes=-0"])
async def test_a_range_beyond_the_end_is_refused(api: Stack, asked: str) -> None:
    answer = await api.http.get(f"{IMAGES}/{await _save(api)}", headers={"range": asked})
    assert (answer.status_code, answer.json()["reason"]) == (416, "RANGE_NOT_SATISFIABLE")
    assert answer.headers["content-range"] == f"bytes */{SIZE}"


async def test_a_range_of_an_older_version_gives_the_whole(api: Stack) -> None:
    path = await _save(api)
    headers = {"range": "bytes=0-1", "if-range": '"older"'}
    assert (await api.http.get(f"{IMAGES}/{path}", headers=headers)).content == PICTURE


@pytest.mark.asyncio(loop_scope="function")
async def test_with_a_cdn_a_picture_is_fetched_there(mongodb_url: str, nats_url: str, tmp_path: Path) -> None:
    async with stack(mongodb_url, nats_url, tmp_path, cdn_url="https://cdn.example") as api:
        path = await _save(api)
        answer = await api.http.get(f"{IMAGES}/{path}", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (307, f"https://cdn.example/acme/{path}")
        etag = answer.headers["etag"]
        assert (await api.http.get(f"{IMAGES}/{path}", headers={"if-none-match": etag})).status_code == 304


async def test_a_list_shows_a_folder_page_by_page(api: Stack) -> None:
    folder = uuid4().hex
    names = [f"{folder}/{number}.png" for number in range(5)]
    for name in names:
        await api.http.post(f"{IMAGES}/{name}", files={"file": PICTURE})
    seen, after = [], ""
    while True:
        page = (await api.http.get(IMAGES, params={"prefix": f"{folder}/", "limit": 2, "start_after": after})).json()
        seen += [image["path"] for image in page["images"]]
        after = page["next_start_after"]
        if after is None:
            break
    assert seen == names


async def test_a_deleted_picture_is_gone(api: Stack) -> None:
    path = await _save(api)
    assert (await api.http.delete(f"{IMAGES}/{path}")).json() == {"path": path}
    for answer in (await api.http.get(f"{IMAGES}/{path}"), await api.http.delete(f"{IMAGES}/{path}")):
        assert answer.status_code == 404


async def test_another_tenant_sees_none_of_it(api: Stack) -> None:
    path = await _save(api)
    for method in ("GET", "HEAD", "DELETE"):
        assert (await api.other.request(method, f"{IMAGES}/{path}")).status_code == 404
    assert path not in (await api.other.get(IMAGES)).text
    assert (await api.http.get(f"{IMAGES}/{path}")).content == PICTURE


CLIMBING = ["../x.png", "a/../../x.png", "%2e%2e%2fx.png", "/x.png", "a//b.png", ".hidden/x.png", "a%5cb", "a%00b"]


@pytest.mark.parametrize("path", CLIMBING)
async def test_a_path_that_climbs_or_hides_is_refused(api: Stack, path: str) -> None:
    # The client would tidy the path up before sending it.
    target = {"target": f"{IMAGES}/{path}".encode()}
    for method, files in (("GET", None), ("DELETE", None), ("POST", {"file": PICTURE})):
        answer = await api.http.request(method, f"{IMAGES}/x", files=files, extensions=target)
        assert (answer.status_code, answer.json()["reason"]) == (400, "PATH_INVALID")


async def test_what_is_no_picture_is_not_stored(api: Stack) -> None:
    for content in (b"", b"hello", b"<svg onload=alert(1)>", b"\x89PNG\r\n\x1a\n" + b"\0" * 50):
        answer = await api.http.post(f"{IMAGES}/bad/x.png", files={"file": content})
        assert (answer.status_code, answer.json()["reason"]) == (400, "IMAGE_INVALID")
    assert (await api.http.get(f"{IMAGES}/bad/x.png")).status_code == 404


async def test_a_form_without_the_file_is_refused(api: Stack) -> None:
    missing = await api.http.post(f"{IMAGES}/x.png", files={"other": PICTURE})
    assert (missing.status_code, missing.json()["detail"][0]["loc"]) == (422, ["body", "other"])
    twice = await api.http.post(f"{IMAGES}/x.png", files=[("file", PICTURE), ("file", PICTURE)])
    assert twice.status_code == 422
    plain = await api.http.post(f"{IMAGES}/x.png", content=PICTURE)
    assert (plain.status_code, plain.json()["reason"]) == (415, "CONTENT_TYPE_UNSUPPORTED")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nothing of a form",
        b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n\x89PNG cut off',
        b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--b--broken',
    ],
)
async def test_a_broken_form_is_refused_and_leaves_nothing(api: Stack, body: bytes) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b"}
    answer = await api.http.post(f"{IMAGES}/broken/x.png", content=body, headers=headers)
    assert answer.status_code in (400, 422)
    assert (await api.http.get(f"{IMAGES}/broken/x.png")).status_code == 404


async def test_a_picture_above_the_limit_is_refused(api: Stack) -> None:
    answer = await api.http.post(f"{IMAGES}/large.png", files={"file": b"\x89PNG\r\n\x1a\n" + bytes(LIMIT)})
    assert (answer.status_code, answer.json()["reason"]) == (413, "BODY_TOO_LARGE")


async def test_an_upload_that_breaks_off_leaves_nothing(api: Stack) -> None:
    host, port = api.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"POST {IMAGES}/cut/x.png HTTP/1.1\r\nHost: x\r\nAuthorization: {api.http.headers['authorization']}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 100000\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
    )
    writer.write(head.encode() + PICTURE)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await api.http.get(f"{IMAGES}/cut/x.png")).status_code == 404
    assert await reader.read() == b""
