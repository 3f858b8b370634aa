"""A decoder process: `python -m server.embedded.stt.worker ENGINE [FOLDER]`. Speaks `wire` over standard input and output.

One process per core keeps the service's event loop free. It ends when its input closes, and with the services.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from server.embedded.stt import wire
from server.embedded.stt.engine import POCKETSPHINX, WHISPER
from server.embedded.stt.transcript import Job
from server.process import lifeline

if TYPE_CHECKING:
    from server.embedded.stt.transcript import Recognizer

WARM_UP_BYTES = 32_000  # one second


def load(engine: str, folder: str) -> Recognizer:
    """Load the engine and warm it up, because the first decode allocates memory."""
    if engine == POCKETSPHINX:
        from server.embedded.stt.sphinx import Sphinx  # noqa: PLC0415 - a process needs only one of the two

        return Sphinx()
    from server.embedded.stt.whisper import Whisper  # noqa: PLC0415 - a process needs only one of the two

    recognizer = Whisper(Path(folder))
    recognizer.decode([Job(bytes(WARM_UP_BYTES), final=False)])
    return recognizer


def serve(recognizer: Recognizer, requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer requests until the pipe closes."""
    while (message := wire.read(requests)) is not None:
        replies.write(wire.pack_transcripts(recognizer.decode(wire.unpack_jobs(*message))))
        replies.flush()


def run(engine: str, folder: str, replies: BinaryIO) -> None:
    """Load the engine, say so, and answer requests. Raises BrokenPipeError if the service has died meanwhile."""
    try:
        recognizer = load(engine, folder)
    except Exception as broken:  # noqa: BLE001 - a model may be broken in any way; the service says so in one line
        replies.write(wire.pack({"failed": f"{type(broken).__name__}: {broken}"}))
        replies.flush()
        sys.exit(1)
    replies.write(wire.pack({"ready": True}))
    replies.flush()
    serve(recognizer, sys.stdin.buffer, replies)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser()
    parser.add_argument("engine", choices=[WHISPER, POCKETSPHINX])
    parser.add_argument("folder", nargs="?", default="")
    arguments = parser.parse_args()
    lifeline.hold()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the service closes the pipe
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # output of libraries must not get between replies
    try:
        run(arguments.engine, arguments.folder, replies)
    except BrokenPipeError:
        os._exit(0)  # the service died first; the interpreter's own flush would only fail again


if __name__ == "__main__":
    main()
