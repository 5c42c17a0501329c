"""The API's reference as one HTML page, rendered from the OpenAPI document; nothing is loaded from elsewhere."""

from __future__ import annotations

import re
from html import escape
from importlib.resources import files
from typing import Any

from gateway.documentation.reference.operation import anchor, render_operation
from gateway.documentation.reference.schema import SchemaRenderer
from gateway.documentation.reference.text import paragraphs

Document = dict[str, Any]
_ORDER = ("post", "get", "put", "patch", "delete", "head")


def render(document: Document, host: str) -> str:
    """A complete page. `host` is how its reader reaches the server, for the commands: scheme, name and port."""
    schemas = SchemaRenderer(document)
    operations = _operations(document)
    root = document.get("servers", [{"url": ""}])[0]["url"]
    fill = {
        "title": escape(document["info"]["title"]),
        "version": escape(document["info"]["version"]),
        "root": escape(root),
        "host": escape(host),
        "about": paragraphs(document["info"].get("description", "")),
        "style": _file("style.css"),
        "script": _file("page.js"),
        "contents": _contents(operations),
        "operations": "".join(
            render_operation(schemas, path, method, item, host + root) for path, method, item in operations
        ),
        "schemas": "".join(schemas.definition(name) for name in sorted(schemas.mentioned())),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: fill[match.group(1)], _file("page.html"))


def _file(name: str) -> str:
    return files(__name__).joinpath(name).read_text()


def _operations(document: Document) -> list[tuple[str, str, Document]]:
    found = [
        (path, method, item[method]) for path, item in document["paths"].items() for method in _ORDER if method in item
    ]
    tags = [tag["name"] for tag in document.get("tags", [])]
    return sorted(found, key=lambda entry: tags.index(_tag(entry[2])) if _tag(entry[2]) in tags else len(tags))


def _tag(operation: Document) -> str:
    return str(operation.get("tags", ["Other"])[0])


def _contents(operations: list[tuple[str, str, Document]]) -> str:
    parts, tag = [], ""
    for path, method, item in operations:
        if _tag(item) != tag:
            tag = _tag(item)
            parts.append(f"<h2>{escape(tag)}</h2>")
        name = escape(item.get("summary", path))
        label = f'<span class="method {method}">{method}</span>'
        parts.append(f'<a class="entry" href="#{anchor(path, method)}" title="{escape(path)}">{label}{name}</a>')
    return "".join(parts)
