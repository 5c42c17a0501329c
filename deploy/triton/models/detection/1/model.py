"""Triton's face of the detectors: a picture in, what was found in it out."""

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb

RUNTIME = Path(os.environ.get("TRITON_RUNTIME") or Path(__file__).resolve().parents[3] / "runtime")
sys.path.insert(0, str(RUNTIME))

from failures import ModelFailed, RequestError  # noqa: E402  the path is set above
from triton_streams import error_response, fields_of, pixels_of  # noqa: E402

log = logging.getLogger("detection")


class TritonPythonModel:
    """One answer per request; a bad request fails alone."""

    def initialize(self, args: dict[str, str]) -> None:
        from detecting.finder import Finder
        from detecting.request import parse
        from detecting.settings import Settings

        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
        self._parse = parse
        self._finder = Finder.load(Settings.from_environment(os.environ))

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        try:
            told = self._finder.answer(self._parse(fields_of(request)), pixels_of(request, "IMAGE"))
        except RequestError as error:
            return error_response(error)
        except Exception:
            log.exception("finding failed")
            return error_response(ModelFailed("finding failed; the server's log has the trace"))
        return pb.InferenceResponse([pb.Tensor("INFO", np.array([json.dumps(told).encode()], dtype=object))])
