"""Why a model cannot be had from a hub: one family, each with a stable reason.

HubError
├── ModelIdInvalid       what was given is no id or revision
├── EndpointInvalid      what HF_ENDPOINT names is no address of a hub
├── HubUnreachable       nobody answers, or the answers break off
├── HubAnswerUnusable    it answers what its protocol does not have
├── ModelNotFound        it has no such model, or does not show it
├── RevisionNotFound     the model has no such revision
├── AccessDenied         the model is gated, or the token is not good
├── FileNameUnsafe       a file would lie outside the model's folder
├── FileCorrupt          a file came with another content than the hub lists
├── PicklesRefused       weights only as pickles, which can run any code
├── CodeRefused          the model brings code of its own
├── WeightsInvalid       the tensors of a weight file are not those that its head, index or configuration say
├── ModelUnsupported     no diffusers model of a family that is served, not a whole one, or parts that do not fit
└── DiskFull             there is no room for it
"""

from __future__ import annotations

from deploy.local.failures import LocalError


class HubError(LocalError):
    """Said as `REASON: message`."""

    reason = "INTERNAL"

    def __str__(self) -> str:
        return f"{self.reason}: {super().__str__()}"


class ModelIdInvalid(HubError):
    reason = "MODEL_ID_INVALID"


class EndpointInvalid(HubError):
    reason = "HF_ENDPOINT_INVALID"


class HubUnreachable(HubError):
    reason = "HUB_UNREACHABLE"


class HubAnswerUnusable(HubError):
    reason = "HUB_ANSWER_UNUSABLE"


class ModelNotFound(HubError):
    reason = "MODEL_NOT_FOUND"


class RevisionNotFound(HubError):
    reason = "REVISION_NOT_FOUND"


class AccessDenied(HubError):
    reason = "HUB_ACCESS_DENIED"


class FileNameUnsafe(HubError):
    reason = "FILE_NAME_UNSAFE"


class FileCorrupt(HubError):
    reason = "FILE_CORRUPT"


class PicklesRefused(HubError):
    reason = "PICKLES_REFUSED"


class CodeRefused(HubError):
    reason = "CODE_REFUSED"


class WeightsInvalid(HubError):
    reason = "WEIGHTS_INVALID"


class ModelUnsupported(HubError):
    reason = "MODEL_UNSUPPORTED"


class DiskFull(HubError):
    reason = "DISK_FULL"
