"""What the documents point at is there, and what they say of the repository's own tools is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from deploy.local.check import TYPED

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path.relative_to(ROOT)
    for folder in (
        ROOT.glob("*.md"),
        (ROOT / "docs").rglob("*.md"),
        (ROOT / "deploy").rglob("*.md"),
        (ROOT / "examples").glob("*.md"),
    )
    for path in folder
)
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
NAMED = re.compile(r"`((?:services|gateway|deploy|tests|docs|protos)/[\w./-]+)`")


def text_of(document: Path) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_link_leads_somewhere(document: Path) -> None:
    folder = (ROOT / document).parent
    for place, anchor in LINK.findall(text_of(document)):
        target = (folder / place).resolve() if place else ROOT / document
        assert target.exists(), place
        assert not anchor or anchor in anchors(target), f"{place}#{anchor}"


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if path.name != "decisions.md"], ids=str)
def test_every_file_a_document_names_is_there(document: Path) -> None:
    for place in NAMED.findall(text_of(document)):
        assert (ROOT / place).exists(), place


def test_the_layout_in_contributing_is_that_of_the_repository() -> None:
    [tree] = re.findall(r"```\n(protos/.+?)```", text_of(Path("CONTRIBUTING.md")), re.DOTALL)
    parent = ""
    for line in tree.splitlines():
        inside = line.startswith("  ")
        places = [
            word for word in line.split("  ")[1 if inside else 0].split() if word.endswith("/") and "<" not in word
        ]
        parent = parent if inside else (places or [""])[0]
        for place in places:
            assert (ROOT / (parent if inside else "") / place).is_dir(), place


def test_a_commit_is_checked_by_what_checks_the_repository() -> None:
    [repository] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    [hook] = repository["hooks"]
    assert (hook["entry"], hook["pass_filenames"], hook["always_run"]) == ("make check", False, True)


@pytest.mark.parametrize("package", TYPED)
def test_a_package_that_is_checked_strictly_says_that_it_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()
