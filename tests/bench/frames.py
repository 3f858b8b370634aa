"""The cost of a WebSocket frame: parsed from one read, parsed from two, and built. CPU time of this process, best round."""

from __future__ import annotations

import argparse
import os
import time
from typing import TYPE_CHECKING

from server.net.websocket.frames import FrameReader, data_frame
from server.net.websocket.mask import unmask, xor_by_integers
from tests.bench.machine import head, say
from tests.server.net.websocket.client_frames import BINARY, PING, TEXT, frame

if TYPE_CHECKING:
    from collections.abc import Callable

MICROPHONE_BYTES = 16 + 640
SPEECH_BYTES = 16 + 1280
COMMAND = b'{"type":"playback","channel":7,"played_ms":840,"generation":1,"seq":11}'
MAX_MESSAGE_BYTES = 256 * 1024


def cost_us(work: Callable[[], object], units: int, rounds: int) -> float:
    """CPU per unit of `work`, which does `units` of them each time."""
    best, times = float("inf"), max(1, 20_000 // units)
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(times):
            work()
        best = min(best, time.process_time() - began)
    return best / times / units * 1e6


def main(rounds: int) -> None:
    """Measure."""
    head(f"frames of a WebSocket, the best of {rounds} rounds")
    reader = FrameReader(MAX_MESSAGE_BYTES)
    payload = os.urandom(MICROPHONE_BYTES)
    microphone = frame(BINARY, payload)

    def show(name: str, work: Callable[[], object], units: int = 1) -> None:
        each_us = cost_us(work, units, rounds)
        say(f"{name:44} {each_us:8.2f} µs each  {1e6 / each_us:12,.0f} a second")

    for number in (1, 10, 100):
        data = microphone * number
        show(f"microphone frames, {number} in a read", lambda data=data: reader.feed(data), number)
    first, second = microphone[:300], microphone[300:]
    show("microphone frame, cut in two", lambda: (reader.feed(first), reader.feed(second)))
    command, ping = frame(TEXT, COMMAND), frame(PING, b"12345678")
    show("command", lambda: reader.feed(command))
    show("ping", lambda: reader.feed(ping))
    show("the mask of a microphone frame", lambda: unmask(b"\x01\x02\x03\x04", payload))
    show("the same without the C function", lambda: xor_by_integers(b"\x01\x02\x03\x04", payload))
    speech, event = os.urandom(SPEECH_BYTES), COMMAND.decode()
    show("speech frame, built", lambda: data_frame(speech))
    show("event, built", lambda: data_frame(event))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    main(parser.parse_args().rounds)
