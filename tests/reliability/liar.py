"""A model.py for Triton that keeps our models' protocols and, while the file `lying` exists beside it, tells lies.

It runs in the models' environment, as `diffusion` or `segmentation`. The prompt says which lie, or the first pixel.
"""

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb

FOLDER = Path(__file__).parents[2]
CARD = {"name": "liar", "sha256": "0" * 64, "licence": "CC0-1.0"}
SIDE, STEPS = 32, 5
DESCRIPTION = {
    "event": "describe",
    "model": CARD,
    "native": {"width": SIDE, "height": SIDE},
    "multiple_of": 8,
    "defaults": {"steps": STEPS, "guidance": 3.0},
    "limits": {"max_pixels": 1 << 20, "max_steps": 50, "max_loras": 0},
}
MATTE_LIES = ("", "nan", "sure", "small", "empty", "missing")


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        if (FOLDER / "broken").exists():
            raise RuntimeError("the weights cannot be read")
        self.answer = self.matte if args["model_name"] == "segmentation" else self.stream

    def execute(self, requests: list[Any]) -> Any:
        answers = [self.answer(request) for request in requests]
        return answers if isinstance(answers[0], pb.InferenceResponse) else None

    def stream(self, request: Any) -> None:
        asked = json.loads(pb.get_input_tensor_by_name(request, "REQUEST").as_numpy().ravel()[0])
        threading.Thread(target=draw, args=(asked, request.get_response_sender()), daemon=True).start()

    def matte(self, request: Any) -> Any:
        image = pb.get_input_tensor_by_name(request, "IMAGE").as_numpy()
        lie = MATTE_LIES[image[0, 0, 0] % len(MATTE_LIES)] if lying() else ""
        height, width, _ = image.shape
        confidence = {"nan": float("nan"), "sure": 7.0}.get(lie, 0.9)
        shape = {"small": (height // 2, width // 2), "empty": (0, 0)}.get(lie, (height, width))
        tensors = [] if lie == "missing" else [pb.Tensor("MATTE", np.full(shape, 255, np.uint8))]
        return pb.InferenceResponse([*tensors, text("INFO", {"confidence": confidence, "model": CARD})])


def draw(asked: Any, sender: Any) -> None:
    if asked.get("canary"):
        canary = {"event": "canary", "queued": 0, "pid": os.getpid()}
        return finish(sender, {} if (FOLDER / "mad").exists() else canary)
    if asked.get("describe"):
        return finish(sender, DESCRIPTION)
    lie = asked["prompt"].removeprefix("lie: ") if lying() else ""
    steps = asked.get("steps", STEPS)
    for step in range(1, 1 if lie == "sudden" else steps + 1):
        time.sleep(0.02)
        sender.send(pb.InferenceResponse([text("EVENT", {"event": "step", "step": step, "of": steps, "batch": 1})]))
    return finish(sender, *result(asked, steps, lie))


def result(asked: Any, steps: int, lie: str) -> tuple[dict[str, Any], Any, bool]:
    height, width = asked["height"], asked["width"]
    event = {"event": "result", "steps": steps, "seed": asked["seed"], "model": CARD, "loras": []}
    event |= {"width": width, "height": height, "queued_ms": 0.0, "denoise_ms": 1.0}
    picture = np.full((height, width, 3), asked["seed"] % 251, np.uint8)
    if lie == "stale":
        event["seed"] += 1
    if lie == "bare":
        event = {"event": "result"}
    if lie == "nan":
        event["denoise_ms"] = float("nan")
    shapes = {"small": (height // 2, width // 2, 3), "empty": (0, 0, 3), "grey": (height, width, 1)}
    if lie in shapes:
        picture = np.zeros(shapes[lie], np.uint8)
    if lie == "float":
        picture = np.full((height, width, 3), np.nan, np.float32)
    return event, None if lie == "missing" else picture, lie == "mute"


def finish(sender: Any, event: dict[str, Any], picture: Any = None, mute: bool = False) -> None:
    tensors = [] if mute else [text("EVENT", event)]
    if picture is not None:
        tensors.append(pb.Tensor("RESULT", picture))
    sender.send(pb.InferenceResponse(tensors), flags=pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


def text(name: str, content: dict[str, Any]) -> Any:
    return pb.Tensor(name, np.array([json.dumps(content).encode()], dtype=object))


def lying() -> bool:
    return (FOLDER / "lying").exists()
