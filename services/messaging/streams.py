"""Streams and consumers of JetStream: declared by whose they are, made by whoever needs them."""

from __future__ import annotations

from dataclasses import replace

import structlog
from nats.aio.client import Client
from nats.js.api import ConsumerConfig, StreamConfig
from nats.js.errors import NotFoundError

log = structlog.get_logger()
_REVISION = "atelier.revision"


def declared(config: StreamConfig, *, revision: int) -> StreamConfig:
    """A stream as its service wants it.

    The revision is raised when its limits change: streams made before then get the new ones, once, and whoever runs
    NATS may edit them.
    """
    return replace(config, metadata={_REVISION: str(revision)})


async def ensure_streams(client: Client, *wanted: StreamConfig) -> None:
    """Makes what is missing, for instance after NATS lost its store; harmless when repeated."""
    manager = client.jsm()
    for config in wanted:
        try:
            found = (await manager.stream_info(str(config.name))).config
        except NotFoundError:
            await manager.add_stream(replace(config))
            log.info("stream made", stream=config.name)
            continue
        if not (config.metadata or {}).items() <= (found.metadata or {}).items():
            await manager.update_stream(replace(config))
            log.info("stream renewed", stream=config.name)


async def ensure_consumer(client: Client, stream: str, config: ConsumerConfig) -> str:
    """Makes a durable consumer and answers its name."""
    await client.jsm().add_consumer(stream, config)
    return str(config.durable_name)
