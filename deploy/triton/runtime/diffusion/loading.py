"""A diffusers directory, loaded for serving."""

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from artefacts import Artefact, artefact_at, digest_of, served_unknown
from diffusers import DiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from pipelines import UNUSED
from transformers.utils import logging as transformers_logging

from .card import ModelCard, hash_files, read_index, read_licence, read_name, refuse_swapped
from .errors import ModelUnsupported
from .families import FAMILIES, Family
from .preview import Preview, fit_preview
from .request import Limits
from .settings import Settings
from .vocabulary import Vocabulary, read_vocabulary
from .weights import faults_of_weights

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Model:
    family: Family
    card: ModelCard
    limits: Limits
    preview: Preview
    vocabulary: Vocabulary
    served: dict[str, str]


def load_model(settings: Settings) -> Model:
    """Raises ModelUnsupported for a directory that is none, or of a family that cannot be served.

    ArtefactRefused where a file of a model that is known is not the right one.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    keep_quiet()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    directory = settings.model_path
    index = read_index(directory)
    chosen = FAMILIES.get(index["_class_name"])
    if chosen is None:
        raise ModelUnsupported(f"{directory} is a {index['_class_name']}; served are {', '.join(sorted(FAMILIES))}")
    known = artefact_at(directory)
    with torch.no_grad(), ThreadPoolExecutor(1) as pool:
        hashing = pool.submit(hash_files, directory)
        try:
            family = chosen(_load_pipeline(directory, index, chosen, settings))
        finally:
            # A wrong file is the best reason why it cannot be loaded.
            hashes = hashing.result()
            if known is not None:
                refuse_swapped(directory, hashes, known)
        check_family(family)
        preview = fit_preview(family.to_picture, family.pipe.vae.config.latent_channels, device=family.device)
    card = _card(directory, index, known, digest_of(hashes), family.name)
    served = known.served() if known else served_unknown(card.as_event(), "diffusion")
    return Model(family, card, _limits(family, index, settings), preview, read_vocabulary(index), served)


def _refuse_misfits(directory: Path, pipe: Any) -> None:
    """What is missing in its files was drawn by chance. Raises ModelUnsupported."""
    if faults := list(faults_of_weights(directory, pipe.components)):
        raise ModelUnsupported(f"{directory} cannot be served: {'; '.join(faults)}")


def _card(directory: Path, index: dict[str, Any], known: Artefact | None, sha256: str, family: str) -> ModelCard:
    if known is not None:
        return ModelCard(known.name, sha256, known.licence, family)
    return ModelCard(read_name(directory, index), sha256, read_licence(directory, index), family)


def keep_quiet() -> None:
    """Their warnings quote what clients wrote, such as the part of a prompt that an encoder cuts off."""
    for library in (diffusers_logging, transformers_logging):
        library.set_verbosity_error()
        library.disable_progress_bar()


def choose_device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def choose_dtype(name: str, device: torch.device, family: type[Family]) -> torch.dtype:
    if name == "auto":
        half = "bfloat16" if family.name in ("sd3", "flux") else "float16"
        name = "float32" if device.type == "cpu" else half
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype):
        raise ModelUnsupported(f"there is no dtype {name!r}")
    return dtype


def _load_pipeline(directory: Path, index: dict[str, Any], family: type[Family], settings: Settings) -> Any:
    device = choose_device(settings.device)
    unused = {name: None for name in UNUSED if name in index}
    try:
        pipe = DiffusionPipeline.from_pretrained(
            str(directory), dtype=choose_dtype(settings.dtype, device, family), local_files_only=True,
            use_safetensors=True, **unused,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise ModelUnsupported(f"{directory} cannot be loaded: {error}") from error
    if artefact_at(directory) is None:  # no hash says that its files belong together
        _refuse_misfits(directory, pipe)
    pipe.set_progress_bar_config(disable=True)
    pipe.to(device)
    if pipe.vae.dtype == torch.float16 and pipe.vae.config.force_upcast:
        pipe.vae.to(torch.float32)
    if hasattr(pipe, "unet"):
        # On CPU a step of the UNet takes a third to a quarter of the time in this layout.
        pipe.unet.to(memory_format=torch.channels_last)
    return pipe


def check_family(family: Family) -> None:
    """Raises ModelUnsupported."""
    vae = family.pipe.vae.config
    if family.channels != vae.latent_channels:
        raise ModelUnsupported(
            f"the network takes {family.channels} channels, the VAE has {vae.latent_channels}: "
            "models made for inpainting or depth only cannot be served"
        )
    if getattr(vae, "latents_mean", None) is not None:
        raise ModelUnsupported("a VAE with latents_mean cannot be served")


def _limits(family: Family, index: dict[str, Any], settings: Settings) -> Limits:
    side = family.native_side
    return Limits(
        width=side,
        height=side,
        multiple_of=family.multiple_of,
        steps=int(index.get("_steps") or family.default_steps),
        guidance=float(index.get("_guidance", family.default_guidance)),
        max_pixels=settings.max_pixels,
    )
