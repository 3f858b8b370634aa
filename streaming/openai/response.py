"""One response as its server events, in the API's order. Pure: events go to an EventQueue.

created → (output_item.added → conversation.item.added → content_part.added → deltas → …done → content_part.done →
output_item.done → conversation.item.done)* → response.done, exactly once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from streaming.openai.conversation import Conversation, Entry, new_id

if TYPE_CHECKING:
    from streaming.openai.event_queue import EventQueue

Status = Literal["completed", "cancelled", "failed", "incomplete"]


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
        self._output: list[dict[str, Any]] = []
        self._entry: Entry | None = None  # the current item
        self._previous: str | None = None  # the item before it in the conversation
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

    def _where(self) -> dict[str, Any]:
        assert self._entry is not None, "there is an item"
        return {**self._place, "item_id": self._entry.item["id"]}

    def _tell(self, kind: str, **fields: Any) -> None:
        self._event_queue.say({"type": f"response.{kind}", **self._where(), "content_index": 0, **fields})

    def _part(self, text: str) -> dict[str, str]:
        return {"type": "audio", "transcript": text} if self.audio else {"type": "text", "text": text}

    def open_item(self) -> Entry:
        """Start a message, unless one is open."""
        if self._entry is not None:
            return self._entry
        item: dict[str, Any] = {
            "id": new_id("item"),
            "object": "realtime.item",
            "type": "message",
            "role": "assistant",
            "status": "in_progress",
            "content": [],
        }
        entry = self._begin(item)
        self._text = ""
        self._tell("content_part.added", part=self._part(""))
        item["content"] = [
            {"type": "output_audio", "transcript": ""} if self.audio else {"type": "output_text", "text": ""}
        ]
        return entry

    def words(self, text: str) -> None:
        """Add words to the message."""
        if not text:
            return
        self.open_item()
        self._text += text
        self._tell("output_audio_transcript.delta" if self.audio else "output_text.delta", delta=text)

    def sound(self, frame: bytes, duration_ms: float) -> None:
        """Add encoded audio to the message."""
        entry = self.open_item()
        entry.sent_ms += duration_ms
        self._event_queue.audio(frame, self.id, entry.item["id"], len(self._output))

    def close_item(self, *, complete: bool = True) -> None:
        """End the open message, if any."""
        entry = self._entry
        if entry is None:
            return
        if self.audio:
            self._tell("output_audio.done")
            self._tell("output_audio_transcript.done", transcript=self._text)
        else:
            self._tell("output_text.done", text=self._text)
        self._tell("content_part.done", part=self._part(self._text))
        name = "transcript" if self.audio else "text"
        entry.item["content"][0][name] = self._text
        entry.item["status"] = "completed" if complete else "incomplete"
        self._end({**entry.item, "content": [dict(part) for part in entry.item["content"]]})
        if entry.cut is not None:
            entry.heard("")  # what the client has cut meanwhile stays cut

    # --- items other than messages ---

    def whole_item(self, item: dict[str, Any]) -> None:
        """Add an item that is complete at once, such as a request for approval."""
        message = self._entry  # it may be open, and goes on
        self._begin(item)
        self._end(item)
        self._entry = message

    def function_call(self, item: dict[str, Any], arguments: str) -> None:
        """Send a `function_call` item with its arguments, from its start to its end."""
        self._begin(item)
        call = {**self._where(), "call_id": item["call_id"]}
        self._event_queue.say({"type": "response.function_call_arguments.delta", **call, "delta": arguments})
        self._event_queue.say(
            {"type": "response.function_call_arguments.done", **call, "name": item["name"], "arguments": arguments}
        )
        item |= {"arguments": arguments, "status": "completed"}
        self._end(dict(item))

    # --- any item ---

    def _begin(self, item: dict[str, Any]) -> Entry:
        """Tell that an item begins, also in the conversation."""
        entry = self._entry = Entry(item)
        self._event_queue.say({"type": "response.output_item.added", **self._place, "item": item})
        if self._conversation is not None:
            self._previous = self._conversation.add(entry)
            self._event_queue.say({"type": "conversation.item.added", "previous_item_id": self._previous, "item": item})
        return entry

    def _end(self, told: dict[str, Any]) -> None:
        """Tell that the item ends. `told`: the item as `response.done` will have it."""
        assert self._entry is not None, "it has begun"
        item = self._entry.item
        self._event_queue.say({"type": "response.output_item.done", **self._place, "item": item})
        if self._conversation is not None:
            self._event_queue.say({"type": "conversation.item.done", "previous_item_id": self._previous, "item": item})
        self._output.append(told)
        self._entry = None

    @property
    def _place(self) -> dict[str, Any]:
        return {"response_id": self.id, "output_index": len(self._output)}

    # --- the end ---

    def finish(self, status: Status, *, reason: str = "", error: dict[str, str] | None = None) -> None:
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
