"""The one error family of matting: a stable reason and a text for people."""


class MattingError(Exception):
    """`reason` is INVALID_IMAGE, IMAGE_TOO_LARGE, INVALID_REQUEST, MATTE_MODEL_MISSING or MODEL_FAILED of a request,
    MODEL_UNUSABLE of a load."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason
