"""One turn of a conversation: from the words heard to the words said, with everything that happens in between."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from streaming.agent.apologies import apology
from streaming.agent.asking import Asker
from streaming.agent.eager import CONTEXT_TURNS
from streaming.agent.ledger import TurnLedger
from streaming.agent.questions import still_working
from streaming.agent.steps import StepRun, as_actions
from streaming.domain import (
    TaskEnded,
    TaskProgressed,
    Trouble,
    TurnChecked,
    TurnContinued,
    TurnDone,
    TurnIntent,
    TurnInterrupted,
    TurnLatency,
    TurnPaused,
    TurnPlanned,
    TurnReply,
)
from streaming.ports import SafetyReport, ServiceError, SynthesisConfig
from streaming.sound.utterance import Utterance

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streaming.agent.eager import Guess
    from streaming.agent.stopwatch import Stopwatch
    from streaming.domain import LaneEvent
    from streaming.outlet import LaneSetup
    from streaming.ports import ConversationTurn, Intent, Outcome, Plan
    from streaming.sound.echo import FarEnd


FIRST_PROGRESS_S, NEXT_PROGRESS_S = 4.0, 6.0  # of silence while steps run; with the words, never 8 s
LOOK_AGAIN_S = 1.0  # while it is not the moment to say something
STARTED_WORDS = 2  # behind the last one heard to its middle: begun, or sent and played while the news came
LOST_STEP = "the replica that ran it is gone: whether it took effect is not known"


@dataclass(frozen=True, slots=True)
class ReplyFormat:
    """How the answer comes back. `sample_rate_hz` None: the voice's own."""

    audio: bool = True
    language: str = "en-US"
    voice: str = ""
    speed: float = 1.0
    encoding: str = "pcm_s16le"
    sample_rate_hz: int | None = None
    time_zone: str = ""


@dataclass(slots=True)
class Pause:
    """A reply that a sound silenced. `words_followed` is set as soon as that is known."""

    heard_ms: int
    heard_text: str
    words_followed: asyncio.Future[bool]


class Turn:
    """Runs once. `pause` and `settle_pause` come from the lane that hears the user make a sound during the reply."""

    def __init__(
        self,
        setup: LaneSetup,
        turn_id: str,
        text: str,
        reply: ReplyFormat,
        stopwatch: Stopwatch,
        on_question: Callable[[str | None], None],
        somebody_speaks: Callable[[], bool] = lambda: False,
        far_end: FarEnd | None = None,
    ) -> None:
        self.turn_id = turn_id
        self._ledger = TurnLedger()
        self._setup = setup
        self._span = setup.provided.tracer.span("turn", setup.context.traceparent)
        self._context = replace(setup.context, request_id=turn_id, traceparent=self._span.traceparent)
        self._services = setup.provided.services
        self._text = text
        self._format = reply
        self._stopwatch = stopwatch
        self._asker = Asker(self._say_aside, self._hush, on_question)
        self._somebody_speaks = somebody_speaks
        self._far_end = far_end
        self._progress = ""  # the newest news of the steps, in an executor's words
        self._steps_running = False
        self._aside = ""  # what is being said beside the reply: a question
        self._status = "ok"
        self._utterance: Utterance | None = None
        self._reply = ""
        self._said = ""  # of the reply, up to where the current utterance begins
        self._spoken = False  # to the end, or to where words interrupted it
        self._pause: Pause | None = None
        self._paused_ms: int | None = None  # elsewhere, by a sound that is heard again here
        self._begun_elsewhere: tuple[dict[str, Any], int] | None = None  # the utterance, and how much of it was sent

    # --- on another replica ---

    def save(self) -> dict[str, Any] | None:
        """What another replica needs to go on with it, as JSON; None when it is over."""
        if self._ledger.over:
            return None
        # a question is asked anew elsewhere
        speaking, pause = (None, None) if self._aside else (self._utterance if self.speaking else None, self._pause)
        return {
            "turn_id": self.turn_id,
            "text": self._text,
            "stopwatch": self._stopwatch.save(),
            "status": self._status,
            "told": self._ledger.save(),
            "reply": self._reply,
            "said": pause.heard_text if pause else self._said,
            "spoken": self._spoken,
            "paused_ms": pause.heard_ms if pause else None,
            "utterance": speaking.save() if speaking else None,
        }

    def restore(self, saved: dict[str, Any], sent_pts_ms: int) -> None:
        """Before `run`: another replica had got so far."""
        self._ledger.restore(saved["told"])
        self._status, self._reply, self._said = saved["status"], saved["reply"], saved["said"]
        self._spoken = saved["spoken"]
        self._paused_ms = saved["paused_ms"]
        if saved["utterance"] is not None:
            self._begun_elsewhere = saved["utterance"], sent_pts_ms

    def _tell(self, event: LaneEvent) -> None:
        """Tell the client, unless another replica did so before the turn moved here."""
        if isinstance(event, TaskProgressed) and event.message:
            self._progress = event.message
        if self._ledger.admit(event):
            self._setup.outlet.tell(event)

    async def run(self, intent: Intent | None = None, guess: Guess | None = None) -> None:
        """From text to the end of the reply; a service that fails ends the turn with words of apology.

        `guess` was made for the same words: its plan is used where there is one.
        """
        try:
            await self._remember("user", self._text)
            if self._ledger.has_told(TurnReply):
                reply = self._reply
            elif self._ledger.acted:
                reply = self._give_up()
            else:
                reply = await self._answer(intent, guess)
            heard = await self._deliver(reply)
            await self._remember("assistant", heard)
        except asyncio.CancelledError:
            self._status = "cancelled"
            raise
        finally:
            self._finish()

    async def apologise(self, broken: ServiceError) -> None:
        """Instead of `run`: a turn that could not even be heard."""
        self._trouble(broken)
        try:
            await self._deliver(apology(broken))
        finally:
            self._finish()

    def _finish(self) -> None:
        for stage, ms in self._stopwatch.stages.items():
            self._setup.provided.meter.turn_stage(stage, ms / 1000)
        self._tell(TurnLatency(self.turn_id, dict(self._stopwatch.stages)))
        self._tell(TurnDone(self.turn_id, self._status))
        self._span.end()

    def _give_up(self) -> str:
        """Another replica was acting when it went: whether its steps took effect nobody knows, so they are not run again."""
        for step_id in tuple(self._ledger.running):
            self._tell(TaskEnded("failed", {}, LOST_STEP, step_id, self.turn_id))
        lost = ServiceError("ABORTED", LOST_STEP)
        self._trouble(lost)
        return apology(lost)

    async def _answer(self, intent: Intent | None, guess: Guess | None) -> str:
        try:
            plan = await self._plan(intent or await self._understand(), guess)
            return await self._carry_out(plan)
        except ServiceError as broken:
            self._trouble(broken)
            return apology(broken)

    def _trouble(self, broken: ServiceError) -> None:
        self._status = "failed"
        words = f"{broken.service}: {broken.message}"
        self._tell(Trouble(broken.code, words, broken.retryable, broken.retry_after_ms, self.turn_id))

    async def _understand(self) -> Intent:
        return await self._services.intent.recognize(self._text, self._format.language, self._context)

    async def _plan(self, intent: Intent, guess: Guess | None) -> Plan:
        self._stopwatch.mark("intent")
        self._tell(TurnIntent(self.turn_id, intent))
        plan = await guess.plan() if guess is not None else None
        if plan is None:
            plan = await self._services.planner.plan(self._text, intent, await self._history(), self._context)
        self._stopwatch.mark("plan")
        self._tell(TurnPlanned(self.turn_id, plan))
        return plan

    async def _history(self) -> Sequence[ConversationTurn]:
        try:
            turns = await self._services.memory.conversation(self._context.session_id, CONTEXT_TURNS, self._context)
        except ServiceError:
            return ()  # told already, when the user's words could not be stored
        return turns

    async def _carry_out(self, plan: Plan) -> str:
        report = SafetyReport("allow", "low", ())
        if plan.steps:
            report = await self._services.safety.check(as_actions(plan.steps), self._context)
        self._stopwatch.mark("safety")
        self._tell(TurnChecked(self.turn_id, report))
        setup = replace(self._setup, context=self._context)
        steps = StepRun(setup, self._tell, self.turn_id, report, self._asker)
        outcomes: Sequence[Outcome] = ()
        broken: ServiceError | None = None
        async with asyncio.TaskGroup() as group:
            done = asyncio.Event()
            group.create_task(self._keep_company(done), name="say that it takes long")
            self._steps_running = bool(plan.steps)
            try:
                outcomes = await steps.run(plan.steps)
            except ServiceError as error:  # told from here: the group would wrap it
                broken = error
            finally:
                self._steps_running = False
                done.set()
        if broken is not None:
            raise broken
        self._stopwatch.mark("steps")
        return await self._services.planner.compose(plan, outcomes, self._format.time_zone, self._context)

    async def _keep_company(self, done: asyncio.Event) -> None:
        """Say in pauses that work which takes long goes on; not into a question, nor while somebody speaks."""
        wait_s = FIRST_PROGRESS_S
        while self._format.audio:
            try:
                async with asyncio.timeout(wait_s):
                    await done.wait()
            except TimeoutError:
                pass
            if done.is_set():
                return
            wait_s = LOOK_AGAIN_S
            if not (self._asker.open or self._somebody_speaks()):
                await self._say_aside(still_working(self._progress))
                wait_s = NEXT_PROGRESS_S

    async def _remember(self, role: str, text: str) -> None:
        """Put one side's words into the conversation; a memory that is down costs the memory, not the turn."""
        if not text:
            return
        try:
            await self._services.memory.put_turn(f"{self.turn_id}-{role}", role, text, self._context)
        except ServiceError as broken:
            self._trouble(broken)

    async def _deliver(self, reply: str) -> str:
        """Give the answer; returns as much of it as was heard."""
        self._stopwatch.mark("reply")
        self._reply = reply
        self._tell(TurnReply(self.turn_id, reply))
        if not reply or not self._format.audio:
            return reply
        try:
            return await self._speak()
        except ServiceError as broken:
            self._trouble(broken)  # the words went out as text
            return reply

    async def _speak(self) -> str:
        """Say the reply, and after a sound without words the rest of it; returns what was heard."""
        if self._paused_ms is not None and not self._spoken:
            self._tell(TurnContinued(self.turn_id, self._paused_ms))
        while not self._spoken:
            rest = self._reply[len(self._said) :]
            utterance = await self._play(rest)
            if not utterance.stopped:
                self._said, self._spoken = self._reply, True
                break
            self._said += utterance.heard(rest)
            if await self._words_follow():
                break
            self._tell(TurnContinued(self.turn_id, utterance.played_ms))
        return self._said

    async def _words_follow(self) -> bool:
        """Wait until the sounds since the utterance was stopped have turned out to be words, or not."""
        while True:
            pause = self._pause
            assert pause is not None, "pause() makes it before it stops the utterance"
            if await pause.words_followed:
                return True
            if pause is self._pause:  # no other sound came meanwhile
                self._pause = None
                return False

    async def _say_aside(self, words: str) -> None:
        """Say something that is not the reply; after a sound without words, say it again from its beginning."""
        if not self._format.audio:
            return
        self._aside = words
        try:
            while (utterance := await self._play(words)).stopped and not await self._words_follow():
                self._tell(TurnContinued(self.turn_id, utterance.played_ms))
        except ServiceError as broken:
            self._trouble(broken)  # the client has the sentence as text
        finally:
            self._aside, self._pause = "", None

    def _hush(self) -> None:
        """The question was answered while it was being said."""
        if self._aside:
            self.pause()
            self.settle_pause(words_followed=True)

    async def _play(self, text: str) -> Utterance:
        config = SynthesisConfig(self._format.voice, self._format.speed, self._format.language)
        stream = self._services.tts.synthesize(config, self._context)
        stream.send_text(text)
        stream.end()
        utterance = self._utterance = Utterance(
            stream,
            self._setup.outlet,
            encoding=self._format.encoding,
            sample_rate_hz=self._format.sample_rate_hz,
            clock=self._setup.listening_clock,
            turn_id=self.turn_id,
            on_first_audio=self._mark_first_audio,
            far_end=self._far_end,
        )
        if self._begun_elsewhere is not None:
            utterance.restore(*self._begun_elsewhere)
            self._begun_elsewhere = None
        try:
            await utterance.play()
            await utterance.played_out()
        finally:
            self._utterance = None
        return utterance

    def _mark_first_audio(self) -> None:
        if not self._aside:  # the stage is the reply's
            self._stopwatch.mark("first_audio")

    def acknowledge(self, intent: Intent) -> None:
        """Instead of `run`: the words answered a question that waits elsewhere, where the reply is given."""
        self._tell(TurnIntent(self.turn_id, intent))
        self._tell(TurnReply(self.turn_id, "All right."))
        self._finish()

    # --- what the lane calls ---

    @property
    def _saying(self) -> str:
        """The text of the current utterance."""
        return self._aside or self._reply[len(self._said) :]

    @property
    def acting(self) -> bool:
        """Are its steps running? A turn that waits for an answer can ask again elsewhere."""
        return self._steps_running and not self._asker.open

    @property
    def asking(self) -> bool:
        """Is a question being said, or waiting for what a sound into it turns out to be?"""
        return bool(self._aside)

    def ask_again(self) -> None:
        """Put the open question once more."""
        self._asker.again()

    @property
    def paused(self) -> bool:
        """Does the reply wait whether words follow a sound?"""
        return self._pause is not None and not self._pause.words_followed.done()

    @property
    def our_words(self) -> str:
        """What of the reply was played by now, and the word that sounded last."""
        heard = "" if self._aside else self._said
        if self._pause is not None:
            heard = self._pause.heard_text
        elif self._utterance is not None:
            heard += self._utterance.heard(self._saying)
        sounding = (self._aside or self._reply)[len(heard) :].split(maxsplit=STARTED_WORDS)[:STARTED_WORDS]
        return " ".join([heard, *sounding])

    @property
    def speaking(self) -> bool:
        """Is the reply playing?"""
        return self._utterance is not None and not self._utterance.stopped

    @property
    def answered(self) -> bool:
        """Was its reply given, to the end or to where words interrupted it?"""
        return self._spoken or (self._ledger.has_told(TurnReply) and not self._format.audio)

    def report_playback(self, played_ms: int) -> None:
        """The client's `playback`."""
        if self._utterance is not None:
            self._utterance.report(played_ms)

    def pause(self) -> None:
        """A sound during the reply: silence at once, everything sent and not yet played is stale."""
        loop = asyncio.get_running_loop()
        if self._pause is not None:
            settled = self._pause.words_followed
            if settled.done() and not settled.result():  # another one, before the reply could go on
                self._pause = replace(self._pause, words_followed=loop.create_future())
            return
        utterance = self._utterance
        if utterance is None:
            return
        utterance.stop()
        heard = ("" if self._aside else self._said) + utterance.heard(self._saying)
        self._setup.outlet.interrupt()
        self._pause = Pause(utterance.played_ms, heard, loop.create_future())
        self._tell(TurnPaused(self.turn_id, utterance.played_ms))

    def settle_pause(self, *, words_followed: bool) -> None:
        """Was it speech, or a cough? The first to say so counts; nothing happens when the reply is not paused."""
        pause = self._pause
        if pause is None or pause.words_followed.done():
            return
        pause.words_followed.set_result(words_followed)
        if words_followed:
            if not self._aside:  # else the reply is still to come
                self._status, self._spoken = "interrupted", True
            self._tell(TurnInterrupted(self.turn_id, pause.heard_ms, pause.heard_text))
