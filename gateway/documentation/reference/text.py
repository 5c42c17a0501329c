"""The little markup that descriptions have, as HTML."""

from __future__ import annotations

import re
from html import escape


def marked(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def paragraphs(text: str) -> str:
    return "".join(f"<p>{part}</p>" for part in re.split(r"\n\s*\n", marked(text)) if part.strip())
