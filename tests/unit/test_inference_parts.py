"""The worker's small parts."""

from __future__ import annotations

import asyncio
import os
import threading
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from compute.tasks.v1.tasks_pb2 import Task

from services.catalog.enums import ErrorCategory
from services.catalog.tasks import TYPES
from services.common import errors
from services.imaging.processing.scaling import crop, fit
from services.imaging.processing.transparency import lay_on_white, with_alpha
from services.imaging.recipes import read_recipe
from services.inference.context import RunContext, WorkerResources
from services.inference.handlers.generation import strength_of
from services.inference.pictures import encode_png
from services.inference.registry import discover_handlers
from services.providers.calls import UnrecordedCall, VendorCall
from services.providers.directory import Providers
from services.providers.lora_files import find_lora
from services.providers.ports import DIFFUSION, Check
from services.providers.triton.failures import ModelLost, error_of
from services.providers.triton.processes import end_stub, is_here
from services.worker.outcomes import failure_of, fault
from services.worker.runs import AttemptKey, Run
from tests.fakes.provider_context import provider_context_of


def test_every_task_type_of_the_catalog_has_its_handler() -> None:
    assert discover_handlers().task_types == sorted(TYPES)


@pytest.mark.parametrize(("steering", "strength"), [(None, None), (0.0, 1.0), (25.0, 0.75), (100.0, 0.02)])
def test_the_stronger_a_reference_steers_the_less_is_drawn_anew(steering: float | None, strength: float | None) -> None:
    assert strength_of(steering) == strength


def test_a_recipe_survives_in_the_picture() -> None:
    recipe = {"prompt": "ein Würfel, 立方体", "seed": 2**63 - 1}
    found = read_recipe(encode_png(np.zeros((4, 4, 3), np.uint8), recipe))
    assert found is not None
    assert found.items() >= recipe.items()
    assert found["software"].startswith("atelier ")
    assert read_recipe(encode_png(np.zeros((4, 4, 3), np.uint8))) is None


def test_what_is_cut_away_keeps_no_colour() -> None:
    cut = with_alpha(np.full((1, 2, 3), 9, np.uint8), np.array([[0, 128]], np.uint8))
    assert cut.tolist() == [[[0, 0, 0, 0], [9, 9, 9, 128]]]


def test_transparency_is_laid_on_white() -> None:
    pixels = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 128]]], np.uint8)
    assert lay_on_white(pixels).tolist() == [[[10, 20, 30], [255, 255, 255], [127, 127, 127]]]


def test_laying_on_white_takes_little_more_than_the_picture() -> None:
    pixels = np.full((2000, 4000, 4), 128, np.uint8)
    tracemalloc.start()
    laid = lay_on_white(pixels)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (laid == 191).all()
    assert peak < 3 * laid.nbytes


async def test_no_more_than_two_runs_work_on_whole_pictures_at_once() -> None:
    nothing = cast("Any", None)
    resources = WorkerResources(nothing, nothing, nothing, provider_context_of(Providers({}), nothing), "LOCAL")
    context = RunContext(Run(AttemptKey("t", 1), Task(), nothing, 0.0), resources)
    begun, end = threading.Semaphore(0), threading.Event()

    def job(number: int) -> int:
        begun.release()
        end.wait(10)
        return number

    runs = [asyncio.create_task(context.work(job, number)) for number in range(4)]
    for _ in range(2):
        await asyncio.to_thread(begun.acquire)
    runs[0].cancel()
    await asyncio.wait([runs[0]])
    assert not begun.acquire(timeout=0.1)
    end.set()
    assert await asyncio.gather(*runs[1:]) == [1, 2, 3]


def test_a_reference_is_covered_and_a_picture_cropped_at_the_middle() -> None:
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 255
    assert fit(wide, 10, 10).min() == 255
    assert crop(wide, 10, 10).min() == 255


def test_models_are_found_below_their_root_only(tmp_path: Path) -> None:
    root = tmp_path / "models"
    (root / "loras").mkdir(parents=True)
    (root / "loras" / "a.safetensors").touch()
    (tmp_path / "secret.safetensors").touch()
    (root / "link.safetensors").symlink_to(tmp_path / "secret.safetensors")
    assert find_lora(root, "loras/a.safetensors") == root / "loras" / "a.safetensors"
    for path in ("../secret.safetensors", "loras/../../secret.safetensors", "link.safetensors", "/etc/passwd"):
        with pytest.raises(errors.InvalidRequest) as failed:
            find_lora(root, path)
        assert failed.value.reason == "MODEL_PATH_INVALID"
    for path in ("loras", "loras/b.safetensors", "a\0b", "x" * 300):
        with pytest.raises(errors.InvalidRequest) as failed:
            find_lora(root, path)
        assert failed.value.reason == "LORA_NOT_FOUND"


@pytest.mark.parametrize(
    ("text", "kind", "reason"),
    [
        ("INVALID_ARGUMENT: steps is too large", errors.InvalidRequest, "INVALID_ARGUMENT"),
        ("LORA_NOT_FOUND: no such file", errors.InvalidRequest, "LORA_NOT_FOUND"),
        ("IMAGE_TOO_LARGE: 9 pixels", errors.InvalidRequest, "IMAGE_TOO_LARGE"),
        ("RESOURCE_EXHAUSTED: the queue is full", errors.Overloaded, "MODEL_BUSY"),
        ("OUT_OF_MEMORY: too big", errors.Unavailable, "OUT_OF_MEMORY"),
        ("INTERNAL: broke", errors.Internal, "MODEL_FAILED"),
    ],
)
def test_a_models_reason_says_whose_fault_it_is(text: str, kind: type[errors.ComputeError], reason: str) -> None:
    found = error_of(text)
    assert type(found) is kind
    assert isinstance(found, errors.ComputeError)
    assert found.reason == reason


@pytest.mark.parametrize("text", ["Stub process 'x' is not healthy.", "UNAVAILABLE: the model is being unloaded", ""])
def test_what_triton_itself_says_means_that_the_model_is_lost(text: str) -> None:
    assert isinstance(error_of(text), ModelLost)


def test_only_a_models_own_stub_is_ever_ended() -> None:
    assert not end_stub(os.getpid(), "diffusion")
    assert not end_stub(2**22 + 1, "diffusion")
    assert is_here("127.0.0.1:8001")
    assert not is_here("triton.example:8001")


@pytest.mark.parametrize("kind", errors.ComputeError.__subclasses__())
def test_every_error_has_a_category_of_the_public_schema(kind: type[errors.ComputeError]) -> None:
    failure = failure_of(kind("why"))
    assert failure.category in set(ErrorCategory)
    passing = (errors.Overloaded, errors.Unavailable, errors.DeadlineExceeded, errors.ProviderFailed, errors.Internal)
    waiting = kind is errors.OutcomeUnknown
    assert failure.retryable == (kind in passing or waiting or failure.category == ErrorCategory.INTERNAL)
    assert failure.exhausted == waiting


def test_a_bugs_own_words_stay_in_the_log() -> None:
    assert "password" not in fault(RuntimeError("password=1")).message


def test_an_unknown_provider_and_a_missing_capability_are_the_callers_fault() -> None:
    class Bare:
        def __init__(self) -> None:
            self.terms = None
            self.checks: dict[str, Check] = {}
            self.canaries: dict[str, Check] = {}

        def configured(self, config: object, call: VendorCall) -> Bare:
            return self

    providers = Providers({"BARE": Bare()})
    for name, reason in (("NOBODY", "PROVIDER_UNKNOWN"), ("BARE", "CAPABILITY_MISSING")):
        with pytest.raises(errors.InvalidRequest) as failed:
            providers.find(name, DIFFUSION, {}, UnrecordedCall())
        assert failed.value.reason == reason


def test_a_provider_that_cannot_do_it_asks_for_no_key_first() -> None:
    class Keyless:
        terms = None
        checks: Mapping[str, Check] = {}
        canaries: Mapping[str, Check] = {}

        def configured(self, config: object, call: VendorCall) -> Keyless:
            raise errors.ProviderRefused("it needs a key", reason="PROVIDER_NOT_CONFIGURED")

    with pytest.raises(errors.InvalidRequest) as failed:
        Providers({"KEYLESS": Keyless()}).find("KEYLESS", DIFFUSION, {}, UnrecordedCall())
    assert failed.value.reason == "CAPABILITY_MISSING"
