"""A worker process: decoders hold the GIL, so they live here. Streams are told apart by number.

In: ("open", n, options) ("audio", n, pcm) ("commit", n) ("end", n) ("close", n). Out: ("event", n, event) ("done", n), and
("ready",) once the models are loaded. Ends when the pipe closes: with its parent, however that ends.
"""

from __future__ import annotations

import contextlib
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server.embedded.stt.model import DomainModel, build
from server.embedded.stt.recogniser import Recogniser, domain_decoder, general_decoder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

    from pocketsphinx import Decoder

MAX_SPARE = 8  # domain decoders kept for the next streams: 10 MB each


class Worker:
    """The loop of one process."""

    def __init__(self, pipe: Connection, directory: Path) -> None:
        self._pipe = pipe
        self._directory = directory
        self._model = build(directory)
        self._general = general_decoder()
        self._spare: list[Decoder] = [domain_decoder(self._model)]
        self._streams: dict[int, tuple[Recogniser, Decoder, bool]] = {}

    def run(self) -> None:
        """Until the pipe closes."""
        self._pipe.send(("ready",))
        while True:
            message = self._pipe.recv()
            kind, number = message[0], message[1]
            if kind == "open":
                self._open(number, message[2])
            elif number in self._streams:
                self._act(kind, number, message[2:])

    def _open(self, number: int, options: dict[str, Any]) -> None:
        vocabulary = options["vocabulary"]
        if vocabulary:
            decoder = domain_decoder(self._own_model(number, vocabulary))
        else:
            decoder = self._spare.pop() if self._spare else domain_decoder(self._model)
        recogniser = Recogniser(decoder, self._general, interim=options["interim"], endpointing=options["endpointing"])
        self._streams[number] = (recogniser, decoder, not vocabulary)

    def _own_model(self, number: int, vocabulary: list[str]) -> DomainModel:
        directory = self._directory / str(number)
        directory.mkdir()
        return build(directory, vocabulary)

    def _act(self, kind: str, number: int, rest: tuple[Any, ...]) -> None:
        recogniser, _, _ = self._streams[number]
        if kind == "audio":
            self._tell(number, recogniser.feed(rest[0]))
        elif kind == "commit":
            self._tell(number, recogniser.commit())
        elif kind == "end":
            self._tell(number, recogniser.end())
            self._pipe.send(("done", number))
            self._close(number)
        else:
            self._close(number)

    def _tell(self, number: int, events: Iterator[dict[str, Any]]) -> None:
        for event in events:
            self._pipe.send(("event", number, event))

    def _close(self, number: int) -> None:
        recogniser, decoder, usual = self._streams.pop(number)
        recogniser.close()
        if usual and len(self._spare) < MAX_SPARE:
            self._spare.append(decoder)


def main(pipe: Connection) -> None:
    """Entry point of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when it is over
    with tempfile.TemporaryDirectory(prefix="jarvis-stt-") as directory, contextlib.suppress(EOFError, BrokenPipeError):
        Worker(pipe, Path(directory)).run()
