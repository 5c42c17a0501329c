"""Local files: what lies below the opened folders is read, and there is no way out of them."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

import pytest

from services.common.errors import ComputeError
from services.imaging.loader import ImageSettings, open_loader
from services.imaging.local_files import LocalFiles

LIMIT = 1000


class NoStore:
    async def read(self, path: str, *, tenant: str, limit: int) -> bytes:
        raise AssertionError(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "pictures"
    (root / "summer shoot").mkdir(parents=True)
    (root / "summer shoot" / "shirt #1 é.png").write_bytes(b"shirt")
    (root / "large.png").write_bytes(b"x" * (LIMIT + 1))
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "pictures-of-others").mkdir()
    (tmp_path / "pictures-of-others" / "a.png").write_bytes(b"secret")
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "relative.png").symlink_to("../secret.png")
    (root / "folder").symlink_to(tmp_path)
    os.mkfifo(root / "pipe.png")
    return root


def url(path: Path | str) -> str:
    return "file://" + quote(str(path))


async def refusal(root: Path, named: str) -> str:
    with pytest.raises(ComputeError) as caught:
        await LocalFiles([root]).read(named, max_bytes=LIMIT)
    return caught.value.reason


async def test_a_file_below_a_root_is_read(root: Path) -> None:
    files = LocalFiles([root.parent / "nowhere", root])
    assert await files.read(url(root / "summer shoot" / "shirt #1 é.png"), max_bytes=LIMIT) == b"shirt"


@pytest.mark.parametrize(
    "path",
    [
        "../secret.png",
        "summer shoot/../../secret.png",
        "%2e%2e/secret.png",
        "..%2fsecret.png",
        "/../secret.png",
        ".",
        "",
        "x\0.png",
    ],
)
async def test_nobody_climbs_out_of_a_root(root: Path, path: str) -> None:
    for spelled in (f"{url(root)}/{path}", url(f"{root}/{path}")):
        assert await refusal(root, spelled) in ("URL_NOT_ALLOWED", "NOT_FOUND")


@pytest.mark.parametrize("name", ["link.png", "relative.png", "folder/secret.png", "folder/pictures/large.png"])
async def test_links_below_a_root_are_not_followed(root: Path, name: str) -> None:
    assert await refusal(root, url(root / name)) == "NOT_FOUND"


async def test_what_lies_outside_is_refused_alike_whether_it_is_there_or_not(root: Path) -> None:
    outside = ("secret.png", "no-such-file.png", "pictures-of-others/a.png", "pictures")
    assert {await refusal(root, url(root.parent / name)) for name in outside} == {"URL_NOT_ALLOWED"}
    assert await refusal(root, "file:///etc/passwd") == "URL_NOT_ALLOWED"


@pytest.mark.parametrize(
    "form",
    ["file://localhost{}", "file://host{}", "file:{}?x=1", "file://{}#x", "FILE:relative{}", "http://{}", "file://[{}"],
)
async def test_only_plain_file_addresses_are_read(root: Path, form: str) -> None:
    assert await refusal(root, form.format(root / "large.png")) == "URL_NOT_ALLOWED"


async def test_only_regular_files_within_the_limit_are_read(root: Path) -> None:
    assert await refusal(root, url(root / "large.png")) == "IMAGE_TOO_LARGE"
    assert await refusal(root, url(root / "pipe.png")) == "NOT_FOUND"
    assert await refusal(root, url(root / "summer shoot")) == "NOT_FOUND"
    assert await refusal(root, url(root / "absent.png")) == "NOT_FOUND"


async def test_no_descriptor_is_left_open(root: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for name in ("large.png", "pipe.png", "absent.png", "summer shoot", "link.png", "folder/x", "large.png/x"):
        await refusal(root, url(root / name))
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_task_type_has_to_allow_local_files_and_the_operator_a_root(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = url(root / "summer shoot" / "shirt #1 é.png")
    monkeypatch.setenv("LOCAL_IMAGE_ROOTS", f"/nowhere, {root}")
    async with open_loader(ImageSettings(image_workers=1), NoStore()) as loader:
        assert await loader.fetch(named, tenant="acme", local=True) == b"shirt"
        with pytest.raises(ComputeError) as caught:
            await loader.fetch(named, tenant="acme")
        assert caught.value.reason == "URL_NOT_ALLOWED"
    monkeypatch.delenv("LOCAL_IMAGE_ROOTS")
    async with open_loader(ImageSettings(image_workers=1), NoStore()) as loader:
        with pytest.raises(ComputeError) as caught:
            await loader.fetch(named, tenant="acme", local=True)
        assert caught.value.reason == "URL_NOT_ALLOWED"
