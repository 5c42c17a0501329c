"""Whether weight files hold the tensors that a component is made of: its library loads them without their numbers."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import diffusers
import transformers

_SHAPES = re.compile(r"because (\S+) expected shape torch.Size\((.*?)\), but got torch.Size\((.*?)\)")


def faults_of_weights(directory: Path, parts: Mapping[str, Any]) -> Iterator[str]:
    """A line for each component of a diffusers directory whose files hold other tensors than it is made of."""
    for name, part in parts.items():
        try:
            found = weight_faults(directory / name, type(part))
        except Exception as error:  # noqa: BLE001  # a library raises anything at what it cannot read
            found = [" ".join(str(error).split()) or type(error).__name__]
        yield from (f"{name} ({type(part).__name__}): {fault}" for fault in found)


def weight_faults(folder: Path, made: Any) -> list[str]:
    """A line for the first tensor of `folder` that the class `made` misses, has no use for, or has in another shape.

    Files and configuration must be readable: whatever the library raises at them is raised.
    """
    if not issubclass(made, (diffusers.ModelMixin, transformers.PreTrainedModel)):
        return []
    faults = list(_faults(folder, made))
    more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
    return [f"{faults[0]}{more}"] if faults else []


def _faults(folder: Path, made: Any) -> Iterator[str]:
    try:
        said = _loading(folder, made)
    except ValueError as error:
        if (told := _SHAPES.search(str(error))) is None:
            raise
        yield _shapes(told[1], told[3], told[2])
        return
    yield from (f"the tensor {name} is missing" for name in sorted(said["missing_keys"]))
    yield from (_shapes(name, list(there), list(wanted)) for name, there, wanted in sorted(said["mismatched_keys"]))
    yield from (f"the tensor {name} is superfluous" for name in sorted(said["unexpected_keys"]))
    yield from said["error_msgs"]


def _shapes(name: str, there: Any, wanted: Any) -> str:
    return f"the tensor {name} is {there}, where the configuration makes it {wanted}"


def _loading(folder: Path, made: Any) -> dict[str, Any]:
    """What the library says it did. On the device `meta` it reads heads only, whatever the size."""
    lenient = {"ignore_mismatched_sizes": True} if issubclass(made, transformers.PreTrainedModel) else {}
    with contextlib.redirect_stdout(io.StringIO()):  # its reports have no place among our answers
        _, said = made.from_pretrained(
            folder, output_loading_info=True, local_files_only=True, use_safetensors=True, device_map="meta", **lenient
        )
    return dict(said)
