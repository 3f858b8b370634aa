"""eSpeak NG in a process of its own, so that a text that crashes it costs one utterance, not the services."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
import threading
import weakref
from multiprocessing import Pipe
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server.embedded.service import MissingPartError
from server.embedded.tts.engine import EngineVoice, Spoken, WordMark
from server.embedded.tts.espeak_library import FASTEST_SPEED, SLOWEST_SPEED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

HANG_S = 20.0  # a start takes 0.2 s, and a piece some 20 ms; more is a hang, also on a busy machine
LOOK_S = 0.02  # between two looks whether the speech is still wanted
ROOT = Path(__file__).resolve().parents[3]


class EspeakDiedError(Exception):
    """The process died, or hung and was killed. The next call starts another."""


class Espeak:
    """Implements Engine. Raises MissingPartError if it is not installed, EspeakDiedError if it does not start."""

    name = "espeak"
    at_once = 1

    def __init__(self) -> None:
        self._paths = _find()
        offered = self._start()
        self.sample_rate_hz: int = offered["rate_hz"]
        self.voices = tuple(
            EngineVoice(each["id"], each["name"], tuple((rank, tag) for rank, tag in each["languages"]), each["gender"])
            for each in offered["voices"]
        )
        self.variants: tuple[str, ...] = tuple(offered["variants"])

    def speaking_rate(self, speed: float) -> float:
        """The speed, limited to what the library can speak."""
        return min(FASTEST_SPEED, max(SLOWEST_SPEED, speed))

    def say(self, text: str, voice_id: str, speed: float, wanted: Callable[[], bool]) -> Spoken:
        """Synthesise; see Engine. Raises EspeakDiedError."""
        if self._process.poll() is not None:
            self._end()
            self._start()
        with self._or_died():
            self._ours.send_bytes(json.dumps({"text": text, "voice": voice_id, "speed": speed}).encode())
            while not self._ours.poll(LOOK_S):
                if not wanted():
                    self._ours.send_bytes(b"")
                    break
            told = json.loads(self._ours.recv_bytes())
            pcm = self._ours.recv_bytes()
        return Spoken(pcm, tuple(WordMark(position, at_ms) for position, at_ms in told["marks"]))

    def _start(self) -> dict[str, Any]:
        """Start the process; returns what it offers."""
        self._ours, theirs = Pipe()
        # -P: do not import a folder `server` of the working directory
        command = [sys.executable, "-P", "-m", "server.embedded.tts.espeak_worker", *self._paths, str(theirs.fileno())]
        paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": paths},
        )
        theirs.close()
        self._end = weakref.finalize(self, _end, self._process, self._ours)
        with self._or_died():
            offered: dict[str, Any] = json.loads(self._ours.recv_bytes())
        if "failed" in offered:
            raise EspeakDiedError(offered["failed"])
        return offered

    @contextlib.contextmanager
    def _or_died(self) -> Iterator[None]:
        """Kill the process if this takes too long. Raises EspeakDiedError if it has died."""
        limit = threading.Timer(HANG_S, self._process.kill)
        limit.start()
        try:
            yield
        except (EOFError, OSError):
            self._end()
            raise EspeakDiedError(f"its process ended with {self._process.returncode}") from None
        finally:
            limit.cancel()


def _end(process: subprocess.Popen[bytes], connection: Connection) -> None:
    connection.close()
    process.kill()
    process.wait()


def _find() -> tuple[str, str]:
    """The paths of the library and of its data. Raises MissingPartError."""
    try:
        loader: Any = importlib.import_module("espeakng_loader")
    except ImportError:
        raise MissingPartError("eSpeak NG is missing: pip install 'jarvis-gateway[espeak]'") from None
    return str(loader.get_library_path()), str(loader.get_data_path())
