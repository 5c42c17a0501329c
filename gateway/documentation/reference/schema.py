"""JSON schemas as HTML: a short kind for table cells, a table of fields for objects."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from gateway.documentation.reference.text import marked

Schema = dict[str, Any]
_LIMITS = (
    ("minimum", "≥ {}"),
    ("maximum", "≤ {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {} items"),
    ("maxItems", "at most {} items"),
    ("pattern", "matches {}"),
)


def said_default(schema: Schema) -> str:
    default = schema.get("default")
    return f' <span class="limits">default {escape(json.dumps(default))}</span>' if default is not None else ""


class SchemaRenderer:
    """The document's named schemas; remembers which were mentioned, so that the page can define them."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._named: dict[str, Schema] = document["components"]["schemas"]
        self._mentioned: set[str] = set()

    def mentioned(self) -> set[str]:
        """Every schema that is linked to, directly or from another one."""
        seen: set[str] = set()
        while waiting := self._mentioned - seen:
            for name in waiting:
                seen.add(name)
                self.definition(name)
        return seen

    def kind(self, schema: Schema) -> str:
        """A type in a few words, with links and limits."""
        limits = [text.format(escape(str(schema[name]))) for name, text in _LIMITS if name in schema]
        return self._bare(schema) + (f' <span class="limits">{", ".join(limits)}</span>' if limits else "")

    def member(self, union: Schema, tag: str) -> str:
        """The fields of the one that the tag of a union names."""
        return self._fields(self._named[self._member_name(union, tag)])

    def about(self, union: Schema, tag: str) -> str:
        return str(self._named[self._member_name(union, tag)].get("description", ""))

    def _member_name(self, union: Schema, tag: str) -> str:
        return str(self._resolved(union)["discriminator"]["mapping"][tag]).rpartition("/")[2]

    def _resolved(self, schema: Schema) -> Schema:
        return self._named[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema

    def choices(self, schema: Schema) -> str:
        """A body: its fields, or one fold for each alternative."""
        options = self._resolved(schema).get("anyOf", [schema])
        names = [option["$ref"].rpartition("/")[2] if "$ref" in option else "" for option in options]
        return "".join(
            self.definition(name, anchored=False) if name else self._inline(option)
            for name, option in zip(names, options, strict=True)
        )

    def _inline(self, schema: Schema) -> str:
        return self._fields(schema) if "properties" in schema else self.kind(schema)

    def definition(self, name: str, *, anchored: bool = True) -> str:
        """A fold with everything about one named schema."""
        schema = self._named[name]
        anchor = f' id="schema-{escape(name)}"' if anchored else ""
        about = escape(schema.get("description", ""))
        inner = self._fields(schema) if "properties" in schema else f"<p>{self.kind(schema)}</p>"
        return f"<details{anchor}><summary><code>{escape(name)}</code> {about}</summary>{inner}</details>"

    def _fields(self, schema: Schema) -> str:
        required = set(schema.get("required", ()))
        if len(required) == len(schema["properties"]):
            required = set()  # an answer, which has them all
        rows = [self._field(name, item, required=name in required) for name, item in schema["properties"].items()]
        return f"<table>{''.join(sorted(rows, key=lambda row: 'required' not in row))}</table>"

    def _field(self, name: str, item: Schema, *, required: bool) -> str:
        star = '<span class="required" title="required">*</span>' if required else ""
        about = marked(item.get("description", ""))
        kind = f"{self.kind(item)}{said_default(item)}"
        return f"<tr><td><code>{escape(name)}</code>{star}</td><td>{kind}</td><td>{about}</td></tr>"

    def _bare(self, schema: Schema) -> str:
        if "$ref" in schema:
            return self._link(schema["$ref"].rpartition("/")[2])
        if "const" in schema:
            return f"<code>{escape(json.dumps(schema['const']))}</code>"
        if "enum" in schema:
            return " | ".join(f"<code>{escape(json.dumps(value))}</code>" for value in schema["enum"])
        if options := schema.get("anyOf", schema.get("oneOf")):
            return " or ".join(self.kind(option) for option in options)
        if schema.get("type") == "array":
            return f"list of {self.kind(schema.get('items', {}))}"
        text = schema.get("format") or schema.get("type") or "anything"
        return escape(str(text))

    def _link(self, name: str) -> str:
        self._mentioned.add(name)
        return f'<a href="#schema-{escape(name)}">{escape(name)}</a>'
