"""Why a request to a model fails: one family, each error with a stable UPPER_SNAKE reason.

RequestError
├── InvalidArgument      the request is malformed or out of range
├── QueueFull            too many requests wait
├── OutOfMemory          the device has no room for this picture
├── Cancelled            the client went away
├── Unavailable          the model is being unloaded
└── ModelFailed          the model broke on this request
"""


class RequestError(Exception):
    """A request's failure; its text is `REASON: message`."""

    reason = "INTERNAL"

    def __str__(self) -> str:
        return f"{self.reason}: {super().__str__()}"


class InvalidArgument(RequestError):
    reason = "INVALID_ARGUMENT"


class QueueFull(RequestError):
    reason = "RESOURCE_EXHAUSTED"


class OutOfMemory(RequestError):
    reason = "OUT_OF_MEMORY"


class Cancelled(RequestError):
    reason = "CANCELLED"


class Unavailable(RequestError):
    reason = "UNAVAILABLE"


class ModelFailed(RequestError):
    reason = "INTERNAL"
