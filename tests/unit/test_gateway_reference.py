"""The reference page."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import pytest
from pydantic import TypeAdapter

from gateway.app import routed
from gateway.documentation.description import document
from gateway.documentation.reference import render
from services.catalog.schemas import SCHEMAS

HOST = "https://pictures.example:8443"


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return document(routed())


@pytest.fixture(scope="module")
def page(described: dict[str, Any]) -> str:
    return render(described, HOST)


def test_every_operation_has_its_place_in_page_and_contents(described: dict[str, Any], page: str) -> None:
    count = sum(len(item) for item in described["paths"].values())
    sections = re.findall(r'class="operation" id="([^"]+)"', page)
    assert len(sections) == len(set(sections)) == count
    assert set(re.findall(r'class="entry" href="#([^"]+)"', page)) == set(sections)


def test_every_link_leads_somewhere(page: str) -> None:
    wanted = set(re.findall(r'href="#(schema-[^"]+)"', page))
    assert wanted
    assert wanted <= set(re.findall(r'id="(schema-[^"]+)"', page))


def test_nothing_is_loaded_from_elsewhere(page: str) -> None:
    assert re.findall(r'(?:src|href)="(?!#|/openapi\.json|/asyncapi\.json)[^"]*"', page) == []
    assert "@import" not in page
    assert "url(" not in page


def test_text_of_the_document_cannot_become_markup(described: dict[str, Any]) -> None:
    hostile = {**described, "info": {**described["info"], "title": "<script>alert(1)</script>"}}
    assert "<script>alert" not in render(hostile, HOST)


def test_no_placeholder_is_left(page: str) -> None:
    assert "{{" not in page


def _commands(page: str) -> list[str]:
    return [unescape(found) for found in re.findall(r'<pre class="curl">(.*?)</pre>', page, re.DOTALL)]


def _examples(described: dict[str, Any]) -> dict[str, Any]:
    content = described["paths"]["/api/v1/tasks/"]["post"]["requestBody"]["content"]["application/json"]
    return {name: example["value"] for name, example in content["examples"].items()}


def test_every_command_names_the_host_its_reader_came_to(page: str) -> None:
    commands = _commands(page)
    assert all(f'"{HOST}/' in command for command in commands)
    assert "{host}" not in page
    # what is in braces curl would take for a list of its own
    assert not [command for command in commands if re.search(r'"https:[^"]*[{}]', command)]


def test_every_task_type_has_an_example_that_can_be_pasted(described: dict[str, Any], page: str) -> None:
    examples = _examples(described)
    assert set(examples) == set(SCHEMAS)
    shown = [
        json.loads(found) for command in _commands(page) for found in re.findall(r"-d '(.*)'$", command, re.DOTALL)
    ]
    assert [example for example in examples.values() if example not in shown] == []


@pytest.mark.parametrize("name", SCHEMAS)
def test_an_example_is_a_small_task_of_its_type(described: dict[str, Any], name: str) -> None:
    example = json.dumps(_examples(described)[name])
    made = TypeAdapter(SCHEMAS[name].create).validate_json(example, strict=True)
    assert made.model_fields_set > {"task_type", "origin_instance"}
    assert len(example) < 800


def test_a_name_of_the_host_cannot_become_markup(described: dict[str, Any]) -> None:
    assert "<script>alert" not in render(described, 'https://x"><script>alert(1)</script>')


def test_what_most_readers_come_for_stands_first(page: str) -> None:
    first, second, *_ = re.findall(r'class="entry" href="#([^"]+)"', page)
    assert (first, second) == ("post-api-v1-tasks", "get-api-v1-tasks")


def test_a_body_without_a_name_of_its_own_shows_its_fields(page: str) -> None:
    _, _, section = page.partition('id="post-api-v1-tasks-batch"')
    assert "<code>tasks</code>" in section.partition("</section>")[0]
