"""GET /api/v1/models and its twin over gRPC: what this deployment draws and cuts out with, as its workers see it."""

from __future__ import annotations

from pathlib import Path

import httpx2
from compute.tasks.v1 import tasks_pb2, tasks_pb2_grpc, worker_pb2, worker_pb2_grpc

from deploy.triton.runtime.artefacts import registry
from services.rpc.grpc_client import Credentials, connect
from tests.integration.gateway_host import TOKEN
from tests.integration.gateway_host import stack as stack_without_workers
from tests.stack import RunningStack
from tests.waiting import until

MODELS = "/api/v1/models"
ASKED = tasks_pb2.ListModelsRequest()


async def _has(http: httpx2.AsyncClient, wanted: set[str]) -> bool:
    return wanted <= {one["model_name"] for one in (await http.get(MODELS)).raise_for_status().json()["models"]}


async def test_every_model_of_the_registry_that_is_here_is_listed(stack: RunningStack) -> None:
    """With what the registry says of it; over gRPC and REST the same."""
    served = {one.name: one for one in registry().values() if one.folder or one.present()}
    wanted = set(served)
    assert {"atelier-starter", "atelier-starter-matte"} <= wanted
    headers = {"Authorization": f"Bearer {stack.api_key}"}
    async with httpx2.AsyncClient(base_url=stack.base_url, headers=headers) as http:
        # Workers tell of their models with every beat, once a first canary has answered.
        await until(lambda: _has(http, wanted), timeout=30.0)
        listed = (await http.get(MODELS)).raise_for_status().json()["models"]
    by_name = {one["model_name"]: one for one in listed}
    for name in wanted:
        known = served[name]
        assert by_name[name] == {
            "model_name": name,
            "model_sha256": known.sha256,
            "model_licence": known.licence,
            "serves": known.serves,
            "made_for": known.purpose,
            "source": known.source,
            "upstream": known.upstream or None,
        }
    assert "ten toy products" in by_name["atelier-starter"]["made_for"]
    async with connect(stack.addresses.tasks) as channel:
        stub = tasks_pb2_grpc.TaskServiceStub(channel)
        metadata = (("authorization", f"Bearer {stack.api_key}"),)
        answer = await stub.ListModels(ASKED, metadata=metadata, timeout=10)
    assert [(one.name, one.sha256, one.licence) for one in answer.models] == [
        (one["model_name"], one["model_sha256"], one["model_licence"]) for one in listed
    ]


async def test_the_list_is_empty_without_a_worker_and_follows_what_workers_say(
    mongodb_url: str, nats_url: str, tmp_path: Path
) -> None:
    async with stack_without_workers(mongodb_url, nats_url, tmp_path) as api:
        assert (await api.http.get(MODELS)).json() == {"models": []}
        model = tasks_pb2.ServedModel(name="mine", sha256="0" * 64, licence="MIT", serves="diffusion")
        beat = worker_pb2.HeartbeatTasksRequest(worker_id="w1", queue="inference", capacity=1, models=[model])
        stub = worker_pb2_grpc.WorkerServiceStub(api.channel)
        await stub.HeartbeatTasks(beat, metadata=Credentials(TOKEN).metadata(), timeout=10)
        assert (await api.http.get(MODELS)).json()["models"] == [
            {
                "model_name": "mine",
                "model_sha256": "0" * 64,
                "model_licence": "MIT",
                "serves": "diffusion",
                "made_for": None,
                "source": None,
                "upstream": None,
            }
        ]
        assert (await api.stranger.get(MODELS)).status_code == 401
