"""The streams as the services make and renew them, on a real server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nats.js.api import StreamConfig

from services.messaging.streams import ensure_streams
from services.messaging.subjects.tasks import EVENTS, EVENTS_KEPT, EVENTS_STREAM
from tests.nats_server import services_bus
from tests.reliability.servers import own_nats


async def test_streams_of_an_older_version_get_new_limits_once(tmp_path: Path) -> None:
    server = own_nats(tmp_path)
    await server.start()
    try:
        async with services_bus(server.url, "streams") as bus:
            manager = bus.jsm()
            await manager.add_stream(StreamConfig(name=EVENTS, subjects=["evt.v1.>"], duplicate_window=120))
            await bus.jetstream().publish("evt.v1.acme.task.one.created", b"kept")
            await ensure_streams(bus, EVENTS_STREAM)
            renewed = await manager.stream_info(EVENTS)
            assert (renewed.config.max_msgs, renewed.config.duplicate_window) == (EVENTS_KEPT, 30)
            assert renewed.state.messages == 1
            await manager.update_stream(replace(renewed.config, max_msgs=500_000))
            await ensure_streams(bus, EVENTS_STREAM)
            assert (await manager.stream_info(EVENTS)).config.max_msgs == 500_000
    finally:
        await server.kill()
