"""Audio files, and embedded services in a separate process, as `make run` starts them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import wave
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from server.embedded.stt.endpoint import SpeechEndpointer, SpeechPaused
from server.embedded.stt.voice_detector import Silero

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
AUDIO = ROOT / "tests" / "audio"

TRANSCRIPTS = {
    "flite-slt-what-time-is-it": "what time is it",
    "flite-slt-search-python-tutorials": "search for python tutorials",
    "flite-slt-list-files": "list files in the current directory",
    "flite-slt-remember-favourite-colour": "remember that my favorite color is blue",
    "flite-slt-what-is-my-favourite-colour": "what is my favorite color",
    "flite-kal-stop": "stop",
    "flite-kal-yes-please": "yes please",
    "human-goforward": "go forward ten meters",
    "human-card-001": "ten of clubs",
    "human-card-003": "seven of clubs",
}


def recording(name: str) -> bytes:
    """16 kHz, 16-bit, mono PCM."""
    with wave.open(str(AUDIO / f"{name}.wav")) as file:
        pcm: bytes = file.readframes(file.getnframes())
    return pcm


def silence(ms: int, rate_hz: int = 16_000) -> bytes:
    return bytes(2 * rate_hz * ms // 1000)


def pause_at_bytes(pcm: bytes) -> int:
    """Where the piece of 20 ms begins that makes the first pause certain."""
    endpointer = SpeechEndpointer(Silero().stream())
    for start in range(0, len(pcm), 640):
        endpointer.push(pcm[start : start + 640])
        while (event := endpointer.next()) is not None:
            if isinstance(event, SpeechPaused):
                return start
    raise AssertionError


DIGITS = {"5": "five", "7": "seven", "10": "ten"}


def folded(text: str) -> str:
    """Lower-case words without punctuation, American spelling, the recordings' numbers in words."""
    words = re.sub(r"[^a-z0-9' ]+", " ", text.lower().replace("favourite", "favorite").replace("colour", "color"))
    return " ".join(DIGITS.get(word, word) for word in words.split())


def word_errors(heard: str, said: str) -> int:
    """Edit distance in words."""
    one, other = heard.split(), said.split()
    row = list(range(len(one) + 1))
    for count, word in enumerate(other, 1):
        above, row = row, [count]
        for index, candidate in enumerate(one, 1):
            row.append(min(above[index] + 1, row[-1] + 1, above[index - 1] + (word != candidate)))
    return row[-1]


@contextmanager
def embedded(directory: Path, *names: str, **settings: str) -> Iterator[dict[str, str]]:
    """The services' addresses while they run; `settings` are theirs, TTS_ENGINE for one."""
    command = [sys.executable, "-m", "server.embedded", "--with-parent", "--directory", str(directory)]
    process = subprocess.Popen(
        [*command, *(f"{name}=127.0.0.1:0" for name in names)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | settings,
    )
    assert process.stdout is not None
    try:
        bound: dict[str, str] = json.loads(process.stdout.readline())["bound"]
        assert json.loads(process.stdout.readline())["down"] == {}
        yield bound
    finally:
        process.communicate(timeout=200)  # closes its input: it ends
