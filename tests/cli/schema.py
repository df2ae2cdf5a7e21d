# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checks JSON of vgpuctl against cli/vgpuctl.schema.json. An unknown keyword of JSON Schema is an error, so no rule of
the schema is skipped. A key without an entry in the schema is a fault; the installed schema allows such keys for later
versions."""

import json
import pathlib
import re

SCHEMA = json.loads((pathlib.Path(__file__).resolve().parent.parent.parent / "cli/vgpuctl.schema.json").read_text())
KEYWORDS = {"$schema", "$id", "$defs", "$ref", "title", "description", "type", "enum", "const", "pattern", "minimum", "properties",
            "required", "items", "allOf", "anyOf", "oneOf"}  # fmt: skip
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "null": type(None)}
OTHERS = {**dict.fromkeys(("start", "stop", "undefine"), "definition_results"),
          **dict.fromkeys(("define", "edit", "autostart"), "defined")}
VERBS = {"types", "gpus", "list", "jobs", "create", "destroy", "cancel", "wait", "place"}


def verb_of(args):
    """The name in $defs, without "verb_", of the schema for the output of a command line."""
    words = [a for a in args if not str(a).startswith("-")]
    if not words:
        return "overview"
    if words[0] == "show":
        return "show"
    if words[0] == "configure":
        return "configure_modes" if len(words) == 2 else "gpu_results"
    return OTHERS.get(words[0]) or (words[0] if words[0] in VERBS else "gpu_results")


def is_a(value, kind):
    return isinstance(value, TYPES[kind]) and not (kind == "integer" and isinstance(value, bool))


def resolve(reference):
    node = SCHEMA
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def keys_of(node):
    """The keys of an object in a schema."""
    keys = set(node.get("properties", ()))
    if "$ref" in node:
        keys |= keys_of(resolve(node["$ref"]))
    for part in (*node.get("allOf", ()), *node.get("anyOf", ()), *node.get("oneOf", ())):
        keys |= keys_of(part)
    return keys


def check(node, value, where, closed=True):
    unknown = set(node) - KEYWORDS
    if unknown:
        yield f"{where}: the schema uses {unknown}, which schema.py does not know"
    if "$ref" in node:
        yield from check(resolve(node["$ref"]), value, where, False)
    kinds = node.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(is_a(value, kind) for kind in kinds):
        yield f"{where}: {value!r} is no {' or '.join(kinds)}"
        return
    if "enum" in node and value not in node["enum"]:
        yield f"{where}: {value!r} is none of {node['enum']}"
    if "const" in node and value != node["const"]:
        yield f"{where}: {value!r} is not {node['const']!r}"
    if "minimum" in node and is_a(value, "integer") and value < node["minimum"]:
        yield f"{where}: {value!r} is less than {node['minimum']}"
    if "pattern" in node and isinstance(value, str) and not re.search(node["pattern"], value):
        yield f"{where}: {value!r} does not match {node['pattern']}"
    for part in node.get("allOf", ()):
        yield from check(part, value, where, False)
    for keyword in ("anyOf", "oneOf"):
        if keyword in node:
            results = [list(check(part, value, where)) for part in node[keyword]]
            good = sum(not r for r in results)
            if good == 0:
                yield from min(results, key=len)
            elif keyword == "oneOf" and good > 1:
                yield f"{where}: fits {good} of oneOf"
    if isinstance(value, dict):
        yield from check_object(node, value, where, closed)
    if isinstance(value, list) and "items" in node:
        for i, item in enumerate(value):
            yield from check(node["items"], item, f"{where}[{i}]")


def check_object(node, value, where, closed):
    for key in node.get("required", ()):
        if key not in value:
            yield f"{where}: no {key}"
    for key, part in node.get("properties", {}).items():
        if key in value:
            yield from check(part, value[key], f"{where}.{key}")
    if closed and not ("anyOf" in node or "oneOf" in node):
        for key in sorted(set(value) - keys_of(node)):
            if keys_of(node) or "properties" in node:
                yield f"{where}: {key} is not in the schema"


def faults(definition, value):
    """The faults of a value, in words."""
    node = SCHEMA["$defs"].get(f"verb_{definition}") or SCHEMA["$defs"][definition]
    return list(check(node, value, definition))
