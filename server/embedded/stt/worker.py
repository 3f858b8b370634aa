"""A decoder process: `python -m server.embedded.stt.worker [--whisper PATH]`. Speaks `wire` over its standard input and output.

Its own process because PocketSphinx holds the GIL while it decodes. It ends when its input closes, so it cannot outlive the
service. Several utterances take turns in it, a piece of audio each.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, BinaryIO

from server.embedded.stt import wire
from server.embedded.stt.decoding import SpeechModels, Utterance
from server.embedded.stt.transcript import Heard
from server.embedded.stt.whisper import Whisper

if TYPE_CHECKING:
    from collections.abc import Callable


class Worker:
    """The utterances open in this process, by the number the service gave them."""

    def __init__(self, models: SpeechModels, whisper: Whisper | None) -> None:
        self._models = models
        self._whisper = whisper
        self._open: dict[int, Utterance] = {}
        self._operations: dict[str, Callable[[dict[str, Any], bytes], dict[str, Any]]] = {
            wire.BEGIN: self._begin,
            wire.FEED: self._feed,
            wire.FINISH: self._finish,
            wire.LEARN: self._learn,
            wire.DISCARD: self._discard,
        }

    def answer(self, request: dict[str, Any], payload: bytes) -> dict[str, Any]:
        """One request's reply."""
        return self._operations[request["do"]](request, payload)

    def _begin(self, request: dict[str, Any], _payload: bytes) -> dict[str, Any]:
        self._open[request["utterance"]] = Utterance(self._models, request["vocabulary"], request["mean"])
        return {}

    def _feed(self, request: dict[str, Any], payload: bytes) -> dict[str, Any]:
        return wire.pack_heard(self._open[request["utterance"]].feed(payload, paused=request["paused"]))

    def _finish(self, request: dict[str, Any], _payload: bytes) -> dict[str, Any]:
        utterance = self._open[request["utterance"]]
        heard = utterance.finish()
        if self._whisper is not None:
            heard = Heard(self._whisper.transcribe(bytes(utterance.pcm)))
        return wire.pack_heard(heard)

    def _learn(self, request: dict[str, Any], _payload: bytes) -> dict[str, Any]:
        return {"mean": self._open[request["utterance"]].learned_mean()}

    def _discard(self, request: dict[str, Any], _payload: bytes) -> dict[str, Any]:
        utterance = self._open.pop(request["utterance"], None)
        if utterance is not None:
            utterance.discard()
        return {}


def serve(worker: Worker, requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer until the pipe closes."""
    while (message := wire.read(requests)) is not None:
        replies.write(wire.pack(worker.answer(*message)))
        replies.flush()


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--whisper", default="")
    path = parser.parse_args().whisper
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole terminal; the service closes the pipe
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nothing a library prints may get between replies
    models = SpeechModels()
    models.warm()
    whisper = Whisper(path) if path else None
    replies.write(wire.pack({"ready": True}))
    replies.flush()
    try:
        serve(Worker(models, whisper), sys.stdin.buffer, replies)
    except BrokenPipeError:
        os._exit(0)  # the service died first; the interpreter would only fail again when it flushes


if __name__ == "__main__":
    main()
