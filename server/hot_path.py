"""The hot path: the modules that a frame of audio passes. They can be compiled to C, by mypyc.

Python is the default, everywhere. `JARVIS_COMPILED=1 pip install .` builds a wheel with these modules compiled (setup.py), which
only an installation has: nothing is ever compiled into a checkout, where a changed source would be hidden by it.

Each call between compiled and plain code costs what the compiled code saves. So the list is the whole of both walks (docs/HOUSE.md)
and that of OpenAI's appends, with what they call for every frame, except what mypyc does not compile: dataclasses with slots and async
generators. The modules of a REST request gained nothing (docs/PERFORMANCE.md).

Keep no weak references to their objects: mypyc 2.4.1 frees those of a class with a generic base twice.
"""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

MODULES = {
    # a read of a socket, and writes to it
    "server.net.websocket.rounds": "reads each frame of a microphone",
    "server.net.websocket.slots": "the attributes of a socket",
    "server.net.websocket.socket": "takes what was read, and writes",
    "server.net.websocket.frames": "parses each frame of a client, and makes each of ours",
    "server.net.loop_turns": "asked for each read whether the socket has had its share",
    "server.net.tick": "writes what all sockets have at the end of a tick",
    "handlers.writer": "writes what a session sends, once a tick",
    # the session
    "streaming.jarvis.entry": "takes each frame from its socket",
    "streaming.jarvis.live": "counts it, and passes it on; sends speech",
    "streaming.jarvis.channels": "finds the lane that hears it",
    "streaming.jarvis.outlet": "returns credit; takes each frame of speech",
    # the protocol's core
    "streaming.protocol.server": "the session's numbers: asked for each frame, both ways",
    "streaming.protocol.microphone": "judges each frame of a microphone",
    "streaming.protocol.channel": "states, windows and positions, read for each frame",
    "streaming.protocol.window": "credit, counted for each frame",
    "streaming.protocol.outbox": "numbers and keeps each frame of speech",
    "streaming.protocol.sendqueue": "asked for each frame of speech whether something waits before it",
    "streaming.protocol.unacknowledged": "keeps each frame of speech until it is acknowledged",
    "streaming.protocol.receipts": "confirmed with each acknowledgement",
    "streaming.protocol.frame": "the header of each frame of speech",
    "streaming.rate": "audio is limited in rate",
    # sound
    "streaming.sound.microphone": "takes each frame, and counts its credit",
    "streaming.sound.kept": "keeps each frame until it is recognised",
    "streaming.sound.trail": "where each microphone stands",
    "streaming.sound.codecs": "PCM that passes as it is; pieces of speech to frames",
    "streaming.sound.utterance": "paces each frame of speech",
    "streaming.sound.playout": "asked for each frame how far the client has played",
    "streaming.listening": "the clock of speech",
    "streaming.sounding": "told of each frame of speech",
    # to and from the services
    "server.upstream.stt_stream": "queues each frame",
    "server.upstream.tts_stream": "hands each piece of speech to its utterance",
    "server.upstream.trunk": "gathers the frames of all microphones",
    "server.upstream.call_trunk": "derives from it",
    "server.upstream.trunk_stream": "a stream's place in a trunk, woken by each frame",
    "server.upstream.microphone_trunk": "puts each frame into a message",
    "server.upstream.speech_trunk": "takes each piece of speech from a message",
    "server.upstream.trunk_items": "the bytes before each frame in a message",
    "server.upstream.inactivity": "told of each message",
    # OpenAI's dialect
    "streaming.openai.live": "takes each append that comes alone",
    "streaming.openai.duplex": "derives from it",
    "streaming.openai.appends": "reads each append without parsing JSON",
    "streaming.openai.inbox": "asked for each append whether it must wait",
    "streaming.openai.microphones": "finds the lane that hears it",
    "streaming.openai.hearing": "counts it",
    "streaming.openai.recorded": "derives from it",
}


ROOT = Path(__file__).parent.parent


def compiled() -> list[str]:
    """Those of the modules that are compiled where this one was loaded from."""
    return [name for name in MODULES if any(_file(name, suffix).exists() for suffix in EXTENSION_SUFFIXES)]


def _file(name: str, suffix: str) -> Path:
    return ROOT / (name.replace(".", "/") + suffix)


def described() -> str:
    """For people: "plain Python", "compiled", or a part of it, which no build makes."""
    found = len(compiled())
    if found in {0, len(MODULES)}:
        return "compiled" if found else "plain Python"
    return f"compiled in part: {found} of {len(MODULES)} modules"
