"""Which paths in storage are the tasks' and workflows' own: there only they store anything, and a removal takes all
there is."""

from __future__ import annotations

import re

from services.catalog.tasks import TYPES

# Each workflow has a folder of its own below it.
WORKFLOWS = "workflows"
_FOLDERS = frozenset([WORKFLOWS, *(kind.folder for kind in TYPES.values())])
_INPUTS = re.compile(r"references/[A-Za-z0-9\-]{16,64}/")
_TASK_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def is_reserved(path: str) -> bool:
    """Whether it is `<folder of a type>/<task id>`, `workflows/<id>`, anything below, or an object in their way.

    Whatever the case: some stores make no difference.
    """
    folder, _, rest = path.partition("/")
    name = rest.partition("/")[0]
    return folder.lower() in _FOLDERS and (not rest or _TASK_ID.fullmatch(name) is not None)


def is_inputs_folder(prefix: str) -> bool:
    """Whether it is one that holds the pictures of a single request, which go with what was asked for."""
    return _INPUTS.fullmatch(prefix) is not None
