"""One operation as a section of the page: what it takes, what it answers, and how to call it."""

from __future__ import annotations

import re
from html import escape
from typing import Any

from gateway.documentation.reference.command import curl
from gateway.documentation.reference.schema import SchemaRenderer, said_default
from gateway.documentation.reference.text import marked, paragraphs

Document = dict[str, Any]


def anchor(path: str, method: str) -> str:
    return f"{method}-{re.sub(r'[^a-z0-9]+', '-', path.lower()).strip('-')}"


def render_operation(schemas: SchemaRenderer, path: str, method: str, item: Document, base: str) -> str:
    shown = re.sub(r"(\{[^}]+\})", r"<em>\1</em>", escape(path))
    lock = "" if item.get("security") else '<span class="open">no key needed</span>'
    return (
        f'<section class="operation" id="{anchor(path, method)}">'
        f"<h3>{escape(item.get('summary', path))}</h3>"
        f'<p class="route"><span class="method {method}">{method}</span><code>{shown}</code>{lock}</p>'
        f"{paragraphs(item.get('description', ''))}"
        f"{_calls(schemas, path, method, item, base)}{_parameters(schemas, item)}{_body(schemas, item)}"
        f"{_answers(schemas, item)}{_refusals(item)}"
        "</section>"
    )


def _calls(schemas: SchemaRenderer, path: str, method: str, item: Document, base: str) -> str:
    """The commands: one for each example, folded with the fields of its schema where there are several."""
    content = item.get("requestBody", {}).get("content", {}).get("application/json", {})
    examples = {name: example["value"] for name, example in content.get("examples", {}).items()}
    if len(examples) < 2:
        return curl(base, path, method, item, next(iter(examples.values()), None))
    parts = [
        f'<details id="{anchor(path, method)}-{escape(name.lower())}"><summary><code>{escape(name)}</code>'
        f" {escape(schemas.about(content['schema'], name))}</summary>"
        f"{curl(base, path, method, item, body)}{schemas.member(content['schema'], name)}</details>"
        for name, body in examples.items()
    ]
    return f"<h4>Body, for each type</h4>{''.join(parts)}"


def _parameters(schemas: SchemaRenderer, item: Document) -> str:
    rows = [
        f"<tr><td><code>{escape(found['name'])}</code>{_star(found.get('required'))}</td><td>{escape(found['in'])}</td>"
        f"<td>{schemas.kind(found['schema'])}{said_default(found['schema'])}</td>"
        f"<td>{marked(found.get('description', ''))}</td></tr>"
        for found in item.get("parameters", [])
    ]
    return f'<h4>Parameters</h4><table class="parameters">{"".join(rows)}</table>' if rows else ""


def _star(required: object) -> str:
    return '<span class="required" title="required">*</span>' if required else ""


def _body(schemas: SchemaRenderer, item: Document) -> str:
    """A body with several examples has been shown with them."""
    return "".join(
        f"<h4>Body <small>{escape(kind)}</small></h4>{schemas.choices(content['schema'])}"
        for kind, content in item.get("requestBody", {}).get("content", {}).items()
        if len(content.get("examples", {})) < 2
    )


def _answers(schemas: SchemaRenderer, item: Document) -> str:
    rows = []
    for code, answer in item["responses"].items():
        if "x-reasons" in answer:
            continue
        kinds = [
            f"{schemas.kind(content['schema'])} <small>{escape(kind)}</small>"
            for kind, content in answer.get("content", {}).items()
            if "schema" in content
        ]
        said = marked(answer.get("description", ""))
        rows.append(f"<tr><td><code>{escape(code)}</code></td><td>{said}</td><td>{'<br>'.join(kinds)}</td></tr>")
    return f'<h4>Answers</h4><table class="answers">{"".join(rows)}</table>'


def _refusals(item: Document) -> str:
    rows = [
        f"<tr><td><code>{escape(code)}</code></td><td>{marked(answer['description'])}</td></tr>"
        for code, answer in item["responses"].items()
        if "x-reasons" in answer
    ]
    if not rows:
        return ""
    table = f'<table class="answers">{"".join(rows)}</table>'
    return f'<details class="refusals"><summary>When it is refused</summary>{table}</details>'
