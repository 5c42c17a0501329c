"""The API's reference as one HTML page, rendered from the OpenAPI document; nothing is loaded from elsewhere."""

from __future__ import annotations

import re
from html import escape
from importlib.resources import files
from typing import Any

from gateway.reference.schema import Schemas

Document = dict[str, Any]
_ORDER = ("get", "post", "put", "patch", "delete", "head")


def render(document: Document) -> str:
    """A complete page."""
    schemas = Schemas(document)
    operations = _operations(document)
    fill = {
        "title": escape(document["info"]["title"]),
        "version": escape(document["info"]["version"]),
        "about": _paragraphs(document["info"].get("description", "")),
        "root": escape(document.get("servers", [{"url": ""}])[0]["url"]),
        "style": _file("style.css"),
        "script": _file("filter.js"),
        "contents": _contents(operations),
        "operations": "".join(_operation(schemas, path, method, item) for path, method, item in operations),
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


def _anchor(path: str, method: str) -> str:
    return f"{method}-{re.sub(r'[^a-z0-9]+', '-', path.lower()).strip('-')}"


def _contents(operations: list[tuple[str, str, Document]]) -> str:
    parts, tag = [], ""
    for path, method, item in operations:
        if _tag(item) != tag:
            tag = _tag(item)
            parts.append(f"<h2>{escape(tag)}</h2>")
        name = escape(item.get("summary", path))
        label = f'<span class="method {method}">{method}</span>'
        parts.append(f'<a class="entry" href="#{_anchor(path, method)}" title="{escape(path)}">{label}{name}</a>')
    return "".join(parts)


def _operation(schemas: Schemas, path: str, method: str, item: Document) -> str:
    shown = re.sub(r"(\{[^}]+\})", r"<em>\1</em>", escape(path))
    lock = "" if item.get("security") else '<span class="open">no key needed</span>'
    return (
        f'<section class="operation" id="{_anchor(path, method)}">'
        f"<h3>{escape(item.get('summary', path))}</h3>"
        f'<p class="route"><span class="method {method}">{method}</span><code>{shown}</code>{lock}</p>'
        f"{_paragraphs(item.get('description', ''))}"
        f"{_parameters(schemas, item)}{_body(schemas, item)}{_responses(schemas, item)}{_curl(path, method, item)}"
        "</section>"
    )


def _paragraphs(text: str) -> str:
    marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
    return "".join(f"<p>{part}</p>" for part in re.split(r"\n\s*\n", marked) if part.strip())


def _parameters(schemas: Schemas, item: Document) -> str:
    rows = [
        f"<tr><td><code>{escape(found['name'])}</code>{_star(found.get('required'))}</td><td>{escape(found['in'])}</td>"
        f"<td>{schemas.kind(found['schema'])}</td><td>{escape(found.get('description', ''))}</td></tr>"
        for found in item.get("parameters", [])
    ]
    return f"<h4>Parameters</h4><table>{''.join(rows)}</table>" if rows else ""


def _star(required: object) -> str:
    return '<span class="required" title="required">*</span>' if required else ""


def _body(schemas: Schemas, item: Document) -> str:
    contents = item.get("requestBody", {}).get("content", {})
    return "".join(
        f"<h4>Body <small>{escape(kind)}</small></h4>{schemas.choices(content['schema'])}"
        for kind, content in contents.items()
    )


def _responses(schemas: Schemas, item: Document) -> str:
    rows = []
    for code, answer in item["responses"].items():
        kinds = [
            f"<small>{escape(kind)}</small> {schemas.kind(content['schema'])}"
            for kind, content in answer.get("content", {}).items()
            if "schema" in content
        ]
        said = escape(answer.get("description", ""))
        rows.append(f"<tr><td><code>{escape(code)}</code></td><td>{said}</td><td>{'<br>'.join(kinds)}</td></tr>")
    return f"<h4>Answers</h4><table>{''.join(rows)}</table>"


def _curl(path: str, method: str, item: Document) -> str:
    lines = [f"curl -X {method.upper()} {{host}}{path}" if method != "head" else f"curl -I {{host}}{path}"]
    if item.get("security"):
        lines.append('-H "Authorization: Bearer $KEY"')
    contents = item.get("requestBody", {}).get("content", {})
    if "application/json" in contents:
        lines += ['-H "Content-Type: application/json"', "-d @body.json"]
    elif contents:
        lines.append("-F file=@picture.png")
    command = " \\\n  ".join(lines)
    return f'<pre class="curl">{escape(command)}</pre>'
