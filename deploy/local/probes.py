"""Readiness: each component is asked for what it is there to do."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any
from urllib.parse import urlsplit

ASKING_SECONDS = 2.0
_LONGEST_ANSWER = 1 << 20
_LATER = frozenset({"workers", "models"})


class NotReady(Exception):
    """The component does not do its work yet; the message says how that showed."""


class NeverReady(Exception):
    """It will not do its work however long one waits."""


def ask_nats(url: str) -> None:
    """Speaks the first lines of the protocol. Raises NotReady unless JetStream is on and it answers whom it lets in."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname, parts.port or 4222), timeout=ASKING_SECONDS) as connection:
            lines = connection.makefile("rb")
            greeting = lines.readline().decode()
            facts: dict[str, Any] = json.loads(greeting.partition(" ")[2] or "{}")
            answer = b"PONG"
            if not facts.get("auth_required"):  # where it is, trying would only fill its log with refusals
                connection.sendall(b'CONNECT {"verbose":false}\r\nPING\r\n')
                answer = lines.readline().strip()
    except (OSError, ValueError) as error:
        raise NotReady(f"no NATS server at {url}: {error}") from error
    if not facts.get("jetstream"):
        raise NotReady(f"the NATS server at {url} has JetStream switched off")
    if answer != b"PONG":
        raise NotReady(f"the NATS server at {url} answered {answer!r} to a PING")


def ask_mongodb(url: str) -> None:
    """Pings the server. Raises NotReady."""
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    client: MongoClient[dict[str, Any]] = MongoClient(url, serverSelectionTimeoutMS=int(ASKING_SECONDS * 1000))
    try:
        client.admin.command("ping")
    except PyMongoError as error:
        raise NotReady(f"no MongoDB at {url.rpartition('@')[2]}: {error}") from error
    finally:
        client.close()


def ask_grpc_health(target: str) -> None:
    """The standard health check of the whole server. Raises NotReady, naming the status."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(target) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=ASKING_SECONDS)
        except grpc.RpcError as error:
            raise NotReady(f"no health answer from {target}: {error.code().name}") from error
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise NotReady(f"{target} says {health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)}")


def ask_worker(target: str, token: str) -> dict[str, str]:
    """Has the worker run a canary through each of its models; answers those that cannot be used, each with the reason.

    Raises NotReady, with its words, while one of the others does not answer.
    """
    import grpc
    from compute.inference.v1 import inference_pb2 as pb
    from compute.inference.v1 import inference_pb2_grpc as rpc

    request, key = pb.CheckModelsRequest(), (("authorization", f"Bearer {token}"),)
    with grpc.insecure_channel(target) as channel:
        try:
            answer = rpc.InferenceServiceStub(channel).CheckModels(request, metadata=key, timeout=5 * ASKING_SECONDS)
        except grpc.RpcError as error:
            raise NotReady(f"the models of the worker at {target}: {error.code().name} {error.details()}") from error
    return {model.model: model.unusable for model in answer.models if model.unusable}


def ask_gateway(url: str) -> None:
    """Its health. Raises NotReady unless it reaches everything but workers and models, which may come later."""
    told: dict[str, Any] = json.loads(ask_http(f"{url}/health"))
    if missing := set(told["degraded"]) - _LATER:
        raise NotReady(f"the gateway at {url} does without {', '.join(sorted(missing))}")


def ask_http(url: str, *, method: str = "GET") -> str:
    """What the address answers. Raises NotReady unless that is 200."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=ASKING_SECONDS)
    try:
        connection.request(method, parts.path or "/")
        answer = connection.getresponse()
        body = answer.read(_LONGEST_ANSWER).decode(errors="replace")
    except OSError as error:
        raise NotReady(f"no answer from {url}: {error}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise NotReady(f"{url} answered {answer.status}: {body[:2_000]}")
    return body
