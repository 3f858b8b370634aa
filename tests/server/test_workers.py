"""What a process that serves nothing yet does without, and how it is loaded."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from server.workers import LiveCodecs

if TYPE_CHECKING:
    import pytest

LOADED = "import sys, server.__main__, server.lifecycle; print(sorted({'av', 'streaming.client'} & sys.modules.keys()))"


def test_a_start_loads_no_codecs_and_no_client() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


async def test_codecs_are_loaded_once_and_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[tuple[str, bool]] = []

    def load(name: str) -> None:
        loaded.append((name, threading.current_thread() is threading.main_thread()))

    monkeypatch.setattr("importlib.import_module", load)
    codecs = LiveCodecs()
    await codecs.ready()
    await codecs.ready()
    assert loaded == [("streaming.sound.ffmpeg", False)]
