"""The table of the nine services behind the gateway: names, gRPC names, titles, deadlines."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Service:
    """One of the nine services.

    `full_name`: the gRPC service, as used for grpc.health.v1. `title`: the name in messages to people. `deadline_ms`: default
    deadline of a call; for STT and TTS streams, the longest wait for the next event.
    """

    full_name: str
    title: str
    deadline_ms: int


SERVICES: dict[str, Service] = {
    # a long push-to-talk recording is decoded once more after its end
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
    """The service's name in messages to people; unknown names are returned unchanged."""
    service = SERVICES.get(name)
    return service.title if service is not None else name
