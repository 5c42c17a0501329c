"""How large pictures may be, in one place for all that takes or makes them; docs/pictures.md tells users."""

from __future__ import annotations

# Of a picture that comes in, where an operator sets nothing else, and of every result.
MAX_PIXELS = 64_000_000
MAX_SIDE = 65_535
# Models that cut out refuse much more, and see no more in it: what is larger they are shown smaller.
MATTED_PIXELS = 16_000_000
