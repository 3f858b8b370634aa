"""Outside judges of a conversation, by its sound alone: voicebench plays the user, hotato reads the stereo recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicebench.clock import RealClock
from voicebench.metrics import analyze
from voicebench.runner import run_session
from voicebench.scenario import parse_scenario

from tests.server.embedded.speech import folded
from tests.support.gateway import AUDIO
from tests.support.judges import GatewayAdapter, by_hotato, save

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.gateway import GatewayProcess


async def test_both_judges_hear_the_reply_and_that_stop_ends_it(gateway: GatewayProcess, tmp_path: Path) -> None:
    turns = [
        {
            "id": "question",
            "audio": {"file": str(AUDIO / "flite-slt-list-files.wav")},
            "start": {"after": "session_start"},
            "response_timeout_ms": 30_000,
        },
        {
            "id": "stop",
            "audio": {"file": str(AUDIO / "flite-kal-stop.wav")},
            "start": {"after": "agent_speech_start", "timeout_ms": 30_000},
            "expect": "stop",
            "max_stop_ms": 1_500,  # the machine may be busy; `tests.bench.judged` measures
        },
    ]
    scenario = parse_scenario({"name": "stop", "turns": turns, "tail_ms": 600})
    adapter = GatewayAdapter(url=gateway.base, token=gateway.token)
    record = await run_session(scenario, adapter, RealClock())
    question, stop = analyze(record).turns
    assert question.responded
    assert folded(question.transcript or "") == "list files in the current directory"
    save(record, tmp_path / "stop.wav")
    event = by_hotato(tmp_path / "stop.wav", stop.user_onset_s or 0.0, ends=True)
    assert event["verdict"]["did_yield"] is True
