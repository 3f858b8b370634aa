"""The sockets of other dialects in `/asyncapi.json`: OpenAI's and Twilio's messages are theirs to define, so only their names are here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from streaming.openai.client_events import FIELDS
from streaming.openai.duplex import CLIENT_EVENTS, UNSUPPORTED_EVENTS

Json = dict[str, Any]  # a part of any of the documents

_RESUMED: Json = {
    "model": {"type": "string", "description": "Any name; it is echoed, and the agent is always the same"},
    "intent": {"type": "string", "enum": ["transcription"], "description": "A session that only transcribes"},
    "resume": {"type": "string", "description": "The id of a session whose socket was lost"},
    "last_event_id": {"type": "string", "description": "With resume: the id of the last event received"},
}
_TWILIO = {
    "connected": "The stream is open",
    "start": "The call begins: its ids, format and the TwiML's parameters",
    "media": "20 ms of sound: µ-law, 8 kHz, base64",
    "dtmf": "A key was pressed",
    "mark": "From Twilio: everything before the mark of that name was played",
    "stop": "The call has ended",
}
_TO_TWILIO = {
    "media": "40 ms of sound: µ-law, 8 kHz, base64",
    "mark": "To be returned once everything before it was played",
    "clear": "Drop what was not played yet: the caller speaks",
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """One socket. `received` and `sent`: its messages by name, and what they are; empty if its own documentation has them."""

    key: str
    address: str
    title: str
    description: str
    more: str  # the page that says more
    discriminator: str = "type"
    received: dict[str, str] = field(default_factory=dict)
    sent: dict[str, str] = field(default_factory=dict)
    parameters: Json = field(default_factory=dict)
    query: Json = field(default_factory=dict)


_REALTIME = "https://platform.openai.com/docs/api-reference/realtime"
_STREAMS = "https://www.twilio.com/docs/voice/media-streams/websocket-messages"

DIALECTS = (
    Dialect(
        "realtime",
        "/v1/realtime",
        "OpenAI's Realtime API",
        "A live session for OpenAI's own clients. `docs/OPENAI.md` lists the events and what differs.",
        _REALTIME,
        received={name: f"Fields: {', '.join(fields) or 'none'}" for name, fields in FIELDS.items()},
        query=_RESUMED,
    ),
    Dialect(
        "live",
        "/v1/live/sessions",
        "OpenAI's Live API",
        "Full duplex, with work delegated to the client. The client begins with `session.start`.",
        _REALTIME,
        received=dict.fromkeys((name for name in CLIENT_EVENTS if name not in UNSUPPORTED_EVENTS), ""),
    ),
    Dialect(
        "live_attach",
        "/v1/live/sessions/{id}/attach",
        "A second socket of a Live session",
        "It sees every event, and may send every command but `session.start` and audio.",
        _REALTIME,
        parameters={"id": {"description": "The session's id, of the same user"}},
    ),
    Dialect(
        "twilio",
        "/v1/twilio",
        "Telephone calls by Twilio Media Streams",
        "Admitted by `X-Twilio-Signature` in place of a token; 404 unless `TWILIO_AUTH_TOKEN` is set. `docs/TELEPHONY.md`.",
        _STREAMS,
        "event",
        _TWILIO,
        _TO_TWILIO,
    ),
)


def _message(dialect: Dialect, name: str, summary: str) -> Json:
    known = {dialect.discriminator: {"type": "string", "const": name}}
    payload = {"type": "object", "required": [dialect.discriminator], "properties": known}
    return {"name": name, **({"summary": summary} if summary else {}), "payload": payload}


def channels() -> Json:
    """The channels, by key."""
    return {
        dialect.key: {
            "address": dialect.address,
            "title": dialect.title,
            "description": dialect.description,
            "externalDocs": {"url": dialect.more},
            "messages": {
                name: _message(dialect, name, summary) for name, summary in (dialect.sent | dialect.received).items()
            },
            **({"parameters": dialect.parameters} if dialect.parameters else {}),
            **(
                {"bindings": {"ws": {"method": "GET", "query": _object(dialect.query), "bindingVersion": "0.1.0"}}}
                if dialect.query
                else {}
            ),
        }
        for dialect in DIALECTS
    }


def _object(properties: Json) -> Json:
    return {"type": "object", "properties": properties}


def operations() -> Json:
    """What the gateway receives and sends on these channels, where the messages are listed."""
    return {
        f"{dialect.key}.{action}": {
            "action": action,
            "channel": {"$ref": f"#/channels/{dialect.key}"},
            "messages": [{"$ref": f"#/channels/{dialect.key}/messages/{name}"} for name in names],
        }
        for dialect in DIALECTS
        for action, names in (("receive", dialect.received), ("send", dialect.sent))
        if names
    }
