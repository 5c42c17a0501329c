"""Every task type with every provider: who serves it, who does not, and that a fallback steps in for each."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from compute.tasks.v1 import params_pb2, tasks_pb2
from google.protobuf import json_format

from deploy.local.ports import free_ports
from services.catalog.enums import ProviderType, TaskType
from services.catalog.providers import PROVIDERS
from services.catalog.tasks import TYPES
from services.imaging.recipes import read_recipe
from services.providers.directory import Providers, open_providers
from services.providers.media import MediaSettings, open_media
from services.providers.pipelines.redrawing import UNTOUCHED
from tests.catalogue import garment_picture
from tests.fakes.vendors.all import Vendors, away_from
from tests.integration.tasks_host import hosting
from tests.integration.worker_host import WorkerHost

COMPLETED, FAILED = tasks_pb2.TASK_STATUS_COMPLETED, tasks_pb2.TASK_STATUS_FAILED
P = ProviderType
# Who serves which type; every other pair is refused.
TABLE: dict[TaskType, tuple[ProviderType, ...]] = {
    TaskType.GENERATION: (P.LOCAL, P.FAL, P.VERTEX),
    TaskType.EDITING: (P.LOCAL, P.FAL, P.VERTEX, P.FASHN),
    TaskType.REFINE: (
        P.LOCAL,
        P.FAL,
        P.FAL_SHOOTIFY_REFINER,
        P.FREEPIK_MAGNIFIC,
        P.FREEPIK_MAGNIFIC_PRECISION,
        P.NANO_BANANA_UPSCALER,
        P.SARTIQ_ULTIMATE_REFINER,
    ),
    TaskType.DETAIL_ENHANCER: (P.LOCAL, P.FAL_GARMENT_FIXER, P.SARTIQ_ULTIMATE_GARMENT_FIXER),
    TaskType.FACE_ENHANCER: (P.LOCAL, P.SARTIQ_ULTIMATE_FACE_FIXER),
    TaskType.BACKGROUND_REMOVAL: (P.LOCAL,),
    TaskType.BACKGROUND_FIX: (P.LOCAL,),
    TaskType.IMAGE_ADJUSTER: (P.LOCAL,),
    TaskType.VIDEO_GENERATION: (P.LOCAL, P.FAL),
    TaskType.LLM_INTERACTION: (P.AI_CORE,),
    TaskType.EXPERIMENTAL_FAL: (P.FAL,),
}
PICTURE, OTHER = "inputs/picture.png", "inputs/other.png"
PARAMS: dict[TaskType, dict[str, Any]] = {
    TaskType.GENERATION: {"prompt": "a red circle", "seed": 1},
    TaskType.EDITING: {"prompt": "make it red", "baseImage": PICTURE, "seed": 1},
    TaskType.REFINE: {"baseImageUrl": PICTURE, "upscaleEnabled": True, "upscaleFactor": 2.0, "upscaleSteps": 2},
    TaskType.DETAIL_ENHANCER: {"baseImage": PICTURE, "referenceImage": OTHER, "detailLabel": "shirt"},
    TaskType.FACE_ENHANCER: {"inputImage": PICTURE},
    TaskType.BACKGROUND_REMOVAL: {"inputImagePaths": {"values": [PICTURE]}},
    TaskType.BACKGROUND_FIX: {"baseImage": PICTURE, "paletteImage": OTHER},
    TaskType.IMAGE_ADJUSTER: {"inputImage": PICTURE, "aspectRatio": 1.0, "marginTop": 0.1, "marginBottom": 0.1},
    TaskType.VIDEO_GENERATION: {"prompt": "it turns", "inputImagePath": PICTURE, "durationSeconds": 1, "seed": 1},
    TaskType.LLM_INTERACTION: {"prompt": "what is this", "inputImages": {"values": [PICTURE]}},
    TaskType.EXPERIMENTAL_FAL: {"falAppId": "fal-ai/any", "falParameters": {"prompt": "a red circle"}},
}


PAID = {
    P.FAL: "fal",
    P.FAL_GARMENT_FIXER: "fal",
    P.FAL_SHOOTIFY_REFINER: "fal",
    P.FASHN: "fashn",
    P.FREEPIK_MAGNIFIC: "magnific",
    P.FREEPIK_MAGNIFIC_PRECISION: "magnific",
    P.VERTEX: "google",
    P.NANO_BANANA_UPSCALER: "google",
}


def charges(vendors: Vendors) -> Counter[str]:
    """How often each vendor was paid; a local language model costs nothing."""
    paid = {name: getattr(vendors, name).ledger for name in ("fal", "fashn", "magnific", "google")}
    talk = {name: getattr(vendors, name).charges for name in ("openai", "anthropic", "gemini")}
    return Counter({name: len(ledger) for name, ledger in (paid | talk).items() if ledger})


def params_of(kind: TaskType) -> params_pb2.TaskParams:
    return json_format.ParseDict({TYPES[kind].field: PARAMS[kind]}, params_pb2.TaskParams())


@pytest.fixture
async def vendors() -> AsyncIterator[Vendors]:
    async with Vendors().open() as vendors:
        yield vendors


@pytest.fixture
async def host(mongodb_url: str, nats_url: str) -> AsyncIterator[WorkerHost]:
    async with hosting(mongodb_url, nats_url, f"t{uuid4().hex[:12]}", retry_first_seconds=0.05) as tasks:
        worker_host = WorkerHost(tasks, nats_url)
        worker_host.images.pictures[PICTURE] = garment_picture(192, 256)[0]
        worker_host.images.pictures[OTHER] = garment_picture(192, 256, garment=(30, 90, 160))[0]
        yield worker_host


@asynccontextmanager
async def providers_of(environment: dict[str, str], patch: pytest.MonkeyPatch) -> AsyncIterator[Providers]:
    """Those a worker with these settings has."""
    for name, value in environment.items():
        patch.setenv(name, value)
    async with open_media(MediaSettings()) as media, open_providers(media) as providers:
        yield providers


def give_up_at_once(providers: Providers, patch: pytest.MonkeyPatch) -> None:
    """Our own wait two minutes for their models to come back."""
    for provider in providers.found.values():
        local = getattr(provider, "local", provider)
        for model in (getattr(local, "diffusion", None), getattr(local, "segmentation", None)):
            if model is not None:
                patch.setattr(model.supervisor, "_recovery", 0.2)


def result_of(task: tasks_pb2.Task) -> dict[str, Any]:
    return json_format.MessageToDict(getattr(task.result, task.result.WhichOneof("result") or ""))


def paths_in(value: Any) -> Iterator[str]:
    """Of the files a result names as its own."""
    for name, part in value.items():
        if "result" in name and "Path" in name:
            yield from part["values"] if isinstance(part, dict) else [part]


def check_recipes(task: tasks_pb2.Task, host: WorkerHost) -> None:
    """Each file of the result is stored, and says itself how it was made: to us, and to photo software by XMP."""
    paths = list(paths_in(result_of(task)))
    assert len(paths) == (0 if task.task_type == TaskType.LLM_INTERACTION else 1)
    for path in paths:
        content = host.objects.kept["acme", path]
        recipe = read_recipe(content)
        assert recipe is not None and recipe["software"].startswith("atelier "), path
        # A picture without a face is nobody's work but the caller's.
        if (recipe.get("model") or {}).get("name") != UNTOUCHED.name:
            assert recipe["digital_source_type"].encode() in content.split(b"xpacket")[1], path
        if task.task_type != TaskType.EXPERIMENTAL_FAL:
            check_model(result_of(task), recipe)


def check_model(result: dict[str, Any], recipe: dict[str, Any]) -> None:
    """Who drew it, or told its subject, is named by the answer as by the file; nobody where nobody was asked."""
    told = recipe.get("model") or recipe.get("subject_from")
    told = {} if not isinstance(told, dict) or told["name"] == UNTOUCHED.name else told
    expected = {name: value for name, value in told.items() if value}
    named = {"name": "modelName", "sha256": "modelSha256", "licence": "modelLicence"}
    assert {name: result[key] for name, key in named.items() if key in result} == expected
    for one in result.get("models", ()):
        assert {name: one[key] for name, key in named.items() if key in one} == expected


def test_the_table_speaks_of_every_type_and_every_provider() -> None:
    assert set(TABLE) == set(PARAMS) == set(TaskType)
    assert {provider for row in TABLE.values() for provider in row} == set(ProviderType) == set(PROVIDERS)


@pytest.mark.parametrize("kind", TaskType)
async def test_a_type_is_served_by_its_providers_and_by_no_other(
    kind: TaskType, host: WorkerHost, vendors: Vendors, triton: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {**vendors.environment, "TRITON_TARGET": triton}
    async with providers_of(environment, monkeypatch) as providers, host.worker(providers):
        tasks = await asyncio.gather(*(host.run(params_of(kind), provider_type=one) for one in ProviderType))
    for provider, task in zip(ProviderType, tasks, strict=True):
        if provider in TABLE[kind]:
            assert task.status == COMPLETED, (provider, task.error_reason, task.errors)
            assert {call.provider for call in task.provider_calls} == {provider}
            check_recipes(task, host)
        else:
            assert (task.status, task.error_reason) == (FAILED, "CAPABILITY_MISSING"), (provider, task.errors)
    assert charges(vendors) == Counter(PAID[provider] for provider in TABLE[kind] if provider in PAID)


@pytest.mark.parametrize("kind", [kind for kind, row in TABLE.items() if len(row) > 1])
async def test_each_provider_of_a_type_gives_way_to_its_fallback_when_it_is_away(
    kind: TaskType, host: WorkerHost, vendors: Vendors, triton: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is away while the next of the row is well."""
    [port] = free_ports(1)
    row = TABLE[kind]
    nowhere = away_from(f"127.0.0.1:{port}")
    async with (
        providers_of({**vendors.environment, "TRITON_TARGET": triton}, monkeypatch) as well,
        providers_of(nowhere, monkeypatch) as away,
    ):
        give_up_at_once(away, monkeypatch)
        for first, second in zip(row, (*row[1:], row[0]), strict=True):
            mixed = Providers({second: well.found[second], first: away.found[first]})
            async with host.worker(mixed):
                task = await host.run(params_of(kind), provider_type=first, fallback_provider_type=second)
            assert task.status == COMPLETED, (first, second, task.errors)
            told = {(call.provider, call.fallback, call.outcome) for call in task.provider_calls}
            assert told == {(first, False, "FAILED"), (second, True, "SUCCEEDED")}
            check_recipes(task, host)
