"""Which paths are accepted, which part of an object is meant, and in what order files are listed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from services.common.errors import InvalidRequest
from services.imaging.paths import clean_path, clean_prefix
from services.imaging.sources import PATH_LIMIT
from services.storage.domain import ByteRange, ObjectKey, ObjectMetadata
from services.storage.listing import paths_below
from tests.corpora.paths import KEPT, REFUSED


@pytest.mark.field("path-read-as-address")
@pytest.mark.parametrize("path", REFUSED, ids=ascii)
def test_a_path_that_climbs_hides_or_deceives_is_refused(path: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ObjectKey.of("acme", path)
    assert caught.value.reason == "PATH_INVALID"
    assert "\\x" not in caught.value.message


@pytest.mark.parametrize("path", KEPT, ids=ascii)
def test_an_ordinary_path_is_kept(path: str) -> None:
    assert clean_path(path) == path
    assert clean_path(clean_path(path)) == path


def test_spellings_of_one_letter_name_one_object() -> None:
    assert clean_path("e\u0301") == clean_path("\u00e9")


@pytest.mark.parametrize("path", KEPT, ids=ascii)
def test_a_kept_path_lies_below_its_tenants_folder(path: str, tmp_path: Path) -> None:
    lies = (tmp_path / ObjectKey.of("acme", path).full).resolve()
    assert lies.is_relative_to(tmp_path / "acme")
    assert lies != tmp_path / "acme"


@pytest.mark.parametrize("tenant", ["..", ".", ".facts", "a/b", "a\\b", "a\0", "a b", "é", "-a", "_a", "x" * 101])
def test_what_is_no_tenant_is_refused(tenant: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ObjectKey.of(tenant, "a")
    assert caught.value.reason == "TENANT_INVALID"


def test_a_missing_tenant_has_a_reason_of_its_own() -> None:
    with pytest.raises(InvalidRequest) as caught:
        ObjectKey.of("", "a")
    assert caught.value.reason == "TENANT_MISSING"


@pytest.mark.field("prefix-ends-in-space")
@pytest.mark.parametrize(
    "prefix", ["", "a", "a/", "a/b", "a/b/", "a ", "a/b ", "a/ ", " ", "a\u3000", "data:", "iVBORw0KGgo"]
)
def test_a_prefix_may_end_anywhere(prefix: str) -> None:
    assert clean_prefix(prefix) == prefix


@pytest.mark.parametrize("prefix", ["/", "..", "../", "a/../", "a//", ".facts/", "a\\", "a\0"])
def test_a_prefix_climbs_no_more_than_a_path(prefix: str) -> None:
    with pytest.raises(InvalidRequest):
        clean_prefix(prefix)


def test_a_part_is_cut_to_what_exists() -> None:
    assert ByteRange.within(10, offset=0, length=0) == ByteRange(0, 10)
    assert ByteRange.within(10, offset=4, length=100) == ByteRange(4, 6)
    assert ByteRange.within(0, offset=0, length=0) == ByteRange(0, 0)
    for offset, length in ((10, 0), (0, -1), (-1, 5), (11, 1)):
        with pytest.raises(InvalidRequest):
            ByteRange.within(10, offset=offset, length=length)
    with pytest.raises(InvalidRequest):
        ByteRange.within(0, offset=0, length=1)


def test_the_etag_follows_the_content() -> None:
    assert ObjectMetadata(1, "ab" * 32, "x").etag == '"' + "ab" * 16 + '"'


def test_files_are_listed_as_an_object_store_lists_keys(tmp_path: Path) -> None:
    rng = random.Random(7)
    letters = ["a", "b", "-", ".", "0", "é", "Z", "~", " x"]
    paths = set()
    for _ in range(300):
        path = "/".join("n" + "".join(rng.choices(letters, k=rng.randint(1, 2))) for _ in range(rng.randint(1, 3)))
        target = tmp_path / path
        if not target.exists() and not any((tmp_path / part).is_file() for part in Path(path).parents):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
            paths.add(path)
    expected = sorted(paths, key=str.encode)
    assert list(paths_below(tmp_path, prefix="", start_after="")) == expected
    for pick in rng.sample(expected, 60):
        prefix, after = pick[: rng.randint(1, len(pick))], rng.choice(expected)
        wanted = [path for path in expected if path.startswith(prefix) and path.encode() > after.encode()]
        assert list(paths_below(tmp_path, prefix=prefix, start_after=after)) == wanted


def test_nothing_is_listed_where_nothing_is(tmp_path: Path) -> None:
    assert list(paths_below(tmp_path / "none", prefix="a/b/", start_after="")) == []


@pytest.mark.parametrize(("length", "kept"), [(0, False), (1, True), (PATH_LIMIT, True), (PATH_LIMIT + 1, False)])
def test_a_path_has_its_first_character_and_so_many_at_most(length: int, kept: bool) -> None:
    path = "/".join(["a" * 99] * (length // 100)) + "a" * (length - max(0, length // 100 * 100 - 1)) if length else ""
    assert len(path) == length
    if kept:
        assert clean_path(path) == path
    else:
        with pytest.raises(InvalidRequest):
            clean_path(path)
