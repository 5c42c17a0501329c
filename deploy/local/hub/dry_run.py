"""Has the models' environment put a fetched model together without its weights, before they are downloaded."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from deploy.local.failures import LocalError
from deploy.local.hub.failures import ModelUnsupported
from deploy.local.paths import MODELS_PYTHON, ROOT

_RUNTIME = ROOT / "deploy" / "triton" / "runtime"
_SECONDS = 180.0


def dry_run(folder: Path) -> None:
    """Raises ModelUnsupported, which says of each component what is wrong with it."""
    environment = {**os.environ, "PYTHONPATH": str(_RUNTIME), "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # compiling torch anew would take as long as the trial
    command = (str(MODELS_PYTHON), "-m", "diffusion.dry_run", str(folder))
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise ModelUnsupported(f"its configurations were not read within {_SECONDS:.0f} s") from error
    if done.returncode:
        raise LocalError(f"the model could not be tried out:\n{done.stderr[-2_000:]}")
    if faults := json.loads(done.stdout.splitlines()[-1]):
        raise ModelUnsupported("its parts make no model:\n  " + "\n  ".join(faults))
