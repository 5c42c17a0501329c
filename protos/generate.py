"""Writes protos/gen from the .proto files; `--check` only says whether it is up to date."""

import filecmp
import shutil
import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent


def generate(target: Path) -> None:
    """Fills `target` with Python messages, their type stubs and the gRPC classes."""
    target.mkdir(parents=True, exist_ok=True)
    sources = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("compute/**/*.proto"))
    include = str(Path(grpc_tools.__file__).parent / "_proto")
    outputs = [f"--{kind}={target}" for kind in ("python_out", "pyi_out", "grpc_python_out")]
    if protoc.main(["protoc", f"-I{ROOT}", f"-I{include}", *outputs, *sources]):
        raise SystemExit("protoc failed")


def files_of(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*.py*") if "__pycache__" not in path.parts}


def main() -> None:
    committed = ROOT / "gen"
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        generate(fresh)
        names = files_of(fresh)
        if "--check" in sys.argv:
            stale = names ^ files_of(committed)
            stale |= {name for name in names - stale if not filecmp.cmp(fresh / name, committed / name, shallow=False)}
            if stale:
                raise SystemExit(f"generated code is stale ({len(stale)} files): run make protos")
            return
        shutil.rmtree(committed, ignore_errors=True)
        shutil.copytree(fresh, committed)


if __name__ == "__main__":
    main()
