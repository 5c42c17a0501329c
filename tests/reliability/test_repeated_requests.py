"""A repeated request is the same request: after any crash, through any gateway, however it is spelled."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import httpx2
import orjson
import pytest
from compute.access.v1 import access_pb2, access_pb2_grpc

from services.rpc.grpc_client import Credentials, connect
from tests.reliability.gateway_process import GatewayProcess
from tests.reliability.service_process import TOKEN, TasksProcess

BODIES = int(os.environ.get("REPEATED_BODIES", "200"))
TASKS = "/api/v1/tasks/"
_WORDS = ("a", "B", "größe", "名前", "with space", "", "null", "x\u0000y", "10", "9")
_NUMBERS = (0, 7, -1, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 0.5, 1e-7, 7.25, 1e300)


def free_object(chance: random.Random, depth: int = 3) -> dict[str, Any]:
    """At least two members: those of one have only one order."""
    names = chance.sample(_WORDS, chance.randint(2, 6))
    return {name: value(chance, depth - 1) for name in names}


def value(chance: random.Random, depth: int) -> Any:
    if depth and chance.random() < 0.3:
        return free_object(chance, depth)
    if depth and chance.random() < 0.2:
        return [value(chance, depth - 1) for _ in range(chance.randint(0, 4))]
    return chance.choice([*_NUMBERS, *_WORDS, None, True, False])


def body(chance: random.Random) -> dict[str, Any]:
    """Of a task that nobody here can run."""
    vendor = {"provider_type": "FAL", "fal_app_id": "a/b", "additional_static_params": free_object(chance)}
    common = {
        "origin_instance": "test",
        "queue_name": "nobody",
        "config": free_object(chance),
        "provider_type": "FAL",
        "provider_config": vendor,
        "fallback_provider_type": "FAL",
        "fallback_provider_config": vendor | {"additional_static_params": free_object(chance)},
    }
    if chance.random() < 0.5:
        return common | {"task_type": "GENERATION", "prompt": "a mug", "seed": chance.choice([0, 7, 2**63 - 1])}
    return common | {"task_type": "EXPERIMENTAL_FAL", "fal_app_id": "a/b", "fal_parameters": free_object(chance)}


def respelled(thing: Any, chance: random.Random, *, free: bool = False) -> str:
    """JSON of the same meaning. Numbers change their spelling inside `free` objects, where no model says integer."""
    if isinstance(thing, dict):
        names = chance.sample(list(thing), len(thing))
        parts = [
            f"{_text(name, chance)}:{respelled(thing[name], chance, free=free or _is_free(name))}" for name in names
        ]
        return "{" + chance.choice((",", " ,\n")).join(parts) + "}"
    if isinstance(thing, list):
        return "[" + ",".join(respelled(item, chance, free=free) for item in thing) + "]"
    if isinstance(thing, str):
        return _text(thing, chance)
    if free and isinstance(thing, int) and not isinstance(thing, bool) and abs(thing) <= 2**53:
        tenfold = f"{thing}0e-1" if thing else "-0.0"
        return chance.choice((str(thing), f"{thing}.0", f"{thing}e0", tenfold))
    return json.dumps(thing)


def _is_free(name: str) -> bool:
    return name in ("config", "additional_static_params", "fal_parameters")


def _text(text: str, chance: random.Random) -> str:
    return json.dumps(text, ensure_ascii=chance.random() < 0.5)


class Senders:
    """Sends each body under its own key, through one gateway or another."""

    def __init__(self, key: str, bodies: Sequence[dict[str, Any]]) -> None:
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        self._bodies = bodies
        self._places = asyncio.Semaphore(16)

    async def send(self, url: str, texts: Sequence[str]) -> list[httpx2.Response]:
        async with httpx2.AsyncClient(base_url=url, headers=self._headers, timeout=60) as http:

            async def one(number: int, text: str) -> httpx2.Response:
                async with self._places:
                    return await http.post(TASKS, content=text, headers={"idempotency-key": f"key-{number}"})

            return list(await asyncio.gather(*(one(number, text) for number, text in enumerate(texts))))

    async def repeat(self, url: str, chance: random.Random) -> list[str]:
        """The ids answered to the same bodies in another spelling."""
        answers = await self.send(url, [respelled(each, chance) for each in self._bodies])
        assert [answer.text for answer in answers if answer.status_code != 200] == []
        assert {answer.headers.get("idempotent-replayed") for answer in answers} == {"true"}
        return [str(answer.json()["id"]) for answer in answers]

    async def count(self, url: str) -> int:
        async with httpx2.AsyncClient(base_url=url, headers=self._headers, timeout=60) as http:
            return len((await http.get(TASKS, params={"limit": 1000})).json())


async def new_key(target: str) -> str:
    async with connect(target) as channel:
        request = access_pb2.CreateKeyRequest(tenant="acme", name="test", scopes=["tasks"])
        stub = access_pb2_grpc.AccessServiceStub(channel)
        return str((await stub.CreateKey(request, metadata=Credentials(TOKEN).metadata(), timeout=20)).key)


@pytest.mark.field("27")
@pytest.mark.field("exact-integers")
@pytest.mark.timeout(240)
async def test_a_body_sent_again_in_any_spelling_is_one_task_after_crashes_and_through_two_gateways(
    mongodb_url: str, nats_url: str
) -> None:
    chance = random.Random(11)
    bodies = [body(chance) for _ in range(BODIES)]
    services = TasksProcess(mongodb_url, nats_url, f"t{uuid4().hex[:12]}")
    services.services = ("access", "tasks")
    first = GatewayProcess(nats_url, services.target, pythonhashseed=1)
    second = GatewayProcess(nats_url, services.target, pythonhashseed=2)
    async with services.running(), first.running(), second.running():
        senders = Senders(await new_key(services.target), bodies)
        made = await senders.send(first.url, [orjson.dumps(each).decode() for each in bodies])
        assert [answer.text for answer in made if answer.status_code != 200] == []
        for sent, answer in zip(bodies, made, strict=True):
            told = orjson.loads(answer.content)
            for name in ("config", "provider_config", "fallback_provider_config", "fal_parameters"):
                assert orjson.dumps(told.get(name)) == orjson.dumps(sent.get(name))
        ids = [str(answer.json()["id"]) for answer in made]
        assert len(set(ids)) == BODIES
        assert await senders.repeat(second.url, chance) == ids
        await asyncio.gather(services.end(signal.SIGKILL), first.kill(), second.kill())
        await services.start()
        await asyncio.gather(first.start(), second.start())
        assert await senders.repeat(first.url, chance) == ids
        assert await senders.repeat(second.url, chance) == ids
        assert await senders.count(first.url) == BODIES
