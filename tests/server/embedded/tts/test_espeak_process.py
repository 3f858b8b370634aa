"""eSpeak NG's process: what it dies of costs one utterance, and the next one has another process."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from server.embedded.tts import espeak
from server.embedded.tts.espeak import Espeak, EspeakDiedError


def says(engine: Espeak, text: str = "one") -> bool:
    return len(engine.say(text, "en-us", 1.0, lambda: True).pcm) > 0


def test_a_process_that_died_is_replaced() -> None:
    engine = Espeak()
    os.kill(engine._process.pid, signal.SIGKILL)
    engine._process.wait()
    assert says(engine)


def test_a_process_that_hangs_is_killed_and_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Espeak()
    os.kill(engine._process.pid, signal.SIGSTOP)
    with monkeypatch.context() as soon:
        soon.setattr(espeak, "HANG_S", 0.1)
        with pytest.raises(EspeakDiedError, match="its process ended with -9"):
            says(engine)
    assert says(engine)


def test_speech_that_is_no_longer_wanted_ends_and_the_next_is_whole() -> None:
    engine = Espeak()
    whole = engine.say("one two three", "en-us", 1.0, lambda: True)
    engine.say("and so on " * 30, "en-us", 1.0, lambda: False)
    assert [mark.position for mark in engine.say("one two three", "en-us", 1.0, lambda: True).marks] == [
        mark.position for mark in whole.marks
    ]


def test_the_process_ends_with_its_engine() -> None:
    engine = Espeak()
    pid = engine._process.pid
    del engine
    assert not Path(f"/proc/{pid}").exists()


def test_a_library_that_cannot_be_loaded_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak, "_find", lambda: ("/nowhere/libespeak-ng.so", "/nowhere"))
    with pytest.raises(EspeakDiedError, match=r"OSError: /nowhere/libespeak-ng\.so"):
        Espeak()
