import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from deploy.local import probes, stores
from deploy.local.component import Component
from deploy.local.paths import StackFolder
from deploy.local.ports import HOST, free_ports
from services.messaging.bus import open_bus
from services.messaging.streams import ensure_streams
from services.messaging.subjects.tasks import EVENTS, EVENTS_STREAM
from tests.nats_server import nats_component, services_bus
from tests.stack import running

Client = MongoClient[dict[str, Any]]


def test_nats_answers_with_jetstream_on(nats_url: str) -> None:
    probes.ask_nats(nats_url)


def test_mongodb_answers_a_ping(mongodb_url: str) -> None:
    probes.ask_mongodb(mongodb_url)


def test_a_store_started_again_after_a_kill_keeps_its_documents(tmp_path: Path) -> None:
    home, [port] = StackFolder(tmp_path), free_ports(1)
    component = stores.mongodb(home, port)
    url = f"mongodb://{HOST}:{port}"
    with running(component, home) as child, Client(url) as client:
        client.atelier.things.insert_one({"_id": "kept"})
        child.kill_group()
    with running(component, home), Client(url) as client:
        assert client.atelier.things.find_one() == {"_id": "kept"}


async def test_what_a_server_without_accounts_stored_is_still_there(tmp_path: Path) -> None:
    [port] = free_ports(1)
    url, home = f"nats://{HOST}:{port}", StackFolder(tmp_path)
    with running(_without_accounts(home, port), home):
        async with open_bus(url, "before") as bus:
            await ensure_streams(bus, EVENTS_STREAM)
            await bus.jetstream().publish("evt.v1.acme.task.1.created", b"kept")
    for _ in range(2):
        with running(nats_component(home, port), home):
            async with services_bus(url, "after") as bus:
                assert (await bus.jetstream().get_last_msg(EVENTS, "evt.v1.acme.>")).data == b"kept"


def _without_accounts(home: StackFolder, port: int) -> Component:
    """As the stack started it before it had users."""
    component = nats_component(home, port)
    config = home.run / "open.conf"
    text = f"port: {port}\nhost: {HOST}\njetstream {{ store_dir: {json.dumps(str(home.data / 'nats'))} }}\n"
    return replace(component, command=(component.command[0], "-c", str(config)), prepare=lambda: _write(config, text))


def _write(file: Path, text: str) -> None:
    file.write_text(text)
