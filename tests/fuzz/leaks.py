"""Looks for secrets where none may be: logs, events, metrics."""

from __future__ import annotations

import asyncio
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from services.messaging.subjects.tasks import EVENTS
from tests.fuzz.target import Target
from tests.nats_server import connected

# What signs webhooks is made by the service, and may be made anew while cases run.
_SIGNING_SECRET = re.compile(rb"whsec_[A-Za-z0-9+/]{32}")
_OPEN_PAGES = ("/health", "/metrics", "/docs", "/openapi.json", "/asyncapi.json")


def leaks(target: Target) -> list[str]:
    """One line for each secret at each place that shows it."""
    places = [*_logs(target.logs), *_pages(target.url), *asyncio.run(_events(target))]
    return sorted({f"{name} in {place}" for place, text in places for name in _shown(target, text)})


def _shown(target: Target, text: bytes) -> Iterator[str]:
    yield from (name for name, value in target.secrets.items() if value.encode() in text)
    if _SIGNING_SECRET.search(text):
        yield "a webhook secret"


def _logs(folder: Path) -> Iterator[tuple[str, bytes]]:
    return ((f"log {path.name}", path.read_bytes()) for path in folder.iterdir())


def _pages(url: str) -> Iterator[tuple[str, bytes]]:
    for page in _OPEN_PAGES:
        try:
            with urllib.request.urlopen(url + page, timeout=10) as answer:
                yield page, answer.read()
        except urllib.error.HTTPError as error:
            yield page, error.read()


async def _events(target: Target) -> list[tuple[str, bytes]]:
    """Every event there is, once."""
    client = await connected(target.nats_url, target.nats_credentials)
    try:
        stream = client.jetstream()
        count = (await stream.stream_info(EVENTS)).state.messages
        reader = await stream.subscribe("evt.v1.>", stream=EVENTS, ordered_consumer=True)
        found = []
        for _ in range(count):
            event = await reader.next_msg(timeout=10)
            found.append((f"event {event.subject}", event.data + str(event.headers).encode()))
        return found
    finally:
        await client.close()
