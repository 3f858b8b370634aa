"""Checks a tool call's arguments by the tool's JSON Schema, so far as a model gets them wrong. Pure.

The executor checks them in full. What is found here goes back to the model, before the user is asked about a call that cannot work.
"""

from __future__ import annotations

from typing import Any

MAX_DEPTH = 8  # of schemas; deeper ones are left to the executor

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}


def mistake(value: Any, schema: Any, where: str = "the arguments", depth: int = 0) -> str:
    """What is wrong with the value, for the model; empty if nothing is, or the schema says nothing about it."""
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return ""
    ways = schema.get("anyOf")
    if isinstance(ways, list) and ways:
        wrong = [mistake(value, way, where, depth + 1) for way in ways]
        return wrong[0] if all(wrong) else ""
    kind = schema.get("type")
    if isinstance(kind, str) and kind in _TYPES and not _is_of(value, kind):
        return f"{where} must be of the type {kind}"
    if isinstance(schema.get("enum"), list) and value not in schema["enum"]:
        return f"{where} must be one of {schema['enum']}"
    if isinstance(value, dict):
        return _in_object(value, schema, where, depth)
    if isinstance(value, list):
        items = (mistake(one, schema.get("items"), f"{where}[{at}]", depth + 1) for at, one in enumerate(value))
        return next(filter(None, items), "")
    return ""


def _is_of(value: Any, kind: str) -> bool:
    if isinstance(value, str) and kind in {"number", "integer", "boolean"}:
        return True  # "5": the executor reads it, or refuses it
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[kind])


def _in_object(value: dict[str, Any], schema: dict[str, Any], where: str, depth: int) -> str:
    known = schema.get("properties")
    known = known if isinstance(known, dict) else {}
    for name in schema.get("required") or ():
        if name not in value:
            return f"{where} lack {name}"
    for name, inner in value.items():
        if name not in known and schema.get("additionalProperties") is False:
            return f"{where} may not have {str(name)[:64]}"
        if found := mistake(inner, known.get(name), str(name)[:64], depth + 1):
            return found
    return ""
