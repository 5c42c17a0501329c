"""The ONNX matte network: loading, and one forward pass."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from artefacts import Artefact, ArtefactRefused, artefact_at, check, registry, served_unknown

from .errors import MattingError
from .layouts import LAYOUTS, Layout, choose_layout
from .saliency import border_prior
from .settings import Settings

FOR_PHOTOGRAPHS = "u2netp"
"""The artefact that serves photographs."""
PROOF_SIDE = 256
MARGIN = 1 / 8
"""What the second look adds at every side, of that side's length, by continuing the picture's edges."""


class MatteNetwork:
    """A session with its layout; `matte` is safe to call from several threads."""

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        layout: Layout,
        description: dict[str, Any],
        served: dict[str, str] | None = None,
    ) -> None:
        """`served` is what the registry says of it, where it knows it."""
        self.session, self.layout, self.description = session, layout, description
        self.served = served or served_unknown(description, "segmentation")
        self.input_names = [item.name for item in session.get_inputs()]
        self.output_name = session.get_outputs()[0].name

    @classmethod
    def load(cls, settings: Settings) -> MatteNetwork:
        """Raises MODEL_UNUSABLE when the file is missing, not the registry's, no ONNX or of an unknown layout."""
        path = settings.model_path
        if not path.is_file():
            raise MattingError(
                "MODEL_UNUSABLE", f"no matte model at {path}; set MATTE_MODEL_PATH or run `make starter-models`"
            )
        known = refuse_swapped(path)
        session = open_session(path, settings.threads)
        inputs = [(item.name, item.shape) for item in session.get_inputs()]
        layout = choose_layout(settings.layout, path.stem, inputs, [item.name for item in session.get_outputs()])
        served = None if known is None else known.served()
        return cls(session, layout, describe(path, layout, settings.licence), served)

    def proven(self) -> MatteNetwork:
        """Itself, once it has told a disc from its ground. Raises MODEL_UNUSABLE."""
        picture = np.full((PROOF_SIDE, PROOF_SIDE, 3), 60, np.uint8)
        cv2.circle(picture, (PROOF_SIDE // 2,) * 2, PROOF_SIDE // 4, (230, 120, 40), -1, cv2.LINE_AA)
        try:
            answer = self.look(picture)
        except MattingError as error:
            raise MattingError("MODEL_UNUSABLE", str(error)) from error
        if float(np.ptp(answer)) < 1e-6:
            raise MattingError("MODEL_UNUSABLE", "the network answers the same everywhere in a picture with a subject")
        return self

    @classmethod
    def for_photographs(cls, settings: Settings) -> MatteNetwork | None:
        """None where the set-up could not get it. Raises MODEL_UNUSABLE when its file is not the registry's."""
        artefact = registry()[FOR_PHOTOGRAPHS]
        if settings.artefacts is None or not artefact.present(settings.artefacts):
            return None
        try:
            [path] = artefact.verified(settings.artefacts).values()
        except ArtefactRefused as error:
            raise MattingError("MODEL_UNUSABLE", str(error)) from error
        description = {
            "name": artefact.name,
            "sha256": artefact.sha256,
            "licence": artefact.licence,
            "layout": "u2net",
        }
        return cls(open_session(path, settings.threads), LAYOUTS["u2net"], description, artefact.served())

    @property
    def draws(self) -> bool:
        """Whether it was trained on drawn pictures, as the starter alone was."""
        return self.layout.name == "starter"

    def matte(self, image: np.ndarray) -> np.ndarray:
        """uint8 RGB [H, W, 3] to float32 [h, w] in 0..1 at the network's own resolution. Raises MODEL_FAILED."""
        first = self.look(image)
        return (first + self.second_look(image, first.shape)) / 2 if self.layout.twice else first

    def second_look(self, image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Mirrored and with a margin: what a network wrongly sees in one view it seldom sees in the other."""
        high, wide = (max(1, round(side * MARGIN)) for side in image.shape[:2])
        seen = self.look(cv2.copyMakeBorder(image[:, ::-1], high, high, wide, wide, cv2.BORDER_REPLICATE))
        top = round(seen.shape[0] * high / (image.shape[0] + 2 * high))
        left = round(seen.shape[1] * wide / (image.shape[1] + 2 * wide))
        inner = seen[top : seen.shape[0] - top, left : seen.shape[1] - left][:, ::-1]
        return cv2.resize(inner, shape[::-1], interpolation=cv2.INTER_LINEAR)

    def look(self, image: np.ndarray) -> np.ndarray:
        """One forward pass over the picture as it is."""
        square, window = self.layout.square(image)
        try:
            output = self.session.run([self.output_name], self.feed(square))[0]
        except Exception as error:
            raise MattingError("MODEL_FAILED", f"the network refused the picture: {str(error)[:200]}") from error
        answer = self.layout.read(output)
        return answer[window] if answer.shape == square.shape[:2] else answer

    def feed(self, square: np.ndarray) -> dict[str, np.ndarray]:
        """The picture as the layout wants it and, where the graph asks for a second input, what its border tells."""
        feed = {self.input_names[0]: self.layout.prepare(square)}
        if len(self.input_names) > 1:
            feed[self.input_names[1]] = border_prior(square[None])
        return feed


def refuse_swapped(path: Path) -> Artefact | None:
    """What the registry says of it; None for a network of somebody's own, which is their affair.

    Raises MODEL_UNUSABLE for one of ours that has another content.
    """
    try:
        known = artefact_at(path.parent)
        if known is None or path.name not in known.files:
            return None
        check(path, known.files[path.name], known.name, known.remedy)
    except ArtefactRefused as error:
        raise MattingError("MODEL_UNUSABLE", str(error)) from error
    return known


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions share no public base class
        raise MattingError("MODEL_UNUSABLE", f"{path} cannot be loaded: {str(error)[:200]}") from error


def describe(path: Path, layout: Layout, licence: str | None) -> dict[str, Any]:
    """Name and licence from `model.json` beside the file, the content hash from the file."""
    card_path = path.with_name("model.json")
    card = json.loads(card_path.read_text()) if card_path.is_file() else {}
    return {
        "name": card.get("name", path.stem),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "licence": licence or card.get("licence", "unknown"),
        "layout": layout.name,
    }
