"""TypeScript types of `jarvis.v1` for the JavaScript client, generated from the messages: `python -m server.documents.typescript`.

Writes `static/jarvis/protocol.d.ts`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from streaming.protocol import messages
from streaming.protocol.messages import ServerMessage

HEAD = """\
// Generated from the messages in streaming/protocol: python -m server.documents.typescript. Do not edit.
"""
PARAMS = (
    messages.SttParams,
    messages.TtsParams,
    messages.ExecuteParams,
    messages.TurnParams,
    messages.ObserveParams,
)
FILE = Path(__file__).resolve().parents[2] / "static" / "jarvis" / "protocol.d.ts"
_PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


def render() -> str:
    """The file's text."""
    events = ServerMessage.__args__[0].__args__  # Annotated of a union
    _, sent = models_json_schema([(model, "validation") for model in PARAMS])
    _, received = models_json_schema([(model, "serialization") for model in events])
    wanted = {model.__name__ for model in PARAMS}
    interfaces = [_interface(name, about, sent=name in wanted) for name, about in _named(sent, received).items()]
    kinds = [f"  {model.kind}: {model.__name__};" for model in PARAMS]
    types = [f"  {json.dumps(model.model_fields['type'].default)}: {model.__name__};" for model in events]
    return "\n".join(
        [
            HEAD,
            *interfaces,
            "/** What each kind of channel is opened with. */\nexport interface ParamsOf {",
            *kinds,
            "}\n",
            "/** Every message of the server, by its type. */\nexport interface ServerMessages {",
            *types,
            "}\n",
            "export type ServerMessage = ServerMessages[keyof ServerMessages];",
            "",
        ]
    )


def _named(*schemas: dict[str, Any]) -> dict[str, Any]:
    return {name: about for schema in schemas for name, about in schema["$defs"].items()}


def _interface(name: str, about: dict[str, Any], *, sent: bool) -> str:
    if "properties" not in about:
        return f"export type {name} = {_type(about)};\n"
    lines = [f"/** {about.get('description', name)} */", f"export interface {name} {{"]
    for field, kind in about["properties"].items():
        optional = field not in about.get("required", ()) if sent else _may_lack(kind)
        if "description" in kind:
            lines.append(f"  /** {kind['description']} */")
        lines.append(f"  {field}{'?' if optional else ''}: {_type(kind, optional=optional)};")
    return "\n".join([*lines, "}", ""])


def _may_lack(kind: dict[str, Any]) -> bool:
    """True if the field can be absent: the server omits fields without a value."""
    return {"type": "null"} in kind.get("anyOf", ())


def _type(kind: dict[str, Any], *, optional: bool = False) -> str:
    if "$ref" in kind:
        return str(kind["$ref"].rpartition("/")[2])
    if "const" in kind:
        return json.dumps(kind["const"])
    if "enum" in kind:
        return " | ".join(map(json.dumps, kind["enum"]))
    if "anyOf" in kind:
        choices = [_type(choice) for choice in kind["anyOf"] if not (optional and choice == {"type": "null"})]
        return " | ".join(dict.fromkeys(choices))
    if kind.get("type") == "array":
        return f"({_type(kind.get('items', {}))})[]"
    if kind.get("type") == "object":
        values = kind.get("additionalProperties")
        return f"Record<string, {_type(values) if isinstance(values, dict) else 'any'}>"
    return _PLAIN.get(kind.get("type", ""), "any")


if __name__ == "__main__":
    FILE.write_text(render(), encoding="utf-8")
    sys.stdout.write(f"{FILE}\n")
