"""`turn`: the whole agent. Speech (or one text) in, speech or text out, turn after turn on an open microphone.

Three loops: one listens, and waits for the recogniser only, so that speech stops a reply at once; one recognises intents; one runs turns.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

from streaming.agent.answers import Answers
from streaming.agent.eager import EarlyPlan
from streaming.agent.heard import MAX_WAITING, Heard
from streaming.agent.overheard import CLEAR_WORDS, Overheard, Sureness, overheard, sureness_of
from streaming.agent.own_voice import OwnVoice
from streaming.agent.stage import Stage
from streaming.agent.stopwatch import Stopwatch
from streaming.agent.turns import NO_BRIEF, Turn
from streaming.domain import Trouble, TurnEnd
from streaming.lanes.base import Lane
from streaming.outlet import LaneSetup, WrongInputError
from streaming.ports import (
    EagerEnd,
    FinalTranscript,
    InterimTranscript,
    ServiceError,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
)
from streaming.sound.echo import far_end
from streaming.sound.microphone import MicrophoneInput
from streaming.sound.wake import Attention
from streaming.task_group import TaskGroup

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from streaming.agent.answering import Moment
    from streaming.agent.brief import Brief
    from streaming.agent.delivery import Delivery
    from streaming.agent.format import ReplyFormat
    from streaming.outlet import SpeechPosition
    from streaming.ports import Intent, RecognitionEvent
    from streaming.sound.microphone_format import MicrophoneFormat
    from streaming.sound.trail import Position


class TurnLane(Lane):
    """The lane of a conversation: it starts the three loops, and holds what they share."""

    def __init__(
        self,
        setup: LaneSetup,
        source: MicrophoneFormat | None,
        reply: ReplyFormat,
        text: str | None = None,
        brief: Brief = NO_BRIEF,
        *,
        spoken: bool = False,
    ) -> None:
        """`spoken`: the text was recognised from speech."""
        super().__init__(setup)
        self._spoken = spoken or source is not None
        self._brief = brief
        self._setup = setup
        self._reply = reply
        self._language = source.language if source else reply.language
        self._far_end = far_end(asked_for=source.echo_cancellation) if source is not None else None
        self._microphone: MicrophoneInput | None = None
        if source is not None:
            attention = Attention(self._in_conversation, self._sounding) if source.wake_word else None
            self._microphone = MicrophoneInput(
                self._services.stt, source, self._context, self._outlet, self._far_end, attention
            )
        self._text = text
        self._counted_as = uuid.uuid4().hex if text is not None else ""
        self._speech_ended: Stopwatch | None = None
        self._endpointing = source is None or source.endpointing
        self._guess: EarlyPlan | None = None  # on the current utterance
        self._over: Delivery | None = None  # the reply into which the current utterance began
        self.hearing = False  # somebody speaks whose words are not recognised yet
        self._begun: Moment | None = None  # when the current utterance began
        self._own_voice = OwnVoice(setup.sounding, setup.listening_clock)
        self._under_way = 0  # number of utterances not answered yet
        self._waiting: list[Heard] = []  # those whose turn has not begun
        self._turn_begun = False  # here or on another replica; a turn given as text runs once
        self._saved: tuple[dict[str, Any], int] | None = None  # the turn that another replica began
        self._above: list[Heard] = []  # answered there while that turn's question waited; their turns go on later here
        self._heard: asyncio.Queue[Heard | None] = asyncio.Queue(MAX_WAITING)
        self._next: asyncio.Queue[tuple[Heard, Intent | None, str | None] | None] = asyncio.Queue(MAX_WAITING)
        self._stage = Stage(self._next, self._serve)
        self._answers = Answers(setup, self._stage, by_voice=self._spoken, aloud=reply.audio, typed=source is None)

    async def run(self) -> None:
        """Run until the input has ended and every turn is done. Raises ServiceError if the recogniser fails."""
        if self._text is not None:
            await self._take_text_turn(self._text)
            return
        broken: ServiceError | None = None
        async with TaskGroup() as group:
            group.create_task(self._understand(), name="turn: understand")
            group.create_task(self._converse(), name="turn: converse")
            filters = self._microphone.filters if self._microphone is not None else ()
            filtering = [group.create_task(one.run(), name=f"turn: {type(one).__name__}") for one in filters]
            try:
                await self._listen(group)
            except ServiceError as error:
                broken = error
            for task in filtering:
                task.cancel()
            await self._heard.put(None)
        if broken is not None:  # apologise in the reply's form, then let the channel close with the error
            turn = self._new_turn(uuid.uuid4().hex, "", self._stopwatch())
            await self._stage.run(turn, turn.apologise(broken))
            raise broken

    async def _take_text_turn(self, text: str) -> None:
        await self._finish_saved_turn()
        heard = Heard(text, self._stopwatch(), begun=self._answers.moment())
        intent = told = None
        counted, refused = False, list[ServiceError]()
        if self._answers.expected and not self._turn_begun and (intent := await self._recognised(heard)) is not None:
            # Before "no, what time is it" declines: who asked then has to say so, as nothing else is answered.
            counted = self._answers.more_than_answer(heard, intent)
            refused = await self._count_turn() if counted else []
            told = None if self._turn_begun else await self._answers.reply(heard, intent, alone=bool(refused))
        if told is None and not (counted or self._turn_begun):
            refused = await self._count_turn()  # what only answers a question is no turn of its own
        if told is not None or not (refused or self._turn_begun):
            await self._take_turn(heard, intent, told)
        if refused:
            raise refused.pop()  # its traceback refers to this frame

    async def _count_turn(self) -> list[ServiceError]:
        """Count it against the user's limit; returns the refusal, if it is one."""
        try:
            if self._provided.quota is not None and not self._spoken:
                await self._provided.quota.take_turn(self._context, self._counted_as)
        except ServiceError as refused:
            return [refused.with_traceback(None)]
        return []

    def forget(self) -> None:
        self._stage.forget()
        self._over = None
        if self._microphone is not None:
            self._microphone.forget()

    def _in_conversation(self) -> bool:
        return self.hearing or self.answering or self.asking

    def _sounding(self) -> bool:
        return self._setup.sounding.sounded_at(self._listening_clock())

    def _stopwatch(self, began_s_ago: float = 0.0) -> Stopwatch:
        return Stopwatch(self._clock, self._clock() - began_s_ago)

    # --- listening ---

    async def _listen(self, group: asyncio.TaskGroup) -> None:
        assert self._microphone is not None
        try:
            async for event in self._microphone.events():
                if self._endpointing or not isinstance(event, EagerEnd | SpeechResumed):
                    if not self._microphone.repeats(event):
                        self._outlet.tell(event)
                    self._on_heard(event, group)
        finally:
            self._microphone.cancel()
            self._withdraw()
            self._settle_pause(words_followed=False)  # no more words will come

    def _on_heard(self, event: RecognitionEvent, group: asyncio.TaskGroup) -> None:
        assert self._microphone is not None, "it is what was heard through"
        ended_s_ago = self._microphone.ended_s_ago
        match event:
            case SpeechStarted(at_ms=at_ms):
                self.hearing = True
                self._over, self._begun = self._stage.replying, self._answers.moment(ended_s_ago(at_ms))
                self._own_voice.speech_began(ended_s_ago(at_ms), self._over, echo=self._microphone.echo)
                if self._stage.delivery is not None and not self._own_voice.came_back:
                    self._stage.delivery.pause()
            case InterimTranscript(text=text) if text:
                self._weigh(text, Sureness.GROWING)
            case EagerEnd(at_ms, text) if text and self._weigh(text, Sureness.ENDING, ended_s_ago(at_ms)):
                self._withdraw()
                self._guess = EarlyPlan(
                    self._setup, text, self._language, group, with_plan=not self._under_way and self._stage.turn is None
                )
            case SpeechResumed():
                self._withdraw()
                if self._over is not None and self._over is self._stage.delivery and not self._own_voice.came_back:
                    self._stage.delivery.pause()  # more words follow what was taken for a listener's "okay"
            case SpeechStopped(at_ms=at_ms):
                self._speech_ended = self._stopwatch(ended_s_ago(at_ms))
                self._speech_ended.mark("speech_stopped")
            case FinalTranscript():
                self._on_final(event, ended_s_ago(event.end_ms))

    def _weigh(self, text: str, sureness: Sureness, ended_s_ago: float = 0.0) -> bool:
        """True if the words are meant for the agent: neither a "mm-hm" to it nor an echo of its own words.

        Interrupts the reply, or lets it go on, as soon as that is clear. An echo of a reply's last words is recognised after its end.
        """
        listens = overheard(text, "") is Overheard.BACKCHANNEL
        if listens and self._stage.thinks and not self._answers.meant.questions:
            return False
        if not self._own_voice.audible:
            self._settle_pause(words_followed=True)
            if self._stage.replying is not self._over and len(text.split()) >= CLEAR_WORDS and not listens:
                self._stage.give_way()  # its reply began into these words
            return True
        reply = self._over if self._over is self._stage.delivery else None
        judged = self._own_voice.judge(text, sureness, ended_s_ago)
        if reply is None or not reply.under_way:
            return judged is not Overheard.ECHO
        if judged is Overheard.WORDS:
            reply.pause()  # unless a sound has already done so
        if judged is not Overheard.UNCLEAR:
            reply.settle_pause(words_followed=judged is Overheard.WORDS)
        return judged is Overheard.WORDS

    def _settle_pause(self, *, words_followed: bool) -> None:
        if self._stage.delivery is not None:
            self._stage.delivery.settle_pause(words_followed=words_followed)

    def _withdraw(self) -> None:
        if self._guess is not None:
            self._guess.withdraw()
            self._guess = None

    def _on_final(self, event: FinalTranscript, ended_s_ago: float) -> None:
        self.hearing = False
        begun, self._begun = (self._begun or self._answers.moment()).heard(event.confidence), None
        stopwatch, self._speech_ended = self._speech_ended or self._stopwatch(), None
        stopwatch.mark("final")
        sureness = sureness_of(event.confidence, event.end_ms - event.start_ms)
        meant = bool(event.text) and self._weigh(event.text, sureness, ended_s_ago)
        self._settle_pause(words_followed=meant)
        text = self._own_voice.without_echo(event.text)
        if self._guess is not None and not self._guess.fits(text):
            self._withdraw()
        guess, self._guess = self._guess, None
        if not meant:
            if guess is not None:
                guess.withdraw()
            return
        self._outlet.tell(TurnEnd(event.end_ms))
        if guess is not None:
            stopwatch.began_early("eager_end", guess.made_at)
        self._act_on(Heard(text, stopwatch, guess, begun))

    def _act_on(self, heard: Heard) -> None:
        try:
            self._heard.put_nowait(heard)
            self._under_way += 1
            self._waiting.append(heard)
        except asyncio.QueueFull:
            heard.drop_guess()
            words = f"{MAX_WAITING} utterances are waiting already: this one is lost"
            self._outlet.tell(Trouble.of(ServiceError("TOO_MANY_TURNS", words)))

    # --- intents: a short answer to a question, or "stop", must not wait for the turn it is about ---

    async def _understand(self) -> None:
        while (heard := await self._heard.get()) is not None:
            intent = await self._recognised(heard)
            told = await self._answers.about_current_turn(heard, intent) if intent is not None else None
            if told is None:
                self._answers.own_turn(heard.text)
                self._stage.give_way()
            if told == "":
                heard.drop_guess()
                self._under_way -= 1
                self._waiting.remove(heard)
                continue
            await self._next.put((heard, intent, told))
        await self._next.put(None)

    async def _recognised(self, heard: Heard) -> Intent | None:
        """None if M4 is down: the turn itself asks again, and apologises."""
        if heard.guess is not None and (early := await heard.guess.intent()) is not None:
            return early
        try:
            return await self._services.intent.recognize(heard.text, self._language, self._context)
        except ServiceError:
            return None

    # --- turns, one at a time ---

    async def _converse(self) -> None:
        await self._finish_saved_turn()
        while (item := await self._next.get()) is not None:
            await self._serve(item)

    async def _serve(self, item: tuple[Heard, Intent | None, str | None]) -> None:
        await self._take_turn(*item)
        self._under_way -= 1

    async def _take_turn(self, heard: Heard, intent: Intent | None, told: str | None = None) -> None:
        if heard.saved is not None:
            self._above.remove(heard)
            await self._finish(heard.saved)
            return
        turn = self._new_turn(uuid.uuid4().hex, heard.text, heard.stopwatch)
        if asked := self._answers.meant.questions:
            turn.beside.waits(asked[0], repeated=self._reply.audio and asked[0] == self._stage.question)
        if heard in self._waiting:
            self._waiting.remove(heard)
        if intent is not None and told is not None:
            await self._run(turn, turn.acknowledge(intent, told, aloud=self._spoken))
        else:
            self._answers.own_turn(heard.text)
            await self._run(turn, turn.run(intent, heard.guess))
        heard.drop_guess()

    def _new_turn(self, turn_id: str, text: str, stopwatch: Stopwatch) -> Turn:
        return Turn(
            self._setup,
            turn_id,
            text,
            self._reply,
            stopwatch,
            on_question=lambda question: self._stage.on_question(turn_id, question),
            floor=self._stage.floor,
            somebody_speaks=lambda: self.hearing,
            far_end=self._far_end,
            brief=self._brief,
        )

    async def _run(self, turn: Turn, work: Coroutine[None, None, None]) -> None:
        self._turn_begun = True
        await self._stage.run(turn, work)

    # --- on another replica ---

    def rewind(self) -> Position | None:
        return self._microphone.needed if self._microphone is not None else None

    @property
    def received_bytes(self) -> int:
        return self._microphone.received_bytes if self._microphone is not None else 0

    @property
    def must_finish(self) -> bool:
        """True while steps are running. Another replica could not continue them, as it would not know whether they took effect."""
        return any(turn.acting for turn in self._stage.turns)

    def save(self) -> dict[str, Any]:
        turn, *above = [turn.save() for turn in self._stage.turns] or [self._saved[0] if self._saved else None]
        return {
            **(self._microphone.save() if self._microphone is not None else {}),
            "turn": turn,
            # The question is asked first there, so they repeat what they were saying.
            "above": [
                *({**each, "utterance": None} for each in above if each is not None),
                *(heard.saved for heard in self._above),
            ],
            "waiting": [[heard.text, heard.stopwatch.save()] for heard in self._waiting],
            "begun": self._turn_begun,
            "counted_as": self._counted_as,
        }

    def restore(self, saved: dict[str, Any], position: SpeechPosition) -> None:
        """Continue the current turn, then those that waited for it."""
        if self._microphone is not None:
            self._microphone.restore(saved)
        if saved["turn"] is not None:
            self._saved = saved["turn"], position.sent_pts_ms
        self._turn_begun, self._counted_as = saved["begun"], saved.get("counted_as", self._counted_as)
        for each in saved.get("above", [])[:MAX_WAITING]:  # an older replica has not saved them
            heard = Heard(each["text"], Stopwatch.restore(each["stopwatch"], self._clock), saved=each)
            self._above.append(heard)
            self._under_way += 1
            self._next.put_nowait((heard, None, None))
        for text, stopwatch in saved["waiting"]:
            self._act_on(Heard(text, Stopwatch.restore(stopwatch, self._clock)))

    async def _finish_saved_turn(self) -> None:
        if self._saved is None:
            return
        (saved, sent_pts_ms), self._saved = self._saved, None
        await self._finish(saved, sent_pts_ms)

    async def _finish(self, saved: dict[str, Any], sent_pts_ms: int = -1) -> None:
        turn = self._new_turn(saved["turn_id"], saved["text"], Stopwatch.restore(saved["stopwatch"], self._clock))
        turn.restore(saved, sent_pts_ms)
        await self._run(turn, turn.run())

    # --- what the client sends ---

    def audio(self, payload: bytes, number: int = 0) -> None:
        """Feed a microphone frame."""
        if self._microphone is None:
            raise WrongInputError("this turn was given as text")
        self._microphone.feed(payload, number)

    def commit(self) -> None:
        """End the utterance (push-to-talk)."""
        if self._microphone is None:
            raise WrongInputError("this turn was given as text")
        self._microphone.commit()

    def typed(self, text: str) -> None:
        """Take words that did not come through the microphone, such as a telephone's keys: a turn like that of an utterance."""
        if self._microphone is None:
            raise WrongInputError("this turn was given as text")
        self._act_on(Heard(text, self._stopwatch(), begun=self._answers.moment()))

    def playback(self, played_ms: int) -> None:
        """Report how much of the reply the client has played."""
        if self._stage.delivery is not None:
            self._stage.delivery.report_playback(played_ms)

    @property
    def answering(self) -> bool:
        """True while a turn is under way, or words wait for theirs."""
        return self._stage.turn is not None or self._under_way > 0

    @property
    def asking(self) -> bool:
        """True while the turn waits for the user's yes or no."""
        return self._stage.question is not None

    def ask_again(self) -> None:
        """Repeat the question that waits, if there is one."""
        self._stage.ask_again()

    def interrupt(self) -> bool:
        """Silence the reply for good, as spoken words would: only the part that was heard is remembered.

        A turn that has not spoken yet is cancelled, or does not begin (True), unless it is acting or asks: then it continues silently.
        """
        turn, task = self._stage.turn, self._stage.task
        if turn is None or task is None:
            begun, self._turn_begun = self._turn_begun, True  # one given as text does not begin any more
            return not begun
        if turn.delivery.speaking:
            turn.delivery.pause()
        if turn.delivery.paused:
            turn.delivery.settle_pause(words_followed=True)
            return False
        return not (turn.acting or self.asking or turn.answered or turn.stop_thinking()) and task.cancel()

    def end(self) -> None:
        """Close the microphone; turns under way are finished."""
        if self._microphone is not None:
            self._microphone.end()
