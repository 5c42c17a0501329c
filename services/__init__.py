"""The services, and what they share."""

from __future__ import annotations

import sys
from contextlib import suppress

# structlog takes rich where it finds it, for tracebacks that no service prints so: 3 MB in every process.
_missing = "rich" not in sys.modules
if _missing:
    sys.modules["rich"] = None  # type: ignore[assignment]  # as Python has it for what is not to be imported
with suppress(ModuleNotFoundError):  # the models' environment borrows what is done to pixels, and logs nothing
    import structlog  # noqa: F401

if _missing:
    del sys.modules["rich"]
