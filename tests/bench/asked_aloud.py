"""Record a risky request, the question asked aloud, its spoken answer and the outcome: `python -m tests.bench.asked_aloud FILE.ogg`.

Stereo, the user on the left. Needs the extra `voice` too.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import wave
from pathlib import Path

import av
from voicebench.clock import RealClock
from voicebench.runner import run_session
from voicebench.scenario import parse_scenario

from tests.bench.barge_in import trimmed
from tests.bench.machine import say
from tests.bench.speech import spoken
from tests.support.gateway import running_gateway
from tests.support.judges import GatewayAdapter, save

REQUEST, ANSWER = "Create a folder called demo.", "Yes, please."


def clips(folder: Path) -> None:
    """What the user says, as files."""
    for words, pcm in zip((REQUEST, ANSWER), map(trimmed, spoken((REQUEST, ANSWER))), strict=True):
        with wave.open(str(folder / f"{words}wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16_000)
            file.writeframes(pcm)


def to_ogg(recording: Path, target: Path) -> None:
    """As Opus, which is a tenth of the size."""
    with av.open(str(recording)) as source, av.open(str(target), "w") as ogg:
        stream = ogg.add_stream("libopus", rate=48_000, layout="stereo")
        resampler = av.AudioResampler("s16", "stereo", 48_000)
        for frame in source.decode(audio=0):
            for resampled in resampler.resample(frame):
                ogg.mux(stream.encode(resampled))
        ogg.mux(stream.encode(None))


async def main(target: Path) -> None:
    """Hold the conversation, and write it."""
    with tempfile.TemporaryDirectory() as directory, running_gateway(Path(directory)) as gateway:
        folder = Path(directory)
        clips(folder)
        turns = [
            {"id": "request", "audio": {"file": f"{REQUEST}wav"}, "start": {"after": "session_start", "delay_ms": 400}},
            {
                "id": "answer",
                "audio": {"file": f"{ANSWER}wav"},
                "start": {"after": "agent_speech_end", "delay_ms": 900},
            },
        ]
        scenario = parse_scenario({"name": "asked aloud", "turns": turns, "tail_ms": 3_500}, folder)
        record = await run_session(scenario, GatewayAdapter(url=gateway.base, token=gateway.token), RealClock())
        recording = folder / "recording.wav"
        save(record, recording)
        to_ogg(recording, target)
    say(f"{target}: {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
