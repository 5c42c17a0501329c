"""The one error family of matting: a stable reason and a text for people."""


class MattingError(Exception):
    """`reason` is INVALID_IMAGE, IMAGE_TOO_LARGE, INVALID_REQUEST, MODEL_FAILED or MODEL_UNUSABLE."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason
