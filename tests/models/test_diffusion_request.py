"""What a request may say, what settings may say, and what a directory says about itself."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diffusion.card import hash_directory, read_index, read_licence, read_name
from diffusion.errors import InvalidArgument, ModelUnsupported
from diffusion.request import Limits, LoraUse, parse_request
from diffusion.settings import read_settings

LIMITS = Limits(width=128, height=64, multiple_of=8, steps=20, guidance=3.0, max_pixels=256 * 256)
PICTURE = np.zeros((10, 12, 3), np.uint8)


def test_a_prompt_is_enough_and_the_rest_comes_from_the_model() -> None:
    request = parse_request({"prompt": "a mug"}, LIMITS)
    assert (request.width, request.height, request.steps, request.guidance) == (128, 64, 20, 3.0)
    assert 0 <= request.seed < 2**32
    assert (request.negative_prompt, request.loras, request.preview_every, request.exact) == ("", (), 1, False)


def test_null_means_absent() -> None:
    fields = dict.fromkeys(["width", "steps", "guidance", "seed", "strength", "loras", "negative_prompt"])
    assert parse_request({"prompt": "a mug", **fields}, LIMITS).steps == 20


def test_everything_given_is_kept() -> None:
    sha256 = "AB" * 32
    fields = {
        "prompt": "a mug", "negative_prompt": "blue", "width": 64, "height": 72, "steps": 7, "guidance": 0,
        "seed": 2**64 - 1, "strength": 0.4, "preview_every": 0, "exact": True,
        "loras": [{"path": "a.safetensors"}, {"path": "b.safetensors", "weight": -0.5, "sha256": sha256}],
    }  # fmt: skip
    request = parse_request(fields, LIMITS, image=PICTURE, mask=PICTURE[..., 0])
    assert (request.width, request.height, request.steps, request.guidance) == (64, 72, 7, 0.0)
    assert (request.seed, request.strength, request.exact) == (2**64 - 1, 0.4, True)
    assert request.loras == (LoraUse("a.safetensors"), LoraUse("b.safetensors", -0.5, sha256.lower()))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "  "}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": "x" * 4001}, "prompt"),
        ({"negative_prompt": ["x"]}, "negative_prompt"),
        ({"width": 63}, "width"),
        ({"width": 0}, "width"),
        ({"height": -8}, "height"),
        ({"width": 64.5}, "width"),
        ({"width": "64"}, "width"),
        ({"width": True}, "width"),
        ({"width": 512, "height": 256}, "width times height"),
        ({"width": 10**12}, "width"),
        ({"steps": 0}, "steps"),
        ({"report_every_ms": -1}, "report_every_ms"),
        ({"report_every_ms": 10_001}, "report_every_ms"),
        ({"report_every_ms": 0.5}, "report_every_ms"),
        ({"steps": 151}, "steps"),
        ({"guidance": -1}, "guidance"),
        ({"guidance": 31}, "guidance"),
        ({"guidance": float("nan")}, "guidance"),
        ({"guidance": float("inf")}, "guidance"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"strength": 0.5}, "strength needs IMAGE"),
        ({"preview_every": -1}, "preview_every"),
        ({"exact": 1}, "exact"),
        ({"loras": "a"}, "loras"),
        ({"loras": [{"path": "a"}] * 9}, "loras"),
        ({"loras": ["a"]}, "loras"),
        ({"loras": [{}]}, "path"),
        ({"loras": [{"path": "a\0b"}]}, "path"),
        ({"loras": [{"path": "a", "weight": "1"}]}, "weight"),
        ({"loras": [{"path": "a", "weight": 11}]}, "weight"),
        ({"loras": [{"path": "a", "sha256": "xyz"}]}, "sha256"),
        ({"loras": [{"path": "a", "scale": 1}]}, "scale"),
        ({"promt": "a"}, "promt"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], named: str) -> None:
    valid = {} if "prompt" in fields or not fields else {"prompt": "a mug"}
    with pytest.raises(InvalidArgument, match=f"^INVALID_ARGUMENT: .*{named}"):
        parse_request(valid | fields, LIMITS)


@pytest.mark.parametrize(
    ("image", "mask", "said"),
    [
        (None, PICTURE[..., 0], "MASK needs IMAGE"),
        (PICTURE, PICTURE[:5, :, 0], "MASK is"),
        (PICTURE[..., :2], None, "IMAGE must be"),
        (PICTURE[:0], None, "IMAGE must be"),
        (np.broadcast_to(np.uint8(0), (70_000, 1_000, 3)), None, "IMAGE has more than"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(image: Any, mask: Any, said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        parse_request({"prompt": "a mug"}, LIMITS, image=image, mask=mask)


@pytest.mark.parametrize("strength", [0, 1.1, "1"])
def test_a_strength_out_of_range_is_refused(strength: float) -> None:
    with pytest.raises(InvalidArgument, match="strength"):
        parse_request({"prompt": "a mug", "strength": strength}, LIMITS, image=PICTURE)


def test_the_environment_goes_before_parameters_and_defaults(tmp_path: Path) -> None:
    environ = {"MODEL_PATH": "/models/sdxl", "DIFFUSION_SLOTS": "2"}
    settings = read_settings(environ, {"model_path": "/other", "slots": "3", "queue": "5"}, default_model=tmp_path)
    assert str(settings.model_path) == "/models/sdxl"
    assert (settings.slots, settings.queue, settings.lora_keep, settings.lora_root) == (2, 5, 8, None)
    assert read_settings({}, {}, default_model=tmp_path).model_path == tmp_path


@pytest.mark.parametrize("value", ["0", "-1", "many"])
def test_a_setting_that_makes_no_sense_is_named(value: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="setting slots"):
        read_settings({"DIFFUSION_SLOTS": value}, {}, default_model=tmp_path)


def test_a_directory_tells_its_name_licence_and_content(tmp_path: Path) -> None:
    index = {"_class_name": "FluxPipeline", "_licence": "from-index"}
    assert read_licence(tmp_path, index) == "from-index"
    assert read_licence(tmp_path, {}) == "unknown"
    (tmp_path / "LICENSE.md").write_text("\n# CC0-1.0\n\nmore")
    assert read_licence(tmp_path, index) == "CC0-1.0"
    assert read_name(tmp_path, {"_name": "starter"}) == "starter"
    assert read_name(tmp_path, index) == tmp_path.name
    before = hash_directory(tmp_path)
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet/model.safetensors").write_bytes(b"1")
    after = hash_directory(tmp_path)
    assert before != after
    (tmp_path / "README.md").write_text("not part of the model")
    assert hash_directory(tmp_path) == after


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_an_index_that_is_none_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(content)
    with pytest.raises(ModelUnsupported):
        read_index(tmp_path)
