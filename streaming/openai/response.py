"""One response as its server events, in the API's order. Pure: events go to an EventQueue.

created → (output_item.added → conversation.item.added → content_part.added → deltas → …done → content_part.done →
output_item.done → conversation.item.done)* → response.done, exactly once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from streaming.openai.conversation import Conversation, Entry, new_id

if TYPE_CHECKING:
    from streaming.openai.event_queue import EventQueue

ResponseStatus = Literal["completed", "cancelled", "failed", "incomplete"]


@dataclass(frozen=True, slots=True)
class _Begun:
    """An item that has begun. Another one may begin before it ends, so each keeps its place."""

    entry: Entry
    place: dict[str, Any]  # `response_id` and `output_index` of its events
    previous: str | None  # the item before it in the conversation


class Response:
    """One response. `conversation` None: it is out of band, and its items belong to no conversation."""

    def __init__(
        self,
        event_queue: EventQueue,
        conversation: Conversation | None,
        conversation_id: str,
        settings: dict[str, Any],
        metadata: dict[str, str] | None = None,
    ) -> None:
        self.id = new_id("resp")
        self.settings = settings
        self.done = False
        self.heard_words = 0  # number of the user's words, for `usage`
        self._event_queue = event_queue
        self._conversation = conversation
        self._conversation_id = conversation_id
        self._metadata = metadata
        self._output: list[dict[str, Any]] = []  # one for each item that has begun; empty until it has ended
        self._message: _Begun | None = None  # the open message
        self._text = ""

    @property
    def audio(self) -> bool:
        """True if it is spoken."""
        return bool(self.settings["output_modalities"] == ["audio"])

    def _body(self, status: str, details: dict[str, Any] | None = None) -> dict[str, Any]:
        output = self.settings["audio"]["output"]
        voice = output["voice"]
        body: dict[str, Any] = {
            "id": self.id,
            "object": "realtime.response",
            "status": status,
            "status_details": details,
            "output": self._output,
            "output_modalities": self.settings["output_modalities"],
            "max_output_tokens": self.settings["max_output_tokens"],
            "audio": {
                "output": {"format": output["format"], "voice": voice["id"] if isinstance(voice, dict) else voice}
            },
            "metadata": self._metadata,
            "usage": self._usage() if status != "in_progress" else None,
        }
        if self._conversation is not None:
            body["conversation_id"] = self._conversation_id
        return body

    def _usage(self) -> dict[str, Any]:
        """Usage in words instead of tokens, which no model here counts."""
        said = sum(len((part.get("text") or part.get("transcript") or "").split()) for part in self._parts())
        kinds = {"text_tokens": said, "audio_tokens": 0}
        heard = {"text_tokens": self.heard_words, "audio_tokens": 0, "cached_tokens": 0}
        return {
            "total_tokens": said + self.heard_words,
            "input_tokens": self.heard_words,
            "output_tokens": said,
            "input_token_details": heard,
            "output_token_details": kinds,
        }

    def _parts(self) -> list[dict[str, Any]]:
        return [part for item in self._output for part in item.get("content", ())]

    def begin(self) -> None:
        """Send `response.created`."""
        self._event_queue.say({"type": "response.created", "response": self._body("in_progress")})

    # --- a message ---

    def _tell(self, kind: str, message: _Begun, **fields: Any) -> None:
        where = {**message.place, "item_id": message.entry.item["id"], "content_index": 0}
        self._event_queue.say({"type": f"response.{kind}", **where, **fields})

    def _part(self, text: str) -> dict[str, str]:
        return {"type": "audio", "transcript": text} if self.audio else {"type": "text", "text": text}

    def open_item(self) -> Entry:
        """Start a message, unless one is open."""
        return self._open_message().entry

    def _open_message(self) -> _Begun:
        if self._message is not None:
            return self._message
        item: dict[str, Any] = {
            "id": new_id("item"),
            "object": "realtime.item",
            "type": "message",
            "role": "assistant",
            "status": "in_progress",
            "content": [],
        }
        message = self._message = self._begin(item)
        self._text = ""
        self._tell("content_part.added", message, part=self._part(""))
        item["content"] = [
            {"type": "output_audio", "transcript": ""} if self.audio else {"type": "output_text", "text": ""}
        ]
        return message

    def words(self, text: str) -> None:
        """Add words to the message."""
        if not text:
            return
        message = self._open_message()
        self._text += text
        self._tell("output_audio_transcript.delta" if self.audio else "output_text.delta", message, delta=text)

    def sound(self, frame: bytes, duration_ms: float) -> None:
        """Add encoded audio to the message."""
        message = self._open_message()
        message.entry.sent_ms += duration_ms
        self._event_queue.audio(frame, self.id, message.entry.item["id"], message.place["output_index"])

    def close_item(self, *, complete: bool = True) -> None:
        """End the open message, if any."""
        message, self._message = self._message, None
        if message is None:
            return
        entry = message.entry
        if self.audio:
            self._tell("output_audio.done", message)
            self._tell("output_audio_transcript.done", message, transcript=self._text)
        else:
            self._tell("output_text.done", message, text=self._text)
        self._tell("content_part.done", message, part=self._part(self._text))
        name = "transcript" if self.audio else "text"
        entry.item["content"][0][name] = self._text
        entry.item["status"] = "completed" if complete else "incomplete"
        self._end(message, {**entry.item, "content": [dict(part) for part in entry.item["content"]]})
        if entry.cut is not None:
            entry.heard("")  # what the client has cut meanwhile stays cut

    # --- items other than messages ---

    def whole_item(self, item: dict[str, Any]) -> None:
        """Add an item that is complete at once, such as a request for approval. An open message goes on."""
        self._end(self._begin(item), item)

    def function_call(self, item: dict[str, Any], arguments: str) -> None:
        """Send a `function_call` item with its arguments, from its start to its end."""
        begun = self._begin(item)
        call = {**begun.place, "item_id": item["id"], "call_id": item["call_id"]}
        self._event_queue.say({"type": "response.function_call_arguments.delta", **call, "delta": arguments})
        self._event_queue.say(
            {"type": "response.function_call_arguments.done", **call, "name": item["name"], "arguments": arguments}
        )
        item |= {"arguments": arguments, "status": "completed"}
        self._end(begun, dict(item))

    # --- any item ---

    def _begin(self, item: dict[str, Any]) -> _Begun:
        """Tell that an item begins, also in the conversation."""
        place = {"response_id": self.id, "output_index": len(self._output)}
        self._output.append({})
        self._event_queue.say({"type": "response.output_item.added", **place, "item": item})
        entry = Entry(item)
        if self._conversation is None:
            return _Begun(entry, place, None)
        previous = self._conversation.add(entry)
        self._event_queue.say({"type": "conversation.item.added", "previous_item_id": previous, "item": item})
        return _Begun(entry, place, previous)

    def _end(self, begun: _Begun, told: dict[str, Any]) -> None:
        """Tell that the item ends. `told`: the item as `response.done` will have it."""
        item = begun.entry.item
        self._event_queue.say({"type": "response.output_item.done", **begun.place, "item": item})
        if self._conversation is not None:
            place = {"previous_item_id": begun.previous, "item": item}
            self._event_queue.say({"type": "conversation.item.done", **place})
        self._output[begun.place["output_index"]] = told

    # --- the end ---

    def finish(self, status: ResponseStatus, *, reason: str = "", error: dict[str, str] | None = None) -> None:
        """Send `response.done`, after ending what is open. Only the first call counts."""
        if self.done:
            return
        self.done = True
        self.close_item(complete=status == "completed")
        details: dict[str, Any] = {"type": status}
        if reason:
            details["reason"] = reason
        if error is not None:
            details["error"] = error
        self._event_queue.say({"type": "response.done", "response": self._body(status, details)})
