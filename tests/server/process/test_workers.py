"""What a process that serves nothing yet does without, and how it is loaded."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from server.errors import ApiError
from server.process.workers import LiveCodecs

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@pytest.mark.parametrize(
    "fault", [OSError(errno.EMFILE, "Too many open files"), ImportError("av: cannot open shared object file")], ids=repr
)
async def test_codecs_that_no_descriptor_is_left_for_are_tried_again(
    fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hundred sockets of a flood may be there before the first that needs codecs."""
    faults: Iterator[Exception] = iter([fault])
    tries: list[str] = []

    def load(name: str) -> None:
        tries.append(name)
        for each in faults:
            raise each

    monkeypatch.setattr("importlib.import_module", load)
    codecs = LiveCodecs()
    with pytest.raises(ApiError) as refused:
        await codecs.ready()
    assert (refused.value.code, refused.value.status) == ("OVERLOADED", 503)
    await codecs.ready()
    assert len(tries) == 2
