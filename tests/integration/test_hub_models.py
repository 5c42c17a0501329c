"""A model that `make model` took from a hub draws in the running stack, under its own name, hash and licence."""

from __future__ import annotations

import io
import subprocess
import time
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from PIL import Image
from skimage import data

from deploy.local import kept, models, runfile, triton
from deploy.local.failures import ComponentFailed
from deploy.local.lifecycle import describe
from deploy.local.paths import MODELS_PYTHON, ROOT, StackFolder
from deploy.local.ports import HOST
from deploy.local.settings import Ports
from deploy.triton.runtime.artefacts import Artefact, artefact_at
from tests.fakes.hub import HubServer, Shelf
from tests.stack import model_processes, running, running_stack
from tests.waiting import blocks_for

_BUILD = """
import sys
sys.path.insert(0, "tests/models")
from pathlib import Path
from families import build
for name in sys.argv[2:]:
    build(name, Path(sys.argv[1]))
"""
FAMILIES = ("sdxl", "flux")
STARTING = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def shelves(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Shelf]:
    """A small network of each family with weights by chance: what they draw is noise, but it is they who draw it."""
    folder = tmp_path_factory.mktemp("made")
    command = (str(MODELS_PYTHON), "-c", _BUILD, str(folder), *FAMILIES)
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return {f"maker/{name}": Shelf.of(folder / name, licence="openrail++") for name in FAMILIES}


@pytest.fixture(params=FAMILIES)
def chosen(
    request: pytest.FixtureRequest, shelves: dict[str, Shelf], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[StackFolder, Artefact]:
    monkeypatch.delenv("MODEL_PATH", raising=False)
    home, id = StackFolder(tmp_path / "home"), f"maker/{request.param}"
    with HubServer().running() as hub:
        hub.shelves = shelves
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        models.choose(home, tmp_path / "hub", id, "main")
    found = artefact_at(tmp_path / "hub" / id.replace("/", "--") / shelves[id].commit)
    assert found is not None
    return home, found


@STARTING
def test_a_model_from_a_hub_draws_in_the_running_stack(chosen: tuple[StackFolder, Artefact]) -> None:
    home, model = chosen
    with running_stack(home) as stack:
        headers = {"Authorization": f"Bearer {stack.api_key}", "Prefer": "wait=60"}
        with httpx2.Client(base_url=stack.base_url, headers=headers, timeout=90.0) as http:
            asked = {"task_type": "GENERATION", "origin_instance": "test", "prompt": "a red mug", "seed": 7}
            done = http.post("/api/v1/tasks/", json=asked).raise_for_status().json()
            assert done["status"] == "COMPLETED", done
            made = http.get(f"/api/v1/tasks/{done['id']}/provenance").raise_for_status().json()
    facts = {"name": model.name, "sha256": model.sha256, "licence": "openrail++"}
    assert {name: done[f"model_{name}"] for name in facts} == facts
    assert made["files"][0]["recipe"]["model"] == facts


@STARTING
@pytest.mark.field("incomplete-hub-model")
@pytest.mark.parametrize("chosen", ["sdxl"], indirect=True)
def test_beside_a_model_that_was_swapped_since_the_rest_of_the_stack_works_and_the_way_back_is_named(
    chosen: tuple[StackFolder, Artefact],
) -> None:
    home, model = chosen
    weights = next(path for name, path in model.paths().items() if name.startswith("unet/") and "safetensors" in name)
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with running_stack(home) as stack:
        told = describe(runfile.read(home))
        assert "WITHOUT    the model diffusion, which cannot be used: " in told
        assert f"{weights} is not the file that the registry names for the model maker/sdxl" in told
        assert "make model ID=starter goes back" in told and "draws      nothing; chosen is maker/sdxl" in told
        with httpx2.Client(base_url=stack.base_url, headers={"Authorization": f"Bearer {stack.api_key}"}) as http:
            assert _cut_out(http)["status"] == "COMPLETED"
            away = "MODELS_AWAY: models that do not answer: diffusion (it could not be loaded)"
            assert _health_of_models(http) == (200, ["models"], away)
            failed = _drawn(http)
            assert (failed["status"], failed["error_reason"]) == ("FAILED", "MODEL_UNAVAILABLE"), failed
            assert str(home.folder.parent) not in str(failed["errors"])
            assert "diffusion" not in {model["serves"] for model in http.get("/api/v1/models").json()["models"]}


@STARTING
@pytest.mark.field("model-without-numbers")
def test_beside_a_model_that_answers_no_numbers_the_rest_works_and_its_tasks_fail_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shelves: dict[str, Shelf]
) -> None:
    monkeypatch.delenv("MODEL_PATH", raising=False)
    home, folder = StackFolder(tmp_path / "home"), tmp_path / "model"
    for name, content in shelves["maker/sdxl"].files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(_without_numbers(content) if name.startswith("unet/diffusion") else content)
    kept.keep(home.settings_file, "MODEL_PATH", str(folder))
    with running_stack(home) as stack:
        told = describe(runfile.read(home))
        assert "the model diffusion, which cannot be used: ArithmeticError: the network answers no numbers" in told
        assert "make model ID=starter goes back" in told and "draws      nothing; chosen is" in told
        with httpx2.Client(base_url=stack.base_url, headers={"Authorization": f"Bearer {stack.api_key}"}) as http:
            begun = time.monotonic()
            failed = [_drawn(http) for _ in range(3)]
            assert time.monotonic() - begun < 15
            assert {(one["status"], one["error_reason"]) for one in failed} == {("FAILED", "MODEL_UNAVAILABLE")}
            assert "no numbers" in failed[0]["errors"][-1] and "make status" in failed[0]["errors"][-1]
            assert _cut_out(http)["status"] == "COMPLETED"
            film = _asked(http, task_type="VIDEO_GENERATION", input_image_path="test/cup.png", prompt="pan left")
            assert (film["status"], film["error_reason"]) == ("FAILED", "MODEL_UNAVAILABLE"), film
            status, degraded, detail = _health_of_models(http)
            assert (status, degraded) == (200, ["models"]) and "diffusion (ArithmeticError: the network" in detail
        # It was loaded again meanwhile, and no process has outlived its load.
        first = model_processes(stack.pids["triton"], "diffusion")
        end = time.monotonic() + 60
        while first & (now := model_processes(stack.pids["triton"], "diffusion")) or not now:
            assert time.monotonic() < end, (first, now)
            blocks_for(0.2, because="pauses between loads grow")
        assert len(now) == 1
        begun = time.monotonic()
    assert time.monotonic() - begun < 15


def _without_numbers(weights: bytes) -> bytes:
    """The same tensors, each number of them none: all bits are set, whatever its width."""
    data = 8 + int.from_bytes(weights[:8], "little")
    return weights[:data] + b"\xff" * (len(weights) - data)


def _drawn(http: httpx2.Client) -> dict[str, Any]:
    return _asked(http, task_type="GENERATION", prompt="a red mug")


def _asked(http: httpx2.Client, **fields: str) -> dict[str, Any]:
    asked = {"origin_instance": "test", **fields}
    done = http.post("/api/v1/tasks/", json=asked, headers={"Prefer": "wait=30"}, timeout=60.0)
    return cast("dict[str, Any]", done.raise_for_status().json())


def _health_of_models(http: httpx2.Client) -> tuple[int, list[str], str]:
    """As soon as one model alone is told of: the workers' heartbeats bring the news of the others' start."""
    end = time.monotonic() + 30
    while True:
        answer = http.get("/health")
        told = answer.json()
        detail = told["dependencies"]["models"]["detail"] or ""
        if (detail and "," not in detail) or time.monotonic() > end:
            return answer.status_code, told["degraded"], detail
        blocks_for(0.2, because="heartbeats come now and then")


def _cut_out(http: httpx2.Client) -> dict[str, Any]:
    cup = io.BytesIO()
    Image.fromarray(data.coffee()).save(cup, "PNG")
    http.post("/api/v1/storage/images/test/cup.png", files={"file": ("cup.png", cup.getvalue())}).raise_for_status()
    asked = {"task_type": "BACKGROUND_REMOVAL", "origin_instance": "test", "input_image_paths": ["test/cup.png"]}
    done = http.post("/api/v1/tasks/", json=asked, headers={"Prefer": "wait=60"}, timeout=90.0)
    return cast("dict[str, Any]", done.raise_for_status().json())


@STARTING
@pytest.mark.parametrize("lost", ["the folder", "scheduler/scheduler_config.json"])
def test_what_is_lost_of_a_chosen_model_is_named_beside_the_models_that_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shelves: dict[str, Shelf], lost: str
) -> None:
    monkeypatch.delenv("MODEL_PATH", raising=False)
    home, ports, folder = StackFolder(tmp_path / "home"), Ports.free(), tmp_path / "model"
    for name, content in shelves["maker/sdxl"].files.items() if lost != "the folder" else ():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / lost).unlink(missing_ok=True)
    kept.keep(home.settings_file, "MODEL_PATH", str(folder))
    with running(triton.triton(home, ports), home):
        [(name, why)] = triton.not_loaded(f"{HOST}:{ports.triton_http}").items()
    assert name == "diffusion" and why.startswith("Internal: ModelUnsupported: ") and str(folder) in why, why
    assert "\n" not in why and "model.py" not in why


@STARTING
def test_a_server_that_can_load_no_model_at_all_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRITON_RUNTIME", str(tmp_path))
    home, begun = StackFolder(tmp_path / "home"), time.monotonic()
    with (
        pytest.raises(ComponentFailed, match=r"will not become ready: .*No module named"),
        running(triton.triton(home, Ports.free()), home),
    ):
        pass
    assert time.monotonic() - begun < 100
