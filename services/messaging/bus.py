"""NATS: connecting, the streams, publishing with acknowledgement, pulling with one standing request."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import nats.errors
import structlog
from nats.aio.client import Client, RawCredentials
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from services.common.errors import Unavailable

log = structlog.get_logger()

EVENTS, WORK, HOOKS = "EVENTS", "WORK", "HOOKS"
CHANGES_SUBJECT, CANCEL_SUBJECT, BEATS_SUBJECT = "changes.v1", "control.v1.cancel", "beats.v1"
_FIRST_ANSWER_SECONDS = 60.0
_QUIET_SECONDS = 30.0
_EXPIRED = "408"
_REFUSAL = "authorization violation"
# The server remembers every stored event's subject, whose task nobody else has: their number bounds its memory.
EVENTS_KEPT = 100_000
# Three times what NATS or the relay may take to be back. It remembers every id for as long.
_WINDOW_SECONDS = 30
_STREAMS = (
    StreamConfig(
        name=EVENTS,
        subjects=["evt.v1.>"],
        storage=StorageType.FILE,
        max_age=7 * 24 * 3600,
        max_msgs=EVENTS_KEPT,
        max_bytes=2 << 30,
        duplicate_window=_WINDOW_SECONDS,
    ),
    # Work orders are hints that the dispatcher repeats: memory is enough.
    StreamConfig(
        name=WORK,
        subjects=["work.v1.>"],
        storage=StorageType.MEMORY,
        retention=RetentionPolicy.WORK_QUEUE,
        max_age=3600,
        duplicate_window=1,
    ),
    # Only the events that somebody asked to be called for, and only until a delivery is recorded.
    StreamConfig(
        name=HOOKS,
        subjects=["hook.v1.*"],
        storage=StorageType.FILE,
        retention=RetentionPolicy.WORK_QUEUE,
        max_age=7 * 24 * 3600,
        max_bytes=1 << 30,
        duplicate_window=_WINDOW_SECONDS,
    ),
)
# Raised when limits above change: streams made before then get the new ones, once, and whoever runs NATS may edit them.
_REVISION = {"atelier.revision": "2"}


def work_subject(queue: str) -> str:
    return f"work.v1.{queue}"


def hook_subject(tenant: str) -> str:
    return f"hook.v1.{tenant}"


def loose_subject(queue: str) -> str:
    """Where one worker of the queue is asked to end what a task left open at vendors."""
    return f"loose.v1.{queue}"


def limits_subject(account: str) -> str:
    """Where workers tell each other that an outside account must be left alone; `account` may be a wildcard."""
    return f"limits.v1.{account}"


def inference_subject(tenant: str, task_id: str) -> str:
    return f"inference.v1.{tenant}.{task_id}"


def progress_subject(task_id: str) -> str:
    return f"progress.v1.{task_id}"


@asynccontextmanager
async def open_bus(
    url: str, name: str, *, credentials: str | RawCredentials = "", echo: bool = True
) -> AsyncIterator[Client]:
    """A connection that reconnects for as long as the block runs. Without `echo` it does not hear what it says itself.

    `credentials` are a file of NATS's, or the text of one; without, the server must let anybody in.

    Raises Unavailable when nobody answers at first (BUS_UNREACHABLE), or not to us (BUS_REFUSES_CREDENTIALS).
    """
    if isinstance(credentials, str) and credentials and not os.access(credentials, os.R_OK):
        raise Unavailable("the file NATS_CREDENTIALS names cannot be read", reason="BUS_CREDENTIALS_UNREADABLE")
    client, errors = Client(), _ErrorLog()
    try:
        await errors.unless_refused(_connect(client, url, name, credentials, errors, echo=echo))
        yield client
    finally:
        await client.close()


async def _connect(
    client: Client, url: str, name: str, credentials: str | RawCredentials, errors: _ErrorLog, *, echo: bool
) -> None:
    try:
        async with asyncio.timeout(_FIRST_ANSWER_SECONDS):
            await client.connect(
                url,
                name=name,
                user_credentials=credentials or None,
                no_echo=not echo,
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.25,  # type: ignore[arg-type]  # it sleeps for as long
                connect_timeout=5,
                ping_interval=10,
                max_outstanding_pings=2,
                pending_size=16 << 20,
                error_cb=errors.note,
                disconnected_cb=_on_disconnect,
                reconnected_cb=_on_reconnect,
            )
    except (OSError, TimeoutError, nats.errors.Error) as error:
        raise Unavailable("NATS does not answer: is NATS_URL right?", reason="BUS_UNREACHABLE") from error


class _ErrorLog:
    """The client reports the same error at every attempt to reconnect: once in a while is enough."""

    def __init__(self) -> None:
        self._last = ""
        self._quiet_until = 0.0
        self._refused = asyncio.Event()

    async def note(self, error: Exception) -> None:
        now = time.monotonic()
        if repr(error) != self._last or now > self._quiet_until:
            log.warning("bus error", error=repr(error))
            self._last, self._quiet_until = repr(error), now + _QUIET_SECONDS
        if _REFUSAL in str(error).lower():
            self._refused.set()

    async def unless_refused(self, connecting: Coroutine[Any, Any, None]) -> None:
        """The client would try for ever. Raises Unavailable: BUS_REFUSES_CREDENTIALS."""
        attempt, refused = asyncio.create_task(connecting), asyncio.create_task(self._refused.wait())
        try:
            await asyncio.wait((attempt, refused), return_when=asyncio.FIRST_COMPLETED)
            if attempt.done():
                return attempt.result()
        finally:
            attempt.cancel()
            refused.cancel()
            await asyncio.wait((attempt, refused))
        raise Unavailable("NATS does not let us in: is NATS_CREDENTIALS right?", reason="BUS_REFUSES_CREDENTIALS")


async def _on_disconnect() -> None:
    log.warning("bus disconnected")


async def _on_reconnect() -> None:
    log.info("bus reconnected")


async def ping(client: Client) -> None:
    if not client.is_connected:
        raise Unavailable("the bus is not connected", reason="BUS_UNREACHABLE")
    await client.flush(timeout=3)


async def ensure_streams(client: Client) -> None:
    """Makes what is missing, for instance after NATS lost its store; harmless when repeated."""
    manager = client.jsm()
    for config in _STREAMS:
        wanted = replace(config, metadata=dict(_REVISION))
        try:
            found = (await manager.stream_info(str(config.name))).config
        except NotFoundError:
            await manager.add_stream(wanted)
            log.info("stream made", stream=config.name)
            continue
        if not _REVISION.items() <= (found.metadata or {}).items():
            await manager.update_stream(wanted)
            log.info("stream renewed", stream=config.name)


async def ensure_worker_queue(client: Client, queue: str) -> str:
    """Makes the durable consumer of a queue and answers its name."""
    durable = f"workers-{queue}"
    await client.jsm().add_consumer(
        WORK,
        ConsumerConfig(
            durable_name=durable,
            filter_subject=work_subject(queue),
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=10,
            max_deliver=-1,
            max_ack_pending=50_000,
            max_waiting=512,
        ),
    )
    return durable


async def ensure_hooks_consumer(client: Client, *, ack_seconds: float = 30.0) -> str:
    """Makes the durable consumer of every tenant's notices and answers its name."""
    durable = "webhooks"
    config = ConsumerConfig(
        durable_name=durable,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ack_seconds,
        max_deliver=-1,
        max_ack_pending=5_000,
    )
    await client.jsm().add_consumer(HOOKS, config)
    return durable


class Outgoing(NamedTuple):
    """`id` becomes `Nats-Msg-Id`: the stream keeps one message for each id within its window."""

    subject: str
    payload: bytes
    id: str


class Publisher:
    """Publishes groups to JetStream and waits until every message is acknowledged."""

    def __init__(self, client: Client, *, timeout: float = 5.0) -> None:
        self._client = client
        self._timeout = timeout
        self._inbox = client.new_inbox()
        self._group = 0
        self._waiting: set[str] = set()
        self._failed: dict[str, str] = {}
        self._done: asyncio.Future[None] | None = None
        self._lock = asyncio.Lock()
        self._subscribed = False

    @property
    def connection(self) -> int:
        """Another number after every reconnect: the server behind it may have crashed meanwhile."""
        return int(self._client.stats["reconnects"])

    async def lasted(self, connection: int) -> bool:
        """Whether the server behind that connection still lives: then what is older than its sync interval is safe."""
        try:
            await self._client.flush(timeout=2)
        except nats.errors.Error:
            return False
        return self.connection == connection

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """In order. Raises Unavailable when one is not acknowledged; publish them all again then."""
        if not messages:
            return  # nobody would ever acknowledge
        async with self._lock:
            if not self._subscribed:
                await self._client.subscribe(f"{self._inbox}.>", cb=self._on_ack)
                self._subscribed = True
            self._failed.clear()
            self._group += 1  # an answer that comes too late belongs to no group
            replies = [f"{self._inbox}.{self._group}.{number}" for number in range(len(messages))]
            self._waiting = set(replies)
            self._done = asyncio.get_running_loop().create_future()
            for reply, message in zip(replies, messages, strict=True):
                headers = {"Nats-Msg-Id": message.id}
                await self._client.publish(message.subject, message.payload, reply=reply, headers=headers)
            try:
                async with asyncio.timeout(self._timeout):  # wait_for may swallow a cancel that comes with the answer
                    await self._done
            except TimeoutError as error:
                raise Unavailable("JetStream did not acknowledge", reason="BUS_UNREACHABLE", retry_after=1.0) from error
            if self._failed:
                raise Unavailable(next(iter(self._failed.values())), reason="BUS_REFUSED", retry_after=1.0)

    async def _on_ack(self, message: Msg) -> None:
        number = message.subject
        if number not in self._waiting:
            return
        self._waiting.discard(number)
        if b'"error"' in message.data:
            self._failed[number] = json.loads(message.data)["error"].get("description", "refused")
        elif message.headers and message.headers.get("Status"):
            self._failed[number] = "no stream takes this subject"
        if not self._waiting and self._done is not None and not self._done.done():
            self._done.set_result(None)


class Pull:
    """One standing request to a durable consumer, renewed before it runs dry: work arrives the moment it is there.

    Never more than `room()` messages are asked for, so a full worker is offered nothing.
    """

    def __init__(
        self,
        client: Client,
        durable: str,
        on_message: Callable[[Msg], Awaitable[None]],
        room: Callable[[], int],
        *,
        stream: str = WORK,
        expires: float = 30.0,
    ) -> None:
        self._client = client
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self._on_message = on_message
        self._room = room
        self._expires = expires
        self._asked = 0
        self._until = 0.0
        self._inbox = client.new_inbox()

    async def run(self) -> None:
        """Until cancelled."""
        subscription = await self._client.subscribe(self._inbox, cb=self._receive)
        try:
            while True:
                # A request that died with its server is noticed when it should have expired.
                await self.top_up(stale=asyncio.get_running_loop().time() > self._until)
                await asyncio.sleep(1.0)
        finally:
            await subscription.unsubscribe()

    async def top_up(self, *, stale: bool = False) -> None:
        """Call when room appeared."""
        if stale:
            self._asked = 0
        room = self._room()
        if room <= 0 or self._asked > room // 2:
            return
        wanted = room - self._asked
        self._asked += wanted
        self._until = asyncio.get_running_loop().time() + self._expires + 1.0
        request = json.dumps({"batch": wanted, "expires": int(self._expires * 1e9)}).encode()
        await self._client.publish(self._subject, request, reply=self._inbox)

    def forget(self) -> None:
        """After a reconnect no request stands any more."""
        self._asked = 0

    async def _receive(self, message: Msg) -> None:
        if message.headers and "Status" in message.headers:
            # The request ended (404, 408, 409, 503); what it still asked for comes in Nats-Pending-Messages.
            left = int(message.headers.get("Nats-Pending-Messages", "0") or 0)
            self._asked = max(0, self._asked - left) if left else 0
            if message.headers["Status"] == _EXPIRED:  # after any other one asking at once would only spin
                await self.top_up()
            return
        self._asked = max(0, self._asked - 1)
        await self._on_message(message)
