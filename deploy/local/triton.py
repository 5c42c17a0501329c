"""The Triton server of the stack: from the wheel, or the one on PATH."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from functools import partial
from pathlib import Path

from deploy.local import kept, probes
from deploy.local.component import Component
from deploy.local.paths import MODEL_REPOSITORY, MODELS, TRITON, TRITON_BACKENDS, StackFolder
from deploy.local.ports import HOST
from deploy.local.settings import Ports
from deploy.triton.runtime.artefacts import ArtefactRefused, artefact_at, registry

SHARED_MEMORY = Path("/dev/shm")
STARTER = "atelier-starter"
# What our models' own failures begin with; Triton's are prose.
_OF_A_MODEL = re.compile(r"[A-Z][A-Z_]+: ")


def triton(home: StackFolder, ports: Ports) -> Component:
    """Serves every model of the repository that can be loaded; ready when each of them is, and `diffusion` answers its
    canary, be it that it is broken.
    """
    models = model_names()
    prefix = _region_prefix(home)
    own = shutil.which("tritonserver")
    options = {
        "model-repository": MODEL_REPOSITORY,
        "model-control-mode": "explicit",
        "http-address": HOST,
        "grpc-address": HOST,
        "metrics-address": HOST,
        "http-port": ports.triton_http,
        "grpc-port": ports.triton,
        "metrics-port": ports.triton_metrics,
        "backend-config": f"python,shm-region-prefix-name={prefix}",
        # A model that cannot be loaded is told of (`not_loaded`), and the others serve.
        "exit-on-error": "false",
        **({} if own else {"backend-directory": TRITON_BACKENDS}),
    }
    arguments = [f"--{name}={value}" for name, value in options.items()] + [f"--load-model={name}" for name in models]
    program = own or str(TRITON / "pytriton" / "tritonserver" / "bin" / "tritonserver")
    return Component(
        name="triton",
        command=(program, *arguments),
        probe=partial(ask, f"{HOST}:{ports.triton_http}", f"{HOST}:{ports.triton}", models),
        ports=(
            ("TRITON_PORT", ports.triton),
            ("TRITON_HTTP_PORT", ports.triton_http),
            ("TRITON_METRICS_PORT", ports.triton_metrics),
        ),
        environment={**_environment(), **_chosen_model(home)},
        patience=300.0,
        # It holds nothing that could be lost; it takes 2 s, or all of its own 30 when a model hangs.
        grace=5.0,
        prepare=partial(_remove_regions, prefix),
        clear=partial(_remove_regions, prefix),
    )


def model_names() -> list[str]:
    """Every model of the repository but those whose network the set-up could not get."""
    missing = {one.serves for one in registry().values() if one.needed and not one.present()}
    return sorted({config.parent.name for config in MODEL_REPOSITORY.glob("*/config.pbtxt")} - missing)


def ask(http: str, grpc: str, models: list[str]) -> None:
    """Raises NotReady, and NeverReady where no model at all could be loaded.

    Triton's own readiness is not enough: it stays true when a model's process has died.
    """
    broken = not_loaded(http)
    if broken and broken.keys() >= set(models):
        raise probes.NeverReady("; ".join(f"{name}: {why}" for name, why in broken.items()))
    for name in models:
        if name not in broken:
            probes.ask_http(f"http://{http}/v2/models/{name}/ready")
    if "diffusion" in models and "diffusion" not in broken:
        ask_diffusion(grpc)


def not_loaded(http: str) -> dict[str, str]:
    """The models that Triton tried to load in vain, each with the reason. Raises NotReady."""
    index = json.loads(probes.ask_http(f"http://{http}/v2/repository/index", method="POST"))
    return {one["name"]: first_paragraph(one["reason"]) for one in index if _is_broken(one)}


def _is_broken(said: dict[str, str]) -> bool:
    """`unloaded` is what a worker leaves for a moment that loads it anew."""
    return said.get("state") == "UNAVAILABLE" and said.get("reason", "") not in ("", "unloaded")


def first_paragraph(text: str) -> str:
    """Without the stack of the program that loaded it."""
    return " ".join(text.partition("\n\nAt:")[0].split())


def ask_diffusion(target: str) -> None:
    """Has the network compute once. Raises NotReady until there is an answer of the model's own, whatever it says: the
    worker asks whether it can be used.
    """
    import queue

    import numpy as np
    from tritonclient import grpc as client
    from tritonclient.utils import InferenceServerException

    request = client.InferInput("REQUEST", [1], "BYTES")
    request.set_data_from_numpy(np.array([json.dumps({"canary": True}).encode()], dtype=object))
    answers: queue.Queue[InferenceServerException | None] = queue.Queue()
    with client.InferenceServerClient(target) as server:
        server.start_stream(callback=lambda result, error: answers.put(error), stream_timeout=10)
        try:
            server.async_stream_infer("diffusion", [request])
            error = answers.get(timeout=10)
        except (queue.Empty, InferenceServerException) as failure:
            raise probes.NotReady(f"the model 'diffusion' does not answer: {failure!r}") from failure
        finally:
            server.stop_stream(cancel_requests=True)
    if error is not None and not _OF_A_MODEL.match(str(error.message())):
        raise probes.NotReady(f"the model 'diffusion' does not answer: {error}")


def _environment() -> dict[str, str]:
    libraries = [TRITON_BACKENDS / "lib", TRITON / "nvidia_pytriton.libs"]
    return {
        # The first python3 on PATH decides which packages the models see, the first libpython which one they run on.
        "PATH": f"{MODELS / 'bin'}:{os.environ.get('PATH', '')}",
        "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE"),
        "PYTHONPATH": "",
    }


def generation_model(home: StackFolder) -> str:
    """In a line what is to draw here, and what it is good for. Raises LocalError."""
    path = os.environ.get("MODEL_PATH") or _chosen_model(home).get("MODEL_PATH")
    try:
        model = artefact_at(Path(path)) if path else registry()[STARTER]
    except ArtefactRefused as error:
        return str(error)
    return f"{model.name} ({model.licence}): {model.purpose}" if model else f"{path}, a model of your own"


def _chosen_model(home: StackFolder) -> dict[str, str]:
    """The diffusion model that `make model` kept, where the environment names none. Raises LocalError."""
    path = kept.read(home.settings_file).get("MODEL_PATH")
    return {} if path is None or os.environ.get("MODEL_PATH") else {"MODEL_PATH": path}


def way_back(model: str) -> str:
    """What to do about a model that cannot be used, in a line."""
    setting = {"diffusion": "MODEL_PATH", "segmentation": "MATTE_MODEL_PATH"}.get(model, "")
    if setting and os.environ.get(setting):
        return f"unset {setting} to go back to the one that came along; then make down, make up"
    if model == "diffusion":
        return "make model ID=starter goes back to the one that came along; then make down, make up"
    return "the rest works without it; make setup fetches its files anew; then make down, make up"


def _region_prefix(home: StackFolder) -> str:
    """A killed server leaves its shared memory behind; a prefix per stack tells ours from others'."""
    return f"atelier_{hashlib.sha256(str(home.folder).encode()).hexdigest()[:8]}_"


def remove_regions(home: StackFolder) -> None:
    """Of a server that was killed, and cannot do it itself."""
    _remove_regions(_region_prefix(home))


def _remove_regions(prefix: str) -> None:
    for region in SHARED_MEMORY.glob(f"{prefix}*"):
        region.unlink(missing_ok=True)
