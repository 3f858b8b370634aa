"""Turns a turn lane's events into the items of a response. One per turn, as its Outlet."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from streaming import domain
from streaming.openai.mistakes import failed_with
from streaming.sound.codecs import pcm_duration_ms
from streaming.sound.pcm import BYTES_PER_SAMPLE
from streaming.unrecorded import UnrecordedOutlet

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Collection

    from streaming.domain import LaneEvent
    from streaming.lanes.turn import TurnLane
    from streaming.openai.conversation import Conversation, Entry
    from streaming.openai.event_queue import EventQueue
    from streaming.openai.response import Response, ResponseStatus
    from streaming.ports import Word

AGENT = "jarvis"  # label of the agent's own actions, as a server of the session's `mcp` tools


class Floor(Protocol):
    """The session, as seen by its turns."""

    conversation: Conversation
    event_queue: EventQueue
    active: Response | None
    floor: asyncio.Event  # set when a response ends
    opening: list[Entry]  # the user's items whose turn is about to be opened

    def stopped(self, speaking: Speaking, event: domain.TurnCalls) -> list[dict[str, Any]]:
        """The turn waits for functions that the client runs; returns the items of these calls."""

    def own_response(self, speaking: Speaking) -> Response:
        """A new response for words that the agent says on its own."""

    def when_free(self, act: Callable[[], None]) -> None:
        """Do this once no other response is being given."""

    def ended(self, response: Response) -> None:
        """The response is done."""

    def wake(self) -> None:
        """There may be something to send."""


def ask_cut_questions(speaking: Collection[Speaking]) -> None:
    """Ask the questions that other words cut off, once nothing else is to be said."""
    if all(one.asks for one in speaking):
        for one in speaking:
            one.ask_again()


class Speaking(UnrecordedOutlet):
    """One turn. `response`: the one it was started for; after a question or an interruption, one of its own."""

    def __init__(
        self, floor: Floor, response: Response, asked: list[Entry], text: str = "", *, approvals: bool = False
    ) -> None:
        self._floor = floor
        self.text = text  # the words that it answers
        self.response: Response | None = response
        self.settings = response.settings
        self._audio = response.audio
        self.out_of_band = floor.active is not response
        self._asked = asked  # the user's items that it answers
        self._approvals = approvals  # True if the client wants questions as items
        self.lane: TurnLane | None = None
        self._turn_id = ""
        self._reply: str | None = None
        self._more = False  # the reply is still being written
        self._told_chars = 0  # of the reply
        self._begun_chars = 0  # of the reply, before the utterance
        self._aside = False  # the utterance is no part of the reply
        self._late_words = ""  # written words that wait for the end of another response
        self._to_approve: domain.TaskNeedsConfirmation | None = None  # waits for a response
        self._waiting_words = ""  # received before the first audio
        self._early_words: list[Word] = []  # the same, with their times
        self._question = ""  # the question being asked
        self._question_cut = False  # it was not said to its end
        self._trouble: domain.Trouble | None = None
        self._entry: Entry | None = None  # the item of the utterance
        self.entries = list(asked)  # items whose words the turn stores in the agent's memory
        self._stale = False  # the utterance was stopped
        self._rate_hz = 0
        self._bytes_per_sample = BYTES_PER_SAMPLE
        self._calls: domain.TurnCalls | None = None  # sent after the words before them
        self._speaks = False  # an utterance is being sent
        self._incomplete = False  # the language model reached its limit
        self._was_cut = False
        self._acted = False  # a step has begun
        self.over = False

    @property
    def said_all(self) -> bool:
        """True if the whole reply was sent; it may still be playing."""
        return self._reply is not None and self.response is None

    @property
    def words_left(self) -> list[Entry]:
        """The user's items, if nothing was done about them."""
        return [] if self._acted else self._asked

    @property
    def playing(self) -> bool:
        """True while a reply that was sent is still being played, unless it was interrupted."""
        return self.said_all and not self._stale

    # --- streaming.outlet.Outlet ---

    def tell(self, event: LaneEvent) -> None:
        """Handle the events that the client sees or hears."""
        match event:
            case domain.TurnReply():
                self._on_reply(event)
            case domain.SpeechBegins():
                self._on_begins(event)
            case domain.SpokenWords():
                self._on_words(event)
            case domain.SpeechEnds():
                self._on_spoken()
            case domain.TaskNeedsConfirmation():
                self._on_question(event)
            case domain.TurnCalls():
                self._on_calls(event)
            case domain.TaskStarted():
                self._acted = True
            case domain.TurnInterrupted():
                self._on_interrupted(event)
            case domain.Trouble():
                self._trouble = event
            case domain.TurnDone():
                self._on_done(event)
            case _:
                return
        self._floor.wake()

    def _on_reply(self, event: domain.TurnReply) -> None:
        self._reply, self._turn_id = (self._reply or "") + event.text, event.turn_id
        self._more, self._incomplete = event.more, event.cut
        self._question = ""
        self._note_remembered(event.turn_id)
        if not self._audio:
            self._write(event.text)
        elif self._speaks and not self._aside and self._entry is not None:
            self._entry.spoken += event.text

    def _write(self, words: str) -> None:
        """Send words of a reply that is not spoken."""
        self._late_words += words
        if self.response is not None:
            self._write_late()
        elif self._late_words == words:
            self._floor.when_free(self._write_late)

    def _write_late(self) -> None:
        words, self._late_words = self._late_words, ""
        response = self._begun_response()
        if self._entry is None:
            self._entry = self._open_item()
            self._entry.memory_id = f"{self._turn_id}-assistant"
        response.words(words)
        if not self._more:
            self._finish()

    def _begun_response(self) -> Response:
        """The response; if there is none, one of its own."""
        if self.response is None:
            self.response = self._floor.own_response(self)
            self._entry = None
            self._request_approval()
        return self.response

    def _open_item(self) -> Entry:
        assert self.response is not None, "the callers have looked"
        entry = self.response.open_item()
        self.entries.append(entry)
        return entry

    def _note_remembered(self, turn_id: str) -> None:
        """The turn has put the user's words into the agent's memory."""
        for entry in self._asked:
            entry.memory_id = entry.memory_id or f"{turn_id}-user"

    def _on_begins(self, event: domain.SpeechBegins) -> None:
        self._rate_hz = event.sample_rate_hz
        self._bytes_per_sample = BYTES_PER_SAMPLE if event.encoding == "pcm_s16le" else 1
        self._entry, self._waiting_words, self._early_words, self._stale = None, "", [], False
        self._speaks, self._aside, self._begun_chars = True, event.aside, self._told_chars

    def _on_words(self, event: domain.SpokenWords) -> None:
        written = self._written(" ".join(word.text for word in event.words), event)
        self._waiting_words += written
        if self._entry is None:
            self._early_words.extend(event.words)
        else:
            self._entry.words.extend(event.words)
            self._entry.spoken += written if self._aside else ""
        if self._entry is not None and self.response is not None:
            self._flush_words()

    def _written(self, spoken: str, event: domain.SpokenWords) -> str:
        """The words as written in the reply, with what is between them; words besides the reply as spoken."""
        if self._reply is None or self._aside:
            return spoken + " "
        end = self._told_chars
        for word in event.words:
            found = self._reply.find(word.text, end)
            if found >= 0:
                end = found + len(word.text)
        piece, self._told_chars = self._reply[self._told_chars : end], end
        return piece

    def _flush_words(self) -> None:
        if self.response is not None and self._waiting_words:
            self.response.words(self._waiting_words)
            self._waiting_words = ""

    def _on_spoken(self) -> None:
        """All of the utterance was sent."""
        self._speaks = False
        if self.response is None:
            return
        if self._reply is not None and not self._aside:
            self._waiting_words += self._reply[self._told_chars :]
            self._told_chars = len(self._reply)
        self._flush_words()
        self.response.close_item()
        if self._calls is not None:
            self._tell_calls(self._calls)
        elif (self._reply is not None and not self._more) or self._question:
            self._finish()

    def _on_calls(self, event: domain.TurnCalls) -> None:
        if self._was_cut:
            return
        self._calls = event
        self._note_remembered(event.turn_id)
        words_to_come = self._audio and (self._speaks or (self._more and not self._told_chars))
        if not words_to_come:
            self._tell_calls(event)

    def _tell_calls(self, event: domain.TurnCalls) -> None:
        self._calls = None
        if self.response is None and self._floor.active is not None:
            self._floor.when_free(partial(self._tell_calls, event))
            return
        response = self._begun_response()
        response.close_item()
        for item, step in zip(self._floor.stopped(self, event), event.calls, strict=bool(event.rounds)):
            response.function_call(item, json.dumps(step.parameters, ensure_ascii=False))
        self._finish()

    def _on_question(self, event: domain.TaskNeedsConfirmation) -> None:
        self._question, self._question_cut = event.sentence, False
        for entry in (*self._floor.conversation.entries.values(), *self._floor.opening):
            entry.passed_over = True  # it is older than the question
        self._to_approve = event if self._approvals else None
        if event.turn_id is not None:
            self._note_remembered(event.turn_id)
        if not self._audio:
            self._floor.when_free(self._ask) if self.response is None else self._ask()
        elif self.response is not None:
            self._request_approval()

    def _ask(self) -> None:
        """Put the question in words that are not spoken."""
        response = self._begun_response()
        self._request_approval()
        response.words(self._question)
        self._finish()

    def _request_approval(self) -> None:
        """Put the question as an item, if the client wants it so."""
        event, self._to_approve = self._to_approve, None
        if event is not None and self.response is not None:
            self.response.whole_item(
                {
                    "id": event.confirmation_id,
                    "type": "mcp_approval_request",
                    "server_label": AGENT,
                    "name": f"{event.executor}.{event.action}",
                    "arguments": json.dumps(event.parameters),
                }
            )

    def _on_interrupted(self, event: domain.TurnInterrupted) -> None:
        if self._entry is not None and self._reply is not None:
            self._entry.heard(event.heard_text[0 if self._aside else self._begun_chars :])

    def _on_done(self, event: domain.TurnDone) -> None:
        self.over = True
        self._note_remembered(event.turn_id)
        if self.response is None:
            return
        if self._reply and self.response.audio and not self._told_chars:
            self.response.words(self._reply)  # it could not be spoken, or need not be
        if self._calls is not None:
            self._tell_calls(self._calls)
        elif event.status == "cancelled":
            self._end("cancelled", "client_cancelled")
        else:
            self._finish()

    def _finish(self) -> None:
        if self._trouble is None:
            status: ResponseStatus = "incomplete" if self._incomplete else "completed"
            self._end(status, "max_output_tokens" if self._incomplete else "")
            return
        self._end("failed", error=failed_with(self._trouble.code, self._trouble.message))

    def _end(self, status: ResponseStatus, reason: str = "", error: dict[str, str] | None = None) -> None:
        response, self.response = self.response, None
        if response is not None:
            response.finish(status, reason=reason, error=error)
            self._floor.ended(response)

    def cut(self, reason: str) -> None:
        """End the response as cancelled. The lane may still be acting, and reports it in a response of its own."""
        response, self._was_cut = self.response, True
        if response is None:
            return
        self._floor.event_queue.drop_audio(response.id)
        self._end("cancelled", reason)

    @property
    def asks(self) -> bool:
        """True while its question waits."""
        return self.lane is not None and self.lane.asking

    def ask_again(self) -> None:
        """Ask the question that waits, if it was cut off."""
        if self._question_cut and self.lane is not None:
            self._question_cut = False
            self.lane.ask_again()

    def lane_ended(self, code: str, message: str) -> None:
        """The lane ended, perhaps with an error that it could not report."""
        self.over, self.lane = True, None  # the lane refers to us: leave no cycle
        if self.response is not None:
            self._end("failed", error=failed_with(code or "INTERNAL", message or "the turn ended"))

    def play(self, frame: bytes, pts_ms: int, *, last: bool = False) -> None:  # noqa: ARG002 - the API has no times
        """Send one frame of audio; `room` has ensured that there is a response."""
        if not frame or self.response is None:
            return
        if self._entry is None:
            self._entry = self._open_item()
            self._entry.words.extend(self._early_words)
            of_reply = "" if self._aside else (self._reply or "")[self._begun_chars :]
            self._entry.spoken = self._waiting_words if self._aside else of_reply
            self._entry.memory_id = f"{self._turn_id}-assistant" if of_reply else ""
        self._flush_words()
        ms = pcm_duration_ms(len(frame) * BYTES_PER_SAMPLE // self._bytes_per_sample, self._rate_hz)
        self.response.sound(frame, ms)
        self._floor.wake()

    def has_room(self, n_bytes: int) -> bool:  # noqa: ARG002 - frames are small
        """True if the response has begun and the queue is short."""
        return self.response is not None and not self._stale and self._floor.event_queue.has_room

    async def room(self, n_bytes: int) -> None:  # noqa: ARG002 - frames are small
        """Wait until nobody else speaks and the queue is short."""
        while self.response is None and self._floor.active is not None and not self._stale:
            self._floor.floor.clear()
            await self._floor.floor.wait()
        if self._stale:
            return
        self._begun_response()
        await self._floor.event_queue.room()

    def interrupt(self) -> None:
        """Drop audio that was not sent yet."""
        self._stale, self._question_cut = True, bool(self._question)
        self._floor.floor.set()
        if self.response is not None:
            self._floor.event_queue.drop_audio(self.response.id)
