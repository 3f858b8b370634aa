"""Responses and their turns: one at a time in the conversation, and several out of band."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from streaming import domain
from streaming.lanes.tts import TtsLane
from streaming.lanes.turn import TurnLane
from streaming.open_questions import OpenQuestions
from streaming.openai import settings as config
from streaming.openai.conversation import Entry, new_id
from streaming.openai.functions import Functions, arguments_in, brief_of, call_item
from streaming.openai.host import Host
from streaming.openai.items import checked_item
from streaming.openai.mistakes import MistakeError, error_event, wrong
from streaming.openai.response import Response
from streaming.openai.turns import AGENT, Speaking, ask_cut_questions
from streaming.openai.utterances import behind_replies, leave, newest, note_others, text_of
from streaming.ports import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.agent.format import ReplyFormat
    from streaming.lanes.base import Lane
    from streaming.openai.client_events import ClientEvent, Sounds
    from streaming.openai.recorded import RecordedSound
    from streaming.openai.remembering import Remembered
    from streaming.outlet import LaneSetup
    from streaming.ports import Allowance, Identity, Round
    from streaming.session import LaneEnd

MAX_RESPONSES = 8  # at once: one in the conversation, the others beside it
GREETED = "hello"  # what the agent answers if a response is requested before anybody has said anything
PLAYED_ALL_MS = 10**9  # told to a lane whose client wants the next reply: it has done with this one


class RepliesHost(Host, Protocol):
    """The session, as seen by its replies."""

    voices: config.Voices
    allowance: Callable[[Identity], Allowance] | None
    traceparent: str
    recorded: RecordedSound
    remembered: Remembered
    delegates: bool


class Replies:
    """`active`: the conversation's response; `floor` is set when it ends."""

    def __init__(self, host: RepliesHost) -> None:
        self._host = host
        # Of its own, because a turn that is about to begin outlives the session for a moment.
        self._recorded, self._remembered = host.recorded, host.remembered
        self.conversation, self.event_queue = host.conversation, host.event_queue
        self._conversation_id = new_id("conv")
        self.active: Response | None = None
        self.floor = asyncio.Event()
        self.turns: dict[int, Speaking] = {}
        self._beside: dict[str, Response] = {}
        self._ready: tuple[Response, str] | None = None  # started; its turn waits for a transcript or for another turn
        self._given: list[Entry] | None = None  # the response's own input, if it has one
        self.opening: list[Entry] = []  # the user's items whose turn is about to be opened
        # responses beside, whose input is not recognised yet
        self._later: list[tuple[list[Entry], Callable[[], None]]] = []
        self._late: deque[Callable[[], None]] = deque()  # see `when_free`
        self._owed = False  # an utterance ended while another reply was being given
        self._functions = Functions()
        self._channel = 0

    @property
    def busy(self) -> bool:
        """True while a reply is being given."""
        return self.active is not None or bool(self._beside)

    def wake(self) -> None:
        """There may be something to send."""
        self._host.wake()

    # --- items from the client ---

    def act_on(self, entry: Entry, event_id: str) -> None:
        """Act on an item that the client's event `event_id` creates. Raises MistakeError."""
        item = entry.item
        if item["type"] == "function_call":
            self._functions.told(item["call_id"], item["name"], arguments_in(item["arguments"]))
        elif item["type"] == "function_call_output":
            self._functions.answer(item["call_id"], item["output"])
        elif item["type"] == "mcp_approval_response":
            self._host.group.create_task(self._settle(item, event_id), name="approval by item")

    async def _settle(self, item: dict[str, Any], event_id: str) -> None:
        confirmations = self._host.provided.confirmations
        asked = item["approval_request_id"]  # an approval request shows its action and never changes
        word, message = "approval_request_not_found", f"nothing waits for approval under '{asked[:64]}'"
        try:
            settled = await confirmations.settle(
                asked, self._host.call_context(self._host.session_id), approve=item["approve"]
            )
        except ServiceError as refused:
            settled = False  # what cannot be looked up now is of another replica, and so of another session
            if refused.code == "FORBIDDEN":
                word, message = "forbidden", refused.message
        if not settled:
            mistake = MistakeError(word, message, "item.approval_request_id")
            self.event_queue.say(error_event(mistake, event_id))
            self.wake()

    # --- start ---

    def create(self, event: ClientEvent) -> None:
        """`response.create`. Raises MistakeError."""
        if self._host.settings["type"] != "realtime":
            raise MistakeError("invalid_value", "a transcription session gives no responses", "type")
        asked = event.fields.get("response")
        asked = {} if asked is None else asked
        if not isinstance(asked, dict):
            raise MistakeError("invalid_type", "Invalid type for 'response': expected an object.", "response")
        if "modalities" in asked:
            raise MistakeError(
                "unknown_parameter",
                "'response.modalities' is a name of the beta protocol: it is 'response.output_modalities' now.",
                "response.modalities",
            )
        settings = config.response_settings(self._host.settings, asked, self._host.voices)
        given = None if asked.get("input") is None else self._input(asked["input"], event.sounds)
        instructions, metadata = (asked.get("instructions") or "").strip(), asked.get("metadata")
        place = asked.get("conversation")
        if place not in (None, "auto", "none", self._conversation_id):
            raise wrong("response.conversation", "Supported values are 'auto', 'none' and this conversation's id.")
        if place == "none":
            self._create_beside(settings, metadata, given, instructions)
            return
        if self.active is not None:
            raise MistakeError(
                "conversation_already_has_active_response",
                f"Conversation already has an active response in progress: {self.active.id}. "
                "Wait until the response is finished before creating a new one.",
            )
        config.check_voice(self._host.settings, settings, spoken=self.event_queue.has_spoken)
        self._begin(settings, metadata, instructions, given)

    def _input(self, given: list[dict[str, Any]], sounds: Sounds) -> list[Entry]:
        found, fresh = [], []
        for index, item in enumerate(given):
            param = f"response.input[{index}]"
            if item.get("type") == "item_reference":
                found.append(
                    self.conversation.find(str(item.get("id")), "item_reference_invalid_item_id", f"{param}.id")
                )
                continue
            entry = checked_item(item, param, sounds)
            self._recorded.check(entry)
            found.append(entry)
            fresh.append(entry)
        for entry in fresh:
            self._recorded.hear(entry)
        return found

    def _begin(
        self,
        settings: dict[str, Any],
        metadata: dict[str, str] | None = None,
        instructions: str = "",
        given: list[Entry] | None = None,
    ) -> None:
        response = self._respond(settings, metadata)
        self._given = given
        self._ready = (response, instructions)
        for channel, speaking in self.turns.items():
            if speaking.playing and speaking.lane is not None:
                speaking.lane.playback(PLAYED_ALL_MS)  # it ends, and stores its words, before the next turn begins
            elif speaking.playing:
                self._host.lanes.cancel(channel)
        self._start_if_ready()

    def _start_if_ready(self) -> None:
        """Start the turn once all transcripts are there and the previous turn has ended."""
        ready = [start for entries, start in self._later if not any(entry.awaited for entry in entries)]
        self._later = [(entries, start) for entries, start in self._later if any(entry.awaited for entry in entries)]
        for start in ready:
            start()
        if self._ready is None:
            return
        waits = any(speaking.said_all for speaking in self.turns.values() if not speaking.out_of_band)
        asked = self.conversation.unanswered() if self._given is None else self._given
        if waits or any(entry.awaited for entry in asked):
            return
        (response, instructions), self._ready = self._ready, None
        self._start(response, asked, instructions, own_input=self._given is not None)

    def _start(
        self,
        response: Response,
        asked: list[Entry],
        instructions: str,
        session_id: str = "",
        *,
        own_input: bool = False,
        instructions_first: bool = False,
    ) -> None:
        """Start a turn with the user's newest words, else with the instructions; a conversation begins with a greeting."""
        if response.done:
            return  # cancelled in the meantime
        words = [entry for entry in asked if entry.role == "user" and entry.text.strip() and not instructions_first]
        last = newest(words)
        if not session_id:
            said = [*behind_replies(asked), *self.conversation.unanswered()] if own_input else words
            note_others(said, last, self._host.lanes)
        stopped = None if session_id else self._functions.take()
        text = text_of(last) if last else stopped.text if stopped is not None else instructions
        if not own_input:
            text = text or self.conversation.newest_words() or ("" if session_id else GREETED)
        for entry in asked:
            entry.answered = True
        if not text:
            self._nothing_to_answer(response)
            return
        response.heard_words = len(text.split())
        rounds = stopped.gone_on() if stopped is not None else ()
        told = last if not rounds else []  # the turn itself stores these
        self.opening = self.opening if session_id else told
        before = [entry for entry in self.conversation.unremembered(asked, alone=bool(session_id)) if entry not in told]
        self._host.group.create_task(
            self._converse(response, text, told, before, rounds, session_id), name="begin a turn"
        )

    def _nothing_to_answer(self, response: Response) -> None:
        nothing = MistakeError("nothing_to_answer", "there are neither words to answer nor instructions")
        response.finish("failed", error=error_event(nothing)["error"])
        self.ended(response)

    async def _converse(
        self,
        response: Response,
        text: str,
        asked: list[Entry],
        before: list[Entry],
        rounds: tuple[Round, ...],
        session_id: str,
    ) -> None:
        stored = await self._remembered.put(before, session_id)
        if response.done:
            return  # cancelled in the meantime
        self.opening = self.opening if session_id else []
        if any(entry.passed_over for entry in asked):  # a question was asked meanwhile
            self._host.lanes.other_words()
        tools = response.settings["tools"]
        approvals = any(tool.get("type") == "mcp" and tool.get("server_label") == AGENT for tool in tools)
        speaking = Speaking(self, response, asked, text, approvals=approvals)
        brief = brief_of(self.conversation, response.settings, rounds, delegates=self._host.delegates)
        reply = self._format_of(response)
        users = [entry for entry in asked if entry.role == "user"]
        spoken = any(entry.spoke for entry in users)

        def build(setup: LaneSetup) -> TurnLane:
            if session_id:
                context = replace(setup.context, session_id=session_id)
                # What is only written is not shown to the user, perhaps: then no yes is about it.
                questions = setup.questions if reply.audio else OpenQuestions()
                setup = replace(setup, context=context, stored=stored, questions=questions, aside=True)
            lane = speaking.lane = TurnLane(setup, None, reply, text, brief, spoken=spoken)
            return lane

        self._run(speaking, build)
        self.wake()

    def _format_of(self, response: Response) -> ReplyFormat:
        """How the response is spoken: as its settings say, in the language that the session expects."""
        reply = config.reply_of(response.settings, self._host.voices)
        return replace(reply, language=config.microphone_of(self._host.settings).language)

    def _run(self, speaking: Speaking, build: Callable[[LaneSetup], Lane]) -> None:
        """Open a lane that speaks through `speaking`."""
        self._channel += 1
        channel = self._channel
        self.turns[channel] = speaking
        self._host.lanes.open(channel, build, speaking, lambda end: self._on_end(channel, end), self._host.traceparent)

    def _on_end(self, channel: int, end: LaneEnd) -> None:
        speaking = self.turns.pop(channel)
        speaking.lane_ended(end.code or "", end.message or "")
        for entry in speaking.entries:  # the lane remembered what was heard by its own clock, or before it was deleted
            if entry.cut is not None:
                self._remembered.correct(entry)
        ask_cut_questions(self.turns.values())
        self._start_if_ready()
        if not self.turns and not self.busy:
            self._host.on_quiet()
        self.wake()

    def say_aloud(self, text: str, *, counts: bool) -> None:
        """Speak a text that is no turn, and that the agent does not remember.

        `counts`: against the user's limit, as the client's own words do, and not what the gateway says by itself.
        """
        response = self._respond(config.response_settings(self._host.settings, {}, self._host.voices))
        speaking = Speaking(self, response, [])
        speaking.tell(domain.TurnReply(new_id("turn"), text))
        if response.done:  # text only
            self._host.on_quiet()
            return
        reply = self._format_of(response)
        self._run(speaking, lambda setup: TtsLane(setup, reply, text, counts=counts))

    def _create_beside(
        self, settings: dict[str, Any], metadata: dict[str, str] | None, given: list[Entry] | None, instructions: str
    ) -> None:
        """Create a response out of band: its items are not in the conversation, and its turn is not remembered."""
        if len(self._beside) >= MAX_RESPONSES - 1:
            raise MistakeError(
                "too_many_responses", f"at most {MAX_RESPONSES} responses at once", kind="rate_limit_error"
            )
        response = Response(self.event_queue, None, "", settings, metadata)
        self._beside[response.id] = response
        self._announce(response)
        context = given
        if context is None:
            context = [entry for entry in self.conversation.entries.values() if entry.text]
        start = partial(
            self._start,
            response,
            [Entry(entry.item) for entry in context],
            instructions,
            new_id("aside"),
            own_input=given is not None,
            instructions_first=not given and bool(instructions),
        )
        self._later.append((context, start))
        self._start_if_ready()

    def _respond(self, settings: dict[str, Any], metadata: dict[str, str] | None = None) -> Response:
        """Begin the conversation's response."""
        response = Response(self.event_queue, self.conversation, self._conversation_id, settings, metadata)
        self.active = response
        self._announce(response)
        return response

    def _announce(self, response: Response) -> None:
        """Send `response.created`, and the user's rate limit if it is known."""
        response.begin()
        if self._host.allowance is not None:
            left = self._host.allowance(self._host.identity)
            limit = {
                "name": "requests",
                "limit": left.limit,
                "remaining": left.remaining,
                "reset_seconds": round(left.reset_s, 3),
            }
            self.event_queue.say({"type": "rate_limits.updated", "rate_limits": [limit]})

    # --- turns.Floor ---

    def stopped(self, speaking: Speaking, event: domain.TurnCalls) -> list[dict[str, Any]]:
        """The turn waits for functions that the client runs; returns the items of the calls."""
        if not event.rounds:
            self._host.on_delegated()
            return []
        if speaking.out_of_band:
            return [call_item(new_id("call"), step) for step in event.calls]
        return self._functions.stop(speaking.text, event.calls, event.rounds)

    def own_response(self, speaking: Speaking) -> Response:
        """A response for the agent's own words: an action that continued during a question has ended."""
        return self._respond(speaking.settings)

    def when_free(self, act: Callable[[], None]) -> None:
        """Do this once no response is being given in the conversation."""
        if self.active is None:
            act()
        else:
            self._late.append(act)

    def ended(self, response: Response) -> None:
        """The response is done; others may continue."""
        self._beside.pop(response.id, None)
        if self.active is response:
            self.active = None
            self._ready = None
            self.floor.set()
            if self._owed:
                self._owed = False
                self.heard(answer=True)
            while self._late and self.active is None:
                self._late.popleft()()

    # --- what is heard ---

    def heard(self, *, answer: bool) -> None:
        """A transcript is ready. `answer`: reply to it."""
        if answer and self.active is not None and self._ready is None:
            self._owed = True
        elif answer and self.active is None:
            settings = config.response_settings(self._host.settings, {}, self._host.voices)
            self._begin(settings)
        else:
            self._start_if_ready()

    # --- ending early ---

    def interrupt(self, reason: str) -> None:
        """End the conversation's reply; actions that continue during a question go on."""
        response, self._owed = self.active, False
        opening, self.opening = self.opening, []
        for channel, speaking in list(self.turns.items()):
            if not speaking.out_of_band:
                speaking.cut(reason)
                if speaking.lane is None:
                    self._host.lanes.cancel(channel)
                elif speaking.lane.interrupt():
                    leave(speaking.words_left, self._host.lanes, reason)
        leave(opening, self._host.lanes, reason)
        if response is not None and not response.done:
            response.finish("cancelled", reason=reason)
            self.ended(response)

    def cancel(self, response_id: str | None) -> None:
        """`response.cancel`. Raises MistakeError."""
        beside = self._beside.get(response_id or "")
        if beside is not None:
            for speaking in list(self.turns.values()):
                if speaking.response is beside:
                    speaking.cut("client_cancelled")
                    if speaking.lane is not None:
                        speaking.lane.interrupt()
            if not beside.done:
                beside.finish("cancelled", reason="client_cancelled")
                self.ended(beside)
            return
        if self.active is None or (response_id is not None and response_id != self.active.id):
            raise MistakeError("response_cancel_not_active", "Cancellation failed: no active response found")
        self.interrupt("client_cancelled")

    def break_off(self, error: dict[str, str]) -> None:
        """Tell the end of every response that has begun, as the session ends."""
        for response in filter(None, (self.active, *self._beside.values())):
            response.finish("failed", error=error)

    def close(self) -> None:
        """Begin nothing more: the session is over."""
        self._ready = None
        self._later.clear()
        self._late.clear()
