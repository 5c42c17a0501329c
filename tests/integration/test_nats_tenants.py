"""On NATS a tenant hears its own events, and neither hears nor says anything else, whatever it tries."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from compute.access.v1 import access_pb2 as pb
from compute.inference.v1 import inference_pb2
from nats.aio.msg import Msg
from nats.js.errors import NotFoundError

from services.access.claims import Key, Kind
from services.access.nats_setup import OPERATOR, SERVER, SERVICES, read_operator, write_setup
from services.common.errors import ComputeError, InvalidRequest, Unavailable
from services.durable.store import open_database
from services.messaging.bus import open_bus
from services.messaging.subjects.tasks import CANCEL_SUBJECT, orphans_subject
from services.messaging.tenant_events import durable_of
from tests.fakes.worker_service import FakeWorkerService
from tests.integration.tenants_host import Reader, Tenants, lets_back, lets_in, tenants
from tests.integration.worker_bench import benching, diagnostic
from tests.nats_server import access_folder, connected
from tests.reliability.servers import own_nats
from tests.waiting import nothing_happens_for, time_passes

_EVERYWHERE = (
    ">",
    "*",
    "evt.v1.>",
    "evt.v1.{other}.>",
    "evt.v1.*.task.*.created",
    "inference.v1.>",
    "inference.v1.{other}.*",
    "progress.v1.>",
    "work.v1.>",
    "webhooks.v1.*",
    "webhooks.v1.{own}",
    "changes.v1",
    "control.v1.cancel",
    "heartbeats.v1",
    "orphans.v1.*",
    "limits.v1.>",
    "$JS.>",
    "$JS.API.>",
    "$JS.EVENT.>",
    "$JS.ACK.>",
    "$SYS.>",
    "$KV.>",
    "$O.>",
)
_CALLS = (
    "STREAM.CREATE.{copy}",
    "STREAM.UPDATE.EVENTS",
    "STREAM.DELETE.EVENTS",
    "STREAM.PURGE.EVENTS",
    "STREAM.INFO.EVENTS",
    "STREAM.NAMES",
    "STREAM.LIST",
    "STREAM.MSG.GET.EVENTS",
    "STREAM.MSG.DELETE.EVENTS",
    "STREAM.SNAPSHOT.EVENTS",
    "STREAM.RESTORE.{copy}",
    "DIRECT.GET.EVENTS",
    "DIRECT.GET.EVENTS.evt.v1.{other}.task.secret.created",
    "CONSUMER.CREATE.EVENTS",
    "CONSUMER.CREATE.EVENTS.mine",
    "CONSUMER.CREATE.EVENTS.mine.evt.v1.{other}.>",
    "CONSUMER.DURABLE.CREATE.EVENTS.mine",
    "CONSUMER.DURABLE.CREATE.EVENTS.tenant-{own}",
    "CONSUMER.DELETE.EVENTS.tenant-{other}",
    "CONSUMER.DELETE.EVENTS.tenant-{own}",
    "CONSUMER.PAUSE.EVENTS.tenant-{other}",
    "CONSUMER.NAMES.EVENTS",
    "CONSUMER.LIST.EVENTS",
    "CONSUMER.INFO.EVENTS.tenant-{other}",
    "CONSUMER.MSG.NEXT.EVENTS.tenant-{other}",
    "CONSUMER.MSG.NEXT.WORK.workers-inference",
    "CONSUMER.MSG.NEXT.WEBHOOKS.webhooks",
    "ACCOUNT.PURGE.EVENTS",
    "META.LEADER.STEPDOWN",
    "INFO",
)
_SAYINGS = (
    "evt.v1.{other}.task.forged.created",
    "evt.v1.{own}.task.forged.created",
    "inference.v1.{other}.forged",
    "progress.v1.forged",
    "work.v1.inference",
    "webhooks.v1.{other}",
    "step.v1.workflow.{other}",
    "changes.v1",
    "control.v1.cancel",
    "heartbeats.v1",
    "orphans.v1.inference",
    "limits.v1.fal",
    "$KV.settings.key",
    "$JS.ACK.EVENTS.tenant-{other}.1.1.1.1.0",
    "$JS.ACK.WORK.workers-inference.1.1.1.1.0",
    "$SYS.REQ.CLAIMS.UPDATE",
    "$SYS.REQ.SERVER.PING",
    "_INBOX.anybody",
)


@pytest.fixture
async def world(mongodb_url: str, nats_url: str) -> AsyncIterator[Tenants]:
    async with tenants(mongodb_url, nats_url) as made:
        yield made


@pytest.fixture
async def own(world: Tenants) -> Reader:
    return await world.reader(f"a{uuid4().hex[:10]}")


@pytest.fixture
async def other(world: Tenants) -> Reader:
    return await world.reader(f"b{uuid4().hex[:10]}")


@pytest.mark.field("nats-anybody")
async def test_nobody_enters_without_credentials_of_this_deployments(world: Tenants, tmp_path: Path) -> None:
    stranger = write_setup(tmp_path)
    for options in ({}, {"user": "services", "password": "x"}, {"token": "x"}):
        assert not await lets_in(world.nats_url, **options)
    for text in (stranger.services_credentials(), stranger.system_credentials(), stranger.reader("acme", "x")[1]):
        assert not await lets_back(world.nats_url, text)


@pytest.mark.field("nats-anybody")
async def test_a_tenant_hears_its_events_at_once_and_takes_them_from_its_durable(world: Tenants, own: Reader) -> None:
    await own.hear(f"evt.v1.{own.tenant}.>")
    await own.hear(f"inference.v1.{own.tenant}.*")
    await own.settled()
    await world.tell(own.tenant, "1", "2", "3")
    await world.services.publish(f"inference.v1.{own.tenant}.1", b"begun")
    pull = await own.durable()
    taken = await pull.fetch(3, timeout=5)
    assert [json.loads(message.data)["id"] for message in taken] == ["1", "2", "3"]
    assert taken[0].subject == f"evt.v1.{own.tenant}.task.1.created"
    await taken[0].ack()
    await taken[2].nak()
    [again] = await pull.fetch(1, timeout=5)
    assert again.data == taken[2].data and again.metadata.num_delivered == 2
    assert (await pull.consumer_info()).num_ack_pending == 2
    await nothing_happens_for(0.1, because="a message arrives within milliseconds")
    assert len(own.heard) == 4 and not own.refused


async def test_what_was_kept_before_the_first_key_is_there_to_be_read(world: Tenants) -> None:
    tenant = f"c{uuid4().hex[:10]}"
    await world.tell(tenant, "early")
    reader = await world.reader(tenant)
    [early] = await (await reader.durable()).fetch(1, timeout=5)
    assert json.loads(early.data)["id"] == "early"


async def test_what_is_not_acknowledged_comes_again_and_an_operators_edit_stays(world: Tenants, own: Reader) -> None:
    manager, durable = world.services.jsm(), durable_of(own.tenant)
    config = (await manager.consumer_info("EVENTS", durable)).config
    await manager.add_consumer("EVENTS", replace(config, ack_wait=0.5))
    await world.reader(own.tenant)  # looks after the durable as each new key does
    await world.tell(own.tenant, "1")
    pull = await own.durable()
    for delivered in (1, 2):
        [message] = await pull.fetch(1, timeout=5)
        assert message.metadata.num_delivered == delivered
    await message.ack_sync()
    found = await manager.consumer_info("EVENTS", durable)
    assert (found.config.ack_wait, found.num_ack_pending) == (0.5, 0)


@pytest.mark.field("nats-anybody")
async def test_another_tenant_hears_nothing(world: Tenants, own: Reader, other: Reader) -> None:
    for subject in _EVERYWHERE:
        await own.hear(subject.format(own=own.tenant, other=other.tenant))
    await own.settled()
    assert len(own.refused) == len(_EVERYWHERE), own.refused
    await own.hear("_INBOX.>")  # its account's own, where nobody else's answers are
    await own.hear(f"evt.v1.{own.tenant}.>")
    await own.settled()
    await world.tell(other.tenant, "secret")
    for subject in (*_SAYINGS, f"evt.v1.{other.tenant}.task.secret.done", world.services.new_inbox()):
        if not subject.startswith("$SYS") and not subject.startswith("$JS"):
            await world.services.publish(subject.format(own="nobody", other=other.tenant), b"secret")
    await world.services.flush()
    [secret] = await (await other.durable()).fetch(1, timeout=5)
    await secret.ack()
    await own.settled()
    assert own.heard == []


@pytest.mark.parametrize("prefix", ["$JS.API", "$JS.atelier.API"])
async def test_another_tenant_reads_changes_and_makes_nothing(
    world: Tenants, own: Reader, other: Reader, prefix: str
) -> None:
    await world.tell(other.tenant, "secret")
    before = await world.books()
    names = {"own": own.tenant, "other": other.tenant, "copy": f"COPY_{own.tenant}"}
    source = {"name": "EVENTS", "filter_subject": f"evt.v1.{other.tenant}.>"}
    bodies = (
        b"",
        json.dumps({"name": names["copy"], "mirror": source}).encode(),
        json.dumps({"name": names["copy"], "sources": [source]}).encode(),
        json.dumps({"stream_name": "EVENTS", "config": {"filter_subject": f"evt.v1.{other.tenant}.>"}}).encode(),
        json.dumps({"last_by_subj": f"evt.v1.{other.tenant}.task.secret.created", "seq": 1}).encode(),
    )
    await own.hear("_INBOX.answers")
    for subject in _CALLS:
        for body in bodies:
            await own.say(f"{prefix}.{subject.format(**names)}", body, "_INBOX.answers")
    await own.settled()
    assert len(own.refused) == len(_CALLS) * len(bodies)
    assert own.heard == []
    assert await world.books() == before
    with pytest.raises(NotFoundError):
        await world.services.jsm().stream_info(names["copy"])


@pytest.mark.field("nats-anybody")
async def test_another_tenant_says_nothing(world: Tenants, own: Reader, other: Reader) -> None:
    await other.hear(f"evt.v1.{other.tenant}.>")
    await other.hear(f"inference.v1.{other.tenant}.*")
    await other.settled()
    await world.tell(other.tenant, "pending")
    [pending] = await (await other.durable()).fetch(1, timeout=5)
    before, other.heard[:] = await world.books(), []
    for subject in (*_SAYINGS, pending.reply):
        await own.say(subject.format(own=own.tenant, other=other.tenant), b"+ACK")
    await own.settled()
    assert len(own.refused) == len(_SAYINGS) + 1, own.refused
    await nothing_happens_for(0.1, because="a message arrives within milliseconds")
    assert other.heard == [] and await world.books() == before
    assert (await world.services.jsm().consumer_info("EVENTS", durable_of(other.tenant))).num_ack_pending == 1


@pytest.mark.field("nats-reply-subject")
async def test_no_answer_of_jetstreams_can_be_turned_on_anybody(world: Tenants, own: Reader, other: Reader) -> None:
    """It answers to whatever reply subject it is given, with an event or a report the tenant has a say in."""
    await world.tell(own.tenant, *(f"{number}" for number in range(40)))
    victim = world.services.new_inbox()
    heard: list[bytes] = []

    async def note(message: Msg) -> None:
        heard.append(message.data)

    for subject in (victim, CANCEL_SUBJECT, "heartbeats.v1"):
        await world.services.subscribe(subject, cb=note)
    await world.services.flush()
    await world.tell(other.tenant, "pending")
    [pending] = await (await other.durable()).fetch(1, timeout=5)
    await other.hear(f"evt.v1.{other.tenant}.>")
    await other.hear("_INBOX.>")
    await other.settled()
    before = await world.books()
    targets = (
        victim,
        CANCEL_SUBJECT,
        orphans_subject("inference"),
        f"webhooks.v1.{other.tenant}",
        f"evt.v1.{other.tenant}.task.forged.created",
        "_INBOX.anybody",
        "$JS.API.STREAM.DELETE.WEBHOOKS",
        "$JS.API.STREAM.PURGE.EVENTS",
        f"$JS.API.CONSUMER.DELETE.EVENTS.{durable_of(other.tenant)}",
        str(pending.reply),
    )
    place = f"EVENTS.{durable_of(own.tenant)}"
    pull = await own.durable()
    [first] = await pull.fetch(1, timeout=5)
    for target in targets:
        await own.say(f"$JS.atelier.API.CONSUMER.MSG.NEXT.{place}", b'{"batch":1,"no_wait":true}', target)
        await own.say(f"$JS.atelier.API.CONSUMER.MSG.NEXT.{place}", b"not a request", target)
        await own.say(f"$JS.atelier.API.CONSUMER.INFO.{place}", b"", target)
        await own.say(str(first.reply), b"+WPI", target)
        await own.say(str(first.reply), b"+NXT", target)
    await own.settled()
    await nothing_happens_for(0.3, because="a message arrives within milliseconds")
    assert all("with reply of" in refusal for refusal in own.refused)  # the server itself guards acknowledgements
    assert heard == [] and other.heard == []
    assert await world.books() == before
    assert (await world.services.jsm().consumer_info("EVENTS", durable_of(other.tenant))).num_ack_pending == 1


@pytest.mark.field("nats-anybody")
@pytest.mark.timeout(60)
async def test_a_worker_begins_and_stops_nothing_because_a_tenant_says_so(mongodb_url: str, nats_url: str) -> None:
    service = FakeWorkerService()
    async with tenants(mongodb_url, nats_url) as world, benching(nats_url, service) as bench, bench.worker():
        reader = await world.reader(f"d{uuid4().hex[:10]}")
        service.begin("handed", diagnostic(), worker=service.heartbeats[-1].worker_id)
        order = _order(service, "handed")
        for subject in (service.heartbeats[-1].inbox, CANCEL_SUBJECT):
            await reader.say(subject, order)
            await reader.say(f"$JS.atelier.API.CONSUMER.MSG.NEXT.EVENTS.{durable_of(reader.tenant)}", b"", subject)
        await reader.settled()
        assert len(reader.refused) == 2
        await nothing_happens_for(0.3, because="a message arrives within milliseconds")
        assert not service.finished and "ask" not in service.calls
        await bench.say(order)
        await service.until(lambda: "handed" in service.finished, timeout=10)


def _order(service: FakeWorkerService, task_id: str) -> bytes:
    item = inference_pb2.WorkItem(task_id=task_id, attempt=1)
    item.task.CopyFrom(service.tasks[task_id])
    return inference_pb2.WorkOrder(items=[item]).SerializeToString()


async def test_a_revoked_key_is_cut_and_stays_out(world: Tenants, own: Reader) -> None:
    colleague = await world.reader(own.tenant)
    await world.revoke(own)
    await asyncio.wait_for(own.cut.wait(), 5)
    await own.client.close()
    assert not await lets_back(world.nats_url, own.credentials)
    await world.tell(own.tenant, "after")
    [after] = await (await colleague.durable()).fetch(1, timeout=5)
    assert json.loads(after.data)["id"] == "after" and colleague.client.stats["reconnects"] == 0
    listed = await world.ask("ListKeys", pb.ListKeysRequest(tenant=own.tenant))
    assert {(key.id, key.HasField("revoked_at")) for key in listed.api_keys} == {
        (own.key_id, True),
        (colleague.key_id, False),
    }


@pytest.mark.timeout(120)
async def test_the_durable_and_what_was_revoked_outlive_the_server(mongodb_url: str, tmp_path: Path) -> None:
    server = own_nats(tmp_path / "nats")
    await server.start()
    try:
        async with tenants(mongodb_url, server.url) as world:
            kept, gone = await world.reader("kept"), await world.reader("gone")
            await world.tell("kept", "1", "2")
            pull = await kept.durable()
            [first] = await pull.fetch(1, timeout=5)
            await first.ack_sync()
            await gone.client.close()  # the library leaves a socket open each time it is refused
            await server.stop()
            with pytest.raises(Unavailable):
                await world.revoke(gone)
            await server.start()
            await asyncio.wait_for(kept.back.wait(), 20)
            [again] = await (await kept.durable()).fetch(1, timeout=10)
            assert json.loads(again.data)["id"] == "2"
            await _in_the_end(world, gone, let_in=False)
            await kept.client.close()
            # A disk that was lost takes accounts and consumers with it; both are told and made anew.
            await server.kill()
            server.wipe()
            await server.start()
            await _in_the_end(world, kept, let_in=True)
            await world.tell("kept", "3")
            later = await world.reader("kept")
            [third] = await (await later.durable()).fetch(1, timeout=10)
            assert json.loads(third.data)["id"] == "3"
            await _in_the_end(world, gone, let_in=False)
    finally:
        await server.kill()


async def _in_the_end(world: Tenants, reader: Reader, *, let_in: bool) -> None:
    """The server may be told a moment later."""
    for _ in range(100):
        if await lets_back(world.nats_url, reader.credentials) is let_in:
            return
        await time_passes(0.1, because="who asks again is in no hurry")
    raise AssertionError(f"a key that should {'' if let_in else 'not '}let its holder in")


@pytest.mark.parametrize("tenant", ["a.b", "*", ">", "a b", "", "ärger", "a\nb", "x" * 65, "-a", "$JS"])
async def test_a_tenant_that_is_no_single_token_of_a_subject_gets_no_credentials(world: Tenants, tenant: str) -> None:
    with pytest.raises(InvalidRequest, match="tenant"):
        await world.issue(tenant)


async def test_the_scope_of_events_stands_alone(world: Tenants) -> None:
    with pytest.raises(InvalidRequest, match="stands alone"):
        await world.ask("CreateKey", pb.CreateKeyRequest(tenant="acme", name="x", scopes=["events", "tasks"]))


async def test_without_an_operators_key_nobody_gets_credentials(mongodb_url: str, nats_url: str) -> None:
    async with tenants(mongodb_url, nats_url, nats_operator_key="") as world:
        with pytest.raises(InvalidRequest) as refusal:
            await world.issue("acme")
    assert refusal.value.reason == "EVENTS_NOT_OFFERED"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "NATS_OPERATOR_KEY_MISSING"),
        ("", "NATS_OPERATOR_KEY_INVALID"),
        ("SOnonsense", "NATS_OPERATOR_KEY_INVALID"),
        (Key.new(Kind.ACCOUNT).seed, "NATS_OPERATOR_KEY_INVALID"),
    ],
)
def test_a_file_without_an_operators_key_is_named_and_not_quoted(
    tmp_path: Path, content: str | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / "key").write_text(content)
    with pytest.raises(ComputeError) as refusal:
        read_operator(tmp_path / "key")
    assert refusal.value.reason == reason and str(tmp_path / "key") in refusal.value.message
    assert not content or content not in refusal.value.message


async def test_the_store_holds_no_secret_and_the_credentials_are_no_api_key(
    mongodb_url: str, world: Tenants, own: Reader
) -> None:
    seed = next(line for line in own.credentials.splitlines() if line.startswith("SU"))
    async with open_database(mongodb_url, world.database) as database:
        documents = await database["api_keys"].find({}).to_list(None)
    assert documents and seed not in repr(documents)
    for text in (own.credentials, seed, f"atl_{own.key_id}_{seed}", f"atl_{own.key_id}_{documents[0]['digest']}"):
        with pytest.raises(Exception, match="unknown or revoked"):
            await world.ask("VerifyKey", pb.VerifyKeyRequest(key=text))


async def test_secrets_are_for_their_owners_eyes(tmp_path: Path) -> None:
    write_setup(tmp_path / "made")
    first = (tmp_path / "made" / OPERATOR).read_text()
    write_setup(tmp_path / "made")
    assert (tmp_path / "made" / OPERATOR).read_text() == first
    for name in (OPERATOR, SERVICES):
        assert stat.S_IMODE((tmp_path / "made" / name).stat().st_mode) == 0o600
    assert first.strip() not in (tmp_path / "made" / SERVER).read_text()


async def test_a_service_with_wrong_credentials_says_so_at_once(nats_url: str, tmp_path: Path) -> None:
    write_setup(tmp_path)
    for file, reason in (
        (tmp_path / SERVICES, "BUS_REFUSES_CREDENTIALS"),
        (tmp_path / "missing.creds", "BUS_CREDENTIALS_UNREADABLE"),
    ):
        with pytest.raises(Unavailable) as refusal:
            async with asyncio.timeout(10), open_bus(nats_url, "test", credentials=str(file)):
                pass
        assert refusal.value.reason == reason


async def test_the_services_user_is_the_one_of_the_folder(nats_url: str) -> None:
    client = await connected(nats_url, str(access_folder() / SERVICES))
    await client.flush()
    await client.close()
