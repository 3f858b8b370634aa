"""Follows one session's server events, and fails on what no single event shows: order, ids, indices, and words that do not add up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_PARTS = {"audio": "output_audio_transcript", "text": "output_text"}


@dataclass
class _Item:
    """An item of a response. `parts`: by content index, the words told so far, and whether the part is done."""

    index: int
    kind: str
    words: dict[int, str] = field(default_factory=dict)
    parts_done: set[int] = field(default_factory=set)
    arguments: str = ""
    arguments_done: bool = False
    done: dict[str, Any] | None = None


@dataclass
class _Response:
    in_conversation: bool
    audio: bool
    items: dict[str, _Item] = field(default_factory=dict)
    done: bool = False


class Orderly:
    """`note` takes the events in order."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._kinds: list[str] = []
        self._responses: dict[str, _Response] = {}
        self._added: dict[str, bool] = {}  # items of the conversation; True: their `done` was told
        self._speech: str | None = None  # the item of the utterance that goes on
        self._committed: list[str] = []
        self._transcripts: set[tuple[str, int]] = set()
        self._started_ms = 0

    def note(self, event: dict[str, Any]) -> None:
        """Raises AssertionError."""
        kind = event["type"]
        assert event["event_id"] not in self._ids, f"an id twice: {event['event_id']}"
        self._ids.add(event["event_id"])
        assert (kind == "session.created") == (not self._kinds), "session.created comes first, and once"
        self._kinds.append(kind)
        if "response_id" in event:
            self._in_response(event)
        elif kind.startswith("response."):
            self._response(event)
        elif kind.startswith("input_audio_buffer."):
            self._buffer(event)
        elif kind.startswith("conversation.item."):
            self._item(event)

    def end(self) -> None:
        """Nothing may be open. For sessions that were left to finish."""
        assert [one for one, response in self._responses.items() if not response.done] == []
        assert [one for one, done in self._added.items() if not done] == []

    # --- responses ---

    def _response(self, event: dict[str, Any]) -> None:
        told = event["response"]
        if event["type"] == "response.created":
            assert told["id"] not in self._responses
            assert (told["status"], told["output"]) == ("in_progress", [])
            in_conversation = told.get("conversation_id") is not None
            if in_conversation:
                active = [one for one, known in self._responses.items() if known.in_conversation and not known.done]
                assert active == [], "one response of the conversation at a time"
            self._responses[told["id"]] = _Response(in_conversation, told["output_modalities"] == ["audio"])
            return
        response = self._responses[told["id"]]
        assert not response.done, "response.done comes once"
        response.done = True
        assert told["status"] in {"completed", "cancelled", "failed", "incomplete"}
        assert told["status_details"]["type"] == told["status"]
        assert [item["id"] for item in told["output"]] == list(response.items), "the output is what was told"
        for item in told["output"]:
            known = response.items[item["id"]]
            assert known.done is not None, f"an item without its output_item.done: {item['id']}"
            assert {**known.done, "object": 0} == {**item, "object": 0}

    def _in_response(self, event: dict[str, Any]) -> None:
        kind, response = event["type"].removeprefix("response."), self._responses[event["response_id"]]
        assert not response.done, f"{kind} after response.done"
        if kind == "output_item.added":
            assert event["output_index"] == len(response.items)
            item = event["item"]
            assert item["id"] not in response.items
            response.items[item["id"]] = _Item(event["output_index"], item["type"])
            return
        item_id = event["item"]["id"] if "item" in event else event["item_id"]
        known = response.items[item_id]
        assert event["output_index"] == known.index, (
            f"{kind} of {item_id} at {event['output_index']}, not {known.index}"
        )
        assert known.done is None, f"{kind} after output_item.done"
        if response.in_conversation:
            assert item_id in self._added, "the conversation has it before anything comes of it"
        if kind == "output_item.done":
            open_parts = [part for part in known.words if part not in known.parts_done]
            assert open_parts == [], "a part is still open"
            known.done = event["item"]
        elif kind.startswith("function_call_arguments"):
            self._arguments(kind, known, event)
        else:
            self._part(kind, known, event, audio=response.audio)

    def _arguments(self, kind: str, known: _Item, event: dict[str, Any]) -> None:
        assert known.kind == "function_call"
        assert not known.arguments_done
        if kind.endswith(".delta"):
            known.arguments += event["delta"]
        else:
            assert event["arguments"] == known.arguments
            known.arguments_done = True

    def _part(self, kind: str, known: _Item, event: dict[str, Any], *, audio: bool) -> None:
        index = event["content_index"]
        if kind == "content_part.added":
            assert index == len(known.words)
            known.words[index] = ""
            assert event["part"]["type"] == ("audio" if audio else "text")
            return
        assert index in known.words, f"{kind} before content_part.added"
        assert index not in known.parts_done, f"{kind} after content_part.done"
        if kind == "content_part.done":
            part = event["part"]
            assert (part.get("transcript") if audio else part.get("text")) == known.words[index]
            known.parts_done.add(index)
        elif kind == f"{_PARTS['audio' if audio else 'text']}.delta":
            known.words[index] += event["delta"]
        elif kind.endswith(".done") and not kind.startswith("output_audio."):
            assert event["transcript" if audio else "text"] == known.words[index]

    # --- what is heard ---

    def _buffer(self, event: dict[str, Any]) -> None:
        kind, item_id = event["type"].removeprefix("input_audio_buffer."), event.get("item_id")
        if kind == "speech_started":
            assert self._speech is None, "speech starts twice"
            self._speech, self._started_ms = item_id, event["audio_start_ms"]
        elif kind == "speech_stopped":
            assert item_id == self._speech, "speech stops that did not start"
            assert event["audio_end_ms"] >= self._started_ms
        elif kind == "committed":
            assert item_id not in self._committed
            self._committed.append(str(item_id))
            self._speech = None
        elif kind == "cleared":
            self._speech = None

    def _item(self, event: dict[str, Any]) -> None:
        kind = event["type"].removeprefix("conversation.item.")
        if kind == "added":
            item_id = event["item"]["id"]
            assert item_id not in self._added
            previous = event.get("previous_item_id")
            assert previous is None or previous in self._added, "an item after one that was never told"
            self._added[item_id] = False
        elif kind == "done":
            assert self._added[event["item"]["id"]] is False, "done comes once, after added"
            self._added[event["item"]["id"]] = True
        elif kind.startswith("input_audio_transcription."):
            place = (event["item_id"], event["content_index"])
            assert event["item_id"] in self._added, "a transcript of an item that was never told"
            assert place not in self._transcripts, "a transcript is told once"
            if not kind.endswith(".delta"):
                self._transcripts.add(place)
