"""Takes a user's words as answers to the questions of the session, or as commands to the current turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streaming.agent.answering import (
    Answer,
    Moment,
    answer,
    changes_nothing,
    goes_on,
    one_of_several,
    refused,
    reply_to,
)
from streaming.agent.overheard import only_hums
from streaming.domain import Trouble
from streaming.open_questions import Meant
from streaming.ports import ServiceError

if TYPE_CHECKING:
    from streaming.agent.heard import Heard
    from streaming.agent.stage import Stage
    from streaming.outlet import LaneSetup
    from streaming.ports import Confirmation, Intent

ALL_RIGHT = "All right."
DONE_ALREADY = "It is done already."
BEGUN_ALREADY = "It has begun already."


class Answers:
    """`by_voice`: the words are spoken. `aloud`: the replies to them are. `typed`: each text gets a reply, also a mere yes."""

    def __init__(self, setup: LaneSetup, stage: Stage[Any], *, by_voice: bool, aloud: bool, typed: bool) -> None:
        self._setup = setup
        self._stage = stage
        self._by_voice, self._aloud, self._typed = by_voice, aloud, typed

    @property
    def meant(self) -> Meant:
        """What a yes or no is about now."""
        if self._setup.aside:
            return Meant()
        return self._setup.questions.meant(self._stage.question, hears=self._by_voice and self._aloud)

    @property
    def expected(self) -> bool:
        """True if a yes or no is about a question, or about what was just approved."""
        return bool(self.meant.questions) or (self._setup.questions.approved_now and not self._setup.aside)

    def moment(self, s_ago: float = 0.0) -> Moment:
        """The moment of words that begin now, or began `s_ago` seconds ago."""
        sounded = self._setup.sounding.sounded_at(self._setup.listening_clock() - s_ago)
        meant = self.meant
        question = meant.questions[0] if meant.asked else None
        return Moment(question, meant.put, over_our_voice=sounded, meanwhile=self._stage.meanwhile)

    async def about_current_turn(self, heard: Heard, intent: Intent) -> str | None:
        """The reply to words that answer a question or stop the turn, usually empty; None for other words."""
        stops = intent.intent == "stop"
        waits = "pause" in intent.entities and self._stage.asks  # "one moment": the question stays open
        if stops and heard.begun.meanwhile and not waits:
            if self._stage.meanwhile:
                self._stage.stop()  # the answer to other words; the question stands
            return ""
        turn = self._stage.turn
        if self._takes_back(intent) and turn is not None and turn.acting:
            self._stage.stop()
            return ""
        told = await self.reply(heard, intent)
        return "" if told is None and stops and self._stage.stop() else told

    def more_than_answer(self, heard: Heard, intent: Intent) -> bool:
        """True for `no, what time is it`, and for what may be said again and again."""
        given = answer(intent, self.meant, heard.begun, by_voice=self._by_voice)
        return goes_on(intent) or changes_nothing(given, intent, by_voice=self._by_voice)

    async def reply(self, heard: Heard, intent: Intent, *, alone: bool = False) -> str | None:
        """The same, for words that answer a question. `alone`: what they say more, or ask of it, gets no turn."""
        about = self.meant
        given = answer(intent, about, heard.begun, by_voice=self._by_voice)
        if given is Answer.NONE:
            return self._too_late() if self._takes_back(intent) else None
        if alone and changes_nothing(given, intent, by_voice=self._by_voice):
            return None
        more = goes_on(intent) and not alone  # a turn of its own, after which an open question is asked again
        told = None
        if given is Answer.REFUSES:
            declined = refused(intent, about, by_voice=self._by_voice)
            if more:
                self._setup.questions.replace(declined)
            told = await self._settle_all(declined, approve=False)
        elif given is Answer.APPROVES:
            told = await self._settle_all(about.questions, approve=True)
        elif given is Answer.APPROVES_ALL:
            told = await self._settle_all(about.every, approve=True)
        elif given is Answer.APPROVES_ONE:
            told = await self._settle_one(about)
        elif not more:
            told = self._leave_open(about.questions[0], given)
        return None if more else told

    def own_turn(self, text: str) -> None:
        """These words begin a turn of their own: a yes right after them may belong to them. To a mere "hm" nobody says yes."""
        if not only_hums(text):
            self._setup.questions.other_words()

    def _leave_open(self, question: Confirmation, given: Answer) -> str:
        """The reply to words that settle nothing; empty if the turn that asks gives it."""
        if given is Answer.WAITS:
            if not self._typed:
                return ""
            self._setup.questions.replied(ALL_RIGHT)
            return ALL_RIGHT
        told = reply_to(given, question)
        # the question itself says how to approve it
        words = told if given in {Answer.EXPLAINS, Answer.UNSURE} else ""
        return "" if self._aloud and self._stage.ask_again(question, words) else told

    def _takes_back(self, intent: Intent) -> bool:
        """True for a no right after a yes: it is about the act of which the user has heard nothing yet."""
        refuses = intent.intent == "no" or (intent.intent == "stop" and "pause" in intent.entities)
        return refuses and self._setup.questions.approved_now and not (self.meant.questions or goes_on(intent))

    def _too_late(self) -> str:
        done = self._setup.questions.done_now
        self._setup.questions.heard_out()
        return DONE_ALREADY if done else BEGUN_ALREADY

    async def _settle_one(self, about: Meant) -> str | None:
        """Approve the question that was asked last, say so, and ask the next one of those that were meant too."""
        approved = about.questions[0]
        told = await self._settle_all((approved,), approve=True)
        other = next((each for each in self.meant.every if each != approved), None)
        if told is None or other is None:
            return told
        words = one_of_several(approved, other)
        return "" if self._aloud and self._stage.ask_again(other, words) else words

    async def _settle_all(self, questions: tuple[Confirmation, ...], *, approve: bool) -> str | None:
        """What is to be said about it here; None if nothing could be settled."""
        reported = all(self._setup.questions.reports(each) for each in questions)
        settled = [each for each in questions if await self._settle(each, approve=approve)]
        self._stage.settled(settled)
        if not settled:
            return None
        # who typed a yes may wait long for the report
        return "" if reported and not (approve and self._typed) else ALL_RIGHT

    async def _settle(self, question: Confirmation, *, approve: bool) -> bool:
        """False if it is not open any more, or cannot be settled now, which the client is told."""
        try:
            settled = await self._setup.provided.confirmations.settle(
                question.confirmation_id,
                self._setup.context,
                approve=approve,
                action_hash=question.action_hash,
                via="voice" if self._by_voice else "message",
            )
        except ServiceError as broken:
            self._setup.outlet.tell(Trouble.of(broken))
            return False
        if settled:
            self._setup.questions.over(question)
            if approve:
                self._setup.questions.approved(question)
        return settled
