"""What weight files say they hold, by their heads alone: eight bytes of length, that much JSON, then the numbers.

https://huggingface.co/docs/safetensors/index#format
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, TypeAdapter, ValidationError

from deploy.local.hub.failures import WeightsInvalid

SUFFIX = ".safetensors"
INDEX_SUFFIX = ".safetensors.index.json"
FIRST_BYTES = 64 << 10
"""Most heads are shorter, and come with one request."""
_LARGEST_HEAD = 100_000_000
_LENGTH_BYTES = 8
# Bytes of a number. Others are of quantised weights, which no family here is served with.
_WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "BOOL": 1}


class _Tensor(BaseModel):
    model_config = ConfigDict(frozen=True)

    dtype: str
    shape: tuple[NonNegativeInt, ...]
    data_offsets: tuple[NonNegativeInt, NonNegativeInt] = Field(max_length=2)


_TENSORS = TypeAdapter(dict[str, _Tensor])


@dataclass(frozen=True, slots=True)
class Head:
    """Of a file of `size` bytes: its own bytes, and the names of the tensors behind it."""

    content: bytes
    size: int
    tensors: frozenset[str]

    def lay(self, path: Path) -> None:
        """A file that looks like the whole one and takes no room: its numbers are a hole."""
        with path.open("wb") as file:
            file.write(self.content)
            file.truncate(self.size)


def read_head(name: str, size: int, read: Callable[[int, int], bytes]) -> Head:
    """Of the file `name`, of which `read` answers the bytes from one place up to another. Raises WeightsInvalid."""
    content = read(0, min(size, FIRST_BYTES)) if size else b""
    length = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
    if not _LENGTH_BYTES < length <= min(size, _LARGEST_HEAD):
        raise WeightsInvalid(f"its {name} is no {SUFFIX} file, or is cut off: the head does not fit into {size} bytes")
    if length > len(content):
        content += read(len(content), length)
    tensors = _parsed(name, content[_LENGTH_BYTES:length])
    _check_layout(name, tensors, size - length)
    return Head(content[:length], size, frozenset(tensors))


def _parsed(name: str, text: bytes) -> dict[str, _Tensor]:
    try:
        said = json.loads(text, object_pairs_hook=_once)
        said.pop("__metadata__", None)
        return _TENSORS.validate_python(said)
    except WeightsInvalid as error:
        raise WeightsInvalid(f"its {name} {error.args[0]}") from error
    except (AttributeError, RecursionError, TypeError, ValidationError, ValueError) as error:
        raise WeightsInvalid(f"its {name} does not say in its head which tensors it holds") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise WeightsInvalid(f"names {key} twice")
        found[key] = value
    return found


def _check_layout(name: str, tensors: Mapping[str, _Tensor], held: int) -> None:
    """One after the other, without a gap, as long as shape and type say, and to the end of the file."""
    at = 0
    for key, tensor in sorted(tensors.items(), key=lambda item: item[1].data_offsets):
        width = _WIDTHS.get(tensor.dtype)
        if width is None:
            raise WeightsInvalid(f"the numbers of {key} in {name} are {tensor.dtype}: quantised weights are not served")
        begin, end = tensor.data_offsets
        if begin != at or end - begin != width * math.prod(tensor.shape):
            shape = f"{tensor.dtype}{list(tensor.shape)}"
            raise WeightsInvalid(f"{key} in {name} lies at {begin} to {end}, where {shape} from {at} on does not fit")
        at = end
    if at != held:
        word = "is cut off" if at > held else "is too long"
        raise WeightsInvalid(f"its {name} {word}: its tensors take {at} bytes, and {held} are there")


def check_shards(heads: Mapping[str, Head], indexes: Mapping[str, Any]) -> None:
    """Of the files of a model by their paths: each tensor once, and where the index of its component places it.

    Raises WeightsInvalid, naming the first one that is not.
    """
    for path, index in indexes.items():
        folder, stem = PurePosixPath(path).parent, path.removesuffix(INDEX_SUFFIX)
        shards = {name: head for name, head in sorted(heads.items()) if name.startswith(f"{stem}-")}
        _check_placed({key: str(folder / shard) for key, shard in index["weight_map"].items()}, shards, path)


def _check_placed(placed: Mapping[str, str], shards: Mapping[str, Head], path: str) -> None:
    seen: dict[str, str] = {}
    for name, head in shards.items():
        for key in sorted(head.tensors):
            if key in seen:
                raise WeightsInvalid(f"{key} is there twice, in {seen[key]} and in {name}")
            seen[key] = name
            if key not in placed:
                raise WeightsInvalid(f"{key} in {name} is superfluous: {path} does not name it")
    for key, name in sorted(placed.items()):
        if seen.get(key) != name:
            raise WeightsInvalid(f"{key} is missing in {name}, where {path} places it")
