from pathlib import Path

from deploy.local import probes, stores
from deploy.local.places import Home
from deploy.local.ports import HOST, free_ports
from tests.stack import running


def test_nats_answers_with_jetstream_on(nats_url: str) -> None:
    probes.ask_nats(nats_url)


def test_mongodb_answers_a_ping(mongodb_url: str) -> None:
    probes.ask_mongodb(mongodb_url)


def test_a_store_started_again_after_a_kill_keeps_its_documents(tmp_path: Path) -> None:
    from pymongo import MongoClient

    home, [port] = Home(tmp_path), free_ports(1)
    component = stores.mongodb(home, port)
    url = f"mongodb://{HOST}:{port}"
    with running(component, home) as child, MongoClient(url) as client:
        client.atelier.things.insert_one({"_id": "kept"})
        child.kill_group()
    with running(component, home), MongoClient(url) as client:
        assert client.atelier.things.find_one() == {"_id": "kept"}
