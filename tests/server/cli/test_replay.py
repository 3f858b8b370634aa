"""A recording as a script, its outcome, and the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.cli.replay import _percentile, read_script
from server.cli.replay_outcome import ReplayOutcome, compared
from server.cli.replay_script import Milestone, Script, script_of
from streaming.jarvis.recording import Recording, RecordingEntry, RecordingError, entry_line, head_line
from streaming.protocol import frame, messages
from tests.support.gateway import environment, free_port

if TYPE_CHECKING:
    from pathlib import Path

    from streaming.jarvis.recording import Direction

    Line = tuple[Direction, dict[str, Any] | bytes]


def script(*lines: Line) -> Script:
    entries = [
        RecordingEntry(at_ms, direction, frame=item)
        if isinstance(item, bytes)
        else RecordingEntry(at_ms, direction, item)
        for at_ms, (direction, item) in enumerate(lines)
    ]
    return script_of(Recording("f", {"session_id": "s1"}, tuple(entries)))


def out(kind: str, /, **fields: Any) -> Line:
    return "out", {"type": kind, **fields}


def told(kind: str, /, **fields: Any) -> Line:
    return "in", {"type": kind, **fields}


def turn(channel: int = 1) -> Line:
    return out("channel.open", channel=channel, kind="turn", params={})


def sound(direction: Direction, seq: int, payload: bytes = b"\0\0", channel: int = 1) -> Line:
    return direction, frame.encode(channel, payload, seq=seq)


SPOKEN = (
    turn(),
    told("channel.opened", channel=1, kind="turn", credit=100_000, seq=1),
    sound("out", 0),
    told("stt.final", channel=1, turn_id="t", text="go", seq=2),
    told("turn.intent", channel=1, turn_id="t", intent="go", entities={"to": "sea"}, seq=3),
    told("turn.plan", channel=1, turn_id="t", steps=[{"id": "a"}, {"id": "b"}], seq=4),
    told("task.result", channel=1, turn_id="t", step_id="b", status="failed", seq=5),
    told("task.result", channel=1, turn_id="t", step_id="a", status="ok", seq=6),
    told("turn.reply", channel=1, turn_id="t", text="Gone.", seq=7),
    told("tts.started", channel=1, turn_id="t", encoding="pcm_s16le", sample_rate=16_000, generation=0, seq=8),
    sound("in", 9, bytes(32_000)),
    told("tts.done", channel=1, turn_id="t", duration_ms=1000, seq=10),
    told("turn.done", channel=1, turn_id="t", status="ok", seq=11),
    told("channel.closed", channel=1, status="ok", seq=12),
)


def facts(*lines: Line) -> dict[str, Any]:
    return {what: value for (_, what), value in script(*lines).outcome.facts().items()}


def test_what_a_spoken_turn_came_to() -> None:
    found = facts(*SPOKEN)
    assert found == {
        "order": ("channel.opened", "stt.final", "turn.intent", "turn.plan", "turn.reply"),
        "order of step 1": ("task.result",),
        "order of step 2": ("task.result",),
        "order of speech": ("tts.started", "tts.done", "turn.done", "channel.closed"),
        "transcripts": ("go",),
        "intents": ('go {"to": "sea"}',),
        "task results": ("failed", "ok"),
        "replies": ("Gone.",),
        "ends of turns": ("ok",),
        "closed": ("ok",),
        "seconds of audio": 1.0,
    }


@pytest.mark.parametrize(
    ("number", "change", "what"),
    [
        (3, {"text": "stop"}, {"transcripts"}),
        (3, {"text": "go 3.5"}, {"transcripts"}),
        (3, {"text": "Go."}, set()),
        (4, {"entities": {"to": "Sea."}}, set()),
        (4, {"intent": "stay"}, {"intents"}),
        (4, {"entities": {}}, {"intents"}),
        (6, {"status": "ok"}, {"task results"}),
        (8, {"text": "Never."}, {"replies"}),
        (12, {"status": "failed"}, {"ends of turns"}),
        (13, {"status": "error", "code": "UNAVAILABLE"}, {"closed"}),
        (3, {"type": "stt.partial"}, {"transcripts", "order"}),
        (10, {"frame": b"\0\0"}, {"seconds of audio"}),
    ],
)
def test_each_difference_is_named(number: int, change: dict[str, Any], what: set[str]) -> None:
    lines = list(SPOKEN)
    direction, item = lines[number]
    lines[number] = sound("in", 9, change["frame"]) if isinstance(item, bytes) else (direction, item | change)
    found = compared(script(*SPOKEN).outcome, script(*lines).outcome)
    assert {fact.what for fact in found if not fact.equal} == what
    assert all("recorded" in str(fact) for fact in found if not fact.equal)


def later(lines: tuple[Line, ...]) -> list[Line]:
    """The same with other numbers."""
    return [
        sound("in", 100 + n, item[frame.HEADER_BYTES :]) if isinstance(item, bytes) else (way, item | {"seq": 100 + n})
        for n, (way, item) in enumerate(lines)
    ]


def test_what_depends_on_time_alone_is_no_difference() -> None:
    more = (
        *SPOKEN[:3],
        told("stt.partial", channel=1, text="g", stable_chars=0, seq=2),
        told("turn.eager_end", channel=1, at_ms=3, text="go", seq=3),
        told("credit", channel=1, bytes=5, next_frame=1, seq=4),
        *later(SPOKEN[3:]),
        told("turn.latency", channel=1, stages={"first_audio": 512.5}, seq=220),
    )
    recorded, replayed = script(*SPOKEN).outcome, script(*more).outcome
    found = compared(recorded, replayed)
    assert len(found) == 11
    assert [str(fact) for fact in found if not fact.equal] == []
    assert replayed.first_audio_ms == [512.5]


def test_of_an_interrupted_utterance_only_the_beginning_counts() -> None:
    begun = SPOKEN[:11]
    interrupted = told("turn.interrupted", channel=1, generation=1, heard_ms=3, heard_text="", seq=50)
    done = told("turn.done", channel=1, status="interrupted", seq=51)
    cut = facts(*begun, interrupted, done)
    whole = facts(*begun, told("tts.done", channel=1, duration_ms=1000, seq=49), interrupted, done)
    assert cut == whole
    assert "seconds of audio" not in cut
    assert cut["order of speech"] == ("tts.started", "turn.done")


def test_what_a_resume_sent_again_counts_once() -> None:
    again = (*SPOKEN[:9], told("session.resumed", epoch="e"), *SPOKEN[2:])
    assert facts(*again) == facts(*SPOKEN)
    assert len(script(*again).cues) == len(script(*SPOKEN).cues)


def test_a_session_that_began_anew_has_its_channels_anew() -> None:
    found = script(told("session.ready", epoch="e1"), *SPOKEN, told("session.ready", epoch="e2"), *SPOKEN)
    assert [cue.place for cue in found.cues] == ["channel 1 (turn)"] * 2 + ["channel 2 (turn)"] * 2
    counts = found.outcome.counts
    assert counts["channel 1 (turn)", "turn.done"] == counts["channel 2 (turn)", "turn.done"] == 1


def test_a_command_comes_behind_what_its_client_had_been_told() -> None:
    found = script(
        out("channel.open", channel=1, kind="execute", params={"executor": "os", "action": "mkdir"}),
        told("task.confirmation_required", channel=1, confirmation_id="q7", reason="", risk="medium", expires_at=""),
        out("task.confirm", id="x", confirmation_id="q7", approve=True),
        told("result", id="x", data={}),
        told("channel.closed", channel=1, status="ok"),
        out("call", id="y", op="agent.intent", params={"text": "hello"}),
        told("error", id="y", code="UNAVAILABLE", message=""),
    )
    assert [cue.after for cue in found.cues] == [0, 1, 3]
    assert found.questions == {"q7": ("channel 1 (execute)", 1)}
    assert found.outcome.facts()["call 2 agent.intent", "answer"] == ("UNAVAILABLE",)


def test_nobody_waits_for_what_cannot_come_any_more() -> None:
    outcome = ReplayOutcome()
    spoken = Milestone("channel 1 (turn)", "tts.started", 1, 0)
    answered = Milestone("call 1 x", "result", 1, 0)
    assert not spoken.reached(outcome)
    assert not answered.reached(outcome)
    outcome.message("channel 1 (turn)", {"type": "turn.done", "status": "failed"})
    outcome.message("call 1 x", {"type": "error", "code": "NOT_FOUND"})
    assert spoken.reached(outcome)
    assert answered.reached(outcome)
    assert not Milestone("channel 1 (turn)", "turn.done", 2, 1).reached(outcome)
    outcome.message("channel 1 (turn)", {"type": "channel.closed", "status": "ok"})
    assert Milestone("channel 1 (turn)", "turn.done", 2, 1).reached(outcome)


def test_reports_about_stale_audio_are_not_played() -> None:
    found = script(
        *SPOKEN[:10],
        out("playback", channel=1, played_ms=40, generation=0),
        out("playback", channel=1, played_ms=80, generation=0),
        told("turn.interrupted", channel=1, generation=1, heard_ms=80, heard_text="", seq=60),
        out("playback", channel=1, played_ms=120, generation=0),
    )
    reports = [cue for cue in found.cues if isinstance(cue.said, messages.Playback)]
    assert [(cue.said.played_ms, cue.utterance, cue.last_report) for cue in reports] == [(40, 1, False), (80, 1, True)]
    assert found.interrupted == {("channel 1 (turn)", 1)}


def test_what_cannot_be_played_is_counted() -> None:
    found = script(
        out("channel.open", channel=3, kind="observe", params={"session_id": "s2"}),
        out("channel.open", channel="x", kind="turn", params={}),
        out("(unreadable)", characters=3),
        out("ping", t=1),
        out("commit", channel=9),
        sound("out", 0, channel=9),
        told("stt.final", channel=9, text="of another time"),
    )
    assert found.cues == []
    assert found.outcome.facts() == {}
    assert found.left_out.total() == 5


values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["a", "1", "pcm_s16le"]) | st.floats(-1, 1),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["id", "first_audio"]), inner, max_size=2)
    ),
    max_leaves=4,
)
NAMES = [
    "channel",
    "id",
    "seq",
    "kind",
    "params",
    "text",
    "steps",
    "stages",
    "step_id",
    "turn_id",
    "generation",
    "epoch",
]
NAMES += ["sample_rate", "encoding", "duration_ms", "status", "confirmation_id", "played_ms", "op"]
KINDS = ["channel.open", "call", "task.confirm", "playback", "commit", "session.ready", "turn.plan", "turn.latency"]
KINDS += ["tts.started", "tts.done", "turn.paused", "task.result", "turn.done", "result", "error", "stt.final", "ack"]
anything = st.builds(
    lambda kind, rest: {**rest, "type": kind},
    st.sampled_from(KINDS),
    st.dictionaries(st.sampled_from(NAMES), values, max_size=6),
)


@given(st.lists(st.tuples(st.sampled_from(["in", "out", "local"]), anything), max_size=6))
def test_a_file_of_any_content_makes_a_script(lines: list[Line]) -> None:
    found = script(*SPOKEN[:11], *lines)
    assert compared(found.outcome, found.outcome) is not None
    assert all(fact.equal for fact in compared(found.outcome, found.outcome))


def test_percentiles_are_values_that_were_there() -> None:
    assert _percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert _percentile([1.0], 0.99) == 1.0


# --- the command ---


def replay(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "server", "replay", *arguments],
        env=environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )


HEAD = head_line(0.0)
OPEN = entry_line(RecordingEntry(0, "out", {"type": "channel.open", "channel": 1, "kind": "turn", "params": {}}))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        (b"RIFF\x00\xff\xfe", "not UTF-8"),
        (b'{"type": "other"}\n', "not a recording"),
        ((HEAD + OPEN[:-9]).encode(), "line 2: not JSON: the file was cut off there"),
        (HEAD.encode(), "said nothing"),
    ],
)
def test_a_bad_file_is_told_in_one_line(tmp_path: Path, content: bytes | None, words: str) -> None:
    file = tmp_path / "bad.jsonl"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(RecordingError, match=words) as wrong:
        read_script(str(file))
    assert "\n" not in str(wrong.value)


def test_the_command_says_so_and_its_exit_code_is_2(tmp_path: Path) -> None:
    (tmp_path / "cut.jsonl").write_text(HEAD + OPEN[:-9])
    done = replay(tmp_path, "cut.jsonl")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "cut.jsonl, line 2: not JSON: the file was cut off there\n"
    (tmp_path / "good.jsonl").write_text(HEAD + OPEN)
    done = replay(tmp_path, "good.jsonl", "--url", f"ws://127.0.0.1:{free_port()}")
    assert done.returncode == 2
    assert done.stderr.startswith("UNAVAILABLE: no gateway at ")
    assert done.stderr.count("\n") == 1


def test_the_console_s_own_recordings_are_read(tmp_path: Path) -> None:
    file = tmp_path / "console.jsonl"
    lines = [
        {"type": "jarvis.recording", "version": 1, "protocol": "jarvis.v1", "started_at": "2026-01-01T00:00:00Z"},
        {"at_ms": 0.5, "direction": "in", "message": {"type": "session.ready", "session_id": "console", "epoch": "e"}},
        {"at_ms": 1, "direction": "out", "message": {"type": "call", "id": "1", "op": "agent.intent", "params": {}}},
        {"at_ms": 2, "direction": "local", "message": {"type": "playout.sounding", "channel": 1}},
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = read_script(str(file))
    assert isinstance(found, Script)
    assert found.session_id == "console"
    assert [cue.place for cue in found.cues] == ["call 1 agent.intent"]


def test_a_line_without_an_end_is_refused() -> None:
    with pytest.raises(RecordingError, match="/dev/zero is not a recording of a session: a line is longer than"):
        read_script("/dev/zero")
