"""What a link to a stored object may be, for the service that signs it and for the surfaces that ask for one."""

from __future__ import annotations

DEFAULT_SECONDS, LONGEST_SECONDS = 3600, 7 * 24 * 3600
MAX_NAME = 200
