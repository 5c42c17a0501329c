"""Clients that three generators make of the OpenAPI document: each type-checks, draws a picture and fetches it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.paths import CLIENT_TOOLS
from tests.clients.customer import check_picture
from tests.clients.toolchains import go_program

HERE = Path(__file__).parent
BESIDE = Path(sys.executable).parent
# The cache is of what the generated client stands on; its own code lies elsewhere each time.
MYPY = ("--cache-dir", CLIENT_TOOLS / "mypy", "--follow-imports", "silent", "--no-error-summary")


def test_openapi_python_client(document: Path, child_environment: dict[str, str], tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"project_name_override": "atelier", "package_name_override": "atelier"}))
    package, target = tmp_path / "made" / "atelier", tmp_path / "mug.png"
    package.parent.mkdir()
    generator = BESIDE / "openapi-python-client"
    words = ("generate", "--path", document, "--config", config, "--meta", "none", "--output-path", package)
    made = _run([generator, *words], tmp_path, {**os.environ, "PATH": f"{BESIDE}:{os.environ['PATH']}"})
    assert "WARNING" not in made.upper(), made
    script = HERE / "python" / "draw.py"
    environment = {**child_environment, "PYTHONPATH": str(package.parent), "MYPYPATH": str(package.parent)}
    # What is made of the document, and its use; the generator's own part, client.py, has faults that are not ours.
    checked = (script, package / "api", package / "models")
    _run([sys.executable, "-m", "mypy", *MYPY, *checked], tmp_path, environment)
    _run([sys.executable, script, target], tmp_path, environment)
    check_picture(target.read_bytes())


@pytest.mark.field("34")
def test_openapi_typescript(
    document: Path, node: str, scripts: Path, child_environment: dict[str, str], tmp_path: Path
) -> None:
    """With the generator's own word for fields that have a default: they may be left out."""
    folder, target = scripts / "generated", tmp_path / "mug.png"
    tools = scripts / "node_modules" / ".bin"
    options = ("--output", folder / "atelier.ts", "--default-non-nullable", "false")
    _run([tools / "openapi-typescript", document, *options], scripts, child_environment)
    _run([tools / "tsc", "--project", folder], scripts, child_environment)
    _run([node, folder / "draw.js", target], scripts, child_environment)
    check_picture(target.read_bytes())


@pytest.mark.field("33")
@pytest.mark.field("34")
@pytest.mark.timeout(400)  # the compiler has a whole client before it the first time
def test_oapi_codegen(document: Path, oapi_codegen: Path, child_environment: dict[str, str], tmp_path: Path) -> None:
    made, target = tmp_path / "atelier.go", tmp_path / "mug.png"
    options = ("-generate", "types,client", "-package", "atelier", "-o", made)
    _run([oapi_codegen, *options, document], tmp_path, child_environment)
    client = go_program("generated", more=[made])
    _run([client, target], tmp_path, child_environment)
    check_picture(target.read_bytes())


def _run(command: list[object], folder: Path, environment: dict[str, str]) -> str:
    """All that it printed."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, f"{' '.join(words)}:\n{done.stdout[-5000:]}{done.stderr[-5000:]}"
    return done.stdout + done.stderr
