from pathlib import Path

import pytest

from deploy.local import doctor, machine
from deploy.local.installer import _explained
from deploy.local.interpreters import Interpreter, describe, find_library
from deploy.local.machine import DoctorFinding
from deploy.local.setup import assemble_backends

DEBIAN = Interpreter("/usr/bin/python3", (3, 11, 2), library=None, can_make_environments=False)


def test_a_missing_libpython_is_named_with_the_package_that_brings_it(tmp_path: Path) -> None:
    assert find_library([tmp_path], "3.11") is None
    finding = machine.of_library(DEBIAN)
    assert not finding.ok
    assert finding.detail == "no libpython3.11.so.1.0"
    assert "apt install libpython3.11" in finding.remedy


def test_the_shared_libpython_is_found_in_the_first_folder_that_has_it(tmp_path: Path) -> None:
    library = tmp_path / "second" / "libpython3.12.so.1.0"
    library.parent.mkdir()
    library.touch()
    assert find_library([tmp_path / "first", library.parent], "3.12") == library


def test_a_python_without_ensurepip_is_told_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    finding = machine.of_environments(DEBIAN)
    assert not finding.ok
    assert "python3.11-venv" in finding.remedy


def test_a_full_disk_is_seen_before_anything_is_downloaded(tmp_path: Path) -> None:
    finding = machine.of_disk(tmp_path, free=3 * 10**9, needed=9 * 10**9)
    assert not finding.ok
    assert finding.detail == "3.0 GB free, 9.0 GB needed"


@pytest.mark.parametrize(
    ("name", "version", "ok"), [("glibc", "2.36", True), ("glibc", "2.31", False), ("", "", False)]
)
def test_an_old_c_library_is_refused(name: str, version: str, ok: bool) -> None:
    assert machine.of_glibc(name, version).ok is ok


def test_a_python_too_new_for_numpy_1_is_refused_with_a_way_out() -> None:
    finding = machine.of_version(Interpreter("/usr/bin/python3", (3, 14, 0), None, True))
    assert not finding.ok
    assert "3.11 or 3.12" in finding.remedy


def test_the_doctor_puts_the_remedy_below_the_fault() -> None:
    found = [DoctorFinding("disk", True, "fine", "unused"), DoctorFinding("Python", False, "3.14", "get 3.12\nsomehow")]
    assert doctor.report(found).splitlines() == [
        "ok       disk                  fine",
        "MISSING  Python                3.14",
        "             get 3.12",
        "             somehow",
    ]


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("error: failed to write: No space left on device (os error 28)", "disk is full"),
        ("error: Failed to fetch: dns error", "registry cannot be reached"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "not the one that was locked"),
    ],
)
def test_a_failed_installation_is_explained(output: str, told: str) -> None:
    assert told in _explained(output, "uv pip sync dev.txt")


def test_this_python_is_described_with_its_base_and_version() -> None:
    import sys

    found = describe(sys.executable)
    assert found is not None
    assert found.version == sys.version_info[:3]


def test_the_backend_folder_holds_the_stub_of_the_python_and_its_libpython(tmp_path: Path) -> None:
    server = tmp_path / "wheel" / "pytriton" / "tritonserver"
    stub = server / "python_backend_stubs" / "3.11" / "triton_python_backend_stub"
    library = tmp_path / "libpython3.11.so.1.0"
    for file in (stub, library, server / "backends" / "python" / "libtriton_python.so"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(file.name)
    python = Interpreter("python3", (3, 11, 9), library, True)
    assemble_backends(tmp_path / "wheel", tmp_path / "backends", python)
    assert (tmp_path / "backends" / "python" / "triton_python_backend_stub").read_text() == stub.name
    assert (tmp_path / "backends" / "lib" / library.name).read_text() == library.name
