"""`/asyncapi.json` (AsyncAPI 3.0), generated from the models that validate the socket's messages, and a page to read it."""

from __future__ import annotations

import json
import re
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic.json_schema import models_json_schema

from server.documents import dialects
from server.version import __version__
from streaming.protocol.messages import ClientMessage, Message, ServerMessage

if TYPE_CHECKING:
    from server.documents.dialects import Json

_DESCRIPTION = """\
One socket carries microphone audio up, synthesised audio down, executor progress and any single call, each on its own
channel, all at once. Text messages are JSON; binary messages are audio behind a header of 16 bytes.
"""
_AUDIO_FRAME = """\
16 bytes, big-endian, then the payload: u8 version = 1, u8 flags (1 last frame, 2 audio was lost before it), u16 channel,
u32 generation, u32 seq, u32 pts_ms.
"""
_QUERY: Json = {
    "type": "object",
    "properties": {
        "ticket": {"type": "string", "description": "Single-use ticket of POST /api/v1/auth/ticket"},
        "resume": {"type": "string", "description": "The resume_token of the last session.ready"},
        "last_seq": {"type": "integer", "minimum": 0, "description": "With resume: the highest number received"},
        "record": {
            "type": "string",
            "enum": ["true"],
            "description": "Consent to being recorded, where the gateway does",
        },
    },
}


def message_models(union: Any) -> list[type[Message]]:
    """The models of a (nested, annotated) union, in order."""
    if isinstance(union, type):
        return [union]
    return [model for part in get_args(union) for model in message_models(part) if _is_message(model)]


def _is_message(model: Any) -> bool:
    return isinstance(model, type) and issubclass(model, Message)


CLIENT_MODELS = message_models(ClientMessage)
SERVER_MODELS = message_models(ServerMessage)


def _wire_type(model: type[Message]) -> str:
    return str(model.model_fields["type"].default)


def _key(model: type[Message], direction: str) -> str:
    """The message's name in the document. It includes the direction, because client and server both have a ping."""
    return f"{direction}.{model.__name__}"


@cache
def examples() -> dict[str, Json]:
    """One example per message, by its name in the document. The codec tests use the same ones."""
    found: dict[str, Json] = json.loads(Path(__file__).with_name("examples.json").read_text(encoding="utf-8"))
    return found


def _message(model: type[Message], direction: str) -> Json:
    return {
        "name": _wire_type(model),
        "title": model.__name__,
        "summary": (model.__doc__ or "").strip(),
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
        "examples": [{"payload": examples()[_key(model, direction)]}],
    }


def _messages() -> Json:
    messages = {_key(model, "client"): _message(model, "client") for model in CLIENT_MODELS}
    messages |= {_key(model, "server"): _message(model, "server") for model in SERVER_MODELS}
    messages["audio"] = {
        "name": "audio frame",
        "title": "Audio frame",
        "summary": "Binary, in both directions",
        "description": _AUDIO_FRAME,
        "contentType": "application/octet-stream",
        "payload": {"type": "string", "format": "binary"},
    }
    return messages


def _operation(action: str, models: list[type[Message]], direction: str, summary: str) -> Json:
    names = [*(_key(model, direction) for model in models), "audio"]
    return {
        "action": action,
        "channel": {"$ref": "#/channels/session"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/session/messages/{name}"} for name in names],
    }


def _schemas() -> Json:
    models = [*CLIENT_MODELS, *SERVER_MODELS]
    _, definitions = models_json_schema(
        [(model, "validation") for model in dict.fromkeys(models)], ref_template="#/components/schemas/{model}"
    )
    schemas: Json = definitions["$defs"]
    return schemas


def asyncapi_document() -> Json:
    """The whole document. Expensive: build it once."""
    messages = _messages()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Jarvis Gateway: the live session",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "gateway": {
                "host": "{host}",
                "protocol": "wss",
                "description": "This gateway; ws where no TLS stands in front",
                "variables": {"host": {"default": "localhost:8000"}},
                "security": [{"$ref": "#/components/securitySchemes/bearer"}],
            }
        },
        "channels": {"session": _session(messages), **dialects.channels()},
        "operations": {
            "receive": _operation("receive", CLIENT_MODELS, "client", "What a client sends"),
            "send": _operation("send", SERVER_MODELS, "server", "What the gateway sends"),
            **dialects.operations(),
        },
        "components": {
            "messages": messages,
            "schemas": _schemas(),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "Or subprotocols `jarvis.v1, jarvis.bearer.<token>`, or ?ticket=, or a first message `auth`",
                }
            },
        },
    }


def _session(messages: Json) -> Json:
    return {
        "address": "/ws/{session_id}",
        "title": "A live session",
        "description": _DESCRIPTION,
        "parameters": {"session_id": {"description": "The conversation; it belongs to the first user who opens it"}},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {"ws": {"method": "GET", "query": _QUERY, "bindingVersion": "0.1.0"}},
    }


# --- the page -------------------------------------------------------------------------------------------------------

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Jarvis Gateway: WebSocket reference</title>
  <link rel="icon" href="data:,">
  <link rel="stylesheet" href="/console/docs/docs.css">
</head>
<body class="asyncapi">
  <nav class="documents">
    <a href="/docs">Try it</a>
    <a href="/redoc">Reference</a>
    <a href="/asyncapi" aria-current="page">WebSocket</a>
    <a href="/asyncapi.json">asyncapi.json</a>
    <a href="/console/">Console</a>
  </nav>
  <main>
    <h1>The live session: <code>WS /ws/{{session_id}}</code></h1>
    <p>{description}</p>
    <h2 id="client">What a client sends</h2>
    <ul class="contents">{client_links}</ul>
    {client}
    <h2 id="server">What the gateway sends</h2>
    <ul class="contents">{server_links}</ul>
    {server}
    <h2 id="audio">Audio frames, both ways</h2>
    <p>{audio}</p>
    <h2 id="dialects">Sockets of other dialects</h2>
    {dialects}
  </main>
</body>
</html>
"""


def asyncapi_page() -> str:
    """A page without scripts that lists every message, its fields and what they mean."""
    schemas = _schemas()
    return _PAGE.format(
        description=_prose(_DESCRIPTION),
        audio=_prose(_AUDIO_FRAME),
        client_links=_links(CLIENT_MODELS, "client"),
        server_links=_links(SERVER_MODELS, "server"),
        client="\n".join(_article(model, "client", schemas) for model in CLIENT_MODELS),
        server="\n".join(_article(model, "server", schemas) for model in SERVER_MODELS),
        dialects="\n".join(map(_dialect, dialects.DIALECTS)),
    )


def _dialect(dialect: dialects.Dialect) -> str:
    lists = "".join(
        f"<h4>{heading}</h4><ul>{''.join(_named(name, summary) for name, summary in messages.items())}</ul>"
        for heading, messages in (("Received", dialect.received), ("Sent", dialect.sent))
        if messages
    )
    return (
        f'<article id="{dialect.key}"><h3>{escape(dialect.title)}: <code>WS {escape(dialect.address)}</code></h3>'
        f'<p>{_prose(dialect.description)} <a href="{dialect.more}">More</a></p>{lists}</article>'
    )


def _named(name: str, summary: str) -> str:
    return f"<li><code>{escape(name)}</code>{': ' if summary else ''}{escape(summary)}</li>"


def _links(models: list[type[Message]], direction: str) -> str:
    return "".join(f'<li><a href="#{_key(model, direction)}">{escape(_heading(model))}</a></li>' for model in models)


def _prose(text: str) -> str:
    """Escape the text, and show `names` as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text.strip()))


def _heading(model: type[Message]) -> str:
    kind = model.model_fields.get("kind")
    which = f" ({kind.default})" if kind is not None and isinstance(kind.default, str) else ""
    return _wire_type(model) + which


def _article(model: type[Message], direction: str, schemas: Json) -> str:
    schema = schemas[model.__name__]
    required = schema.get("required", [])
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(type_in_words(field))}</td>"
        f"<td>{'needed' if name in required else ''}</td><td>{_prose(field.get('description', ''))}</td></tr>"
        for name, field in schema.get("properties", {}).items()
        if name != "type"
    )
    table = f"<table><thead><tr><th>Field</th><th>Type</th><th></th><th>Meaning</th></tr></thead>{rows}</table>"
    example = json.dumps(examples()[_key(model, direction)], ensure_ascii=False)
    return (
        f'<article id="{_key(model, direction)}"><h3>{escape(_heading(model))}</h3>'
        f"<p>{_prose(model.__doc__ or '')}</p>{table if rows else ''}<pre>{escape(example)}</pre></article>"
    )


def type_in_words(field: Json) -> str:
    """A JSON Schema type in words."""
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if "const" in field:
        return f'"{field["const"]}"'
    if "enum" in field:
        return " | ".join(str(value) for value in field["enum"])
    if "anyOf" in field:
        return " | ".join(type_in_words(choice) for choice in field["anyOf"] if choice.get("type") != "null")
    if field.get("type") == "array":
        return f"list of {type_in_words(field.get('items', {}))}"
    return str(field.get("type", "any"))
