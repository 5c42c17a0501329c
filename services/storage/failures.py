"""What the operating system's and the object store's failures mean to a caller."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import AlreadyExistsError, BaseError

from services.common.errors import ComputeError, IllegalTransition, InvalidRequest, NotFound, OutOfSpace, Unavailable

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_CONFLICT = frozenset({errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY})
_TRY_AGAIN_SECONDS = 5.0


@contextmanager
def translated() -> Iterator[None]:
    """Turns OSError and the object store's errors into ComputeError."""
    try:
        yield
    except ComputeError:
        raise
    except FileNotFoundError as error:
        raise NotFound("there is no such object") from error
    except (FileExistsError, AlreadyExistsError) as error:
        raise IllegalTransition("there is an object already", reason="ALREADY_EXISTS") from error
    except OSError as error:
        raise _of(error) from error
    except BaseError as error:
        raise _unavailable() from error


def _of(error: OSError) -> ComputeError:
    if error.errno in _FULL:
        return OutOfSpace("the storage is full", reason="STORAGE_FULL", retry_after=60.0)
    if error.errno in _CONFLICT:
        return InvalidRequest("a part of this path is an object, or this object is a folder", reason="PATH_CONFLICT")
    if error.errno == errno.ENAMETOOLONG:
        return InvalidRequest("the path is too long for this store", reason="PATH_INVALID")
    return _unavailable()


def _unavailable() -> Unavailable:
    return Unavailable("the storage does not answer", reason="STORAGE_UNAVAILABLE", retry_after=_TRY_AGAIN_SECONDS)
