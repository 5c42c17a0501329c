"""The local folder around a crash: every system call of a write is, once, the last one."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.common.errors import IllegalTransition, InvalidRequest, NotFound, Unavailable
from services.storage.domain import ByteRange, ObjectKey, ObjectMetadata, Precondition, StoredObject, WriteConditions
from services.storage.local_folder import LocalObjectStore

ROOT = Path(__file__).resolve().parents[2]
KEY = ObjectKey("acme", "a/b/c.bin")
OLD, NEW = b"the old one", b"the new one, which is longer"

# For N = 1, 2, … a fork of its own dies before the Nth call that changes the disk; ends when one has fewer.
CRASHING = """
import asyncio, os, signal, sys, tempfile
from pathlib import Path
from services.storage import local_folder, spool
from services.storage.domain import ObjectKey, WriteConditions
base, before, if_absent = Path(sys.argv[1]), sys.argv[2].encode(), sys.argv[3] == "if_absent"
left = 0
def dying(call):
    def step(*given, **named):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*given, **named)
    return step
for name in ("fsync", "replace", "link", "unlink", "mkdir"):
    setattr(os, name, dying(getattr(os, name)))
tempfile.mkstemp = dying(tempfile.mkstemp)
Path.write_text = dying(Path.write_text)
spool.SpooledUpload._take = dying(spool.SpooledUpload._take)
async def write(root, *parts, if_absent):
    folder = local_folder.LocalObjectStore(root)
    async with folder.gather() as gathering:
        for part in parts:
            await gathering.write(part)
        await folder.put(ObjectKey("acme", "a/b/c.bin"), gathering.path, gathering.facts(), WriteConditions(if_absent))
def fork(*given, step=0, **options):
    pid = os.fork()
    if pid == 0:
        globals().update(left=step)
        asyncio.run(write(*given, **options))
        os._exit(0)
    return os.waitpid(pid, 0)[1]
for step in range(1, 100):
    root = base / str(step)
    if before:
        assert fork(root, before, if_absent=False) == 0
    status = fork(root, b"the new one, ", b"which is longer", step=step, if_absent=if_absent)
    if status == 0:
        break
    assert os.WTERMSIG(status) == signal.SIGKILL
"""


PLAIN, OURS = WriteConditions(), WriteConditions(result=True)


async def put(folder: LocalObjectStore, key: ObjectKey, content: bytes, terms: WriteConditions = PLAIN) -> StoredObject:
    async with folder.gather() as gathering:
        await gathering.write(content)
        return await folder.put(key, gathering.path, gathering.facts(), terms)


async def read(folder: LocalObjectStore, key: ObjectKey) -> tuple[ObjectMetadata, bytes]:
    async with folder.open(key) as opened:
        size = opened.stored.facts.size
        return opened.stored.facts, b"".join([chunk async for chunk in opened.chunks(ByteRange(0, size))])


@pytest.mark.parametrize(("mode", "before"), [("replace", OLD), ("replace", b""), ("if_absent", b"")])
async def test_a_crash_at_any_step_leaves_the_old_object_or_the_new_one_whole(
    tmp_path: Path, mode: str, before: bytes
) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = (sys.executable, "-c", CRASHING, str(tmp_path), before.decode(), mode)
    await asyncio.to_thread(subprocess.run, command, env=environment, check=True, timeout=60)
    found = [await what_is_there(LocalObjectStore(tmp_path / step)) for step in os.listdir(tmp_path)]
    assert len(found) > 8
    assert set(found) == {before or None, NEW}


async def what_is_there(folder: LocalObjectStore) -> bytes | None:
    """What a process started after the crash finds, in every way in which one can look."""
    folder.sweep_older_than(0)
    page = await folder.list("acme", prefix="", start_after="", limit=10)
    content = None
    if page.objects:
        facts, content = await read(folder, KEY)
        assert facts == (await folder.head(KEY)).facts
        assert (facts.size, facts.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert [found.facts for found in page.objects] == [facts]
        await folder.delete(KEY, PLAIN)
    with pytest.raises(NotFound):
        await folder.head(KEY)
    await put(folder, KEY, b"and on it goes", WriteConditions(if_absent=True))
    assert (await read(folder, KEY))[1] == b"and on it goes"
    return content


async def test_facts_that_are_lost_or_speak_of_another_file_are_read_off_the_content(tmp_path: Path) -> None:
    folder, beside = LocalObjectStore(tmp_path), tmp_path / ".facts" / KEY.full
    stored = await put(folder, KEY, NEW)
    for damage in ("", "{", "[]", "{}", '{"stamp": [1, 2, 3]}', beside.read_text().replace("[", "[1")):
        beside.write_text(damage)
        assert (await folder.head(KEY)).facts == stored.facts
    beside.unlink()
    assert (await folder.head(KEY)).facts == stored.facts
    assert beside.exists()


async def test_a_file_changed_behind_the_services_back_is_described_as_it_is(tmp_path: Path) -> None:
    folder = LocalObjectStore(tmp_path)
    await put(folder, KEY, OLD)
    (tmp_path / KEY.full).write_bytes(NEW)
    assert (await folder.head(KEY)).facts.sha256 == hashlib.sha256(NEW).hexdigest()


async def test_who_reads_while_it_is_replaced_or_deleted_reads_to_the_end_what_was_begun(tmp_path: Path) -> None:
    folder, content = LocalObjectStore(tmp_path), os.urandom(1 << 20)
    await put(folder, KEY, content)
    async with folder.open(KEY) as opened:
        await put(folder, KEY, NEW)
        await folder.delete(KEY, PLAIN)
        assert b"".join([chunk async for chunk in opened.chunks(ByteRange(0, len(content)))]) == content


async def test_empty_folders_go_with_their_last_object(tmp_path: Path) -> None:
    folder = LocalObjectStore(tmp_path)
    await put(folder, KEY, OLD)
    await put(folder, ObjectKey("acme", "a/d"), OLD)
    await folder.delete(KEY, PLAIN)
    assert not (tmp_path / "acme/a/b").exists()
    await folder.delete(ObjectKey("acme", "a/d"), PLAIN)
    assert sorted(os.listdir(tmp_path)) == [".facts", ".locks", ".spool"]
    assert os.listdir(tmp_path / ".facts") == []


async def test_a_writer_survives_the_deletes_around_it(tmp_path: Path) -> None:
    folder, neighbour = LocalObjectStore(tmp_path), ObjectKey("acme", "a/b/neighbour")

    async def churn() -> None:
        for _ in range(25):
            await put(folder, neighbour, b"1")
            await folder.delete(neighbour, PLAIN)

    async def write() -> None:
        for _ in range(25):
            await put(folder, KEY, b"2")
            await folder.delete(KEY, PLAIN)

    await asyncio.gather(churn(), write())


async def test_a_path_through_an_object_or_onto_a_folder_is_a_conflict(tmp_path: Path) -> None:
    folder = LocalObjectStore(tmp_path)
    await put(folder, KEY, OLD)
    for path in ("a/b", "a", "a/b/c.bin/d", "a/b/c.bin/d/e"):
        with pytest.raises(InvalidRequest) as caught:
            await put(folder, ObjectKey("acme", path), NEW)
        assert caught.value.reason == "PATH_CONFLICT"
    with pytest.raises((InvalidRequest, IllegalTransition)):
        await put(folder, ObjectKey("acme", "a/b"), NEW, WriteConditions(if_absent=True))
    for path in ("a/b", "a/b/c.bin/d"):
        with pytest.raises(NotFound):
            await folder.head(ObjectKey("acme", path))
    assert (await read(folder, KEY))[1] == OLD


async def test_only_old_leftovers_are_swept(tmp_path: Path) -> None:
    folder = LocalObjectStore(tmp_path)
    old, fresh = tmp_path / ".spool" / "old", tmp_path / ".spool" / "fresh"
    old.touch()
    fresh.touch()
    yesterday = (datetime.now(UTC) - timedelta(days=1)).timestamp()
    os.utime(old, (yesterday, yesterday))
    await folder.sweep()
    assert (old.exists(), fresh.exists()) == (False, True)


async def test_the_check_fails_where_nothing_can_be_written(tmp_path: Path) -> None:
    folder = LocalObjectStore(tmp_path)
    await folder.check()
    assert os.listdir(tmp_path / ".spool") == []
    (tmp_path / ".spool").rmdir()
    with pytest.raises((Unavailable, NotFound)):
        await folder.check()


async def test_a_result_is_told_by_its_file_alone(tmp_path: Path) -> None:
    folder = LocalObjectStore(tmp_path)
    await put(folder, KEY, OLD, OURS)
    (tmp_path / ".facts" / KEY.full).unlink()
    for terms in (PLAIN, WriteConditions(precondition=Precondition(if_match=("*",)))):
        with pytest.raises(IllegalTransition) as caught:
            await put(folder, KEY, NEW, terms)
        assert caught.value.reason == "RESULT_IMMUTABLE"
        with pytest.raises(IllegalTransition):
            await folder.delete(KEY, terms)
    assert (await folder.head(KEY)).result
    assert (await read(folder, KEY))[1] == OLD
    await put(folder, KEY, NEW, OURS)
    await folder.delete(KEY, OURS)
    await put(folder, KEY, OLD)
    assert not (await folder.head(KEY)).result


RACING = """
import asyncio, sys
from pathlib import Path
from services.common.errors import PreconditionFailed
from services.storage.domain import ObjectKey, Precondition, ByteRange, WriteConditions
from services.storage.local_folder import LocalObjectStore
async def main(root):
    folder, key, won = LocalObjectStore(root), ObjectKey("acme", "counter"), 0
    while won < 50:
        async with folder.open(key) as opened:
            size = opened.stored.facts.size
            count = int(b"".join([chunk async for chunk in opened.chunks(ByteRange(0, size))]))
            etag = opened.stored.facts.etag
        async with folder.gather() as gathering:
            await gathering.write(b"%d" % (count + 1))
            terms = WriteConditions(precondition=Precondition(if_match=(etag,)))
            try:
                await folder.put(key, gathering.path, gathering.facts(), terms)
                won += 1
            except PreconditionFailed:
                pass
asyncio.run(main(Path(sys.argv[1])))
"""


async def test_processes_that_write_under_if_match_lose_no_step_of_each_other(tmp_path: Path) -> None:
    folder, key = LocalObjectStore(tmp_path), ObjectKey("acme", "counter")
    await put(folder, key, b"0")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    writers = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", RACING, str(tmp_path), env=environment)
        for _ in range(3)
    ]
    assert [await writer.wait() for writer in writers] == [0, 0, 0]
    assert (await read(folder, key))[1] == b"150"
