"""The items that a client may add, checked. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from streaming.openai.client_events import NO_SOUNDS, decoded
from streaming.openai.conversation import Entry, new_id
from streaming.openai.mistakes import MistakeError, missing, one_of, wrong
from streaming.openai.schema import Fields, check

if TYPE_CHECKING:
    from streaming.openai.client_events import Sounds

MAX_ID_CHARS = 64
MAX_ITEM_CHARS = 256 * 1024  # words of one item: they are sent back twice, and the model reads all of them
_PARTS = {
    "user": ("input_text", "input_audio", "input_image"),
    "system": ("input_text",),
    "assistant": ("output_text", "output_audio"),
}
_TEXT_PARTS = ("input_text", "output_text")


class _Item(Fields):
    type: Literal["message", "function_call", "function_call_output", "mcp_approval_response"]
    id: str | None = None
    object: Literal["realtime.item"] | None = None
    status: Literal["completed", "incomplete", "in_progress"] | None = None  # always completed here


class _Message(_Item):
    role: Literal["user", "system", "assistant"]
    content: list[Any]


class _FunctionCall(_Item):
    name: str
    arguments: str
    call_id: str | None = None


class _FunctionOutput(_Item):
    call_id: str
    output: str


class _Approval(_Item):
    approval_request_id: str
    approve: bool
    reason: str | None = None


class _Part(Fields):
    type: str
    text: str | None = None
    audio: str | None = None
    transcript: str | None = None
    image_url: str | None = None
    detail: Literal["auto", "low", "high"] | None = None


_MODELS: dict[str, type[_Item]] = {
    "message": _Message,
    "function_call": _FunctionCall,
    "function_call_output": _FunctionOutput,
    "mcp_approval_response": _Approval,
}
_TEXTS = {  # what is kept of an item, besides `id` and `type`
    "function_call": ("name", "arguments"),
    "function_call_output": ("call_id", "output"),
    "mcp_approval_response": ("approval_request_id", "approve", "reason"),
}


def checked_item(given: Any, param: str = "item", sounds: Sounds = NO_SOUNDS) -> Entry:
    """An item in the form that the conversation keeps, with the sound in it. `sounds`: of its event. Raises MistakeError."""
    if given is None:
        raise missing(param)
    if not isinstance(given, dict):
        raise MistakeError("invalid_type", f"Invalid type for '{param}': expected an object.", param)
    kind = given.get("type", "message" if "role" in given else None)
    if kind is None:
        raise missing(f"{param}.type")
    if not one_of(kind, _MODELS):
        raise wrong(f"{param}.type", f"Supported values are: {', '.join(_MODELS)}.")
    check(_MODELS[kind], {**given, "type": kind}, param)
    item_id = given.get("id") or new_id("item")
    if len(item_id) > MAX_ID_CHARS:
        raise wrong(f"{param}.id", f"an id has at most {MAX_ID_CHARS} characters")
    if kind == "message":
        content, heard = _checked_content(given["role"], given["content"], f"{param}.content", sounds)
        entry = Entry(_item(item_id, kind, status="completed", role=given["role"], content=content))
        entry.sounds = heard
        return entry
    kept = {name: given[name] for name in _TEXTS[kind] if given.get(name) is not None}
    for name, value in kept.items():
        if isinstance(value, str):
            _check_length(value, f"{param}.{name}")
    if kind == "mcp_approval_response":
        return Entry({"id": item_id, "type": kind, **kept})
    if kind == "function_call":
        kept["call_id"] = given.get("call_id") or new_id("call")
    return Entry(_item(item_id, kind, status="completed", **kept))


def _item(item_id: str, kind: str, **fields: Any) -> dict[str, Any]:
    """Build an item from checked fields only."""
    return {"id": item_id, "object": "realtime.item", "type": kind, **fields}


def _check_length(words: str, param: str) -> None:
    if len(words) > MAX_ITEM_CHARS:
        raise MistakeError("string_above_max_length", f"at most {MAX_ITEM_CHARS} characters in one item", param)


def _checked_content(
    role: str, content: list[Any], param: str, sounds: Sounds
) -> tuple[list[dict[str, Any]], dict[int, bytes | bytearray]]:
    """The parts of a message, and the sound of those whose words are not known yet, by their index."""
    if not content:
        raise wrong(param, f"Invalid '{param}': a message has at least one part.")
    parts: list[dict[str, Any]] = []
    heard: dict[int, bytes | bytearray] = {}
    for index, part in enumerate(content):
        kept, sound = _checked_part(role, part, f"{param}[{index}]", sounds)
        parts.append(kept)
        if sound is not None:
            heard[index] = sound
    _check_length("".join(part.get("text") or part.get("transcript") or "" for part in parts), param)
    return parts, heard


def _checked_part(role: str, part: Any, param: str, sounds: Sounds) -> tuple[dict[str, Any], bytes | bytearray | None]:
    if not isinstance(part, dict):
        raise MistakeError("invalid_type", f"Invalid type for '{param}': expected an object.", param)
    kind = part.get("type")
    if kind is None:
        raise missing(f"{param}.type")
    if role == "assistant" and kind == "input_text":  # as pipecat sends it to restore a conversation
        kind = "output_text"
    if not one_of(kind, _PARTS[role]):
        hint = ": 'text' was the beta's name for it" if kind == "text" else ""
        raise wrong(f"{param}.type", f"Supported values are: {', '.join(_PARTS[role])}{hint}.")
    check(_Part, part, param)
    if kind == "input_image":
        raise wrong(f"{param}.type", "Images are not supported: no model here sees them.")
    name = "text" if kind in _TEXT_PARTS else "transcript"
    words = part.get(name)
    if words is not None:
        return {"type": kind, name: words}, None
    if kind == "input_audio" and part.get("audio") is not None:
        return {"type": kind, "transcript": ""}, decoded(part["audio"], f"{param}.audio", sounds)
    if kind == "output_audio":  # clients that restore a conversation may not have its words
        if part.get("audio") is not None:
            raise wrong(f"{param}.audio", "The agent's own sound cannot be added: give its 'transcript'.")
        return {"type": kind}, None
    raise missing(f"{param}.{'audio' if kind == 'input_audio' else name}")
