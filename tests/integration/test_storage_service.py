"""The storage service over a real socket: one suite for the local folder and for a real S3 server."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname
from uuid import uuid4

import grpc
import obstore
import psutil
import pytest
from compute.storage.v1 import storage_pb2 as pb
from compute.storage.v1 import storage_pb2_grpc as rpc
from obstore.store import S3Store
from PIL import Image

from deploy.local.paths import ROOT, StackFolder
from services.clients.storage_client import StorageClient
from services.common.errors import (
    ComputeError,
    DeadlineExceeded,
    IllegalTransition,
    InvalidRequest,
    NotFound,
    PayloadTooLarge,
    PreconditionFailed,
    Unauthenticated,
    Unavailable,
)
from services.rpc.grpc_client import Credentials, connect
from services.rpc.rpc_status import from_rpc_error
from services.storage.domain import ObjectKey, ObjectMetadata, WriteConditions
from services.storage.local_folder import LocalObjectStore
from services.storage.s3 import open_s3
from tests.integration.storage_servers import TOKEN, Server, s3_server, storage_server
from tests.waiting import time_passes, until

MEGABYTE = 1 << 20
TENANT_PREFIX = "t-"


@pytest.fixture(scope="module")
def s3_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with s3_server(StackFolder(tmp_path_factory.mktemp("s3"))) as environment:
        yield environment


@pytest.fixture(scope="module", params=["local", "s3"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = StackFolder(tmp_path_factory.mktemp("storage"))
    if request.param == "s3":
        environment = request.getfixturevalue("s3_environment")
    else:
        environment = {"STORAGE_URL": (home.data / "objects").as_uri()}
    with storage_server(home, {**environment, "CDN_URL": "https://cdn.example/store/"}) as started:
        yield started


@pytest.fixture
async def channel(server: Server) -> AsyncIterator[grpc.aio.Channel]:
    async with connect(server.target) as opened:
        yield opened


@pytest.fixture
def client(channel: grpc.aio.Channel) -> StorageClient:
    return StorageClient(channel, Credentials(TOKEN))


@pytest.fixture
def tenant() -> str:
    """Every test has a tenant of its own, and so an empty store."""
    return TENANT_PREFIX + uuid4().hex[:12]


def picture(width: int = 40, height: int = 30, form: str = "PNG") -> bytes:
    target = io.BytesIO()
    Image.effect_noise((width, height), 60).save(target, form)
    return target.getvalue()


async def paths_of(client: StorageClient, tenant: str, prefix: str = "") -> list[str]:
    objects, _ = await client.list(tenant=tenant, prefix=prefix, limit=1000)
    return [found.path for found in objects]


async def times(count: int, chunk: bytes) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield chunk


@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 256 * 1024 + 1, 6 * MEGABYTE])
async def test_what_was_stored_comes_back(client: StorageClient, tenant: str, size: int) -> None:
    content = os.urandom(size)
    stored = await client.upload("a/b/content.bin", content, tenant=tenant)
    assert (stored.path, stored.size) == ("a/b/content.bin", size)
    assert stored.sha256 == hashlib.sha256(content).hexdigest()
    assert stored.etag == f'"{stored.sha256[:32]}"'
    assert await client.read("a/b/content.bin", tenant=tenant, limit=size) == content
    described = await client.head("a/b/content.bin", tenant=tenant)
    assert (described.sha256, described.size, described.content_type) == (stored.sha256, size, stored.content_type)


async def test_a_pictures_type_and_size_are_those_of_its_content(client: StorageClient, tenant: str) -> None:
    for form in ("PNG", "JPEG", "WEBP", "GIF"):
        stored = await client.upload("lies.txt", picture(40, 30, form), tenant=tenant, must_be_image=True)
        assert (stored.content_type, stored.width, stored.height) == (f"image/{form.lower()}", 40, 30)
    stored = await client.upload("lies.png", b"<svg onload='alert(1)'/>", tenant=tenant)
    assert (stored.content_type, stored.width, stored.height) == ("application/octet-stream", 0, 0)


async def test_what_must_be_a_picture_and_is_none_is_not_stored(client: StorageClient, tenant: str) -> None:
    for content in (b"", b"no picture", picture()[:-200], b"\x89PNG\r\n\x1a\n" + os.urandom(100)):
        with pytest.raises(InvalidRequest) as caught:
            await client.upload("x.png", content, tenant=tenant, must_be_image=True)
        assert caught.value.reason == "IMAGE_INVALID"
    assert await paths_of(client, tenant) == []


async def test_a_damaged_picture_that_need_not_be_one_is_stored_as_it_is(client: StorageClient, tenant: str) -> None:
    stored = await client.upload("x.png", b"\x89PNG\r\n\x1a\nnonsense", tenant=tenant)
    assert (stored.content_type, stored.width) == ("image/png", 0)


async def test_an_upload_replaces_whole(client: StorageClient, tenant: str) -> None:
    first = await client.upload("x", b"first", tenant=tenant)
    second = await client.upload("x", b"second one", tenant=tenant)
    assert first.etag != second.etag
    assert await client.read("x", tenant=tenant, limit=100) == b"second one"
    assert (await client.head("x", tenant=tenant)).sha256 == second.sha256


async def test_if_absent_never_replaces(client: StorageClient, tenant: str) -> None:
    await client.upload("x", b"first", tenant=tenant, if_absent=True)
    for content in (b"second", b"", os.urandom(6 * MEGABYTE)):
        with pytest.raises(IllegalTransition) as caught:
            await client.upload("x", content, tenant=tenant, if_absent=True)
        assert caught.value.reason == "ALREADY_EXISTS"
    assert await client.read("x", tenant=tenant, limit=100) == b"first"


async def test_of_many_who_want_to_be_first_one_is(client: StorageClient, tenant: str) -> None:
    tries = [client.upload("x", b"%d" % number, tenant=tenant, if_absent=True) for number in range(12)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    winners = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, pb.ObjectInfo)]
    assert len(winners) == 1
    assert await client.read("x", tenant=tenant, limit=100) == b"%d" % winners[0]


def only(*etags: str, none: tuple[str, ...] = ()) -> pb.Precondition:
    return pb.Precondition(if_match=etags, if_none_match=none)


@pytest.mark.field("38")
async def test_a_condition_that_does_not_hold_changes_nothing(client: StorageClient, tenant: str) -> None:
    stored = await client.upload("x", b"first", tenant=tenant)
    before = pb.Precondition()
    before.if_unmodified_since.FromSeconds(stored.created_at.seconds - 1)
    failing = (
        only('"stale"'),
        only(f"W/{stored.etag}"),
        only(none=("*",)),
        only(none=('"other"', stored.etag)),
        before,
    )
    for precondition in failing:
        for action in (
            client.upload("x", b"second", tenant=tenant, precondition=precondition),
            client.delete("x", tenant=tenant, precondition=precondition),
        ):
            with pytest.raises(PreconditionFailed) as caught:
                await action
            assert caught.value.reason == "PRECONDITION_FAILED"
    with pytest.raises(PreconditionFailed):
        await client.upload("new", b"1", tenant=tenant, precondition=only("*"))
    with pytest.raises(NotFound):
        await client.delete("new", tenant=tenant, precondition=only("*"))
    assert await paths_of(client, tenant) == ["x"]
    assert (await client.head("x", tenant=tenant)).sha256 == stored.sha256


@pytest.mark.parametrize(("seconds", "nanos"), [(2**63 - 1, 0), (-(2**63), 0), (0, -1), (2**31, 2**31 - 1)])
async def test_a_condition_on_no_moment_is_refused_by_name(
    client: StorageClient, tenant: str, seconds: int, nanos: int
) -> None:
    stored = await client.upload("x", b"first", tenant=tenant)
    precondition = pb.Precondition()
    precondition.if_unmodified_since.seconds, precondition.if_unmodified_since.nanos = seconds, nanos
    for action in (
        client.upload("x", b"second", tenant=tenant, precondition=precondition),
        client.delete("x", tenant=tenant, precondition=precondition),
    ):
        with pytest.raises(InvalidRequest) as caught:
            await action
        assert [item.field for item in caught.value.violations] == ["precondition.if_unmodified_since"]
    assert (await client.head("x", tenant=tenant)).sha256 == stored.sha256


@pytest.mark.field("38")
async def test_a_condition_that_holds_lets_the_change_through(client: StorageClient, tenant: str) -> None:
    stored = await client.upload("x", b"first", tenant=tenant, precondition=only(none=("*",)))
    stored = await client.upload("x", b"second", tenant=tenant, precondition=only('"other"', stored.etag))
    stored = await client.upload("x", b"", tenant=tenant, precondition=only("*"))
    stored = await client.upload("x", b"last", tenant=tenant, precondition=only(none=('"other"',)))
    same = pb.Precondition()
    same.if_unmodified_since.FromSeconds(stored.created_at.seconds)
    stored = await client.upload("x", b"very last", tenant=tenant, precondition=same)
    await client.delete("x", tenant=tenant, precondition=only(stored.etag))
    assert await paths_of(client, tenant) == []


async def test_of_20_who_replace_the_same_version_one_does(client: StorageClient, tenant: str) -> None:
    stored = await client.upload("x", b"first", tenant=tenant)
    for turn in range(3):
        tries = [
            client.upload("x", b"%d %d" % (turn, number), tenant=tenant, precondition=only(stored.etag))
            for number in range(20)
        ]
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
        winners = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, pb.ObjectInfo)]
        assert len(winners) == 1
        assert all(isinstance(item, PreconditionFailed) for item in outcomes if not isinstance(item, pb.ObjectInfo))
        assert await client.read("x", tenant=tenant, limit=100) == b"%d %d" % (turn, winners[0])
        stored = await client.head("x", tenant=tenant)


async def test_of_20_who_delete_or_replace_the_same_version_one_does(client: StorageClient, tenant: str) -> None:
    for _ in range(3):
        stored = await client.upload("x", b"first", tenant=tenant)
        tries: list[Awaitable[pb.ObjectInfo | None]] = []
        for number in range(10):
            tries.append(client.upload("x", b"%d" % number, tenant=tenant, precondition=only(stored.etag)))
            tries.append(client.delete("x", tenant=tenant, precondition=only(stored.etag)))
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
        winners = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        assert len(winners) == 1
        assert await paths_of(client, tenant) == ([] if winners[0] is None else ["x"])


async def test_the_result_of_a_task_stays_as_it_was_made(client: StorageClient, tenant: str) -> None:
    made = await client.upload("t/1/x", b"made", tenant=tenant, result=True)
    assert made.result
    for action in (
        client.upload("t/1/x", b"other", tenant=tenant),
        client.upload("t/1/x", b"other", tenant=tenant, precondition=only(made.etag)),
        client.delete("t/1/x", tenant=tenant),
        client.delete("t/1/x", tenant=tenant, precondition=only("*")),
    ):
        with pytest.raises(IllegalTransition) as caught:
            await action
        assert caught.value.reason == "RESULT_IMMUTABLE"
    await client.upload("t/1/note", b"beside it", tenant=tenant)
    assert await client.delete_prefix("t/", tenant=tenant) == ["t/1/note"]
    assert await client.read("t/1/x", tenant=tenant, limit=10) == b"made"
    [listed], _ = await client.list(tenant=tenant)
    assert listed.result
    again = await client.upload("t/1/x", b"made again", tenant=tenant, result=True)
    assert (again.result, again.size) == (True, 10)
    assert await client.delete_prefix("t/", tenant=tenant, with_results=True) == ["t/1/x"]
    assert not (await client.upload("t/1/x", b"free again", tenant=tenant)).result


async def test_a_result_takes_the_place_of_what_was_put_there_before(client: StorageClient, tenant: str) -> None:
    await client.upload("t/1/x", b"planted", tenant=tenant)
    assert (await client.upload("t/1/x", b"made", tenant=tenant, result=True)).result
    await client.delete("t/1/x", tenant=tenant, with_results=True)
    assert await paths_of(client, tenant) == []


async def test_a_copy_is_an_object_of_its_own(client: StorageClient, tenant: str) -> None:
    content = picture()
    original = await client.upload("shop/a.png", content, tenant=tenant, must_be_image=True)
    copy = await client.copy("shop/a.png", "w/1/b.png", tenant=tenant)
    assert (copy.path, copy.sha256, copy.etag) == ("w/1/b.png", original.sha256, original.etag)
    assert (copy.width, copy.height, copy.content_type, copy.result) == (40, 30, "image/png", False)
    assert copy.created_at.ToDatetime() >= original.created_at.ToDatetime()
    await client.upload("shop/a.png", b"another", tenant=tenant)
    assert await client.read("w/1/b.png", tenant=tenant, limit=MEGABYTE) == content
    await client.delete("shop/a.png", tenant=tenant)
    described = await client.head("w/1/b.png", tenant=tenant)
    assert (described.sha256, described.created_at) == (copy.sha256, copy.created_at)
    assert await client.read("w/1/b.png", tenant=tenant, limit=MEGABYTE) == content


async def test_a_copy_of_a_result_is_one_only_where_that_is_said(client: StorageClient, tenant: str) -> None:
    await client.upload("t/1/x", b"made", tenant=tenant, result=True)
    kept = await client.copy("t/1/x", "t/2/x", tenant=tenant, result=True)
    free = await client.copy("t/1/x", "mine/x", tenant=tenant)
    assert (kept.result, free.result) == (True, False)
    await client.upload("mine/y", b"given", tenant=tenant)
    assert (await client.copy("mine/y", "t/2/y", tenant=tenant, result=True)).result
    await client.delete("t/1/x", tenant=tenant, with_results=True)
    with pytest.raises(IllegalTransition) as caught:
        await client.copy("mine/y", "t/2/x", tenant=tenant)
    assert caught.value.reason == "RESULT_IMMUTABLE"
    await client.delete("mine/x", tenant=tenant)
    assert await client.read("t/2/x", tenant=tenant, limit=10) == b"made"
    again = await client.copy("t/2/y", "t/2/x", tenant=tenant, result=True)
    assert (again.result, await client.read("t/2/x", tenant=tenant, limit=10)) == (True, b"given")


async def test_a_copy_keeps_to_its_conditions(client: StorageClient, tenant: str) -> None:
    await client.upload("x", b"first", tenant=tenant)
    await client.upload("y", b"second", tenant=tenant)
    with pytest.raises(IllegalTransition) as caught:
        await client.copy("x", "y", tenant=tenant, if_absent=True)
    assert caught.value.reason == "ALREADY_EXISTS"
    for source, owner in (("none", tenant), ("x", "somebody-else")):
        with pytest.raises(NotFound):
            await client.copy(source, "z", tenant=owner)
    with pytest.raises(InvalidRequest) as refused:
        await client.copy("x", "../z", tenant=tenant)
    assert refused.value.reason == "PATH_INVALID"
    itself = await client.copy("x", "x", tenant=tenant)
    assert itself.sha256 == hashlib.sha256(b"first").hexdigest()
    assert (await client.copy("x", "y", tenant=tenant)).size == 5
    assert await client.read("y", tenant=tenant, limit=10) == b"first"
    assert await paths_of(client, tenant) == ["x", "y"]


async def test_copies_of_what_is_being_replaced_are_whole(client: StorageClient, tenant: str) -> None:
    contents = [bytes([number]) * (50_000 + number) for number in range(4)]
    await client.upload("x", contents[0], tenant=tenant)

    async def copied(number: int) -> bytes | None:
        try:
            made = await client.copy("x", f"copy{number}", tenant=tenant)
        except Unavailable:  # replaced while it was read, which the caller may try again
            return None
        found = await client.read(f"copy{number}", tenant=tenant, limit=MEGABYTE)
        assert hashlib.sha256(found).hexdigest() == made.sha256
        return found

    uploads = [client.upload("x", content, tenant=tenant) for content in contents]
    outcomes, _ = await asyncio.gather(
        asyncio.gather(*(copied(number) for number in range(8))), asyncio.gather(*uploads)
    )
    assert {outcome for outcome in outcomes if outcome is not None} <= set(contents)


async def test_a_link_opens_the_content_it_was_made_for(client: StorageClient, tenant: str) -> None:
    stored = await client.upload("shop/a b.png", picture(), tenant=tenant)
    made = await client.create_link("shop/a b.png", tenant=tenant, seconds=60, download_name="mug é.png")
    found = await client.resolve_link(made.token)
    assert (found.tenant, found.object.path, found.object.etag) == (tenant, "shop/a b.png", stored.etag)
    assert (found.download_name, found.expires_at) == ("mug é.png", made.expires_at)
    await client.upload("shop/a b.png", picture(41), tenant=tenant)
    with pytest.raises(NotFound) as replaced:
        await client.resolve_link(made.token)
    assert replaced.value.reason == "NOT_FOUND"
    with pytest.raises(NotFound):
        await client.create_link("shop/a b.png", tenant="somebody-else")
    for seconds in (-1, 7 * 24 * 3600 + 1):
        with pytest.raises(InvalidRequest) as refused:
            await client.create_link("shop/a b.png", tenant=tenant, seconds=seconds)
        assert refused.value.reason == "LINK_LIFETIME_INVALID"
    with pytest.raises(InvalidRequest) as named:
        await client.create_link("shop/a b.png", tenant=tenant, download_name='a"b')
    assert named.value.reason == "LINK_NAME_INVALID"


async def test_many_writers_of_one_path_leave_one_whole_object(client: StorageClient, tenant: str) -> None:
    contents = [bytes([number]) * (100_000 + number) for number in range(8)]
    await asyncio.gather(*(client.upload("x", content, tenant=tenant) for content in contents))
    content = await client.read("x", tenant=tenant, limit=MEGABYTE)
    assert content in contents
    assert (await client.head("x", tenant=tenant)).sha256 == hashlib.sha256(content).hexdigest()


async def test_another_content_than_announced_is_refused(client: StorageClient, tenant: str) -> None:
    right = hashlib.sha256(b"content").hexdigest().upper()
    await client.upload("right", b"content", tenant=tenant, sha256=right)
    with pytest.raises(InvalidRequest) as caught:
        await client.upload("wrong", b"other", tenant=tenant, sha256=right)
    assert caught.value.reason == "CHECKSUM_MISMATCH"
    assert await paths_of(client, tenant) == ["right"]


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, 0, slice(None)),
        (10, 0, slice(10, None)),
        (0, 10, slice(0, 10)),
        (299_990, 20, slice(299_990, 300_010)),
        (599_999, 0, slice(599_999, None)),
        (599_999, 50, slice(599_999, None)),
    ],
)
async def test_a_part_can_be_asked_for(
    client: StorageClient, tenant: str, offset: int, length: int, expected: slice
) -> None:
    content = os.urandom(600_000)
    await client.upload("x", content, tenant=tenant)
    info, chunks = await client.download("x", tenant=tenant, offset=offset, length=length)
    assert info.size == len(content)
    parts = [chunk async for chunk in chunks]
    assert b"".join(parts) == content[expected]
    assert max(map(len, parts)) <= 256 * 1024


@pytest.mark.parametrize(("offset", "length"), [(10, 0), (11, 1), (10, 5), (-1, 0), (0, -1), (2**62, 2**62)])
async def test_a_part_that_does_not_exist_is_out_of_range(
    client: StorageClient, tenant: str, offset: int, length: int
) -> None:
    await client.upload("x", b"0123456789", tenant=tenant)
    with pytest.raises(InvalidRequest) as caught:
        await client.download("x", tenant=tenant, offset=offset, length=length)
    assert caught.value.reason == "OUT_OF_RANGE"


async def test_what_the_caller_has_already_is_described_and_not_sent(client: StorageClient, tenant: str) -> None:
    stored = await client.upload("x", b"content", tenant=tenant)
    info, chunks = await client.download("x", tenant=tenant, if_none_match=stored.etag)
    assert info.etag == stored.etag
    assert [chunk async for chunk in chunks] == []
    _, chunks = await client.download("x", tenant=tenant, if_none_match='"another"')
    assert b"".join([chunk async for chunk in chunks]) == b"content"


async def test_pages_come_in_key_order_and_end(client: StorageClient, tenant: str, server: Server) -> None:
    paths = ["a", "a-b", "a.c", "a0", "b/1", "b/2", "b/d/1", "b-1", "b0", "é", "z/日本/x", "Z", "generations/1"]
    paths.append("gen/2")
    for path in paths:
        await client.upload(path, path.encode(), tenant=tenant)
    expected = sorted(paths, key=str.encode)
    if server.environment["STORAGE_URL"].startswith("s3:"):
        # Amazon's and most others sort keys by their bytes; SeaweedFS folder by folder.
        expected.sort(key=lambda path: path.split("/"))
    assert await paths_of(client, tenant) == expected
    for prefix in ("b/", "b", "b-", "a", "ge"):
        assert await paths_of(client, tenant, prefix) == [path for path in expected if path.startswith(prefix)]
    assert await paths_of(client, tenant, "gen") == ["gen/2", "generations/1"]
    assert await paths_of(client, tenant, "z/日") == ["z/日本/x"]
    assert await paths_of(client, tenant, "nothing/") == []
    paged: list[str] = []
    for _ in range(10):
        objects, truncated = await client.list(tenant=tenant, limit=3, start_after=paged[-1] if paged else "")
        paged += [found.path for found in objects]
        if not truncated:
            break
    assert paged == expected
    objects, truncated = await client.list(tenant=tenant, prefix="b/", start_after="b/1", limit=1)
    assert ([found.path for found in objects], truncated) == (["b/2"], True)
    assert objects[0].sha256 == hashlib.sha256(b"b/2").hexdigest()


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_a_page_has_1_to_1000_objects(client: StorageClient, tenant: str, limit: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await client.list(tenant=tenant, limit=limit)
    assert caught.value.reason == "LIMIT_INVALID"


async def test_a_deleted_object_is_gone(client: StorageClient, tenant: str) -> None:
    await client.upload("a/b/c", b"1", tenant=tenant)
    await client.delete("a/b/c", tenant=tenant)
    for action in (client.head, client.delete):
        with pytest.raises(NotFound):
            await action("a/b/c", tenant=tenant)
    with pytest.raises(NotFound):
        await client.download("a/b/c", tenant=tenant)
    assert await paths_of(client, tenant) == []
    await client.upload("a", b"now a file where a folder was", tenant=tenant)


async def test_everything_below_a_folder_is_deleted_and_nothing_beside_it(client: StorageClient, tenant: str) -> None:
    inside = [f"task/{number:03}" for number in range(40)] + ["task/deep/er/x"]
    outside = ["task", "task2/x", "tas/k"]
    for path in inside + [path for path in outside if path != "task"]:
        await client.upload(path, b"1", tenant=tenant)
    assert sorted(await client.delete_prefix("task/", tenant=tenant)) == sorted(inside)
    assert await paths_of(client, tenant) == ["tas/k", "task2/x"]
    assert list(await client.delete_prefix("task/", tenant=tenant)) == []
    for prefix in ("", "task", "../", "/"):
        with pytest.raises(InvalidRequest) as caught:
            await client.delete_prefix(prefix, tenant=tenant)
        assert caught.value.reason == "PATH_INVALID"


async def test_another_tenants_objects_are_unknown(client: StorageClient, tenant: str) -> None:
    await client.upload("x/secret", b"1", tenant=tenant)
    for path in ("x/secret", f"{tenant}/x/secret"):
        with pytest.raises(NotFound):
            await client.head(path, tenant="other")
        with pytest.raises(NotFound):
            await client.delete(path, tenant="other")
    assert await client.delete_prefix("x/", tenant="other") == []
    assert await paths_of(client, tenant) == ["x/secret"]
    assert await paths_of(client, tenant[:-1]) == []


@pytest.mark.parametrize("name", ["", "..", "a/b", ".facts", ".spool", "a b", "a.b", "x" * 65, "é"])
async def test_what_is_no_tenant_is_refused(channel: grpc.aio.Channel, name: str) -> None:
    metadata = [*Credentials(TOKEN).metadata(), ("atelier-tenant", name.encode() if not name.isascii() else name)]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rpc.StorageServiceStub(channel).HeadObject(
            pb.HeadObjectRequest(path="x"),
            timeout=5,
            metadata=[(key, value) for key, value in metadata if isinstance(value, str)],
        )
    assert from_rpc_error(caught.value).reason in ("TENANT_MISSING", "TENANT_INVALID")


@pytest.mark.parametrize("path", ["", "/", "/x", "a//b", "../x", "a/../../x", "a\\b", "a\0b", ".facts/x", "x" * 513])
async def test_a_path_that_is_none_is_refused_everywhere(client: StorageClient, tenant: str, path: str) -> None:
    actions = (
        client.upload(path, b"1", tenant=tenant),
        client.download(path, tenant=tenant),
        client.head(path, tenant=tenant),
        client.delete(path, tenant=tenant),
    )
    for action in actions:
        with pytest.raises(InvalidRequest) as caught:
            await action
        assert caught.value.reason == "PATH_INVALID"


async def test_unusual_names_are_kept(client: StorageClient, tenant: str) -> None:
    marked = ("a+b=c&d;e@f,g!~'(x)[y]{z}$.png", 'q"<>|*:^`.png')
    for path in (*marked, "a b/c d.png", "100% #1?.png", "ünï/日本.png", "%2e%2e/x"):
        stored = await client.upload(path, b"1", tenant=tenant)
        assert stored.path == path
        assert await client.read(path, tenant=tenant, limit=1) == b"1"
        assert await paths_of(client, tenant, path) == [path]
    assert (await client.upload("e\u0301", b"1", tenant=tenant)).path == "é"
    assert await client.read("e\u0301", tenant=tenant, limit=1) == b"1"


SPACES = {"narrow no-break": "\u202f", "no-break": "\u00a0", "ideographic": "\u3000", "plain": " ", "thin": "\u2009"}


@pytest.mark.field("35")
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
async def test_a_space_of_any_kind_belongs_to_a_name_and_to_a_prefix(
    client: StorageClient, tenant: str, space: str
) -> None:
    path = f"shots/Screenshot 2026-11-30 at 8.35.02{space}PM.png"
    stored = await client.upload(path, b"1", tenant=tenant)
    assert stored.path == path
    await client.upload(path.replace(space + "PM", "PM"), b"2", tenant=tenant)
    assert await client.read(path, tenant=tenant, limit=1) == b"1"
    assert await paths_of(client, tenant, f"shots/Screenshot 2026-11-30 at 8.35.02{space}") == [path]
    assert len(await paths_of(client, tenant, "shots/Screenshot ")) == 2
    for nothing in (f"{space}shots", f"shots/{space}", f"shots{space}/"[:6]):
        assert await paths_of(client, tenant, nothing) == []
    objects, _ = await client.list(tenant=tenant, start_after="shots/Screenshot ", limit=10)
    assert len(objects) == 2
    await client.delete(path, tenant=tenant)


async def test_the_cdn_address_names_the_object(client: StorageClient, tenant: str) -> None:
    stored = await client.upload("a b/ü.png", b"1", tenant=tenant)
    assert stored.cdn_url == f"https://cdn.example/store/{tenant}/a%20b/%C3%BC.png"


async def test_beyond_the_limit_an_upload_is_refused_while_it_is_sent(client: StorageClient, tenant: str) -> None:
    with pytest.raises(PayloadTooLarge) as caught:
        await client.upload("x", times(110, b"x" * MEGABYTE), tenant=tenant)
    assert caught.value.reason == "OBJECT_TOO_LARGE"
    assert await paths_of(client, tenant) == []


async def test_an_upload_that_breaks_off_leaves_nothing(client: StorageClient, tenant: str, server: Server) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield b"x" * MEGABYTE
        raise ValueError("the source broke")

    with pytest.raises(ValueError, match="the source broke"):
        await client.upload("x", breaking(), tenant=tenant)
    assert await paths_of(client, tenant) == []


async def test_a_transfer_to_s3_that_is_cancelled_between_its_parts_shows_nothing(
    s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tenant: str
) -> None:
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    objects = open_s3(s3_environment["STORAGE_URL"], allow_http=True, spool=tmp_path / "spool")
    content, key = tmp_path / "content", ObjectKey(tenant, "x")
    content.write_bytes(os.urandom(90 * MEGABYTE))
    facts = ObjectMetadata(90 * MEGABYTE, "ab" * 32, "x/y")
    for seconds in (0.02, 0.3):
        putting = asyncio.create_task(objects.put(key, content, facts, WriteConditions(result=True)))
        await asyncio.wait([putting], timeout=seconds)
        assert putting.cancel()
        await asyncio.gather(putting, return_exceptions=True)
        with pytest.raises(NotFound):
            await objects.head(key)


async def test_the_order_of_an_uploads_messages_is_checked(channel: grpc.aio.Channel, tenant: str) -> None:
    header = pb.UploadObjectRequest(header=pb.UploadHeader(path="x"))
    chunk = pb.UploadObjectRequest(chunk=b"1")
    wrong: tuple[list[pb.UploadObjectRequest], ...] = (
        [],
        [chunk],
        [pb.UploadObjectRequest()],
        [header, header],
        [header, chunk, header],
        [header, chunk],
    )
    for messages in wrong:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rpc.StorageServiceStub(channel).UploadObject(
                iter(messages), timeout=5, metadata=Credentials(TOKEN).metadata(tenant)
            )
        assert from_rpc_error(caught.value).reason in ("HEADER_MISSING", "CHUNK_EXPECTED", "UPLOAD_INCOMPLETE")


async def test_an_announced_sha256_stands_for_the_end_of_an_upload(channel: grpc.aio.Channel, tenant: str) -> None:
    header = pb.UploadHeader(path="x", sha256=hashlib.sha256(b"1").hexdigest())
    messages = [pb.UploadObjectRequest(header=header), pb.UploadObjectRequest(chunk=b"1")]
    answer = await rpc.StorageServiceStub(channel).UploadObject(
        iter(messages), timeout=5, metadata=Credentials(TOKEN).metadata(tenant)
    )
    assert answer.object.size == 1


async def test_a_call_without_the_deployments_token_is_refused(channel: grpc.aio.Channel, tenant: str) -> None:
    stranger = StorageClient(channel, Credentials("another token"))
    with pytest.raises((Unauthenticated, Unavailable)):
        await stranger.head("x", tenant=tenant)


async def test_a_small_limit_of_the_reader_is_kept(client: StorageClient, tenant: str) -> None:
    await client.upload("x", b"x" * 101, tenant=tenant)
    with pytest.raises(PayloadTooLarge):
        await client.read("x", tenant=tenant, limit=100)


async def test_an_upload_whose_source_stalls_misses_its_deadline(
    channel: grpc.aio.Channel, client: StorageClient, tenant: str
) -> None:
    async def stalling() -> AsyncIterator[bytes]:
        yield b"1"
        await asyncio.Event().wait()

    hurried = StorageClient(channel, Credentials(TOKEN), transfer_timeout=0.3)
    with pytest.raises(DeadlineExceeded):
        await hurried.upload("x", stalling(), tenant=tenant)
    assert await paths_of(client, tenant) == []


async def test_a_large_object_streams_through_little_memory(client: StorageClient, tenant: str, server: Server) -> None:
    # What the first transfer sets up once, threads and connections, is no part of the object.
    await transfer(client, tenant, 50, server.pid)
    assert (grown := await transfer(client, tenant, 95, server.pid)) < 20 * MEGABYTE, f"{grown / MEGABYTE:.1f} MB"


async def test_a_server_without_processor_takes_in_no_more_than_it_can_store(
    client: StorageClient, tenant: str, server: Server
) -> None:
    await transfer(client, tenant, 50, server.pid)
    async with starved(server.pid):
        grown = await transfer(client, tenant, 60, server.pid)
    assert grown < 20 * MEGABYTE, f"{grown / MEGABYTE:.1f} MB"


@asynccontextmanager
async def starved(pid: int) -> AsyncIterator[None]:
    """The process has the processor for a fifth of the time."""

    async def starve() -> None:
        while True:
            os.kill(pid, signal.SIGSTOP)
            await time_passes(0.08, because="a process that gets a fifth of the time")
            os.kill(pid, signal.SIGCONT)
            await time_passes(0.02, because="a process that gets a fifth of the time")

    starving = asyncio.create_task(starve())
    try:
        yield
    finally:
        starving.cancel()
        os.kill(pid, signal.SIGCONT)


async def transfer(client: StorageClient, tenant: str, megabytes: int, pid: int) -> int:
    """There and back; answers by how many bytes the server grew meanwhile."""
    process, sizes = psutil.Process(pid), []

    async def watched() -> AsyncIterator[bytes]:
        for number in range(megabytes):
            sizes.append(process.memory_info().rss)
            yield bytes([number]) * MEGABYTE

    stored = await client.upload("large", watched(), tenant=tenant)
    assert stored.size == megabytes * MEGABYTE
    digest = hashlib.sha256()
    _, chunks = await client.download("large", tenant=tenant)
    async for chunk in chunks:
        digest.update(chunk)
        sizes.append(process.memory_info().rss)
    assert digest.hexdigest() == stored.sha256
    return max(sizes) - sizes[0]


async def test_a_full_disk_is_said_and_nothing_is_half_done(client: StorageClient, tenant: str, server: Server) -> None:
    await client.upload("x", b"old", tenant=tenant)
    process = psutil.Process(server.pid)
    before = process.rlimit(psutil.RLIMIT_FSIZE)
    process.rlimit(psutil.RLIMIT_FSIZE, (MEGABYTE, before[1]))
    try:
        with pytest.raises(Unavailable) as caught:
            await client.upload("x", times(8, b"n" * MEGABYTE), tenant=tenant)
        assert caught.value.reason == "STORAGE_FULL"
        assert await client.read("x", tenant=tenant, limit=100) == b"old"
        await client.upload("y", b"small things still fit", tenant=tenant)
    finally:
        process.rlimit(psutil.RLIMIT_FSIZE, before)
    folder = Path(url2pathname(urlsplit(server.environment["STORAGE_URL"]).path)) / ".spool"
    assert not folder.exists() or list(folder.iterdir()) == []


async def test_a_server_killed_amid_an_upload_leaves_the_old_object_whole(tmp_path: Path, tenant: str) -> None:
    folder = tmp_path / "objects"
    with storage_server(StackFolder(tmp_path), {"STORAGE_URL": folder.as_uri()}) as server:
        async with connect(server.target) as channel:
            client = StorageClient(channel, Credentials(TOKEN))
            await client.upload("x", b"old", tenant=tenant)

            async def murderous() -> AsyncIterator[bytes]:
                yield b"n" * MEGABYTE
                # Another process's file announces itself to nobody.
                await until(lambda: any((folder / ".spool").iterdir()))
                os.kill(server.pid, signal.SIGKILL)
                yield b"n" * MEGABYTE

            with pytest.raises(ComputeError):
                await client.upload("x", murderous(), tenant=tenant)
    left = LocalObjectStore(folder)
    page = await left.list(tenant, prefix="", start_after="", limit=10)
    assert [found.facts.sha256 for found in page.objects] == [hashlib.sha256(b"old").hexdigest()]
    assert list((folder / ".spool").iterdir()) != []
    left.sweep_older_than(0)
    assert list((folder / ".spool").iterdir()) == []


async def test_what_somebody_else_put_into_s3_has_a_hash_and_an_etag_of_its_content(
    s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tenant: str
) -> None:
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    url = s3_environment["STORAGE_URL"]
    objects, theirs = open_s3(url, allow_http=True, spool=tmp_path / "spool"), ObjectKey(tenant, "theirs.png")
    bucket = S3Store.from_url(url, client_options={"allow_http": True})
    for content in (picture(), picture(50)):
        await obstore.put_async(bucket, theirs.full, content)
        for stored in (
            await objects.head(theirs),
            *(await objects.list(tenant, prefix="", start_after="", limit=9)).objects,
        ):
            assert stored.facts.sha256 == hashlib.sha256(content).hexdigest()
            assert (stored.facts.size, stored.facts.content_type) == (len(content), "image/png")
    copy = await objects.copy(theirs, ObjectKey(tenant, "ours.png"), WriteConditions())
    assert copy.facts.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("url", ["ftp://example.com/x", "nonsense", "file:///proc/nowhere"])
def test_a_store_that_cannot_be_opened_is_said_in_one_line(url: str) -> None:
    environment = os.environ | {"STORAGE_URL": url, "INTERNAL_TOKEN": TOKEN}
    command = (sys.executable, "-m", "services.host", "storage")
    ended = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.startswith("storage: ")
    assert "Traceback" not in ended.stderr
