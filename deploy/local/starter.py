"""`make starter-models`: trains both starter models from nothing, then puts them where the models look for them.

Everything on the way lies in out/starter-models; a run that was stopped goes on from there.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
from pathlib import Path

from deploy.local.failures import LocalError
from deploy.local.paths import MODELS_PYTHON, ROOT, shown
from deploy.local.terminal import said_plainly
from deploy.triton.runtime.artefacts import REGISTRY, hash_file, registry

STARTER = ROOT / "deploy" / "triton" / "starter"
WEIGHTS = STARTER / "weights"
WORK = ROOT / "out" / "starter-models"


def main() -> None:
    parser = argparse.ArgumentParser(prog="make starter-models", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the whole recipe, hardly trained; installs nothing")
    parser.add_argument("--pin", action="store_true", help="trains nothing: the registry takes the files as they are")
    given = parser.parse_args()
    said_plainly(lambda: pin(REGISTRY) if given.pin else build(quick=given.quick))


def build(*, quick: bool) -> None:
    """Raises LocalError naming the script that failed."""
    work = WORK / "quick" if quick else WORK
    extra = ["--quick"] if quick else []
    _run("build_diffusion.py", "--out", work / "diffusion", "--work", work / "work", *extra)
    _run("build_matte.py", "--out", work / "matte", *extra)
    if not quick:
        _install(work / "diffusion", WEIGHTS / "diffusion")
        _install(work / "matte" / "segmentation", WEIGHTS / "segmentation")
        pin(REGISTRY)


def _run(script: str, *arguments: str | Path) -> None:
    done = subprocess.run((MODELS_PYTHON, STARTER / script, *arguments), cwd=ROOT)
    if done.returncode:
        raise LocalError(f"{script} failed; what it made so far stays in {shown(WORK)}")


def _install(made: Path, target: Path) -> None:
    shutil.copytree(made, target, dirs_exist_ok=True)
    print(f"{shown(target)} is new; git diff --stat shows what changed")


def pin(registry_file: Path) -> None:
    """Writes the hashes of our own models, as they are now, into the registry."""
    text = registry_file.read_text(encoding="utf-8")
    for artefact in (one for one in registry().values() if one.folder):
        for file, path in artefact.paths().items():
            old = f'"{file}" = "{artefact.files[file]}"'
            text = text.replace(old, f'"{file}" = "{hash_file(path)}"')
    registry_file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
