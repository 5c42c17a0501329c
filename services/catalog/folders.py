"""Which paths in storage are the tasks' own: there only their runs store anything, and a removal takes all there is."""

from __future__ import annotations

import re

from services.catalog.tasks import TYPES

_FOLDERS = frozenset(kind.folder for kind in TYPES.values())
_TASK_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def is_reserved(path: str) -> bool:
    """Whether it is `<folder of a type>/<task id>`, anything below, or an object that would stand in their way.

    Whatever the case: some stores make no difference.
    """
    folder, _, rest = path.partition("/")
    name = rest.partition("/")[0]
    return folder.lower() in _FOLDERS and (not rest or _TASK_ID.fullmatch(name) is not None)
