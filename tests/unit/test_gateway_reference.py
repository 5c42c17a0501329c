"""The reference page."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gateway.app import routed
from gateway.description import document
from gateway.reference import render


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return document(routed())


@pytest.fixture(scope="module")
def page(described: dict[str, Any]) -> str:
    return render(described)


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
    assert "<script>alert" not in render(hostile)


def test_no_placeholder_is_left(page: str) -> None:
    assert "{{" not in page
