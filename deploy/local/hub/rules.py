"""Which files of a repository make a diffusers model that can be served, and which repositories are refused."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import PurePosixPath
from typing import Any

from deploy.local.hub.client import HubFile
from deploy.local.hub.failures import CodeRefused, FileNameUnsafe, ModelUnsupported, PicklesRefused
from deploy.triton.runtime.pipelines import PIPELINES, UNUSED

INDEX = "model_index.json"
_LIBRARIES = ("diffusers", "transformers")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".msgpack", ".h5")
_COMPONENT = re.compile(r"[a-z][a-z0-9_]{0,63}")
# As diffusers and transformers name what they load by default; others are variants, or of other frameworks.
_WEIGHTS = re.compile(r"(diffusion_pytorch_model|model)(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?")
_OTHER_INDEX = re.compile(r"\.index(\.\w+)?\.json$")
_SMALL = (".json", ".txt", ".model")
_TOKENIZERS = ("Tokenizer", "TokenizerFast")
_WEIGHTLESS = ("Scheduler", *_TOKENIZERS, "Processor", "Extractor")
# What each library looks for; of the shards of large weights the index says which there are.
_STEMS = {"diffusers": "diffusion_pytorch_model", "transformers": "model"}
_SHARD = re.compile(r"(\w+)-(\d{5})-of-(\d{5})\.safetensors")
_VOCABULARIES = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("vocab.txt",))
_LARGEST_SMALL = 256 << 20


def check_names(files: Iterable[HubFile]) -> None:
    """Raises FileNameUnsafe. One such name is reason enough to take nothing from there."""
    for file in files:
        path = file.path
        parts = path.split("/")
        if not path.isprintable() or "\\" in path or ":" in path or any(part in ("", ".", "..") for part in parts):
            raise FileNameUnsafe(f"the hub lists a file named {path!r}, which would lie outside the model's folder")


def index_of(files: Collection[HubFile]) -> HubFile:
    """Raises ModelUnsupported, or PicklesRefused where there is nothing but pickles."""
    for file in files:
        if file.path == INDEX:
            return file
    if pickles := [file.path for file in files if _is_pickle(file.path)]:
        raise PicklesRefused(_only_pickles(pickles))
    raise ModelUnsupported(
        f"it has no {INDEX}, so it is no diffusers model; a single .safetensors file is to be converted by diffusers"
    )


def components_of(index: Mapping[str, Any]) -> list[str]:
    """The folders that the runtime loads. Raises ModelUnsupported or CodeRefused."""
    pipeline = index.get("_class_name")
    if isinstance(pipeline, list):
        raise CodeRefused("its pipeline is code of its own, which is not run here")
    if pipeline not in PIPELINES:
        raise ModelUnsupported(f"it is a {pipeline}; served are {', '.join(PIPELINES)}")
    return list(_components(index))


def _components(index: Mapping[str, Any]) -> Iterator[str]:
    for name, said in index.items():
        if name.startswith("_") or name in UNUSED or not isinstance(said, list) or said == [None, None]:
            continue
        library = said[0] if len(said) == 2 else None
        if library not in _LIBRARIES:
            raise CodeRefused(
                f"its component {name} comes from {library!r}, not from diffusers or transformers: that is code of its "
                "own, which is not run here"
            )
        if not _COMPONENT.fullmatch(name):
            raise FileNameUnsafe(f"its component {name!r} would lie outside the model's folder")
        yield name


def chosen(files: Collection[HubFile], index: Mapping[str, Any]) -> list[HubFile]:
    """The small ones first. Raises what `components_of` does, PicklesRefused, and ModelUnsupported for what lacks."""
    found = [file for file in files if "/" not in file.path and _is_for_all(file.path)]
    names = components_of(index)
    lacking = [f"{name} ({INDEX} names none)" for name in _unnamed(str(index["_class_name"]), names)]
    for name in names:
        own = [file for file in files if file.path.startswith(f"{name}/")]
        kept = [file for file in own if _is_wanted(PurePosixPath(file.path))]
        library, kind = index[name]
        _check_weights(name, str(kind), own, kept)
        there = {PurePosixPath(file.path).name for file in kept}
        lacking += [f"{name}/{file}" for file in _lacking(library, str(kind), there)]
        found += kept
    if lacking:
        raise ModelUnsupported(f"it is not a whole {index['_class_name']}. Missing: {', '.join(lacking)}")
    for file in found:
        if not file.path.endswith(".safetensors") and file.size > _LARGEST_SMALL:
            raise ModelUnsupported(f"its {file.path} has {file.size} bytes, too many for what it should be")
    return sorted(found, key=lambda file: (file.path.endswith(".safetensors"), file.path))


def _unnamed(pipeline: str, names: Collection[str]) -> list[str]:
    """Required, or the other one of a text encoder and its tokenizer."""
    pairs = {name.replace("tokenizer", "text_encoder") for name in names if name.startswith("tokenizer")}
    pairs |= {name.replace("text_encoder", "tokenizer") for name in names if name.startswith("text_encoder")}
    return sorted({*PIPELINES[pipeline], *pairs} - set(names))


def _lacking(library: str, kind: str, there: AbstractSet[str]) -> list[str]:
    """The files of one component without which its library loads nothing."""
    if kind.endswith("Scheduler"):
        return [name for name in ("scheduler_config.json",) if name not in there]
    if kind.endswith(_TOKENIZERS):
        has = any(there >= set(files) for files in _VOCABULARIES) or any(name.endswith(".model") for name in there)
        return [] if has else ["tokenizer.json"]
    if kind.endswith(_WEIGHTLESS):
        return []
    return [name for name in ("config.json",) if name not in there] + _lacking_weights(_STEMS[library], there)


def _lacking_weights(stem: str, there: AbstractSet[str]) -> list[str]:
    whole = f"{stem}.safetensors"
    shards = [match for match in map(_SHARD.fullmatch, sorted(there)) if match and match[1] == stem]
    if whole in there:
        return []
    if not shards:
        return [whole]
    number = int(shards[0][3])
    wanted = [f"{stem}-{at:05}-of-{number:05}.safetensors" for at in range(1, number + 1)]
    return [name for name in (f"{whole}.index.json", *wanted) if name not in there]


def check_configuration(path: str, said: Any, files: Collection[HubFile]) -> None:
    """Of a JSON file of the model with those `files`. Raises CodeRefused where it names code of the model's own,
    and ModelUnsupported where it names weights that are not there.
    """
    if isinstance(said, dict) and "auto_map" in said:
        raise CodeRefused(f"its {path} wants code of its own to be run (auto_map), which is not done here")
    if path.endswith(".safetensors.index.json"):
        _check_shards(path, said, files)


def _check_shards(path: str, said: Any, files: Collection[HubFile]) -> None:
    shards = said.get("weight_map") if isinstance(said, dict) else None
    if not isinstance(shards, dict) or not shards:
        raise ModelUnsupported(f"its {path} does not say where the weights lie")
    folder, there = PurePosixPath(path).parent, {file.path for file in files}
    if lacking := sorted({str(folder / str(name)) for name in shards.values()} - there):
        raise ModelUnsupported(f"it is not whole. Missing: {', '.join(lacking)}, which its {path} names")


def _is_for_all(path: str) -> bool:
    return path == INDEX or (path.upper().startswith(("LICENSE", "LICENCE")) and not _is_pickle(path))


def _is_wanted(path: PurePosixPath) -> bool:
    if len(path.parts) != 2:
        return False
    if path.name.endswith(".safetensors") or _OTHER_INDEX.search(path.name):
        return bool(_WEIGHTS.fullmatch(path.name))
    return path.suffix in _SMALL


def _check_weights(name: str, kind: str, own: Collection[HubFile], kept: Collection[HubFile]) -> None:
    if kind.endswith(_WEIGHTLESS) or any(file.path.endswith(".safetensors") for file in kept):
        return
    if variants := [file.path for file in own if file.path.endswith(".safetensors")]:
        raise ModelUnsupported(f"its component {name} is there as a variant only ({variants[0]}), which is not served")
    if pickles := [file.path for file in own if _is_pickle(file.path)]:
        raise PicklesRefused(_only_pickles(pickles))


def _is_pickle(path: str) -> bool:
    return path.lower().endswith(_PICKLES)


def _only_pickles(pickles: list[str]) -> str:
    return (
        f"its weights are there as pickles only ({pickles[0]}), and a pickle can run any code when it is loaded; "
        "only .safetensors are taken. Ask its makers for them, or look for a revision that has some"
    )
