"""One turn of a conversation: from the words heard to the words said, with everything in between."""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from streaming.agent.apologies import apology
from streaming.agent.asking import Asker
from streaming.agent.beside import Beside
from streaming.agent.brief import NO_MODEL, NOT_UNDERSTOOD, Brief
from streaming.agent.company import Company
from streaming.agent.delivery import Delivery
from streaming.agent.ledger import TurnLedger
from streaming.agent.questions import still_working
from streaming.agent.steps import StepRun, as_actions
from streaming.agent.thinking import Thinking
from streaming.agent.toolbox import toolbox
from streaming.domain import (
    TaskEnded,
    TaskProgressed,
    Trouble,
    TurnCalls,
    TurnChecked,
    TurnDone,
    TurnIntent,
    TurnLatency,
    TurnPlanned,
    TurnReply,
)
from streaming.errors import OUTCOME_UNKNOWN
from streaming.ports import Intent, Prompt, SafetyReport, ServiceError
from streaming.task_group import TaskGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from streaming.agent.eager import EarlyPlan
    from streaming.agent.format import ReplyFormat
    from streaming.agent.stopwatch import Stopwatch
    from streaming.domain import LaneEvent
    from streaming.outlet import LaneSetup
    from streaming.ports import Confirmation, ConversationTurn, Outcome, Plan, Round, Step
    from streaming.sound.echo import FarEnd

log = logging.getLogger(__name__)

NO_BRIEF = Brief()


class Turn:
    """Runs once. The lane pauses its `delivery` when the user makes a sound during the reply."""

    def __init__(
        self,
        setup: LaneSetup,
        turn_id: str,
        text: str,
        reply: ReplyFormat,
        stopwatch: Stopwatch,
        on_question: Callable[[Confirmation | None], None],
        floor: asyncio.Lock,
        somebody_speaks: Callable[[], bool] = lambda: False,
        far_end: FarEnd | None = None,
        brief: Brief = NO_BRIEF,
    ) -> None:
        self.turn_id = turn_id
        self._brief = brief
        self._ledger = TurnLedger()
        self._setup = setup
        self._span = setup.provided.tracer.span("turn", setup.context.traceparent)
        self._context = replace(setup.context, request_id=turn_id, traceparent=self._span.traceparent)
        self._services = setup.provided.services
        self._text = text
        self._format = reply
        self._stopwatch = stopwatch
        self.delivery = Delivery(
            setup,
            self._context,
            turn_id,
            reply,
            far_end,
            self._tell,
            self.trouble,
            partial(stopwatch.mark, "first_audio"),
            self._interrupted,
            floor,
        )
        self._asker = Asker(
            self.delivery.say_aside, self.delivery.hush, on_question, setup.questions, aloud=reply.audio
        )
        self._company = Company(
            setup.listening_clock,
            setup.sounding.played_since,
            lambda: not (self._asker.open or somebody_speaks()),
            lambda: self.delivery.say_aside(still_working(self._progress)),
        )
        self._progress = ""  # the steps' newest progress message
        self._steps_running = False
        self._status = "ok"
        self._open_plan: Plan | None = None  # set if a language model speaks and acts
        self._thinking: Thinking | None = None
        self._must_report = False  # True if its steps change something that the user must be told of
        self._gives_way = False  # True if other words want an answer
        self.beside = Beside(setup.questions)
        self._about_question = False  # True if its reply is about a question that waits elsewhere
        self._cut_off = False  # True if another replica was in the middle of a language model's reply

    # --- on another replica ---

    def save(self) -> dict[str, Any] | None:
        """What another replica needs to continue, as JSON; None if the turn is over."""
        if self._ledger.over:
            return None
        return {
            "turn_id": self.turn_id,
            "text": self._text,
            "stopwatch": self._stopwatch.save(),
            "status": self._status,
            "told": self._ledger.save(),
            "thinking": self._thinking is not None,
            "about_question": self._about_question,
            "question": self.beside.save(),
            **self.delivery.save(),
        }

    def restore(self, saved: dict[str, Any], sent_pts_ms: int) -> None:
        """Continue where another replica stood; called before `run`."""
        self._ledger.restore(saved["told"])
        self._status, self._cut_off = saved["status"], saved["thinking"]
        self._about_question = saved.get("about_question", False)  # an older replica has saved neither
        self.beside.restore(saved.get("question", ""))
        self.delivery.restore(saved, sent_pts_ms)

    def _tell(self, event: LaneEvent) -> None:
        """Tell the client, unless another replica already did."""
        if isinstance(event, TaskProgressed) and event.message:
            self._progress = event.message
        if self._ledger.admit(event):
            self._setup.outlet.tell(event)

    async def run(self, intent: Intent | None = None, guess: EarlyPlan | None = None) -> None:
        """From the text to the end of the reply. A failing service ends the turn with an apology.

        `guess` was made for the same words; its plan is used if it has one.
        """
        with self._finishing():
            if self._about_question:
                await self._deliver(self.delivery.reply)
                return
            if not self._brief.rounds:  # otherwise it continues an earlier turn, whose words are stored
                await self._remember("user", self._text)
            if self._cut_off or (self._ledger.acted and not self._ledger.has_told(TurnReply)):
                heard = await self._deliver(self.delivery.reply + self._give_up())
            elif self._ledger.has_told(TurnReply):
                heard = await self._deliver(self.delivery.reply)
            else:
                heard = await self._answer(intent, guess)
            await self._remember("assistant", heard)

    async def apologise(self, broken: ServiceError) -> None:
        """Called instead of `run`, for a turn that could not be heard."""
        self.trouble(broken)
        with self._finishing():
            await self._deliver(apology(broken))

    @contextmanager
    def _finishing(self) -> Iterator[None]:
        """Tell the end, however it comes."""
        try:
            yield
        except asyncio.CancelledError:
            self._status = "cancelled"
            raise
        finally:
            self._finish()

    def _finish(self) -> None:
        for stage, ms in self._stopwatch.stages.items():
            self._setup.provided.meter.turn_stage(stage, ms / 1000)
        self._tell(TurnLatency(self.turn_id, dict(self._stopwatch.stages)))
        self._tell(TurnDone(self.turn_id, self._status))
        self._span.end()

    def forget(self) -> None:
        """It is over: drop what refers back to it. How its reply ended may still be asked."""
        self.delivery.forget()
        del self._asker, self._company

    def _give_up(self) -> str:
        """Another replica was acting when it went away. Nobody knows whether its steps took effect, so they are not run again.

        Nor is a language model asked again in the middle of its reply, because it would say something else.
        """
        for step_id in tuple(self._ledger.running):
            self._tell(TaskEnded("failed", {}, OUTCOME_UNKNOWN, step_id, self.turn_id))
        lost = ServiceError("ABORTED", OUTCOME_UNKNOWN, final=True)
        self.trouble(lost)
        return apology(lost)

    async def _answer(self, intent: Intent | None, guess: EarlyPlan | None) -> str:
        """Do what is asked and say the result; returns what was heard."""
        try:
            intent = intent or await self._understand()
            plan = await self._plan(intent, guess)
            if self._brief.leaves(plan):
                self.hand_over(plan.steps, ())
                return ""
            if plan.open_ended:
                if (unanswered := await self._think(plan)) is None:
                    return self.delivery.heard
                plan = await self._plan_without_model(intent, unanswered)
            if self._brief.functions and (self._brief.must_call or plan.intent == NOT_UNDERSTOOD):
                return await self._deliver(NO_MODEL)
            if asked_back := self.beside.instead_of(plan):
                return await self._deliver(asked_back)
            outcomes = await self._carry_out(plan)
            if self._asker.replaced(outcomes):
                return ""
            reply = await self._services.planner.compose(plan, outcomes, self._format.time_zone, self._context)
        except ServiceError as broken:
            self.trouble(broken)
            reply = apology(broken)
        return await self._deliver(reply)

    # --- with a language model ---

    async def _think(self, plan: Plan) -> ServiceError | None:
        """Let the language model speak and act. Returns why it did neither, if so."""
        if self._gives_way:
            self._status = "interrupted"
            return None
        self._open_plan = plan
        self._thinking = Thinking(self._services.planner, self._context, self)
        brief = self._brief
        prompt = Prompt(
            self._text,
            await self._turns_before(),
            self._format.language,
            self._format.time_zone,
            brief.offered(await toolbox(self._setup, self._context)),
            brief.rounds,
            brief.instructions,
            brief.tool_choice,
            brief.max_tokens,
        )
        await self._thinking.run(prompt)
        unanswered, self._thinking = self._thinking.unanswered, None
        if self.delivery.reply and self.delivery.heard == self.delivery.reply:
            self._setup.questions.heard_out()
        return unanswered

    async def _plan_without_model(self, intent: Intent, unanswered: ServiceError) -> Plan:
        """The templates' plan, if they know such words; the turn is then as good as any. Raises the model's error if they do not."""
        if self._brief.needs_model(intent):
            raise unanswered
        # It is the words that a planner gives to its model.
        plan = await self._services.planner.plan("", intent, await self._history(), self._context)
        if plan.open_ended:
            raise unanswered
        self._tell(Trouble.of(unanswered, self.turn_id))
        self._tell(TurnPlanned(self.turn_id, plan))
        return plan

    async def _turns_before(self) -> tuple[ConversationTurn, ...]:
        """The conversation before this turn. If the turn continues an earlier one, its rounds hold that one's words."""
        turns = list(await self._history())
        while self._brief.rounds and turns and turns[-1].role == "assistant":
            turns.pop()
        return tuple(turns)

    def add_words(self, words: str, *, last: bool, cut: bool = False) -> None:
        """Add words to the reply. `cut`: the model reached its limit."""
        self._stopwatch.mark("reply")
        self.delivery.add_words(words, last=last, cut=cut)
        self._setup.questions.replied(self.delivery.reply)

    def hand_over(self, calls: Sequence[Step], rounds: tuple[Round, ...]) -> None:
        """Let the client run these calls; another turn continues after `rounds`."""
        self._tell(TurnCalls(self.turn_id, tuple(calls), rounds))

    def no_more_words(self) -> None:
        """The round has no more words."""
        self.delivery.no_more_words()

    async def say_words(self) -> bool:
        """Speak until there are no more words. False if the user interrupted."""
        await self.delivery.speak()
        self._setup.questions.replied(self.delivery.reply)
        return self._status != "interrupted"

    async def act(self, steps: Sequence[Step]) -> Sequence[Outcome]:
        """Run the steps requested by the language model. Raises ServiceError."""
        assert self._open_plan is not None, "it began with one"
        plan = replace(self._open_plan, steps=tuple(steps))
        self._tell(TurnPlanned(self.turn_id, plan))
        outcomes = await self._carry_out(plan)
        if self._asker.replaced(outcomes) and self._thinking is not None:
            self._thinking.leave()
        return outcomes

    def trouble(self, broken: ServiceError) -> None:
        """Tell the client what failed. The log's line has the request id that the console shows, and no words of the user."""
        caller = {"request_id": self.turn_id, "session": self._context.session_id, "user": self._context.user_id}
        log.info("turn failed: %s of %s", broken.code, broken.service, extra=caller)
        self._status = "failed"
        self._tell(Trouble.of(broken, self.turn_id))

    async def _understand(self) -> Intent:
        return await self._services.intent.recognize(self._text, self._format.language, self._context)

    async def _plan(self, intent: Intent, guess: EarlyPlan | None) -> Plan:
        self._stopwatch.mark("intent")
        self._tell(TurnIntent(self.turn_id, intent))
        plan = await guess.plan() if guess is not None else None
        if plan is None:
            if self._brief.must_call:  # even if the words are a mere "go ahead", for which there is a template
                intent = Intent(NOT_UNDERSTOOD, 0.0)
            plan = await self._services.planner.plan(
                self._text, intent, await self._history(), self._context, prefer_model=self._brief.wants_model
            )
        self._stopwatch.mark("plan")
        self._tell(TurnPlanned(self.turn_id, plan))
        return plan

    async def _history(self) -> Sequence[ConversationTurn]:
        # A failure was already reported when the user's words could not be stored.
        return await self._setup.stored.newest(self._services.memory, self._context, f"{self.turn_id}-user")

    async def _carry_out(self, plan: Plan) -> Sequence[Outcome]:
        report = SafetyReport("allow", "low", ())
        if plan.steps:
            report = await self._services.safety.check(as_actions(plan.steps), self._context)
        self._stopwatch.mark("safety")
        self._tell(TurnChecked(self.turn_id, report))
        self._must_report |= report.risk != "low"
        setup = replace(self._setup, context=self._context)
        once = self._open_plan is None  # a model's steps go on nowhere else, and have the same ids in each round
        steps = StepRun(setup, self._tell, self.turn_id, report, self._asker, counted_once=once)
        outcomes: Sequence[Outcome] = ()
        broken: ServiceError | None = None
        async with TaskGroup() as group:
            done = asyncio.Event()
            group.create_task(self.keep_company(done), name="say that it takes long")
            self._steps_running = bool(plan.steps)
            try:
                outcomes = await steps.run(plan.steps)
            except ServiceError as error:  # told below, because the group would wrap it
                broken = error
            finally:
                self._steps_running = False
                done.set()
        if broken is not None:
            raise broken
        self._stopwatch.mark("steps")
        return outcomes

    async def keep_company(self, done: asyncio.Event) -> None:
        """Tell the user that work takes long, but not during a question or while somebody speaks."""
        if self._format.audio:
            await self._company.keep(done)

    async def _remember(self, role: str, text: str) -> None:
        """Add one speaker's words to the conversation.

        If memory takes none, the client is told, and the turn goes on: its status is that of the reply.
        """
        if not text:
            return
        try:
            memory = self._services.memory
            await self._setup.stored.put(memory, f"{self.turn_id}-{role}", role, text, self._context)
        except ServiceError as broken:
            self._tell(Trouble.of(broken, self.turn_id))

    async def _deliver(self, reply: str) -> str:
        """Give the answer; returns the part of it that was heard."""
        self._stopwatch.mark("reply")
        other = "" if self._about_question else reply
        self.beside.begins(other)
        heard = await self.delivery.give(reply)
        self.beside.given(heard, other, aloud=self._format.audio and not self.delivery.unsaid)
        return heard

    async def acknowledge(self, intent: Intent, words: str, *, aloud: bool) -> None:
        """Called instead of `run`, for words about a question that waits elsewhere, where the reply is given."""
        with self._finishing():
            self._about_question = True
            self._tell(TurnIntent(self.turn_id, intent))
            if aloud:
                await self._deliver(words)
            else:
                self._tell(TurnReply(self.turn_id, words))
                self.beside.given(words, "", aloud=False)

    # --- what the lane calls ---

    @property
    def acting(self) -> bool:
        """True while steps are running. A turn that waits for an answer does not count: it can ask again elsewhere."""
        return self._steps_running and not self._asker.open

    def ask_again(self, words: str = "") -> None:
        """Repeat the open question, or say these words about it."""
        self._asker.again(words)

    @property
    def answered(self) -> bool:
        """True if the reply was given, to its end or until words interrupted it."""
        if self._thinking is not None and not self._thinking.complete:
            return False
        return self.delivery.spoken or (self._ledger.has_told(TurnReply) and not self._format.audio)

    def stop_thinking(self) -> bool:
        """Read no more from the language model; memory keeps the words so far. False if it is not being read, or is to be spoken."""
        to_be_spoken = self.delivery.reply != self.delivery.heard
        if self._thinking is None or to_be_spoken or not self._thinking.interrupt():
            return False
        self._status = "interrupted"
        return True

    @property
    def thinks(self) -> bool:
        """True while a language model makes the reply, and nothing of it is playing."""
        return self._thinking is not None and not (self.answered or self.delivery.under_way or self._asker.open)

    def give_way(self) -> None:
        """Other words want an answer: end what a language model makes. The conversation keeps the question, so the model sees both.

        A turn whose steps change something goes on, because the user must hear what became of them.
        """
        if self._must_report or self._asker.open:
            return
        self._gives_way = True
        if self._thinking is not None and not self.answered:
            self._status = "interrupted"
            self._thinking.leave()
            self.delivery.abandon()

    def _interrupted(self) -> None:
        self._status = "interrupted"
        if self._thinking is not None:
            self._thinking.interrupt()
