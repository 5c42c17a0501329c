"""Each operation as a curl command that can be pasted."""

from __future__ import annotations

import json
import re
from html import escape
from typing import Any

Document = dict[str, Any]
_PICTURE = "mug.png"


def curl(base: str, path: str, method: str, item: Document, body: Any = None) -> str:
    """`body` is an example; values of the path that only the caller knows are variables of the shell."""
    lines = [f'curl{_method(method, item)} "{base}{_filled(path)}"']
    if item.get("security"):
        lines.append('-H "Authorization: Bearer $KEY"')
    if body is not None:
        lines += ["-H 'Content-Type: application/json'", f"-d '{_quoted(body)}'"]
    lines += _files(item)
    command = " \\\n  ".join(lines)
    return f'<pre class="curl">{escape(command)}</pre>'


def _method(method: str, item: Document) -> str:
    if method == "head":
        return " -I"
    if "text/event-stream" in item["responses"].get("200", {}).get("content", {}):
        return " -N"
    return "" if method == "get" else f" -X {method.upper()}"


def _filled(path: str) -> str:
    named = path.replace("{path}", f"pictures/{_PICTURE}")
    return re.sub(r"\{(\w+)\}", lambda match: f"${match[1].upper()}", named)


def _files(item: Document) -> list[str]:
    if "multipart/form-data" in item.get("requestBody", {}).get("content", {}):
        return [f"-F file=@{_PICTURE}"]
    fetched = "application/octet-stream" in item["responses"].get("200", {}).get("content", {})
    return [f"-o {_PICTURE}"] if fetched else []


def _quoted(body: Any) -> str:
    return json.dumps(body, indent=2, ensure_ascii=False).replace("\n", "\n  ").replace("'", "'\\''")
