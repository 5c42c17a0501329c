"""Whether weight files hold what the configuration beside them makes, told by the libraries that would load them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from diffusion.dry_run import faults_of
from diffusion.errors import ModelUnsupported
from diffusion.loading import load_model
from diffusion.settings import Settings
from families import BUILDERS, build
from safetensors.torch import load_file, save_file

UNET, ENCODER, VAE = "unet", "text_encoder", "vae"
POSITIONS = "text_model.embeddings.position_ids"
STARTER = Path(__file__).parents[2] / "deploy/triton/starter/weights/diffusion"
Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sd", tmp_path_factory.mktemp("made"))


@pytest.fixture
def model(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "model"))


def altered(model: Path, component: str, change: Callable[[Tensors], object]) -> Path:
    [path] = (model / component).glob("*.safetensors")
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})
    return model


def configured(model: Path, component: str, **changes: Any) -> Path:
    path = model / component / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return model


@pytest.mark.parametrize("family", BUILDERS)
def test_a_model_of_each_family_has_the_tensors_that_it_needs(family: str, tmp_path: Path) -> None:
    assert faults_of(build(family, tmp_path)) == []


def test_the_starter_has_the_tensors_that_it_needs() -> None:
    assert faults_of(STARTER) == []


def test_what_older_versions_of_the_libraries_wrote_is_no_fault(model: Path) -> None:
    """As Stable Diffusion 1.5 has it: attention under other names, positions among the weights."""
    shutil.rmtree(model / VAE)
    vae = AutoencoderKL(block_out_channels=(32,), norm_num_groups=8, latent_channels=4)
    vae.save_pretrained(model / VAE)
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def renamed(tensors: Tensors) -> None:
        for name in [name for name in tensors if ".attentions." in name]:
            for new, before in old.items():
                if f".{new}." in name:
                    tensors[name.replace(new, before)] = tensors.pop(name)

    altered(model, VAE, renamed)
    altered(model, ENCODER, lambda tensors: tensors.update({POSITIONS: torch.arange(24)[None]}))
    assert faults_of(model) == []


@pytest.mark.field("misfitting-weights")
@pytest.mark.parametrize(
    ("component", "kind"), [(UNET, "UNet2DConditionModel"), (VAE, "AutoencoderKL"), (ENCODER, "CLIPTextModel")]
)
def test_a_tensor_that_is_missing_superfluous_or_of_another_shape_is_named(
    model: Path, component: str, kind: str
) -> None:
    """One after the other, in one component: what is missing is said first."""
    [path] = (model / component).glob("*.safetensors")
    name = sorted(load_file(path))[0]
    altered(model, component, lambda tensors: tensors.update({"stray.weight": torch.zeros(3)}))
    assert faults_of(model) == [f"{component} ({kind}): the tensor stray.weight is superfluous"]
    altered(model, component, lambda tensors: tensors.update({name: torch.zeros(7, 3)}))
    [said] = faults_of(model)
    assert said.startswith(f"{component} ({kind}): the tensor ") and f"{name.removeprefix('text_model.')} is " in said
    assert "7, 3], where the configuration makes it [" in said
    altered(model, component, lambda tensors: tensors.pop(name))
    [said] = faults_of(model)
    assert said.endswith("is missing, and 1 more")


@pytest.mark.parametrize(
    ("component", "changes", "words"),
    [
        (ENCODER, {"num_hidden_layers": 1}, "is superfluous, and"),
        (VAE, {"layers_per_block": 2}, "is missing, and"),
        (UNET, {"block_out_channels": [32, 128]}, "where the configuration makes it"),
    ],
)
def test_weights_of_another_network_than_the_configuration_makes_are_refused(
    model: Path, component: str, changes: dict[str, Any], words: str
) -> None:
    [said] = faults_of(configured(model, component, **changes))
    assert words in said


@pytest.mark.field("misfitting-weights")
def test_a_folder_of_somebodys_own_that_lacks_a_tensor_is_not_loaded(model: Path) -> None:
    """The library would draw it by chance, and say so in a log."""
    settings = Settings(model_path=model)
    assert load_model(settings).served["name"]
    altered(model, UNET, lambda tensors: tensors.pop("conv_in.bias"))
    with pytest.raises(ModelUnsupported, match=r"unet \(UNet2DConditionModel\): the tensor conv_in.bias is missing"):
        load_model(settings)


def test_only_heads_are_read(model: Path) -> None:
    """A file whose numbers are a hole is judged like a whole one."""
    for path in model.rglob("*.safetensors"):
        head, size = path.read_bytes(), path.stat().st_size
        path.write_bytes(head[: 8 + int.from_bytes(head[:8], "little")])
        with path.open("r+b") as file:
            file.truncate(size)
    assert faults_of(model) == []
