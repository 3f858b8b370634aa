"""A conversation's items in order, with data that only the gateway has. Pure."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from streaming.openai.mistakes import MistakeError, wrong
from streaming.sound.playout import heard_text

if TYPE_CHECKING:
    from streaming.ports import Word

MAX_ITEMS = 1_000  # of one session
MAX_CHARS = 4 * 1024 * 1024  # of all items of one session
PART_CHARS = 256  # what an empty part takes in memory
TOLERANCE_MS = 1_000  # a client's clock may exceed the end of the audio by this much, which is clamped, not refused


def new_id(prefix: str) -> str:
    """A unique id that cannot be guessed."""
    return f"{prefix}_{secrets.token_hex(11)}"


@dataclass(slots=True)
class Entry:
    """One item. `memory_id`: the turn with its words in the agent's memory; empty if there is none."""

    item: dict[str, Any]
    memory_id: str = ""
    answered: bool = False  # a turn has answered the user's words
    passed_over: bool = False  # a turn has answered newer words of the user, or asks a question that is newer
    awaited: bool = False  # the transcript is not there yet
    spoken: str = ""  # all words of a spoken reply
    words: list[Word] = field(default_factory=list)  # the words with their times
    sent_ms: float = 0.0  # duration of its audio sent to the client
    cut: str | None = None  # the words that remain after the client truncated the item; empty if it was deleted
    # Sound of the item that was not recognised yet, by part
    sounds: dict[int, bytes | bytearray] = field(default_factory=dict)

    @property
    def role(self) -> str:
        """The speaker; empty if the item is not a message."""
        return str(self.item.get("role", ""))

    @property
    def spoke(self) -> bool:
        """True if its words were spoken to the agent, all of them: silence beside typed words makes these no speech."""
        parts = self.item.get("content") or ()
        typed = any(part.get("type") == "input_text" for part in parts)
        return not typed and any(part.get("type") == "input_audio" for part in parts)

    @property
    def text(self) -> str:
        """All words of the item."""
        parts = self.item.get("content") or ()
        return "\n".join(words for part in parts if (words := part.get("text") or part.get("transcript")))

    @property
    def was_cut(self) -> bool:
        """True if words of it were not heard, or it was still being sent when it was truncated."""
        lost = self.cut is not None and self.cut.split() != self.spoken.split()
        return lost or self.item["status"] == "in_progress"

    @property
    def chars(self) -> int:
        """Number of characters that count against MAX_CHARS: of all texts, and PART_CHARS for each part, which may be empty."""
        texts = sum(len(value) for value in self.item.values() if isinstance(value, str))
        return len(self.text) + texts + PART_CHARS * len(self.item.get("content") or ())

    def heard(self, text: str) -> None:
        """Set the words heard by the gateway's clock. A truncation by the client takes precedence."""
        set_words(self, text if self.cut is None else self.cut)

    def cut_to(self, text: str) -> None:
        """Truncate the item to these words, for the client. It never grows again."""
        self.cut = text if self.cut is None or len(text) < len(self.cut) else self.cut
        set_words(self, self.cut)


class Conversation:
    """Items by id, in order."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self._chars: dict[str, int] = {}  # of each item, as it was added
        self._all_chars = 0

    def check(self, entry: Entry, after: str | None = None) -> None:
        """Raise MistakeError if the client may not add this item. The gateway adds its own items without a check."""
        item_id = entry.item["id"]
        if item_id in self.entries:
            raise MistakeError(
                "item_create_duplicate_item_id",
                f"Error adding item: the item with id '{item_id}' already exists in the conversation.",
                "item.id",
            )
        if len(self.entries) >= MAX_ITEMS or self._all_chars + entry.chars > MAX_CHARS:
            raise MistakeError(
                "conversation_too_long", f"a conversation holds at most {MAX_ITEMS} items and {MAX_CHARS} characters"
            )
        if after not in {None, "root", *self.entries}:
            raise MistakeError(
                "item_create_invalid_previous_item_id", f"there is no item '{str(after)[:64]}'", "previous_item_id"
            )

    def add(self, entry: Entry, after: str | None = None) -> str | None:
        """Add an item after another one (None: at the end; "root": first); returns the id before it.

        A full conversation forgets its oldest item: speech must not fail because of the conversation's length.
        """
        if len(self.entries) >= MAX_ITEMS:
            self._forget(next(iter(self.entries)))
        item_id, order = entry.item["id"], list(self.entries)
        place = len(order) if after is None else 0 if after == "root" else order.index(after) + 1
        previous = order[place - 1] if place else None
        rest = {name: self.entries.pop(name) for name in order[place:]}
        self.entries[item_id] = entry
        self.entries |= rest
        self._chars[item_id] = entry.chars
        self._all_chars += entry.chars
        return previous

    def _forget(self, item_id: str) -> None:
        del self.entries[item_id]
        self._all_chars -= self._chars.pop(item_id)

    def find(self, item_id: str, code: str, param: str = "item_id") -> Entry:
        """The item with that id. Raises MistakeError with that code."""
        entry = self.entries.get(item_id)
        if entry is None:
            raise MistakeError(code, f"Error: the item with id '{item_id[:64]}' does not exist.", param)
        return entry

    def remove(self, item_id: str) -> Entry:
        """Remove an item. Raises MistakeError."""
        entry = self.find(item_id, "item_delete_invalid_item_id")
        self._forget(item_id)
        entry.cut = ""
        return entry

    def unanswered(self) -> list[Entry]:
        """The user's items that no turn has answered yet, oldest first."""
        return [entry for entry in self.entries.values() if entry.role == "user" and not entry.answered]

    def newest_words(self) -> str:
        """The user's newest words, for a request to reply once more; empty if there are none."""
        users = [entry for entry in self.entries.values() if entry.role == "user" and entry.text.strip()]
        return users[-1].text if users else ""

    def unremembered(self, asked: list[Entry], *, alone: bool) -> list[Entry]:
        """The items that are not in the agent's memory yet. `alone`: only those asked about, as for a reply out of band."""
        known = {id(entry): entry for entry in asked}
        if not alone:
            known |= {id(entry): entry for entry in self.entries.values() if entry.answered or entry.role != "user"}
        return [
            entry
            for entry in known.values()
            if entry.text and entry.role != "system" and not entry.memory_id and entry.item["status"] == "completed"
        ]

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> tuple[Entry, int]:
        """Remove the part of a reply that was not heard; returns the item and its new end. Raises MistakeError."""
        entry = self.find(item_id, "item_truncate_invalid_item_id")
        if entry.role != "assistant":
            raise MistakeError("item_truncate_invalid_item_id", "only the agent's own speech is truncated", "item_id")
        parts = entry.item["content"]
        if not 0 <= content_index < max(1, len(parts)):
            raise wrong("content_index", "there is no such content part")
        if audio_end_ms > entry.sent_ms + TOLERANCE_MS:
            raise MistakeError(
                "invalid_value",
                f"Audio content of {round(entry.sent_ms)}ms is already shorter than {audio_end_ms}ms.",
                "audio_end_ms",
            )
        end_ms = min(audio_end_ms, round(entry.sent_ms))
        if end_ms < round(entry.sent_ms):
            entry.cut_to(heard_text(entry.spoken, entry.words, end_ms))
        return entry, end_ms


def set_words(entry: Entry, text: str) -> None:
    """Replace the words of an item."""
    for part in entry.item.get("content") or ():
        if part["type"] in {"output_audio", "input_audio"}:
            part["transcript"] = text
        else:
            part["text"] = text
