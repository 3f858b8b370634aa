"""Decodes strangers' files, each in a process of its own: `python -m server.audio.decoder_process`.

A file of 700 bytes can make FFmpeg allocate gigabytes, compute for minutes, or crash. Here that ends one process, and its file is
refused. This process loads FFmpeg once, and forks for each file: that takes some 5 ms, a start takes 0.3 s. For each byte that comes
on its standard input, a Unix socket, two descriptors come along: the socket to answer on, and the file. It ends when that closes.
"""

from __future__ import annotations

import gc
import math
import os
import resource
import select
import signal
import socket
import threading
import traceback
from contextlib import suppress

from server.audio import demux  # noqa: F401 - loads FFmpeg, before the forks
from server.audio.decode import FileDecoder
from server.audio.decoder_wire import END, HEADER, PCM, STARTED, UNREADABLE
from server.audio.errors import UnreadableAudioError
from server.process import lifeline

# Ordinary files take 75 MiB, most of it this program and its stacks, and ten minutes of eight channels at 192 kHz 13 s.
MAX_MEMORY_BYTES = 128 * 1024 * 1024
MAX_CPU_S = 60
NICE = 5  # behind live sound


def main() -> None:
    """Entry point."""
    lifeline.hold()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the forks
    gc.freeze()  # the forks share what is loaded
    with socket.socket(fileno=0) as orders:
        while True:
            order, descriptors, _, _ = socket.recv_fds(orders, 1, 2)
            if not order:
                return
            # Where no process can be made, the answer's socket closes before STARTED, and the gateway says so.
            with suppress(OSError):
                if os.fork() == 0:
                    orders.close()
                    _decode_and_exit(*descriptors)
            for descriptor in descriptors:
                os.close(descriptor)


def _decode_and_exit(answer: int, file: int) -> None:
    """In the fork. Whatever happens, it does not go on in `main`."""
    try:
        lifeline.hold(signal.SIGCONT)  # if it was stopped, it goes on, and sees whether the gateway has ended
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # the gateway has closed
        _limit()
        threading.Thread(target=_end_with, args=(answer,), daemon=True).start()
        with socket.socket(fileno=answer) as to, os.fdopen(file, "rb") as source:
            to.setblocking(True)
            _decode(to, FileDecoder(source, max_audio_s=math.inf))  # the gateway ends it when it has enough
    except MemoryError:
        pass  # the gateway takes a missing END for a file that cannot be decoded
    except Exception:  # noqa: BLE001 - it may not be raised into `main`
        traceback.print_exc()
    finally:
        os._exit(0)


def _decode(to: socket.socket, decoder: FileDecoder) -> None:
    to.sendall(HEADER.pack(STARTED, 0, 0))
    try:
        while (piece := decoder.next_piece()) is not None:
            to.sendall(HEADER.pack(PCM, decoder.read_percent, len(piece)) + piece)
    except UnreadableAudioError as wrong:
        words = str(wrong).encode()
        to.sendall(HEADER.pack(UNREADABLE, 100, len(words)) + words)
    else:
        to.sendall(HEADER.pack(END, 100, 0))


def _limit() -> None:
    """What this process may take of the machine. It can only be lowered from here on."""
    os.nice(NICE)
    limits = {
        resource.RLIMIT_DATA: MAX_MEMORY_BYTES,
        resource.RLIMIT_CPU: MAX_CPU_S,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
    }
    for limit, most in limits.items():
        _, hard = resource.getrlimit(limit)
        resource.setrlimit(limit, (most, most) if hard == resource.RLIM_INFINITY else (min(most, hard),) * 2)


def _end_with(answer: int) -> None:
    """End when the gateway closes the answer's socket, also within FFmpeg, which never looks."""
    watched = select.poll()
    watched.register(answer, 0)  # hang-ups are always told
    watched.poll()
    os._exit(0)


if __name__ == "__main__":
    main()
