"""A model that `make model` took from a hub draws in the running stack, under its own name, hash and licence."""

from __future__ import annotations

import subprocess
from pathlib import Path

import httpx2
import pytest

from deploy.local import models, triton
from deploy.local.failures import ComponentFailed
from deploy.local.paths import MODELS_PYTHON, ROOT, StackFolder
from deploy.local.settings import Ports
from deploy.triton.runtime.artefacts import Artefact, artefact_at
from tests.fakes.hub import HubServer, Shelf
from tests.stack import running, running_stack

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
@pytest.mark.parametrize("chosen", ["sdxl"], indirect=True)
def test_a_file_that_was_swapped_since_keeps_triton_from_starting_and_is_named(
    chosen: tuple[StackFolder, Artefact],
) -> None:
    home, model = chosen
    weights = next(path for name, path in model.paths().items() if name.startswith("unet/") and "safetensors" in name)
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ComponentFailed) as caught, running(triton.triton(home, Ports.free()), home):
        pass
    assert f"{weights} is not the file that the registry names for the model maker/sdxl" in str(caught.value)
