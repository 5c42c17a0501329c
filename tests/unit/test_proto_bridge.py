"""The bridge loses nothing: False, "", [], 0 and null survive."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from compute.tasks.v1 import params_pb2
from compute.tasks.v1 import tasks_pb2 as pb
from hypothesis import given, settings
from hypothesis import strategies as st

from services.catalog.base import CommonFields
from services.catalog.tasks import TYPES
from services.common.errors import InvalidRequest
from services.rpc.proto import check_objects, fill, get_object, read, struct_to_dict

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1), inner, max_size=3),
    max_leaves=8,
)
SAMPLES: dict[str, dict[str, Any]] = {
    "GENERATION": {
        "prompt": "x",
        "seed": 0,
        "reference_image_strength": 0.0,
        "subject_lora_weight": 0.0,
        "fal_app_id": "a/b",
    },
    "BACKGROUND_REMOVAL": {"input_image_paths": ["a/b.png"]},
    "EDITING": {"prompt": "x", "base_image": "a/b.png", "reference_images": [], "edit_strength": 0.0, "seed": 0},
    "REFINE": {
        "base_image_url": "https://example.com/a.png",
        "upscale_enabled": False,
        "face_detail_enabled": True,
        "upscale_denoise": 0.0,
        "upscale_seed": 0,
        "upscale_prompt": "",
    },
    "EXPERIMENTAL_FAL": {"fal_app_id": "a/b", "fal_parameters": {"a": [0, False, "", None, {}], "b": 0.5}},
    "VIDEO_GENERATION": {"prompt": "x", "input_image_path": "a/b.png", "cfg_scale": 0.0, "negative_prompt": ""},
    "LLM_INTERACTION": {"prompt": "x", "system_prompt": "", "input_images": []},
    "DETAIL_ENHANCER": {"base_image": "a", "reference_image": "b"},
    "BACKGROUND_FIX": {
        "base_image": "file:///a/b.png",
        "palette_image": "b",
        "strategy": "FLAT_FILL",
        "shadow_threshold": 0.0,
        "mask_expansion_percentage": 0.0,
        "edge_blur_sigma": 0.0,
    },
    "IMAGE_ADJUSTER": {"input_image": "a", "margin_top": 0.0, "mode": "pad", "scaling_proportions": "height"},
    "FACE_ENHANCER": {"input_image": "a"},
    "DIAGNOSTIC": {"duration_ms": 0, "payload": ""},
}


@pytest.mark.parametrize("name", sorted(TYPES))
def test_parameters_of_every_type_survive(name: str) -> None:
    kind = TYPES[name]
    model = kind.params.model_validate(SAMPLES[name])
    message = params_pb2.TaskParams()
    fill(getattr(message, kind.field), model)
    assert message.WhichOneof("params") == kind.field
    wire = params_pb2.TaskParams.FromString(message.SerializeToString())
    assert read(getattr(wire, kind.field), kind.params) == model


@pytest.mark.parametrize("name", sorted(TYPES))
def test_a_field_left_out_stays_out(name: str) -> None:
    kind = TYPES[name]
    message = params_pb2.TaskParams()
    fill(getattr(message, kind.field), kind.params.model_validate(SAMPLES[name]))
    listed = getattr(message, kind.field).ListFields()
    present = {field.name for field, _ in listed if not field.name.endswith("_json")}
    given = {name: info.default for name, info in kind.params.model_fields.items() if not info.is_required()}
    assert present == set(SAMPLES[name]) | {name for name, default in given.items() if default is not None}


@given(
    st.dictionaries(st.text(min_size=1, max_size=8), JSON, max_size=4) | st.none(),
    st.lists(st.text(min_size=1, max_size=9), max_size=3) | st.none(),
)
@settings(deadline=None)
def test_free_objects_and_lists_that_may_be_null_survive(
    config: dict[str, Any] | None, capabilities: list[str] | None
) -> None:
    model = CommonFields(origin_instance="t", config=config, active_provider_capabilities=capabilities)
    message = pb.TaskSpec()
    fill(message, model)
    wire = pb.TaskSpec.FromString(message.SerializeToString())
    assert orjson.dumps(get_object(wire, "config")) == orjson.dumps(config)
    assert check_objects(wire) == ()
    known = struct_to_dict(wire.config) if wire.HasField("config") else None
    assert known == (None if config is None else _in_doubles(config))
    assert (
        list(wire.active_provider_capabilities.values) if wire.HasField("active_provider_capabilities") else None
    ) == capabilities


def _in_doubles(value: Any) -> Any:
    """What a caller who knows no other form than Struct sees."""
    if isinstance(value, dict):
        return {name: _in_doubles(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_in_doubles(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def test_a_wrong_field_is_named() -> None:
    message = params_pb2.GenerationParams(prompt="x", width=1)
    with pytest.raises(InvalidRequest) as caught:
        read(message, TYPES["GENERATION"].params, prefix="params.")
    assert [item.field for item in caught.value.violations] == ["params.width"]
