"""Each event of a lane becomes one message, with every field in its place."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from streaming import domain, ports
from streaming.jarvis.translate import as_message

WORD = ports.Word("hello", 10, 20, 0.5)
WIRE_WORD = {"text": "hello", "start_ms": 10, "end_ms": 20, "confidence": 0.5}
HASH = "ab" * 32
STEP = ports.Step("s1", "os", "open", {"path": {"name": "a"}}, ("s0",), "opens a")
WIRE_STEP = {
    "id": "s1",
    "executor": "os",
    "action": "open",
    "parameters": {"path": {"name": "a"}},
    "depends_on": ("s0",),
    "description": "opens a",
}
VERDICT = ports.Verdict("confirm", "high", ("it deletes",), "s1")
WIRE_VERDICT = {"action_id": "s1", "verdict": "confirm", "risk": "high", "reasons": ("it deletes",)}
GUESS = ports.IntentGuess("time", 0.25, {"place": "Rome"})

# channel 7 and generation 3, to which each message must add nothing but what is named here
EXPECTED: list[tuple[domain.LaneEvent, dict[str, Any]]] = [
    (ports.SpeechStarted(5), {"type": "stt.speech_started", "at_ms": 5}),
    (ports.SpeechStopped(6), {"type": "stt.speech_stopped", "at_ms": 6}),
    (ports.InterimTranscript("what", 2), {"type": "stt.partial", "text": "what", "stable_chars": 2}),
    (
        ports.FinalTranscript("hello", 0.75, 1, 2, (WORD,)),
        {"type": "stt.final", "text": "hello", "confidence": 0.75, "start_ms": 1, "end_ms": 2, "words": (WIRE_WORD,)},
    ),
    (ports.EagerEnd(8, "what time"), {"type": "turn.eager_end", "at_ms": 8, "text": "what time"}),
    (ports.SpeechResumed(9), {"type": "turn.resumed", "at_ms": 9}),
    (
        ports.SeenMessage("client", '{"type":"ping","t":1}'),
        {"type": "observe.event", "direction": "client", "text": '{"type":"ping","t":1}'},
    ),
    (
        ports.SeenAudio("server", 4, "opus", 48_000),
        {
            "type": "observe.audio",
            "direction": "server",
            "source_channel": 4,
            "encoding": "opus",
            "sample_rate": 48_000,
        },
    ),
    (ports.Missed(11, 12), {"type": "observe.dropped", "messages": 11, "audio_bytes": 12}),
    (
        domain.SpeechBegins("mulaw", 8_000, "t1", aside=True),
        {"type": "tts.started", "generation": 3, "encoding": "mulaw", "sample_rate": 8_000, "turn_id": "t1"},
    ),
    (domain.SpokenWords((WORD,), "t1"), {"type": "tts.words", "words": (WIRE_WORD,), "turn_id": "t1"}),
    (domain.SpeechEnds(40, "t1"), {"type": "tts.done", "duration_ms": 40, "turn_id": "t1"}),
    (
        domain.TaskStarted("k1", "s1", "t1"),
        {"type": "task.started", "task_id": "k1", "step_id": "s1", "turn_id": "t1"},
    ),
    (
        domain.TaskProgressed("half", 50.0, "stdout", "line", "s1", "t1"),
        {
            "type": "task.progress",
            "message": "half",
            "percent": 50.0,
            "stream": "stdout",
            "data": "line",
            "step_id": "s1",
            "turn_id": "t1",
        },
    ),
    (
        domain.TaskNeedsConfirmation("c1", "why", "low", "2026", "os", "open", {"a": [1]}, HASH, "Open?", "s1", "t1"),
        {
            "type": "task.confirmation_required",
            "confirmation_id": "c1",
            "reason": "why",
            "risk": "low",
            "expires_at": "2026",
            "executor": "os",
            "action": "open",
            "parameters": {"a": [1]},
            "action_hash": HASH,
            "sentence": "Open?",
            "step_id": "s1",
            "turn_id": "t1",
        },
    ),
    (
        domain.TaskEnded("declined", {"a": {"b": 1}}, "no", "s1", "t1"),
        {
            "type": "task.result",
            "status": "declined",
            "result": {"a": {"b": 1}},
            "message": "no",
            "step_id": "s1",
            "turn_id": "t1",
        },
    ),
    (
        domain.TurnIntent("t1", ports.Intent("weather", 0.5, {"day": "today"}, (GUESS,))),
        {
            "type": "turn.intent",
            "turn_id": "t1",
            "intent": "weather",
            "confidence": 0.5,
            "entities": {"day": "today"},
            "alternatives": ({"intent": "time", "confidence": 0.25, "entities": {"place": "Rome"}},),
        },
    ),
    (
        domain.TurnPlanned("t1", ports.Plan("p1", "a goal", (STEP,), "weather")),
        {"type": "turn.plan", "turn_id": "t1", "plan_id": "p1", "goal": "a goal", "steps": (WIRE_STEP,)},
    ),
    (
        domain.TurnChecked("t1", ports.SafetyReport("deny", "medium", ("because",), "", (VERDICT,))),
        {
            "type": "turn.safety",
            "turn_id": "t1",
            "verdict": "deny",
            "risk": "medium",
            "reasons": ("because",),
            "actions": (WIRE_VERDICT,),
        },
    ),
    (
        domain.TurnReply("t1", "well", more=True, cut=True),
        {"type": "turn.reply", "turn_id": "t1", "text": "well", "more": True},
    ),
    (domain.TurnReply("t1", "well"), {"type": "turn.reply", "turn_id": "t1", "text": "well"}),
    (domain.TurnEnd(13), {"type": "turn.end", "at_ms": 13}),
    (
        domain.TurnPaused("t1", 14),
        {"type": "turn.paused", "generation": 3, "turn_id": "t1", "heard_ms": 14},
    ),
    (
        domain.TurnInterrupted("t1", 15, "well it"),
        {"type": "turn.interrupted", "generation": 3, "turn_id": "t1", "heard_ms": 15, "heard_text": "well it"},
    ),
    (
        domain.TurnContinued("t1", 16),
        {"type": "turn.continued", "generation": 3, "turn_id": "t1", "from_ms": 16},
    ),
    (
        domain.TurnLatency("t1", {"intent": 17}),
        {"type": "turn.latency", "turn_id": "t1", "stages": {"intent": 17}},
    ),
    (domain.TurnDone("t1", "failed"), {"type": "turn.done", "turn_id": "t1", "status": "failed"}),
    (
        domain.Trouble("UNAVAILABLE", "gone", retryable=True, retry_after_ms=18, turn_id="t1"),
        {
            "type": "error",
            "code": "UNAVAILABLE",
            "message": "gone",
            "retryable": True,
            "retry_after_ms": 18,
            "turn_id": "t1",
        },
    ),
]


@pytest.mark.parametrize(("event", "fields"), EXPECTED, ids=lambda value: type(value).__name__)
def test_an_event_becomes_its_message(event: domain.LaneEvent, fields: dict[str, Any]) -> None:
    told = as_message(event, 7, 3).model_dump(exclude_none=True)
    assert told == {"channel": 7, **fields}


def test_every_event_of_a_lane_is_among_them() -> None:
    """Except `TurnCalls`, which only a client with functions of its own gets: this dialect has none."""
    assert {type(event) for event, _ in EXPECTED} == set(get_args(domain.LaneEvent)) - {domain.TurnCalls}


def test_calls_of_a_clients_functions_are_no_message_of_this_dialect() -> None:
    with pytest.raises(AssertionError, match="brings functions"):
        as_message(domain.TurnCalls("t1", (STEP,), ()), 7, 3)
