"""Whether a diffusers directory makes a model that can be served: it is built without the numbers of its weights.

python -m diffusion.dry_run DIRECTORY    prints the faults, a JSON list
"""

import inspect
import json
import sys
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from pipelines import UNUSED

from .card import read_index
from .errors import ModelUnsupported
from .families import FAMILIES
from .loading import check_family, keep_quiet
from .weights import faults_of_weights

_LIBRARIES = {"diffusers": diffusers, "transformers": transformers}
_LONGEST = 300


def faults_of(directory: Path) -> list[str]:
    """A line for each component that cannot be built; where all can, for what they lack together; else for each with
    other tensors than its configuration makes.
    """
    index = read_index(directory)
    parts: dict[str, Any] = {}
    faults = []
    for name, (library, kind) in _components(index).items():
        try:
            parts[name] = _built(directory / name, library, kind)
        except Exception as error:  # noqa: BLE001  # a library raises anything at what it cannot read
            faults.append(f"{name} ({kind}): {_line(error)}")
    faults = faults or _faults_together(index["_class_name"], parts)
    return faults or [_line(fault) for fault in faults_of_weights(directory, parts)]


def _components(index: dict[str, Any]) -> dict[str, tuple[str, str]]:
    said = {name: value for name, value in index.items() if isinstance(value, list) and name not in UNUSED}
    return {name: (value[0], value[1]) for name, value in said.items() if value != [None, None]}


def _built(folder: Path, library: str, kind: str) -> Any:
    """Models on the device `meta`, which has shapes and no memory."""
    made = getattr(_LIBRARIES[library], kind, None)
    if made is None:
        raise ModelUnsupported(f"{library} {_LIBRARIES[library].__version__} has no such class")
    if issubclass(made, diffusers.ModelMixin):
        with torch.device("meta"):
            return made.from_config(made.load_config(folder, local_files_only=True))
    if issubclass(made, transformers.PreTrainedModel):
        with torch.device("meta"):
            return made(made.config_class.from_pretrained(folder, local_files_only=True))
    return made.from_pretrained(folder, local_files_only=True)


def _faults_together(pipeline: str, parts: dict[str, Any]) -> list[str]:
    made = getattr(diffusers, pipeline)
    unused = {name: None for name in UNUSED if name in inspect.signature(made).parameters}
    try:
        check_family(FAMILIES[pipeline](made(**parts, **unused)))
    except Exception as error:  # noqa: BLE001  # as above
        return [_line(error)]
    return []


def _line(error: Exception | str) -> str:
    """What it says, on one line that fits a terminal."""
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"


if __name__ == "__main__":
    keep_quiet()
    print(json.dumps(faults_of(Path(sys.argv[1]))))
