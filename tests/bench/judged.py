"""A conversation judged by its sound alone, with PyPI's voicebench and hotato: `python -m tests.bench.judged`. Needs the extra `voice` too.

A question, a sound or words into the reply, the next question. `--keep FOLDER` keeps the stereo recordings.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import wave
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from voicebench.clock import RealClock
from voicebench.metrics import analyze, summarize
from voicebench.runner import run_session
from voicebench.scenario import parse_scenario

from tests.bench.barge_in import QUESTION, USER_LEVEL, trimmed
from tests.bench.machine import head, say
from tests.bench.speech import pcm_of, spoken
from tests.support.gateway import running_gateway
from tests.support.judges import GatewayAdapter, by_hotato, save

if TYPE_CHECKING:
    from voicebench.metrics import SessionMetrics

    from tests.support.gateway import GatewayProcess

INTO_MS = 2_700  # of the reply: there it is in the middle of a phrase
INTERJECTIONS = {"Mm-hmm.": "ignore", "Okay.": "ignore", "cough": "ignore", "Stop.": "stop", "What time is it?": "stop"}
MAX_STOP_MS = 300


def clips(folder: Path) -> None:
    """The user's words and sounds, as files."""
    words = [QUESTION, *(word for word in INTERJECTIONS if word != "cough")]
    said = dict(zip(words, map(trimmed, spoken(tuple(words))), strict=True))
    noise, time_s = np.random.default_rng(3).normal(0, 1, 16_000), np.arange(16_000) / 16_000
    said["cough"] = pcm_of(USER_LEVEL * noise * np.exp(-12 * (time_s % 0.35)) * (time_s < 0.7))
    for name, pcm in said.items():
        with wave.open(str(folder / f"{name}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16_000)
            file.writeframes(pcm)


async def conversation(gateway: GatewayProcess, folder: Path, into: str) -> tuple[SessionMetrics, str]:
    """One, with `into` said into its reply; what voicebench measured, and hotato's verdict."""
    expect = INTERJECTIONS[into]
    turns = [
        {"id": "question", "audio": {"file": f"{QUESTION}.wav"}, "start": {"after": "session_start", "delay_ms": 400}},
        {
            "id": into,
            "audio": {"file": f"{into}.wav"},
            "start": {"after": "agent_speech_start", "delay_ms": INTO_MS},
            "expect": expect,
            "max_stop_ms": MAX_STOP_MS,
        },
    ]
    scenario = parse_scenario({"name": into, "turns": turns, "tail_ms": 1500}, folder)
    adapter = GatewayAdapter(url=gateway.base, token=gateway.token)
    record = await run_session(scenario, adapter, RealClock())
    path = folder / f"conversation {into}wav".replace("..", ".").replace("?", ".").replace("coughwav", "cough.wav")
    save(record, path)
    metrics = analyze(record)
    event = by_hotato(path, metrics.turns[1].user_onset_s or 0.0, ends=expect == "stop")
    verdict = event["verdict"]
    yielded = f"yielded after {verdict['seconds_to_yield']} s" if verdict["did_yield"] else "kept the floor"
    return metrics, f"{'right' if verdict['passed'] else 'WRONG'}, {yielded}"


async def main(keep: Path | None) -> None:
    """Measure."""
    head("conversations, judged by voicebench 0.2.0 and hotato 1.20.0")
    with tempfile.TemporaryDirectory() as directory, running_gateway(Path(directory)) as gateway:
        folder = keep or Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        clips(folder)
        sessions = []
        for into in INTERJECTIONS:
            metrics, verdict = await conversation(gateway, folder, into)
            question, said = metrics.turns
            stop = (
                f"stopped after {said.stop_latency_ms} ms"
                if said.expect == "stop"
                else f"false barge-in {said.false_barge_in}"
            )
            say(f"{into:18} voicebench: response {question.response_latency_ms} ms, {stop}   hotato: {verdict}")
            sessions.append(metrics)
        summary = summarize(sessions)
        for name in (
            "response_latency_ms",
            "barge_in_stop_ms",
            "barge_in_success_rate",
            "false_barge_ins",
            "missed_responses",
        ):
            say(f"{name}: {summary[name]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--keep", type=Path)
    asyncio.run(main(parser.parse_args().keep))
