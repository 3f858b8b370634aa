"""The nine services that the gateway fronts: names, gRPC names, titles, deadlines. The one table of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Service:
    """One of the nine.

    `full_name`: the gRPC service, which grpc.health.v1 is asked for. `title`: what messages to people call it. `deadline_ms`:
    a call's longest duration unless configured; for STT and TTS streams, how long a reader waits without an event.
    """

    full_name: str
    title: str
    deadline_ms: int


SERVICES: dict[str, Service] = {
    # a long push-to-talk is decoded once more after its end
    "stt": Service("jarvis.stt.v1.SpeechToText", "speech recognition", 20_000),
    "tts": Service("jarvis.tts.v1.TextToSpeech", "speech synthesis", 10_000),
    "intent": Service("jarvis.intent.v1.IntentRecognizer", "intent recognition", 2_000),
    "planner": Service("jarvis.planner.v1.Planner", "the planner", 5_000),
    "safety": Service("jarvis.safety.v1.Safety", "the safety check", 2_000),
    "browser": Service("jarvis.browser.v1.BrowserExecutor", "the browser executor", 60_000),  # pages may be slow
    "os": Service("jarvis.os.v1.OsExecutor", "the command executor", 60_000),
    "search": Service("jarvis.search.v1.SearchExecutor", "the search executor", 15_000),
    "memory": Service("jarvis.memory.v1.Memory", "the memory", 3_000),
}


def title(name: str) -> str:
    """What messages to people call a service; its own name when it is none of the nine."""
    service = SERVICES.get(name)
    return service.title if service is not None else name
