"""The nine services, scripted in this process: what they say, how they fail, and what they were asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from server.upstream import ServiceHealth
from streaming.ports import (
    ActionInfo,
    ConversationTurn,
    FinalTranscript,
    Intent,
    IntentGuess,
    IntentInfo,
    MemoryHit,
    MemoryItem,
    Plan,
    SafetyReport,
    ServiceError,
    Services,
    Step,
    SynthesisAudio,
    SynthesisDone,
    SynthesisStarted,
    TaskResult,
    Verdict,
    Voice,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

    from streaming.ports import (
        Action,
        CallContext,
        RecognitionConfig,
        StoreItem,
        SynthesisConfig,
        TaskEvent,
    )

NAMES = ("stt", "tts", "intent", "planner", "safety", "browser", "os", "search", "memory")
VOICE_HZ = 22_050


@dataclass
class Script:
    """The behaviour of the services, and a record of their calls."""

    contexts: list[CallContext] = field(default_factory=list)
    failing: dict[str, Exception] = field(default_factory=dict)  # by service
    entities: dict[str, Any] = field(default_factory=dict)
    utterances: list[FinalTranscript] = field(default_factory=list)
    heard: bytearray = field(default_factory=bytearray)
    speech_pieces: int = 3  # of 100 ms
    speech_gate: asyncio.Event | None = None  # after the first piece
    speech_breaks: bool = False  # after the first piece
    speech_cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    verdict: Verdict = field(default_factory=lambda: Verdict("allow", "low", ("it is harmless",)))
    task_events: list[TaskEvent] = field(default_factory=lambda: [TaskResult("ok", {"did": "it"})])
    task_gate: asyncio.Event | None = None  # before the last event
    breaks_at_gate: Exception | None = None
    executed: list[tuple[str, str, dict[str, Any], CallContext]] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    items: dict[tuple[str, str], MemoryItem] = field(default_factory=dict)
    turns: list[ConversationTurn] = field(default_factory=list)

    def ask(self, service: str, context: CallContext) -> None:
        self.contexts.append(context)
        if service in self.failing:
            raise self.failing[service]

    def services(self) -> Services:
        browser, system, web = (_Executor(self, name) for name in ("browser", "os", "search"))
        return Services(
            stt=_SpeechToText(self),
            tts=_TextToSpeech(self),
            intent=_Intents(self),
            planner=_Planner(self),
            safety=_Safety(self),
            browser=browser,
            os=system,
            search=web,
            memory=_Memory(self),
        )


class _Recognition:
    def __init__(self, script: Script, context: CallContext, on_taken: Callable[[int], None]) -> None:
        self._script, self._context, self._on_taken = script, context, on_taken
        self._ended = asyncio.Event()

    def send_audio(self, pcm: bytes) -> None:
        self._script.heard += pcm
        asyncio.get_running_loop().call_soon(self._on_taken, len(pcm))

    def commit(self) -> None:
        pass

    def end(self) -> None:
        self._ended.set()

    def cancel(self) -> None:
        pass

    async def __aiter__(self) -> AsyncIterator[Any]:
        self._script.ask("stt", self._context)
        await self._ended.wait()
        for utterance in self._script.utterances:
            yield utterance


@dataclass
class _SpeechToText:
    script: Script

    def recognize(
        self, config: RecognitionConfig, context: CallContext, on_taken: Callable[[int], None]
    ) -> _Recognition:
        return _Recognition(self.script, context, on_taken)


class _Synthesis:
    def __init__(self, script: Script, context: CallContext) -> None:
        self._script, self._context = script, context
        self.text = ""

    def send_text(self, text: str) -> None:
        self.text += text

    def end(self) -> None:
        pass

    def cancel(self) -> None:
        self._script.speech_cancelled.set()

    def hand_audio_to(self, ear: Callable[[bytes], bool]) -> None:
        """All of it comes from the iterator."""

    async def __aiter__(self) -> AsyncIterator[Any]:
        self._script.ask("tts", self._context)
        yield SynthesisStarted(VOICE_HZ, "test")
        for index in range(self._script.speech_pieces):
            yield SynthesisAudio(bytes(range(1, 11)) * (VOICE_HZ // 50))  # 100 ms
            if index == 0 and self._script.speech_gate is not None:
                await self._script.speech_gate.wait()
            await asyncio.sleep(0)  # each comes in a read of its own
            if index == 0 and self._script.speech_breaks:
                raise ServiceError("UNAVAILABLE", "it fell over", service="tts")
        yield SynthesisDone(self._script.speech_pieces * 100)


@dataclass
class _TextToSpeech:
    script: Script

    def synthesize(self, config: SynthesisConfig, context: CallContext) -> _Synthesis:
        return _Synthesis(self.script, context)

    async def voices(self, language: str, context: CallContext) -> Sequence[Voice]:
        self.script.ask("tts", context)
        known = [
            Voice("ada", "Ada", "en-GB", "female", VOICE_HZ),
            Voice("max", "Max", "de-DE", "male", VOICE_HZ, "test"),
        ]
        return [voice for voice in known if voice.language.startswith(language)]


@dataclass
class _Intents:
    script: Script

    async def recognize(self, text: str, language: str, context: CallContext) -> Intent:
        self.script.ask("intent", context)
        return Intent(
            "time",
            0.9,
            {"said": text} if not self.script.entities else self.script.entities,
            (IntentGuess("date", 0.4, {}),),
        )

    async def intents(self, language: str, context: CallContext) -> Sequence[IntentInfo]:
        self.script.ask("intent", context)
        return [IntentInfo("time", "tells the time", ("what time is it",), ())]


@dataclass
class _Planner:
    script: Script

    async def plan(
        self,
        text: str,
        intent: IntentGuess | None,
        conversation: Sequence[ConversationTurn],
        context: CallContext,
        *,
        prefer_model: bool = False,
    ) -> Plan:
        self.script.ask("planner", context)
        step = Step(
            "s1", "search", "search", {"query": text or "nothing", "turns": len(conversation)}, (), "looks it up"
        )
        return Plan("p1", text, (step,), intent.intent if intent else "web_search", intent.entities if intent else {})

    def converse(self, prompt: Any, context: CallContext) -> Any:
        raise NotImplementedError

    async def compose(self, plan: Plan, outcomes: Sequence[Any], time_zone: str, context: CallContext) -> str:
        return plan.goal


@dataclass
class _Safety:
    script: Script

    async def check(self, actions: Sequence[Action], context: CallContext) -> SafetyReport:
        self.script.ask("safety", context)
        verdict = self.script.verdict
        single = tuple(Verdict(verdict.verdict, verdict.risk, verdict.reasons, action.id) for action in actions)
        return SafetyReport(verdict.verdict, verdict.risk, verdict.reasons, "", single)


@dataclass
class _Executor:
    script: Script
    name: str

    async def execute(
        self, task_id: str, action: str, parameters: dict[str, Any], context: CallContext
    ) -> AsyncGenerator[TaskEvent, None]:
        self.script.ask(self.name, context)
        self.script.executed.append((self.name, action, parameters, context))
        *progress, result = self.script.task_events
        try:
            for event in progress:
                yield event
            if self.script.task_gate is not None:
                await self.script.task_gate.wait()
            if self.script.breaks_at_gate is not None:
                raise self.script.breaks_at_gate
        except (asyncio.CancelledError, GeneratorExit):
            self.script.cancelled.set()
            raise
        yield result

    async def actions(self, context: CallContext) -> Sequence[ActionInfo]:
        self.script.ask(self.name, context)
        return [ActionInfo("do", "does it", {"type": "object"})]


@dataclass
class _Memory:
    script: Script

    async def store(self, item: StoreItem, context: CallContext) -> tuple[str, str]:
        self.script.ask("memory", context)
        key = item.key or "made"
        stored = MemoryItem(key, item.value, context.session_id, item.tags, item.metadata, "2026-01-01T00:00:00Z", "")
        self.script.items[context.user_id, key] = stored
        return key, stored.created_at

    async def retrieve(self, key: str, context: CallContext) -> MemoryItem:
        self.script.ask("memory", context)
        item = self.script.items.get((context.user_id, key))
        if item is None:
            raise ServiceError("NOT_FOUND", "no such key", service="memory")
        return item

    async def delete(self, key: str, context: CallContext) -> None:
        await self.retrieve(key, context)
        del self.script.items[context.user_id, key]

    async def search(self, query: str, limit: int, tags: Sequence[str], context: CallContext) -> Sequence[MemoryHit]:
        self.script.ask("memory", context)
        own = [item for (user, _), item in self.script.items.items() if user == context.user_id]
        return [MemoryHit(item, 0.5) for item in own][:limit]

    async def put_turn(self, turn_id: str, role: str, text: str, context: CallContext) -> None:
        self.script.turns.append(ConversationTurn(role, text))

    async def conversation(self, session_id: str, limit: int, context: CallContext) -> Sequence[ConversationTurn]:
        self.script.ask("memory", context)
        return self.script.turns[-limit:]


class ScriptedUpstream:
    """Scripted health and circuit states."""

    def __init__(self) -> None:
        self.down: dict[str, str] = {}
        self.impaired: dict[str, str] = {}
        self.health = self

    @property
    def services(self) -> dict[str, ServiceHealth]:
        return {
            name: ServiceHealth(
                name,
                "down" if name in self.down else "up",
                self.down.get(name, self.impaired.get(name, "")),
                1.5,
                0.0,
                True,
            )
            for name in NAMES
        }

    def circuits(self) -> dict[str, str]:
        return dict.fromkeys(NAMES, "closed")

    def running_calls(self) -> dict[str, int]:
        return Counter()
