"""Tasks on fal, from creation to result: a real worker and tasks service, fal on loopback."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from compute.tasks.v1 import params_pb2, tasks_pb2
from google.protobuf import json_format
from PIL import Image
from pydantic import SecretStr

from services.imaging.recipes import BESIDE, read_recipe
from services.providers import fal, fal_shootify_refiner
from services.providers.directory import Providers
from services.providers.media import MediaSettings, open_media
from services.providers.ports import Provider
from services.worker.runs import Runs
from tests.fakes.vendors.fal import Ending, Fal
from tests.fakes.vendors.films import tiny_film
from tests.fakes.vendors.wire import json_answer
from tests.integration.tasks_host import hosting
from tests.integration.worker_host import WorkerHost

COMPLETED, FAILED = tasks_pb2.TASK_STATUS_COMPLETED, tasks_pb2.TASK_STATUS_FAILED
OTHER_APP = {"fal_app_id": "acme/other"}
BROKEN = Ending.model(500, "internal_server_error", "broke")


@pytest.fixture
async def vendor() -> AsyncIterator[Fal]:
    async with Fal().open() as vendor:
        yield vendor


@pytest.fixture
async def host(mongodb_url: str, nats_url: str) -> AsyncIterator[WorkerHost]:
    async with hosting(mongodb_url, nats_url, f"t{uuid4().hex[:12]}", retry_first_seconds=0.05) as tasks:
        yield WorkerHost(tasks, nats_url)


@asynccontextmanager
async def working(host: WorkerHost, vendor: Fal, *, key: str | None = None, **chosen: Any) -> AsyncIterator[Runs]:
    told: dict[str, Any] = {
        "key": SecretStr(vendor.key if key is None else key),
        "base_url": vendor.url,
        "platform_url": f"{vendor.url}/platform/v1",
        "poll_seconds": 0.01,
        "find_seconds": 2.0,
        "usd_per_unit": 0.02,
    }
    async with AsyncExitStack() as stack:
        reach = MediaSettings(allow_private_urls=frozenset({vendor.url.removeprefix("http://")}))
        media = await stack.enter_async_context(open_media(reach))
        providers: dict[str, Provider] = {
            fal.NAME: await stack.enter_async_context(fal.connect(fal.Settings(**told), media)),
            fal_shootify_refiner.NAME: await stack.enter_async_context(
                fal_shootify_refiner.connect(fal_shootify_refiner.Settings(**told), media)
            ),
        }
        yield await stack.enter_async_context(host.worker(Providers(providers), **chosen))


def generation(**fields: Any) -> params_pb2.TaskParams:
    given = {"prompt": "a red coat", "seed": 7, "width": 96, "height": 64, **fields}
    return params_pb2.TaskParams(generation=params_pb2.GenerationParams(**given))


def free(app: str = "acme/anything", **parameters: Any) -> params_pb2.TaskParams:
    params = params_pb2.ExperimentalFalParams(fal_app_id=app)
    params.fal_parameters.update(parameters)
    return params_pb2.TaskParams(experimental_fal=params)


async def test_a_picture_is_drawn_stored_and_told_with_its_cost(host: WorkerHost, vendor: Fal) -> None:
    async with working(host, vendor):
        task = await host.run(generation(fal_app_id="fal-ai/flux-lora"), provider_type="FAL")
    assert task.status == COMPLETED, task.errors
    result = task.result.generation
    assert (result.width, result.height, result.seed, result.model_name) == (96, 64, 7, "fal-ai/flux-lora")
    assert host.objects.kept["acme", result.result_image_path].startswith(b"\x89PNG")
    [call] = task.provider_calls
    assert (call.provider, call.outcome) == ("FAL", "SUCCEEDED")
    assert call.cost_usd == pytest.approx(0.04)
    assert vendor.key not in json_format.MessageToJson(task)


async def test_any_app_can_be_called_with_any_parameters(host: WorkerHost, vendor: Fal) -> None:
    async with working(host, vendor):
        task = await host.run(free(prompt="x", odd=[1, None, {"deep": True}]))
    assert task.status == COMPLETED, task.errors
    result = task.result.experimental_fal
    [request] = vendor.requests.values()
    assert (request.app, request.inputs) == ("acme/anything", {"prompt": "x", "odd": [1, None, {"deep": True}]})
    [path] = result.result_paths.values
    assert path.endswith(".png") and ("acme", path) in host.objects.kept
    assert result.fal_request_id == request.id
    assert json_format.MessageToDict(result.output)["images"][0]["url"] == result.result_url


@pytest.mark.parametrize(
    ("form", "suffix"), [("PNG", ".png"), ("JPEG", ".jpg"), ("WEBP", ".webp"), ("GIF", ".gif"), ("AVIF", ".avif")]
)
async def test_a_file_of_any_app_carries_its_recipe_around_the_very_pixels(
    host: WorkerHost, vendor: Fal, form: str, suffix: str
) -> None:
    vendor.form = form
    address = "https://bucket.example/coat.png?signature=private"
    async with working(host, vendor):
        task = await host.run(free(prompt="x", image_url=address, api_key="private"))
    assert task.status == COMPLETED, task.errors
    [path], [(theirs, _)] = task.result.experimental_fal.result_paths.values, vendor.media.values()
    kept = host.objects.kept["acme", path]
    assert path.endswith(suffix)
    with Image.open(io.BytesIO(theirs)) as before, Image.open(io.BytesIO(kept)) as after:
        assert before.tobytes() == after.tobytes()
    recipe = read_recipe(kept)
    assert recipe is not None and b"private" not in kept and b"compositeWithTrained" in kept
    assert (recipe["parameters"]["prompt"], recipe["seed"]) == ("x", 1)
    assert recipe["provider_request_id"] == task.result.experimental_fal.fal_request_id


async def test_a_signed_file_and_one_that_is_no_picture_keep_every_byte(host: WorkerHost, vendor: Fal) -> None:
    signed = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", bytes(13)) + chunk(b"caBX", b"jumb")
    weights = (2).to_bytes(8, "little") + b"{}"
    files = {"image/png": signed, "application/octet-stream": weights}
    vendor.more = {"images": [{"url": vendor.keep(content, kind, "bin")} for kind, content in files.items()]}
    async with working(host, vendor):
        task = await host.run(free(prompt="x"))
    assert task.status == COMPLETED, task.errors
    paths, kept = task.result.experimental_fal.result_paths.values, host.objects.kept
    assert [kept["acme", path] for path in paths] == [signed, weights]
    beside = [json.loads(kept["acme", path + BESIDE]) for path in paths]
    assert [told["place_in_answer"] for told in beside] == ["/images/0/url", "/images/1/url"]
    assert ["digital_source_type" in told for told in beside] == [True, False]
    assert "C2PA" in beside[0]["beside_the_file_because"]


async def test_a_film_carries_its_recipe_behind_the_very_film(host: WorkerHost, vendor: Fal) -> None:
    host.images.pictures["a.png"] = np.full((48, 64, 3), 90, np.uint8)
    params = params_pb2.VideoGenerationParams(prompt="it turns", input_image_path="a.png", duration_seconds=5, seed=4)
    async with working(host, vendor):
        task = await host.run(params_pb2.TaskParams(video_generation=params), provider_type="FAL")
    assert task.status == COMPLETED, task.errors
    film = host.objects.kept["acme", task.result.video_generation.result_video_path]
    recipe = read_recipe(film)
    assert film.startswith(tiny_film()) and recipe is not None and b"compositeWithTrained" in film
    assert (recipe["prompt"], recipe["model"]["name"]) == ("it turns", task.result.video_generation.model_name)


def chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4)


@pytest.mark.parametrize(
    "more", [{"blob": "x" * 70_000}, {"deep": [[[[[[[[[[[[[[1]]]]]]]]]]]]]]}], ids=["large", "deep"]
)
async def test_an_answer_that_no_task_can_hold_is_kept_as_a_file(
    host: WorkerHost, vendor: Fal, more: dict[str, Any]
) -> None:
    vendor.more = more
    async with working(host, vendor):
        task = await host.run(free(prompt="x"))
    assert (task.status, task.attempt) == (COMPLETED, 1), task.errors
    result = task.result.experimental_fal
    assert not result.HasField("output")
    kept = json.loads(host.objects.kept["acme", result.result_paths.values[-1]])
    assert kept.items() >= more.items()


async def test_seeds_of_64_bits_are_told_as_far_as_they_fit(host: WorkerHost, vendor: Fal) -> None:
    vendor.more = {"seed": 2**64 - 1}
    async with working(host, vendor):
        task = await host.run(free(prompt="x"))
        picture = await host.run(generation(fal_app_id="fal-ai/flux-lora"), provider_type="FAL")
    assert json_format.MessageToDict(task.result.experimental_fal.output)["seed"] == str(2**64 - 1)
    assert picture.status == COMPLETED, picture.errors
    assert not picture.result.generation.HasField("seed")
    recipe = read_recipe(host.objects.kept["acme", picture.result.generation.result_image_path])
    assert recipe is not None and recipe["seed"] == 2**64 - 1


@pytest.mark.parametrize(
    ("ending", "category", "reason"),
    [
        (Ending.model(422, "content_policy_violation", "flagged"), "CONTENT_POLICY", "CONTENT_REFUSED"),
        (Ending.model(422, "image_too_small", "small", retryable=False), "VALIDATION", "PROVIDER_REJECTED"),
    ],
)
async def test_the_callers_own_fault_is_told_once_and_goes_nowhere_else(
    host: WorkerHost, vendor: Fal, ending: Ending, category: str, reason: str
) -> None:
    vendor.endings.append(ending)
    async with working(host, vendor):
        task = await host.run(
            generation(), provider_type="FAL", fallback_provider_type="FAL", fallback_provider_config=OTHER_APP
        )
    assert (task.status, task.error_category, task.error_reason) == (FAILED, category, reason)
    assert (task.attempt, len(vendor.requests), task.dead_letter) == (1, 1, False)


async def test_a_task_whose_tries_are_used_up_fails_for_somebody_to_look_at(host: WorkerHost, vendor: Fal) -> None:
    vendor.endings.extend([BROKEN] * 9)
    async with working(host, vendor):
        task = await host.run(generation(), provider_type="FAL")
        assert (task.status, task.error_category, task.dead_letter) == (FAILED, "PROVIDER", True)
        assert (task.attempt, len(vendor.requests)) == (1, 3)
        vendor.endings.clear()
        request = tasks_pb2.ReplayTaskRequest(task_id=task.id)
        await host.host.tasks.ReplayTask(request, metadata=host.host.metadata, timeout=10)
        task = await host.ended(task.id)
    assert task.status == COMPLETED
    assert [call.outcome for call in task.provider_calls] == ["FAILED"] * 3 + ["SUCCEEDED"]


async def test_the_fallback_with_its_own_configuration_steps_in(host: WorkerHost, vendor: Fal) -> None:
    vendor.endings.extend([BROKEN] * 3)
    async with working(host, vendor):
        task = await host.run(
            generation(), provider_type="FAL", fallback_provider_type="FAL", fallback_provider_config=OTHER_APP
        )
    assert task.status == COMPLETED, task.errors
    assert [request.app for request in vendor.requests.values()] == ["fal-ai/flux/dev"] * 3 + ["acme/other"]
    assert [call.fallback for call in task.provider_calls] == [False] * 3 + [True]


async def test_without_a_key_the_task_says_which_setting_is_missing(host: WorkerHost, vendor: Fal) -> None:
    async with working(host, vendor, key=""):
        task = await host.run(generation(), provider_type="FAL")
    assert (task.status, task.error_reason, task.attempt) == (FAILED, "PROVIDER_NOT_CONFIGURED", 1)
    assert "FAL_KEY" in task.errors[-1]


@pytest.mark.parametrize("status", [429, 503])
async def test_a_pause_longer_than_the_patience_puts_the_task_off(host: WorkerHost, vendor: Fal, status: int) -> None:
    vendor.script.instead("submit", json_answer({"detail": "slow down"}, status, Retry_After="3"))
    async with working(host, vendor, provider_max_pause_seconds=0.2):
        task = await host.run(generation(), provider_type="FAL")
    assert task.status == COMPLETED, task.errors
    assert (task.attempt, vendor.operations("submit")) == (2, 2)


async def test_a_request_named_by_the_task_is_taken_up(host: WorkerHost, vendor: Fal) -> None:
    async with working(host, vendor):
        first = await host.run(generation(), provider_type="FAL")
        config = {"fal_request_id": first.provider_calls[0].request_id, "fal_app_id": "fal-ai/flux/dev"}
        second = await host.run(generation(), provider_type="FAL", provider_config=config)
    assert second.status == COMPLETED, second.errors
    assert len(vendor.ledger) == 1


async def test_a_worker_that_drains_hands_its_job_on(host: WorkerHost, vendor: Fal) -> None:
    vendor.holding = True
    async with working(host, vendor):
        task_id = await host.create(generation(), provider_type="FAL")
        await vendor.script.arrived("status")
    vendor.release()
    async with working(host, vendor):
        task = await host.ended(task_id)
    assert task.status == COMPLETED, task.errors
    assert (len(vendor.ledger), vendor.operations("cancel")) == (1, 0)


async def begun(host: WorkerHost, task_id: str, *, attempt: int) -> None:
    request = tasks_pb2.WatchTaskRequest(task_id=task_id)
    async for update in host.host.tasks.WatchTask(request, metadata=host.host.metadata, timeout=30):
        if update.task.attempt == attempt:
            return


async def test_a_task_that_takes_too_long_is_taken_up_by_its_next_attempt(host: WorkerHost, vendor: Fal) -> None:
    vendor.holding = True
    async with working(host, vendor, task_timeout_seconds=1.0):
        task_id = await host.create(generation(), provider_type="FAL")
        await begun(host, task_id, attempt=2)
        vendor.release()
        task = await host.ended(task_id)
    assert task.status == COMPLETED, task.errors
    assert (len(vendor.ledger), task.attempt) == (1, 2)
