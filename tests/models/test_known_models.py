"""A model that the registry or a manifest knows is called by it, and refused where its files are others."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import artefacts
import pytest
from artefacts import MANIFEST, ArtefactRefused, artefact_at, registry
from diffusion.card import hash_files
from diffusion.families import FAMILIES
from diffusion.loading import load_model
from diffusion.settings import Settings
from families import build
from matting.errors import MattingError
from matting.network import MatteNetwork
from matting.settings import Settings as MatteSettings
from pipelines import PIPELINES

STARTER = artefacts.REGISTRY.parent / "starter/weights"


def with_manifest(path: Path, **changes: Any) -> Any:
    files = hash_files(path)
    said = {"id": "maker/tiny", "revision": "0" * 40, "licence": "openrail++", "upstream": "", "files": files}
    (path / MANIFEST).write_text(json.dumps(said | changes))
    return path


def test_a_model_from_a_hub_is_called_by_its_id_there(tmp_path: Path) -> None:
    path = with_manifest(build("sd", tmp_path))
    card, artefact = load_model(Settings(path)).card, artefact_at(path)
    assert artefact is not None
    assert (card.name, card.licence, card.sha256) == ("maker/tiny", "openrail++", artefact.sha256)
    assert load_model(Settings(path)).served["source"] == f"maker/tiny at {'0' * 40}, from a hub"


@pytest.mark.parametrize("name", ["unet/diffusion_pytorch_model.safetensors", "scheduler/scheduler_config.json"])
@pytest.mark.parametrize("cut", [True, False])
def test_a_damaged_or_swapped_file_is_refused_by_its_hash(tmp_path: Path, name: str, cut: int) -> None:
    path = with_manifest(build("sd", tmp_path))
    content = (path / name).read_bytes()
    (path / name).write_bytes(content[:100] if cut else content[:-20] + content[-20:].replace(b"0", b"1") + b" ")
    with pytest.raises(ArtefactRefused, match=f"{name} is not the file that the registry names.*make model ID=maker/"):
        load_model(Settings(path))


def test_a_missing_and_a_foreign_file_are_refused_too(tmp_path: Path) -> None:
    path = with_manifest(build("sd", tmp_path))
    foreign = path / "unet/model.safetensors"
    foreign.write_bytes(b"")
    with pytest.raises(ArtefactRefused, match=r"unet/model.safetensors is not the file"):
        load_model(Settings(path))
    foreign.unlink()
    (path / "vae/config.json").unlink()
    with pytest.raises(ArtefactRefused, match=r"vae/config.json .*missing"):
        load_model(Settings(path))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"id": 1}'])
def test_a_manifest_that_cannot_be_read_is_refused(tmp_path: Path, content: str) -> None:
    path = build("sd", tmp_path)
    (path / MANIFEST).write_text(content)
    with pytest.raises(ArtefactRefused, match="cannot be read"):
        load_model(Settings(path))


def test_the_starter_is_what_the_registry_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = load_model(Settings(STARTER / "diffusion")).card
    known = registry()["atelier-starter"]
    assert (card.name, card.sha256, card.licence) == (known.name, known.sha256, known.licence)
    copy = shutil.copytree(STARTER / "diffusion", tmp_path / "starter")
    (copy / "scheduler/scheduler_config.json").write_text("{}")
    monkeypatch.setattr(artefacts, "registry", lambda: {known.name: replace(known, folder=str(copy))})
    with pytest.raises(ArtefactRefused, match=r"scheduler_config.json is not the file .*git checkout"):
        load_model(Settings(copy))


def test_the_starter_matte_is_what_the_registry_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = registry()["atelier-starter-matte"]
    said = MatteNetwork.load(MatteSettings()).description
    assert (said["name"], said["sha256"], said["licence"]) == (known.name, known.sha256, known.licence)
    copy = shutil.copytree(STARTER / "segmentation", tmp_path / "matte")
    file = copy / "segmentation.onnx"
    file.write_bytes(file.read_bytes()[:-1])
    monkeypatch.setattr(artefacts, "registry", lambda: {known.name: replace(known, folder=str(copy))})
    with pytest.raises(MattingError, match=r"segmentation.onnx is not the file that the registry names"):
        MatteNetwork.load(MatteSettings(model_path=file))


def test_the_set_up_knows_every_pipeline_that_is_served() -> None:
    assert set(PIPELINES) == set(FAMILIES)
