"""The catalog: what is accepted, what is not, and what follows from one file per type."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from services.catalog.base import CommonFields, TaskKind, TaskParams, TaskResult
from services.catalog.enums import (
    AiVendor,
    BackgroundFixStrategy,
    ErrorCategory,
    EventType,
    ProviderCapability,
    ProviderType,
    ResizeMode,
    ScalingProportions,
    TaskPriority,
)
from services.catalog.enums import TaskType as TaskTypeName
from services.catalog.free_json import MAX_DEPTH, check_json
from services.catalog.images import (
    check_local_reference,
    check_path,
    check_reference,
    check_url,
    holds_bytes,
)
from services.catalog.providers import PROVIDERS, check_config
from services.catalog.schemas import SCHEMAS, derive
from services.catalog.tasks import PUBLIC_TYPES, TYPES
from services.imaging.local_files import path_of


def test_every_public_type_is_one_of_the_eleven() -> None:
    assert len(TaskTypeName) == 11
    assert set(PUBLIC_TYPES) == set(TaskTypeName)


def test_members_the_contract_prints_are_there() -> None:
    assert {"EDITING", "GENERATION", "REFINE"} <= set(TaskTypeName)
    assert {"UPSCALE_2X", "UPSCALE_4X", "UPSCALE_8X", "UPSCALE_FLOAT", "OUTPUT_SIZE"} <= set(ProviderCapability)
    assert {0, 1} <= set(TaskPriority)
    assert {"auto", "crop", "pad", "scale"} <= set(ResizeMode)
    assert {"height"} <= set(ScalingProportions)
    assert {"openai", "anthropic", "gemini", "ollama"} <= set(AiVendor)


@pytest.mark.parametrize(
    "enum", [BackgroundFixStrategy, ErrorCategory, EventType, ProviderCapability, ProviderType, TaskTypeName]
)
def test_members_are_named_like_their_values(enum: Any) -> None:
    assert [member.name for member in enum] == [member.value for member in enum]


def test_a_type_is_named_like_its_module_and_its_message() -> None:
    for name, kind in TYPES.items():
        assert kind.params.__module__ == f"services.catalog.tasks.{kind.field}"
        stem = "".join(part.capitalize() for part in name.split("_"))
        assert (kind.params.__name__, kind.result.__name__) == (f"{stem}Params", f"{stem}Result")


def test_public_models_follow_from_the_type_alone() -> None:
    class DancingParams(TaskParams):
        song: str
        partner_path: str | None = None

    class DancingResult(TaskResult):
        film_path: str

    made = derive(TaskKind("DANCING", DancingParams, DancingResult, inline_images={"partner_data": "partner_path"}))
    assert (made.create.__name__, made.public.__name__) == ("CreateDancingTask", "DancingTaskPublic")
    assert {"task_type", "song", "partner_path", "partner_data", "origin_instance"} <= set(made.create.model_fields)
    public = made.public.model_fields
    assert public["song"].is_required()
    assert not public["film_path"].is_required()
    assert "partner_data" not in public


def test_a_name_can_be_spelled_in_its_own_way() -> None:
    kind = TaskKind("LLM_CHAT", TaskParams, TaskResult, schema_stem="LLMChat")
    assert derive(kind).create.__name__ == "CreateLLMChatTask"


def test_common_fields_have_one_default_priority() -> None:
    assert CommonFields(origin_instance="x").priority == TaskPriority.NORMAL
    for schemas in SCHEMAS.values():
        assert schemas.create.model_fields["priority"].default == TaskPriority.NORMAL


def test_requests_cannot_be_changed_afterwards() -> None:
    fields = CommonFields(origin_instance="x")
    with pytest.raises(ValidationError):
        fields.priority = 2  # type: ignore[misc]  # that is the point


@pytest.mark.parametrize("path", ["a", "a/b.png", "generations/1/ä ö.png", "a/b..c", "a b/c"])
def test_paths_of_storage_pass(path: str) -> None:
    assert check_path(path) == path


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", ".", "..", "a/..", "../a", ".a", "a\\b", "a\nb", "a\0b", " "])
def test_paths_that_climb_or_hide_do_not_pass(path: str) -> None:
    with pytest.raises(ValueError, match="storage path"):
        check_path(path)


@pytest.mark.parametrize(
    "url",
    ["https://example.com/a.png", "http://example.com:8080/?q=ü", "https://93.184.216.34/x", "https://[2606:2800::1]/"],
)
def test_public_urls_pass(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/x", "file:///etc/passwd", "https://", "https:///x", "javascript:alert(1)", "http://a b.com/",
        "http://localhost", "http://LOCALHOST./", "http://a.localhost/", "http://printer.local/", "http://db.internal/",
        "http://127.0.0.1", "http://127.1", "http://0177.0.0.1", "http://0x7f000001", "http://2130706433", "http://0",
        "http://10.0.0.1", "http://172.16.0.1", "http://192.168.0.1", "http://169.254.169.254", "http://100.64.0.1",
        "http://[::1]", "http://[::]", "http://[fe80::1]", "http://[fd00::1]", "http://[::ffff:10.0.0.1]",
        "http://user@example.com", "http://user:pass@example.com", "http://example.com:0x50", "http://[::1", "http://a\\b.com",
    ],
)  # fmt: skip
def test_urls_that_lead_inside_do_not_pass(url: str) -> None:
    with pytest.raises(ValueError, match="must"):
        check_url(url)


def test_a_reference_is_a_path_or_a_url() -> None:
    assert check_reference("a/b.png") == "a/b.png"
    assert check_reference("https://example.com/b.png") == "https://example.com/b.png"
    for value in ("gopher://example.com", "/etc/passwd"):
        with pytest.raises(ValueError, match="must"):
            check_reference(value)


def test_free_json_keeps_to_what_comes_back_the_same() -> None:
    good = {"a": [1, 2.5, None, True, "x", {"b": []}], "n": -(2**63), "most": 2**64 - 1}
    assert check_json(good) is good
    deep: Any = 1
    for _ in range(MAX_DEPTH + 1):
        deep = [deep]
    bodies: tuple[dict[str, Any], ...] = (
        {"a": 2**64},
        {"a": -(2**63) - 1},
        {"a": [[]] * 8_193},
        {"a": float("nan")},
        {"a": float("inf")},
        {"a": "x" * 70_000},
        {"a": deep},
    )
    for bad in bodies:
        with pytest.raises(ValueError, match=r"must|nested"):
            check_json(bad)


def test_every_provider_is_found_by_its_file() -> None:
    assert set(PROVIDERS) <= set(ProviderType)
    assert ProviderType.LOCAL in PROVIDERS


def test_a_provider_checks_its_settings_and_names_what_is_wrong() -> None:
    check_config("provider_config", ProviderType.LOCAL, {"steps": 4, "rembg_model": "u2net"})
    with pytest.raises(ValueError, match=r"provider_config\.steps"):
        check_config("provider_config", ProviderType.LOCAL, {"steps": 0})
    with pytest.raises(ValueError, match=r"provider_config\.max_retries"):
        check_config("provider_config", ProviderType.NANO_BANANA_UPSCALER, {"max_retries": 99})


PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
BODIES: dict[str, dict[str, Any]] = {
    "EDITING": {"prompt": "x", "base_image": "a/b.png"},
    "REFINE": {"base_image_url": "a/b.png"},
    "VIDEO_GENERATION": {"prompt": "x", "input_image_path": "a/b.png"},
    "DETAIL_ENHANCER": {"base_image": "a/b.png", "reference_image": "c.png"},
    "BACKGROUND_FIX": {"base_image": "a/b.png", "palette_image": "c.png"},
    "IMAGE_ADJUSTER": {"input_image": "a/b.png", "aspect_ratio": 1.5},
    "FACE_ENHANCER": {"input_image": "a/b.png"},
    "LLM_INTERACTION": {"prompt": "x"},
    "EXPERIMENTAL_FAL": {"fal_app_id": "fal-ai/flux/dev"},
}
LOCAL_TYPES = {"BACKGROUND_FIX", "IMAGE_ADJUSTER"}


def ask(kind: str, **fields: Any) -> Any:
    body = {"task_type": kind, "origin_instance": "o", **BODIES[kind], **fields}
    given = {name: value for name, value in body.items() if value is not ...}
    return SCHEMAS[kind].create.model_validate_json(json.dumps(given), strict=True)


def refused(kind: str, **fields: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        ask(kind, **fields)
    return str(caught.value)


@pytest.mark.parametrize("kind", sorted(BODIES))
def test_the_fewest_fields_are_enough(kind: str) -> None:
    assert ask(kind).task_type == kind


@pytest.mark.parametrize("kind", sorted(set(BODIES) - {"VIDEO_GENERATION", "LLM_INTERACTION", "EXPERIMENTAL_FAL"}))
def test_a_picture_can_be_given_in_every_way(kind: str) -> None:
    (name, *_) = (name for name in BODIES[kind] if "image" in name)
    for picture in (PICTURE, f"data:image/png;base64,{PICTURE}", "https://example.com/a.png", "generations/1/a.png"):
        assert getattr(ask(kind, **{name: picture}), name) == picture
    wrong = ("", "../a.png", "http://localhost/a.png", "ftp://example.com/a.png", "file:a.png", "http:a.png", None, 5)
    for odd in wrong:
        refused(kind, **{name: odd})


@pytest.mark.parametrize("kind", sorted(set(BODIES) - {"LLM_INTERACTION", "EXPERIMENTAL_FAL"}))
def test_local_files_are_for_two_types_only(kind: str) -> None:
    for name in BODIES[kind]:
        if "image" in name:
            for path in ("file:///pictures/a%20b.png", "/pictures/a b.png"):
                if kind in LOCAL_TYPES:
                    assert getattr(ask(kind, **{name: path}), name) == "file:///pictures/a%20b.png"
                else:
                    refused(kind, **{name: path})


@pytest.mark.parametrize(
    "path", ["file://host/a.png", "file:a.png", "file:///a/../b", "file:///a?b", "/a/../b", "file:///a%00b", "//host/a"]
)
def test_local_files_that_climb_or_lie_elsewhere_do_not_pass(path: str) -> None:
    with pytest.raises(ValueError, match="must"):
        check_local_reference(path)


def test_a_local_reference_names_its_path() -> None:
    assert str(path_of(check_local_reference("/a b/ü.png"))) == "/a b/ü.png"


def test_bytes_are_told_from_references() -> None:
    assert all(map(holds_bytes, (PICTURE, f"data:image/png;base64,{PICTURE}", "A" * 4000)))
    assert not any(
        map(holds_bytes, ("a/b", "generations/1/a.png", "https://example.com/a.png", "file:///a", "ftp://a/b"))
    )


def test_older_fields_stand_for_newer_ones_but_not_beside_them() -> None:
    assert ask("EDITING", base_image=..., base_image_url="https://example.com/a.png").base_image is None
    assert "give only one of base_image, base_image_data" in refused("EDITING", base_image_data=PICTURE)
    assert "give one of base_image" in refused("EDITING", base_image=...)
    assert ask("EDITING", reference_images=["a.png"], reference_image_data=PICTURE).reference_images == ["a.png"]
    assert "give one of input_image_path" in refused("VIDEO_GENERATION", input_image_path=...)
    properties = SCHEMAS["EDITING"].create.model_json_schema()["properties"]
    assert {name for name, schema in properties.items() if schema.get("deprecated")} == {
        "base_image_data", "base_image_url", "reference_image_data", "reference_image_url",
    }  # fmt: skip


def test_a_null_number_stands_for_its_default() -> None:
    found = ask("BACKGROUND_FIX", light_threshold=None, strategy=None, edge_blur_sigma=None, shadow_threshold=0)
    assert (found.light_threshold, found.strategy, found.edge_blur_sigma) == (220.0, "COLOR_SHIFT", 20.0)
    assert found.shadow_threshold == 0
    assert ask("IMAGE_ADJUSTER", tolerance=None).tolerance == 0


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        ("REFINE", {"upscale_enabled": False}, "upscale pass"),
        ("REFINE", {"upscale_factor": 2, "target_width": 100}, "not both"),
        ("REFINE", {"upscale_factor": 0.5}, "upscale_factor"),
        ("BACKGROUND_FIX", {"light_threshold": 100}, "must not lie below"),
        ("IMAGE_ADJUSTER", {"target_width": 100}, "need each other"),
        ("IMAGE_ADJUSTER", {"target_width": 100, "target_height": 100}, "not both"),
        ("IMAGE_ADJUSTER", {"aspect_ratio": ..., "target_width": 16_000, "target_height": 16_000}, "pixels"),
        ("IMAGE_ADJUSTER", {"margin_top": 0.5, "margin_bottom": 0.5}, "no room"),
        ("IMAGE_ADJUSTER", {"aspect_ratio": ...}, "say what is wanted"),
        ("IMAGE_ADJUSTER", {"mode": "stretch"}, "mode"),
        ("VIDEO_GENERATION", {"duration_seconds": 61}, "duration_seconds"),
        ("VIDEO_GENERATION", {"cfg_scale": 2.1}, "cfg_scale"),
        ("EXPERIMENTAL_FAL", {"fal_app_id": "../x"}, "fal_app_id"),
        ("EXPERIMENTAL_FAL", {"fal_app_id": "one"}, "fal_app_id"),
        ("LLM_INTERACTION", {"input_images": ["a.png"] * 17}, "input_images"),
    ],
)
def test_what_contradicts_itself_is_refused(kind: str, fields: dict[str, Any], said: str) -> None:
    assert said in refused(kind, **fields)


@pytest.mark.parametrize("odd", ["../x", "a/b", "a?key=1", "a#b", "a b", ".", "..", "a%2fb"])
@pytest.mark.parametrize(
    ("provider", "name"),
    [
        ("FAL", "fal_request_id"),
        ("FAL_SHOOTIFY_REFINER", "fal_request_id"),
        ("FASHN", "fashn_task_id"),
        ("VERTEX", "model"),
    ],
)
def test_no_part_of_a_vendors_address_leads_elsewhere(provider: str, name: str, odd: str) -> None:
    assert name in refused("EDITING", provider_type=provider, provider_config={name: odd})


def test_an_error_of_a_result_tells_no_values() -> None:
    with pytest.raises(ValidationError) as caught:
        TYPES["EXPERIMENTAL_FAL"].result.model_validate({"output": {"secret": "x" * 70_000}})
    assert "xxx" not in str(caught.value) and "secret" not in str(caught.value)


def test_types_that_run_elsewhere_by_nature_name_their_provider() -> None:
    assert ask("LLM_INTERACTION", provider_config={"model": "gpt-x"}).provider_type == ProviderType.AI_CORE
    assert ask("EXPERIMENTAL_FAL").provider_type == ProviderType.FAL
    assert ask("REFINE").provider_type is None
    assert ask("REFINE", provider_config={"provider_type": "SARTIQ_ULTIMATE_REFINER", "num_tiles": 9}).provider_config
    assert "num_tiles" in refused("REFINE", provider_config={"num_tiles": 9})
