"""Triton's face of the upscaling engine: tensors in, events and rows of the picture out."""

import logging
import os
import sys
from pathlib import Path
from typing import Any

RUNTIME = Path(os.environ.get("TRITON_RUNTIME") or Path(__file__).resolve().parents[3] / "runtime")
sys.path.insert(0, str(RUNTIME))

from failures import RequestError  # noqa: E402  the path is set above
from triton_streams import StreamSink, fields_of, pixels_of  # noqa: E402


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        from upscaling.engine import Engine
        from upscaling.network import RealEsrgan
        from upscaling.settings import Settings

        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
        settings = Settings.from_environment(os.environ)
        self._engine = Engine(RealEsrgan.load(settings), settings)

    def execute(self, requests: list[Any]) -> None:
        for request in requests:
            sink = StreamSink(request.get_response_sender(), "ROWS")
            try:
                self._engine.submit(fields_of(request), sink, image=pixels_of(request, "IMAGE"))
            except RequestError as error:
                sink.fail(error)

    def finalize(self) -> None:
        self._engine.close()
