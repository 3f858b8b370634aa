"""The limits of one socket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PINGS, PING_INTERVAL_S = 400, 20.0
FRAMES_PER_S = 1_000  # sustained, of any kind; a microphone sends 50 a second, and a session has 16 channels
FRAMES_BURST = 10_000  # a client that reconnects may have minutes of small frames to send

LINGER_S: Final = 2.0  # after our close frame, for the client to read it and close its half
LINGER_BYTES: Final = 32 * 1024 * 1024  # of data that it still sends in the meantime; then we read no more of it
LONG_READ_BYTES: Final = 8 * 1024  # what is read beyond waits for its turn: such a text may cost milliseconds


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """Limits of one socket."""

    message_bytes: int  # of one message, in any number of fragments
    write_buffer_bytes: int  # of data that the client does not read; beyond it the connection is cut
    frames_per_s: int = FRAMES_PER_S
    frames_burst: int = FRAMES_BURST
    # So long a client may be behind with its frames: turns may be too rare to exceed a rate. While ten are behind, a second counts as
    # a tenth for each: after a cut, many honest clients have some seconds of audio to send. Audio is cheap, so in dear turns a second
    # counts as half: else ten floods of dear messages would go on for 100 s. Time in which this process did not run does not count.
    crowded_s: float = 10.0
    pings: int = PINGS  # of the client's, in one ping interval
    # Of silence before a ping; after as long again without an answer, the socket is closed.
    ping_interval_s: float = PING_INTERVAL_S
    pings_silent: bool = True  # False: the session asks a silent client itself
    write_timeout_s: float = 30.0  # a client that takes nothing for this long is not reading
    close_timeout_s: float = 5.0  # for the client's close frame
