"""eSpeak NG's process: `python -m server.embedded.tts.espeak_worker LIBRARY DATA DESCRIPTOR`, started by `espeak`.

The descriptor is a connection of multiprocessing. First the process says what the engine offers. Then every request, in JSON, has one
answer: JSON and PCM. An empty message ends the synthesis under way. The process ends when its connection does, and with the services.
"""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path

from server.embedded.tts.espeak_library import EspeakLibrary
from server.process import lifeline


def serve(library: EspeakLibrary, connection: Connection) -> None:
    """Answer until the connection ends. Raises EOFError then."""
    while True:
        request = connection.recv_bytes()
        if not request:
            continue  # it came too late
        asked = json.loads(request)
        spoken = library.say(asked["text"], asked["voice"], asked["speed"], lambda: not connection.poll())
        marks = [(mark.position, mark.at_ms) for mark in spoken.marks]
        connection.send_bytes(json.dumps({"marks": marks}).encode())
        connection.send_bytes(spoken.pcm)


def main() -> None:
    """Entry point."""
    lifeline.hold()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the service closes the connection
    library_path, data_path, descriptor = sys.argv[1:]
    connection = Connection(int(descriptor))
    try:
        library = EspeakLibrary(Path(library_path), Path(data_path))
    except Exception as broken:  # noqa: BLE001 - a library may fail with anything; the service says so in one line
        connection.send_bytes(json.dumps({"failed": f"{type(broken).__name__}: {broken}"}).encode())
        return
    voices = [asdict(voice) for voice in library.voices]
    offered = {"rate_hz": library.sample_rate_hz, "voices": voices, "variants": library.variants}
    try:
        connection.send_bytes(json.dumps(offered).encode())
        serve(library, connection)
    except (EOFError, OSError):  # the service has ended
        return


if __name__ == "__main__":
    main()
