"""`make test ARGS=--failed`: what failed in either environment, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from deploy.local.testing import failed_before


def test_what_failed_is_named_as_each_environment_finds_it(tmp_path: Path) -> None:
    for folder, name in ((".", "tests/unit/test_a.py::test_b[1]"), ("tests/models", "test_c.py::test_d")):
        cache = tmp_path / folder / ".pytest_cache/v/cache"
        cache.mkdir(parents=True)
        (cache / "lastfailed").write_text(json.dumps({name: True}))
    assert list(failed_before(tmp_path)) == ["tests/unit/test_a.py::test_b[1]", "tests/models/test_c.py::test_d"]


def test_where_nothing_has_run_nothing_has_failed(tmp_path: Path) -> None:
    assert list(failed_before(tmp_path)) == []
