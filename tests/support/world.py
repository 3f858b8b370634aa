"""Scripted ports for lanes, for tests that control time or faults. Every call is recorded."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from server.shared.confirmations import CONFIRMATION_S
from streaming.agent.actions import hash_of
from streaming.agent.questions import explanation, sentence_for
from streaming.open_questions import OpenQuestions
from streaming.ports import (
    PHONE_USERS,
    ActionInfo,
    Confirmation,
    ConversationTurn,
    FinalTranscript,
    Intent,
    IntentGuess,
    Outcome,
    Plan,
    SafetyReport,
    ServiceError,
    Services,
    SpeechStarted,
    SpeechStopped,
    SynthesisAudio,
    SynthesisDone,
    SynthesisStarted,
    SynthesisWords,
    TaskResult,
    Verdict,
    Word,
)
from streaming.sounding import Sounding

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

    from streaming.ports import Action, CallContext, RecognitionConfig, SynthesisConfig, TaskEvent

WORD_MS = 200
RATE_HZ = 16_000
TRACEPARENT = "00-11111111111111111111111111111111-2222222222222222-01"


def broken(service: str, code: str = "UNAVAILABLE") -> ServiceError:
    return ServiceError(code, "connection refused", service=service)


@dataclass
class Span:
    traceparent: str
    ends: int = 0

    def end(self, error: BaseException | None = None) -> None:
        self.ends += 1


class ScriptedRecognition:
    """A stream whose events are pushed by the test."""

    def __init__(self, on_taken: Callable[[int], None], *, takes: bool = True, ends: bool = True) -> None:
        self.on_taken = on_taken
        self._takes = takes
        self._ends = ends
        self.heard = bytearray()
        self.commits = 0
        self.cancelled = False
        self._events: asyncio.Queue[object] = asyncio.Queue()

    def say(self, text: str) -> None:
        """Push a whole utterance."""
        self.push(SpeechStarted(0), SpeechStopped(400), FinalTranscript(text, 0.9, 0, 400))

    def push(self, *events: object) -> None:
        for event in events:
            self._events.put_nowait(event)

    def send_audio(self, pcm: bytes) -> None:
        self.heard += pcm
        if self._takes:
            self.on_taken(len(pcm))

    def commit(self) -> None:
        self.commits += 1

    def end(self) -> None:
        if self._ends:
            self._events.put_nowait(None)

    def cancel(self) -> None:
        self.cancelled = True
        self._events.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[Any]:
        while (event := await self._events.get()) is not None:
            if isinstance(event, ServiceError):
                raise event
            yield event


class ScriptedSynthesis:
    """Speech with WORD_MS per word, produced as fast as it is read."""

    def __init__(self, fail: ServiceError | None) -> None:
        self.texts: list[str] = []
        self.cancelled = False
        self.ended = asyncio.Event()
        self._fail = fail
        self.stumbles_at: tuple[str, ServiceError] | None = None  # words, and how it fails at them

    def send_text(self, text: str) -> None:
        self.texts.append(text)

    def end(self) -> None:
        self.ended.set()

    def cancel(self) -> None:
        self.cancelled = True

    def hand_audio_to(self, ear: Callable[[bytes], bool]) -> None:
        """All of it comes from the iterator."""

    async def __aiter__(self) -> AsyncIterator[Any]:
        await self.ended.wait()
        if self._fail:
            raise self._fail
        yield SynthesisStarted(RATE_HZ, "test")
        text = "".join(self.texts)
        stumbles = self.stumbles_at if self.stumbles_at and self.stumbles_at[0] in text else None
        words = (text.partition(stumbles[0])[0] if stumbles else text).split()
        for index, word in enumerate(words):
            if self.cancelled:
                return
            start_ms = index * WORD_MS
            yield SynthesisWords((Word(word, start_ms, start_ms + WORD_MS),))
            yield SynthesisAudio(b"\1\0" * (RATE_HZ * WORD_MS // 1000))
        if stumbles:
            raise stumbles[1]
        yield SynthesisDone(len(words) * WORD_MS)


@dataclass
class World:
    """All nine services and the gateway's parts that lanes use, with a record of their calls."""

    intents: dict[str, Intent] = field(default_factory=dict)
    plans: dict[str, Plan] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)  # by action
    results: dict[str, TaskResult | ServiceError] = field(default_factory=dict)  # by action
    failing: dict[str, ServiceError] = field(default_factory=dict)  # by service
    gates: dict[str, asyncio.Event] = field(default_factory=dict)  # an action waits for its gate
    may: set[str] = field(default_factory=lambda: {"browser", "os", "search", "memory"})
    needed_role: str = ""  # for every executor
    recognitions: list[ScriptedRecognition] = field(default_factory=list)
    recognised_with: list[RecognitionConfig] = field(default_factory=list)
    takes: bool = True  # the recogniser takes audio at once
    silent: bool = False  # the recogniser never ends a stream by itself
    syntheses: list[ScriptedSynthesis] = field(default_factory=list)
    executed: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    asked_ms_ago: list[int] = field(default_factory=list)  # of the tasks in `executed`
    stopped: list[str] = field(default_factory=list)
    turns: dict[str, tuple[str, str]] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)
    spans: list[tuple[str, str]] = field(default_factory=list)  # name and parent
    asked: list[str] = field(default_factory=list)  # calls of M4 and M5, such as "intent hello"
    slow_s: dict[str, float] = field(default_factory=dict)  # by service
    settled_via: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)  # like `asked`: calls that were cancelled while they were slow
    conversations: list[list[str]] = field(default_factory=list)  # the texts passed to each `plan`
    questions: dict[str, asyncio.Future[bool | None]] = field(default_factory=dict)
    sounding: Sounding = field(default_factory=Sounding)  # all lanes belong to one session
    open_questions: OpenQuestions = field(default_factory=OpenQuestions)
    confirmations: dict[str, Confirmation] = field(default_factory=dict)

    def _check(self, service: str) -> None:
        if service in self.failing:
            raise self.failing[service]

    async def _ask(self, service: str, text: str) -> None:
        self.asked.append(f"{service} {text}")
        self._check(service)
        try:
            await asyncio.sleep(self.slow_s.get(service, 0.0))
        except asyncio.CancelledError:
            self.withdrawn.append(f"{service} {text}")
            raise

    # M2, M3
    def recognize_speech(
        self, config: RecognitionConfig, context: CallContext, on_taken: Callable[[int], None]
    ) -> ScriptedRecognition:
        stream = ScriptedRecognition(on_taken, takes=self.takes, ends=not self.silent)
        self.recognitions.append(stream)
        self.recognised_with.append(config)
        if "stt" in self.failing:
            stream.push(self.failing["stt"])
        return stream

    def synthesize(self, config: SynthesisConfig, context: CallContext) -> ScriptedSynthesis:
        self.syntheses.append(ScriptedSynthesis(self.failing.get("tts")))
        return self.syntheses[-1]

    # M4, M5, M6
    async def recognize(self, text: str, language: str, context: CallContext) -> Intent:
        await self._ask("intent", text)
        return self.intents.get(text, Intent(text, 1.0))

    async def plan(
        self,
        text: str,
        intent: IntentGuess | None,
        conversation: Sequence[ConversationTurn],
        context: CallContext,
        *,
        prefer_model: bool = False,
    ) -> Plan:
        self.conversations.append([turn.text for turn in conversation])
        await self._ask("planner", text)
        return self.plans.get(text, Plan("p", text, (), intent.intent if intent else ""))

    async def compose(self, plan: Plan, outcomes: Sequence[Outcome], time_zone: str, context: CallContext) -> str:
        self._check("compose")
        self.outcomes = list(outcomes)
        return f"one two three four five {plan.goal}"

    async def check(self, actions: Sequence[Action], context: CallContext) -> SafetyReport:
        self._check("safety")
        single = [self.verdicts.get(action.action, Verdict("allow", "low", ())) for action in actions]
        named = tuple(
            Verdict(v.verdict, v.risk, v.reasons, action.id) for v, action in zip(single, actions, strict=True)
        )
        worst = max(named, key=lambda v: ("allow", "confirm", "deny").index(v.verdict))
        return SafetyReport(worst.verdict, worst.risk, worst.reasons, "", named)

    # M7-M9
    async def execute(
        self, task_id: str, action: str, parameters: dict[str, Any], context: CallContext
    ) -> AsyncGenerator[TaskEvent, None]:
        self.executed.append((action, parameters))
        self.asked_ms_ago.append(context.asked_ms_ago)
        try:
            if action in self.gates:
                await self.gates[action].wait()
            result = self.results.get(action, TaskResult("ok", {"did": action}))
            if isinstance(result, ServiceError):
                raise result
            yield result
        except (asyncio.CancelledError, GeneratorExit):
            self.stopped.append(action)
            raise

    async def actions(self, context: CallContext) -> Sequence[ActionInfo]:
        self._check("actions")
        return [ActionInfo("rm", "remove a file", {"type": "object", "properties": {"path": {"type": "string"}}})]

    # M10
    async def put_turn(self, turn_id: str, role: str, text: str, context: CallContext) -> None:
        self._check("memory")
        self._check("put_turn")
        if "memory" in self.slow_s:
            await asyncio.sleep(self.slow_s["memory"])
        self.turns[turn_id] = (role, text)

    async def conversation(self, session_id: str, limit: int, context: CallContext) -> Sequence[ConversationTurn]:
        self._check("memory")
        return [ConversationTurn(role, text, turn_id=turn_id) for turn_id, (role, text) in self.turns.items()]

    # parts of the gateway
    async def create(
        self, action: Action, verdict: Verdict, context: CallContext, description: str = ""
    ) -> Confirmation:
        confirmation_id = f"q{len(self.questions) + 1}"
        self.questions[confirmation_id] = asyncio.get_running_loop().create_future()
        by_voice = verdict.risk != "high"
        sentence = sentence_for(action, description, by_voice=by_voice)
        explained = explanation(action, verdict, sentence)
        asked = Confirmation(confirmation_id, "2030-01-01T00:00:00Z", hash_of(action), by_voice, sentence, explained)
        self.confirmations[confirmation_id] = asked
        return asked

    def answerable(self, verdict: Verdict, context: CallContext) -> bool:
        return verdict.risk != "high" or not context.user_id.startswith(PHONE_USERS)

    async def decision(self, confirmation_id: str) -> bool | None:
        """Wait for the answer; None if it expires first."""
        question = self.questions[confirmation_id]
        await asyncio.wait({question}, timeout=CONFIRMATION_S)
        if not question.done():
            question.set_result(None)
        return question.result()

    async def settle(
        self,
        confirmation_id: str,
        context: CallContext,
        *,
        approve: bool,
        action_hash: str | None = None,
        via: str = "message",
    ) -> bool:
        self._check("confirmations")
        if confirmation_id not in self.questions:
            return False
        self.settled_via.append(via)
        self.questions[confirmation_id].set_result(approve)
        return True

    def may_execute(self, executor: str, roles: Sequence[str]) -> bool:
        return executor in self.may and self.needed_role in {"", *roles}

    def span(self, name: str, parent: str = "") -> Span:
        self.spans.append((name, parent))
        return Span(TRACEPARENT)

    def turn_stage(self, stage: str, seconds: float) -> None:
        self.stages.append(stage)

    def services(self) -> Services:
        world: Any = self
        stt: Any = _Recognizer(self)
        return Services(stt, world, world, world, world, world, world, world, world)


class _Recognizer:
    """M2, which has a method with the same name as M4."""

    def __init__(self, world: World) -> None:
        self.recognize = world.recognize_speech
