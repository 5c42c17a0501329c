"""The catalog: what is accepted, what is not, and what follows from one file per type."""
from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from services.catalog.base import CommonFields, TaskParams, TaskResult, TaskType
from services.catalog.enums import ErrorCategory, EventType, ProviderCapability, ProviderType, TaskPriority
from services.catalog.enums import TaskType as TaskTypeName
from services.catalog.free_json import MAX_DEPTH, check_json
from services.catalog.images import check_path, check_reference, check_url
from services.catalog.providers import PROVIDERS, check_provider
from services.catalog.schemas import SCHEMAS, derive
from services.catalog.tasks import PUBLIC_TYPES, TYPES


def test_every_public_type_is_one_of_the_eleven() -> None:
    assert len(TaskTypeName) == 11
    assert set(PUBLIC_TYPES) <= set(TaskTypeName)


def test_members_the_contract_prints_are_there() -> None:
    assert {"EDITING", "GENERATION", "REFINE"} <= set(TaskTypeName)
    assert {"UPSCALE_2X", "UPSCALE_4X", "UPSCALE_8X", "UPSCALE_FLOAT", "OUTPUT_SIZE"} <= set(ProviderCapability)
    assert {0, 1} <= set(TaskPriority)


@pytest.mark.parametrize("enum", [ErrorCategory, EventType, ProviderCapability, ProviderType, TaskTypeName])
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

    made = derive(TaskType("DANCING", DancingParams, DancingResult, inline_images={"partner_data": "partner_path"}))
    assert (made.create.__name__, made.public.__name__) == ("CreateDancingTask", "DancingTaskPublic")
    assert {"task_type", "song", "partner_path", "partner_data", "origin_instance"} <= set(made.create.model_fields)
    public = made.public.model_fields
    assert public["song"].is_required()
    assert not public["film_path"].is_required()
    assert "partner_data" not in public


def test_a_name_can_be_spelled_in_its_own_way() -> None:
    kind = TaskType("LLM_CHAT", TaskParams, TaskResult, schema_stem="LLMChat")
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
    "url", ["https://example.com/a.png", "http://example.com:8080/?q=ü", "https://93.184.216.34/x", "https://[2606:2800::1]/"]
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
    good = {"a": [1, 2.5, None, True, "x", {"b": []}], "n": -(2**53)}
    assert check_json(good) is good
    deep: Any = 1
    for _ in range(MAX_DEPTH + 1):
        deep = [deep]
    for bad in ({"a": 2**53 + 1}, {"a": float("nan")}, {"a": float("inf")}, {"a": "x" * 70_000}, {"a": deep}):
        with pytest.raises(ValueError, match=r"must|nested"):
            check_json(bad)


def test_every_provider_is_found_by_its_file() -> None:
    assert set(PROVIDERS) <= set(ProviderType)
    assert ProviderType.LOCAL in PROVIDERS


def test_a_provider_checks_its_settings_and_names_what_is_wrong() -> None:
    check_provider("provider", ProviderType.LOCAL, {"steps": 4, "rembg_model": "u2net"})
    with pytest.raises(ValueError, match=r"provider_config\.steps"):
        check_provider("provider", ProviderType.LOCAL, {"steps": 0})
    with pytest.raises(ValueError, match="FAL is not offered here"):
        check_provider("provider", ProviderType.FAL, None)
