#!/usr/bin/env python3
# ruff: noqa  # kept word for word as the contract's own tool, so that both sides can be compared
"""What of the contract an OpenAPI document lacks or contradicts. Additions are allowed.

contract_diff.py CONTRACT.json PREFIX[,PREFIX...] [--exclude PREFIX] < openapi.json     prints each difference, then 'differences: N (of M checked)'; exit 0 iff N == 0
"""

import json, sys

METHODS = ("get", "put", "post", "delete", "patch", "head")


def resolver(doc):
    def resolve(schema):
        seen = 0
        while isinstance(schema, dict) and "$ref" in schema and seen < 20:
            node = doc
            for part in schema["$ref"].lstrip("#/").split("/"):
                node = node[part.replace("~1", "/").replace("~0", "~")]
            schema, seen = node, seen + 1
        return schema

    return resolve


def kinds(schema, resolve):
    schema = resolve(schema)
    if not isinstance(schema, dict) or schema == {}:
        return {"any"}
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return set().union(*(kinds(s, resolve) for s in schema[key]))
    if "allOf" in schema and len(schema["allOf"]) == 1:
        return kinds(schema["allOf"][0], resolve)
    if "const" in schema:
        return {"string" if isinstance(schema["const"], str) else type(schema["const"]).__name__}
    t = schema.get("type")
    if t is None:
        return {"object"} if "properties" in schema else {"string"} if "enum" in schema else {"any"}
    return set(t) if isinstance(t, list) else {t}


def limit(schema, key, resolve):
    schema = resolve(schema)
    if key in schema:
        return schema[key]
    for k in ("anyOf", "oneOf"):
        for s in schema.get(k, []):
            v = limit(s, key, resolve)
            if v is not None:
                return v
    return None


def members(schema, resolve):
    """The object schemas reachable through unions and arrays."""
    schema = resolve(schema)
    if not isinstance(schema, dict):
        return []
    out = []
    for key in ("anyOf", "oneOf", "allOf"):
        for s in schema.get(key, []):
            out += members(s, resolve)
    if schema.get("type") == "array" and "items" in schema:
        out += members(schema["items"], resolve)
    if "properties" in schema:
        out.append(schema)
    return out


class Diff:
    def __init__(self, want, have):
        self.want, self.have = want, have
        self.rw, self.rh = resolver(want), resolver(have)
        self.lines, self.checked, self.seen = [], 0, set()

    def add(self, ok, text):
        self.checked += 1
        if not ok:
            self.lines.append(text)

    def value(self, where, w, h):
        inferred = w.get("x-type-inferred")
        if not inferred:
            kw, kh = kinds(w, self.rw), kinds(h, self.rh)
            self.add(
                "any" in kw or "any" in kh or kw <= kh | ({"integer"} if "number" in kh else set()),
                f"{where}: type {sorted(kw)} wanted, {sorted(kh)} found",
            )
        if "default" in w and w["default"] is not None and not w.get("x-default-inferred"):
            self.add(
                h.get("default", self.rh(h).get("default")) == w["default"],
                f"{where}: default {w['default']!r} wanted, {h.get('default')!r} found",
            )
        for key in ("minimum", "maximum", "maxLength", "minLength", "minItems"):
            v = limit(w, key, self.rw)
            if v is not None:
                self.add(limit(h, key, self.rh) == v, f"{where}: {key} {v} wanted, {limit(h, key, self.rh)} found")

    def schema(self, where, w, h):
        name = (w.get("$ref") or "").split("/")[-1]
        if name:
            if name in self.seen:
                return
            self.seen.add(name)
            hn = self.have.get("components", {}).get("schemas", {}).get(name)
            if not self.rw(w).get("type") == "string" and "properties" in self.rw(w):
                self.add(hn is not None, f"{where}: no schema named {name}")
            if hn is not None:
                h = hn
        w0, h0 = self.rw(w), self.rh(h)
        for key in ("anyOf", "oneOf"):
            for s in w0.get(key, []):
                self.schema(where, s, h0)
        if w0.get("type") == "array" and "items" in w0:
            self.schema(where + "[]", w0["items"], h0.get("items", h0))
        props = w0.get("properties")
        if not props:
            return
        pool = {}
        for m in members(h, self.rh):
            for k, v in m["properties"].items():
                pool.setdefault(k, v)
        for k, v in props.items():
            at = f"{name or where}.{k}"
            self.add(k in pool, f"{at}: missing")
            if k in pool:
                self.value(at, v, pool[k])
                self.schema(at, v, pool[k])
        for k in w0.get("required", []):
            if not w0.get("x-required-inferred"):
                req = [m.get("required", []) for m in members(h, self.rh) if k in m["properties"]]
                self.add(bool(req) and any(k in r for r in req), f"{name or where}.{k}: not required")

    def operation(self, where, w, h):
        hp = {(p["in"], p["name"]): p for p in map(self.rh, h.get("parameters", []))}
        for p in map(self.rw, w.get("parameters", [])):
            if p["in"] == "header":
                continue
            got = hp.get((p["in"], p["name"])) or next((v for (i, n), v in hp.items() if i == p["in"] == "path"), None)
            self.add(got is not None, f"{where} parameter {p['name']}: missing")
            if got:
                self.value(f"{where} parameter {p['name']}", p.get("schema", {}), got.get("schema", {}))
        for ctype, body in w.get("requestBody", {}).get("content", {}).items():
            hb = self.rh(h.get("requestBody", {})).get("content", {})
            self.add(ctype in hb, f"{where} body {ctype}: missing")
            if ctype in hb:
                self.schema(f"{where} body", body.get("schema", {}), hb[ctype].get("schema", {}))
        for code in ("200", "201", "202"):
            wb = (
                self.rw(w.get("responses", {}).get(code, {}))
                .get("content", {})
                .get("application/json", {})
                .get("schema")
            )
            if wb:
                got = next(
                    (
                        self.rh(h["responses"][c]).get("content", {}).get("application/json", {}).get("schema")
                        for c in ("200", "201", "202")
                        if c in h.get("responses", {})
                    ),
                    None,
                )
                self.add(got is not None, f"{where}: no JSON answer described")
                if got is not None:
                    self.schema(f"{where} answer", wb, got)


def main():
    args = [a for a in sys.argv[1:] if not a.startswith("--")]
    exclude = tuple(sys.argv[sys.argv.index("--exclude") + 1].split(",")) if "--exclude" in sys.argv else ()
    if exclude:
        args = [a for a in args if a != ",".join(exclude)]
    want, have = json.load(open(args[0])), json.load(sys.stdin)
    prefixes = tuple(args[1].split(","))
    norm = lambda p: "/".join("{}" if s.startswith("{") else s for s in p.rstrip("/").split("/"))
    paths = {norm(p): v for p, v in have.get("paths", {}).items()}
    d = Diff(want, have)
    for path, item in want["paths"].items():
        if not path.startswith(prefixes) or (exclude and path.startswith(exclude)):
            continue
        for m in METHODS:
            if m in item:
                got = paths.get(norm(path), {}).get(m)
                d.add(got is not None, f"{m.upper()} {path}: missing")
                if got is not None:
                    d.operation(f"{m.upper()} {path}", item[m], got)
    for line in d.lines:
        print(line)
    print(f"differences: {len(d.lines)} (of {d.checked} checked)")
    sys.exit(1 if d.lines else 0)


main()
