"""LoRA files: applied as diffusers applies them, mixed in a batch, and gone without a trace."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from artefacts import hash_file
from diffusion.errors import LoraUnsupported
from diffusion.loading import load_model
from diffusion.lora_files import read_adapter
from diffusion.lora_keys import changes_text_encoder
from diffusion.settings import Settings
from diffusion_stage import (
    ATTENTION,
    Stage,
    directory,
    distance,
    draw_with,
    load_pipeline,
    loaded,
    lora_weights,
    open_stage,
    write_lora,
)
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT / "tests/corpora/field"
STARTER = ROOT / "deploy/triton/starter/weights/diffusion"
FAMILIES = ["sd", "sdxl", "sd3", "flux"]
CONVOLUTIONS = ("to_q", "to_v", "conv1", "conv_in", "time_emb_proj", "ff.net.0.proj")


@pytest.fixture(params=FAMILIES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def stage(name: str) -> Iterator[Stage]:
    stage = open_stage(name)
    yield stage
    stage.close()


@pytest.fixture
def sd() -> Iterator[Stage]:
    stage = open_stage("sd", lora_keep=2)
    yield stage
    stage.close()


def test_a_lora_draws_what_diffusers_draws_and_the_base_is_bit_identical_after(
    name: str, stage: Stage, tmp_path: Path
) -> None:
    base = stage.draw(exact=True)
    path = write_lora(name, tmp_path / "a.safetensors")
    for weight in (1.0, 0.5):
        client = stage.ask(loras=[{"path": path, "weight": weight}], exact=True).wait()
        assert client.result["loras"] == [{"sha256": hash_file(Path(path)), "weight": weight}]
        assert distance(client.picture, base) > 3
        theirs = draw_with(_with_loras(name, {path: weight}))
        assert distance(client.picture, theirs) <= 1
    assert distance(stage.draw(exact=True), base) == 0


@pytest.mark.filterwarnings("ignore:Already found a `peft_config`")
def test_two_loras_add_up_as_in_diffusers(name: str, stage: Stage, tmp_path: Path) -> None:
    first = write_lora(name, tmp_path / "a.safetensors", seed=1)
    second = write_lora(name, tmp_path / "b.safetensors", seed=2, rank=8)
    picture = stage.draw(loras=[{"path": first, "weight": 0.7}, {"path": second, "weight": -0.4}])
    assert distance(picture, draw_with(_with_loras(name, {first: 0.7, second: -0.4}))) <= 1


def test_different_loras_weights_and_none_share_a_batch(name: str, stage: Stage, tmp_path: Path) -> None:
    one = write_lora(name, tmp_path / "a.safetensors", seed=1)
    two = write_lora(name, tmp_path / "b.safetensors", seed=2, rank=2)
    uses = [
        [],
        [{"path": one}],
        [{"path": one, "weight": 0.3}],
        [{"path": two}, {"path": one, "weight": 0.5}],
    ]
    alone = [stage.draw(loras=loras, seed=seed) for seed, loras in enumerate(uses)]
    together = [stage.ask(loras=loras, seed=seed, steps=8) for seed, loras in enumerate(uses)]
    assert max(max(client.wait().batches) for client in together) == 4
    clients = [stage.ask(loras=loras, seed=seed) for seed, loras in enumerate(uses)]
    for client, picture in zip(clients, alone, strict=True):
        assert distance(client.wait().picture, picture) <= 1


@pytest.mark.parametrize("family", ["sd", "sdxl"])
def test_a_lora_of_convolutions_draws_what_diffusers_draws(family: str, tmp_path: Path) -> None:
    path = write_lora(family, tmp_path / "a.safetensors", layers=CONVOLUTIONS, strength=0.1)
    stage = open_stage(family)
    try:
        assert distance(stage.draw(loras=[{"path": path}]), draw_with(_with_loras(family, {path: 1.0}))) <= 1
    finally:
        stage.close()


def test_alpha_of_a_kohya_file_counts_as_in_diffusers(sd: Stage, tmp_path: Path) -> None:
    weights = lora_weights("sd", seed=1, rank=4, layers=("attn1.to_q", "attn2.to_v"), strength=0.3)
    named = {}
    for key, value in weights.items():
        layer, part = key.removesuffix(".weight").rsplit(".", 1)
        kohya = "lora_unet_" + layer.replace(".", "_")
        named[f"{kohya}.{'lora_down' if part == 'lora_A' else 'lora_up'}.weight"] = value
        named[f"{kohya}.alpha"] = torch.tensor(2.0)
    path = tmp_path / "kohya.safetensors"
    save_file(named, path)
    assert distance(sd.draw(loras=[{"path": str(path)}]), draw_with(_with_loras("sd", {str(path): 1.0}))) <= 1
    assert {delta.scale for delta in _adapter("sd", path).deltas.values()} == {0.5}


def test_alpha_in_the_files_metadata_counts_as_in_diffusers(sd: Stage, tmp_path: Path) -> None:
    config = {"r": 4, "lora_alpha": 8, "target_modules": ["to_q", "to_k", "to_v", "to_out.0"]}
    adapter = json.dumps({f"unet.{key}": value for key, value in config.items()})
    path = write_lora("sd", tmp_path / "a.safetensors", lora_adapter_metadata=adapter)
    assert distance(sd.draw(loras=[{"path": path}]), draw_with(_with_loras("sd", {path: 1.0}))) <= 1
    assert {delta.scale for delta in _adapter("sd", path).deltas.values()} == {2.0}


def _as_processors(layer: str, part: str) -> Any:
    stem, _, place = layer.rpartition(".attn1.")
    place = place.removesuffix(".0")
    return f"unet.{stem}.attn1.processor.{place}_lora.{part}.weight"


AS_PEFT = {"down": "lora_A", "up": "lora_B"}
SPELLINGS = {
    "the bare layer": lambda layer, part: f"{layer}.{AS_PEFT[part]}.weight",
    "peft": lambda layer, part: f"base_model.model.{layer}.{AS_PEFT[part]}.weight",
    "peft of a pipeline": lambda layer, part: f"base_model.model.PREFIX.{layer}.{AS_PEFT[part]}.weight",
    "peft with the adapter's name": lambda layer, part: f"base_model.model.{layer}.{AS_PEFT[part]}.default.weight",
    "old diffusers": lambda layer, part: f"PREFIX.{layer}.lora.{part}.weight",
    "kohya": lambda layer, part: f"lora_unet_{layer.replace('.', '_')}.lora_{part}.weight",
    "kohya of a transformer": lambda layer, part: f"lora_transformer_{layer.replace('.', '_')}.lora_{part}.weight",
    "ComfyUI": lambda layer, part: f"diffusion_model.{layer}.{AS_PEFT[part]}.weight",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("name", FAMILIES)
def test_a_lora_is_the_same_in_every_spelling(name: str, spelling: str, tmp_path: Path) -> None:
    control = _adapter(name, write_lora(name, tmp_path / "control.safetensors"))
    weights = lora_weights(name, seed=1, rank=4, layers=ATTENTION, strength=0.3)
    path = _respelled(name, weights, SPELLINGS[spelling], tmp_path / "other.safetensors")
    _assert_same(_adapter(name, path), control)


@pytest.mark.parametrize("name", ["sd", "sdxl"])
def test_the_attention_processors_of_old_diffusers_are_read(name: str, tmp_path: Path) -> None:
    layers = tuple(f"attn1.{part}" for part in ATTENTION)
    control = _adapter(name, write_lora(name, tmp_path / "control.safetensors", layers=layers))
    weights = lora_weights(name, seed=1, rank=4, layers=layers, strength=0.3)
    path = _respelled(name, weights, _as_processors, tmp_path / "other.safetensors")
    _assert_same(_adapter(name, path), control)


@pytest.mark.parametrize("name", FAMILIES)
def test_alphas_count_in_every_spelling_that_has_them(name: str, tmp_path: Path) -> None:
    weights = lora_weights(name, seed=1, rank=4, layers=ATTENTION, strength=0.3)
    for spelling in ("kohya", "kohya of a transformer", "old diffusers"):
        path = _respelled(name, weights, SPELLINGS[spelling], tmp_path / "other.safetensors", alpha=2.0)
        assert {delta.scale for delta in _adapter(name, path).deltas.values()} == {0.5}


@pytest.mark.field("25")
def test_a_file_of_pefts_own_draws_the_picture_of_its_control() -> None:
    starter = load_model(Settings(STARTER))
    stage = open_stage(starter)
    try:
        base, control, other = (
            stage.draw(prompt="a red mug", loras=loras, exact=True)
            for loras in ([], [_case("25_control_diffusers_prefix")], [_case("25_peft_prefix")])
        )
    finally:
        stage.close()
    assert distance(other, control) == 0
    assert distance(control, base) > 3


def test_a_file_is_of_another_family_only_when_its_layers_say_so(tmp_path: Path) -> None:
    for of, on in (("sd", "flux"), ("flux", "sd"), ("sd3", "sdxl"), ("flux", "sd3"), ("sdxl", "sd3")):
        refused = _refusal(on, write_lora(of, tmp_path / "a.safetensors"))
        assert "is for another family of models" in refused, (of, on)
        assert of in refused.partition("models (")[2].partition(")")[0]
    for of, on in (("sdxl", "sd"), ("sd", "sdxl")):
        refused = _refusal(on, write_lora(of, tmp_path / "a.safetensors"))
        assert "another family" not in refused
        assert "does not fit" in refused or "do not fit" in refused


def test_keys_that_mean_no_layer_are_named(tmp_path: Path) -> None:
    weights = lora_weights("sd", seed=1, rank=2, layers=("to_q",), strength=0.3)
    whole = {f"unet.{key}": value for key, value in weights.items()}
    strays = {f"unet.somewhere.else_{at}.lora_A.weight": torch.ones(2, 2) for at in range(5)}
    path = tmp_path / "stray.safetensors"
    save_file(whole | strays, path)
    refused = _refusal("sd", path)
    assert "does not fit this model" in refused
    assert all(f"unet.somewhere.else_{at}.lora_A.weight" in refused for at in range(3))
    assert refused.endswith("and 2 more")


def test_a_text_encoders_keys_are_refused_by_name() -> None:
    for key in ("lora_te_text_model", "lora_te1_text_model", "text_encoder.text_model", "text_encoder_2.text_model"):
        assert changes_text_encoder([f"{key}.encoder.layers.0.mlp.fc1.lora_down.weight"])
    refused = _refusal("sd", CASES / "24_kohya_with_text_encoder.safetensors")
    assert refused.endswith("also changes the text encoder, which is not supported")


def test_adapters_are_known_by_content_and_only_the_last_used_are_kept(sd: Stage, tmp_path: Path) -> None:
    paths = [write_lora("sd", tmp_path / f"{seed}.safetensors", seed=seed) for seed in range(3)]
    twin = str(shutil.copy(paths[0], tmp_path / "twin.safetensors"))
    first = sd.draw(loras=[{"path": paths[0]}])
    assert distance(sd.draw(loras=[{"path": twin}]), first) == 0
    assert len(sd._files) == 1
    for path in paths[1:]:
        sd.draw(loras=[{"path": path}])
    assert len(sd._files) == 2
    assert distance(sd.draw(loras=[{"path": paths[0]}]), first) == 0


def test_a_file_replaced_under_its_name_is_read_anew(sd: Stage, tmp_path: Path) -> None:
    path = write_lora("sd", tmp_path / "a.safetensors", seed=1)
    before = sd.draw(loras=[{"path": path}])
    new = write_lora("sd", tmp_path / "new.safetensors", seed=2)
    os.replace(new, path)
    assert distance(sd.draw(loras=[{"path": path}]), before) > 3


def test_a_missing_file_or_another_content_is_refused_with_its_reason(sd: Stage, tmp_path: Path) -> None:
    path = write_lora("sd", tmp_path / "a.safetensors")
    assert _refused(sd, str(tmp_path / "nothing.safetensors")) == "LORA_NOT_FOUND"
    assert _refused(sd, str(tmp_path)) == "LORA_NOT_FOUND"
    assert _refused(sd, path, sha256="0" * 64) == "LORA_HASH_MISMATCH"
    assert sd.ask(loras=[{"path": path, "sha256": hash_file(Path(path)).upper()}]).wait().error is None


def test_a_lora_that_does_not_fit_wholly_is_refused_and_the_base_stays(sd: Stage, tmp_path: Path) -> None:
    base = sd.draw(exact=True)
    weights = lora_weights("sd", seed=1, rank=2, layers=("to_q",), strength=0.3)
    whole = {f"unet.{key}": value for key, value in weights.items()}
    some = next(key for key in whole if "lora_A" in key)
    partner = some.replace("lora_A", "lora_B")
    text = {"text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_A.weight": torch.ones(2, 32)}
    bad = {
        "another layer": whole | {some.replace("to_q", "to_z"): whole[some]},
        "another width": whole | {some: torch.ones(2, 7)},
        "one half": {key: value for key, value in whole.items() if key != partner},
        "text encoder": whole | text,
        "dora": whole | {some.replace("lora_A.weight", "lora_magnitude_vector"): torch.ones(4)},
        "lokr": {"unet.conv_in.lokr_w1": torch.ones(2, 2)},
        "no lora": {"model.weight": torch.ones(2, 2)},
        "empty": {},
    }
    for case, weights in bad.items():
        path = tmp_path / f"{case}.safetensors"
        save_file({key: value.clone() for key, value in weights.items()}, path)
        assert _refused(sd, str(path)) == "LORA_UNSUPPORTED", case
    for family in ("sdxl", "flux", "sd3"):
        assert _refused(sd, write_lora(family, tmp_path / f"{family}.safetensors")) == "LORA_UNSUPPORTED", family
    (tmp_path / "junk.safetensors").write_bytes(b"no safetensors")
    assert _refused(sd, str(tmp_path / "junk.safetensors")) == "LORA_UNSUPPORTED"
    (tmp_path / "pickle.bin").write_bytes(b"\x80\x02.")
    assert _refused(sd, str(tmp_path / "pickle.bin")) == "LORA_UNSUPPORTED"
    assert distance(sd.draw(exact=True), base) == 0


@pytest.mark.parametrize("other", ["sd", "sdxl", "sd3"])
def test_a_lora_of_another_family_does_not_load_as_nothing_on_flux(other: Any, tmp_path: Path) -> None:
    path = Path(write_lora(other, tmp_path / "a.safetensors"))
    with pytest.raises(LoraUnsupported):
        _adapter("flux", path)


def test_a_lora_outside_its_folder_is_refused(tmp_path: Path) -> None:
    inside = tmp_path / "loras"
    write_lora("sd", inside / "a.safetensors")
    outside = write_lora("sd", tmp_path / "b.safetensors")
    (inside / "link.safetensors").symlink_to(outside)
    stage = open_stage("sd", lora_root=inside)
    try:
        assert stage.ask(loras=[{"path": "a.safetensors"}]).wait().error is None
        for path in ("../b.safetensors", outside, "link.safetensors"):
            assert _refused(stage, path) == "INVALID_ARGUMENT"
    finally:
        stage.close()


def test_a_lora_that_overflows_fails_alone(sd: Stage, tmp_path: Path) -> None:
    path = write_lora("sd", tmp_path / "huge.safetensors", strength=1e18)
    good = sd.draw(steps=8)
    clients = [sd.ask(steps=8), sd.ask(steps=8, loras=[{"path": path}]), sd.ask(steps=8)]
    assert "no numbers" in str(clients[1].wait().error)
    assert distance(clients[0].wait().picture, good) <= 1
    assert distance(clients[2].wait().picture, good) <= 1


def _refused(stage: Stage, path: Path | str, **fields: Any) -> Any:
    client = stage.ask(loras=[{"path": path, **fields}]).wait()
    assert client.picture is None
    assert client.steps == []
    return client.error.reason


def _refusal(name: str, path: Path) -> Any:
    with pytest.raises(LoraUnsupported) as caught:
        _adapter(name, path)
    return str(caught.value)


def _case(name: str) -> Any:
    return {"path": str(CASES / f"{name}.safetensors")}


def _respelled(
    name: str, weights: dict[str, Any], spell: Callable[[str, str], str], path: Path, *, alpha: Any = None
) -> Any:
    prefix = "unet" if hasattr(loaded(name).family.pipe, "unet") else "transformer"
    named = {}
    for key, value in weights.items():
        layer, part = key.removesuffix(".weight").rsplit(".", 1)
        spelled = spell(layer, "down" if part == "lora_A" else "up").replace("PREFIX", prefix)
        named[spelled] = value
        if alpha is not None:
            stem = spelled.replace(".lora.", ".lora_").partition(".lora_")[0]
            named[f"{stem}.alpha"] = torch.tensor(alpha)
    save_file(named, path)
    return path


def _assert_same(one: Any, other: Any) -> None:
    assert one.deltas.keys() == other.deltas.keys()
    for layer, delta in one.deltas.items():
        assert torch.equal(delta.down, other.deltas[layer].down)
        assert torch.equal(delta.up, other.deltas[layer].up)
        assert delta.scale == other.deltas[layer].scale


def _adapter(name: str, path: Path) -> Any:
    return read_adapter(Path(path), "0" * 64, loaded(name).family)


def _with_loras(name: str, weights: dict[str, Any]) -> Any:
    """Diffusers' pipeline with these LoRA files loaded its own way (peft)."""
    pipe = load_pipeline(directory(name))
    for at, path in enumerate(weights):
        pipe.load_lora_weights(str(Path(path).parent), weight_name=Path(path).name, adapter_name=f"l{at}")
    pipe.set_adapters([f"l{at}" for at in range(len(weights))], list(weights.values()))
    return pipe
