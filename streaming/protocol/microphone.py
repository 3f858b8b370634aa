"""The hot path of a microphone frame into the core. No JSON, no model, one copy of the payload."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from streaming.protocol.channel import ChannelState
from streaming.protocol.events import AudioReceived
from streaming.protocol.frame import HEADER, HEADER_BYTES, LAST, LOST, VERSION
from streaming.protocol.inbound import Refusal
from streaming.rate import TokenBucket

if TYPE_CHECKING:
    from streaming.protocol.channel import ServerChannel
    from streaming.protocol.frame import Frame
    from streaming.protocol.limits import Limits

_OPEN: Final = ChannelState.OPEN
PREPAID_BYTES: Final = 16 * 1024  # taken from the bucket at once: half a second of 16 kHz PCM
_unpack = HEADER.unpack_from
_unpack_words: Final = struct.Struct(
    ">IIII"
).unpack_from  # version, flags and channel in one number; generation, seq, pts_ms
_PLAIN: Final = VERSION << 24  # what that number is without flags and channel


class MicrophoneGate:
    """Accepts valid frames. `heard_at`: when anything last came from the client, in monotonic seconds."""

    __slots__ = ("_bucket", "_channels", "_max_bytes", "_prepaid_bytes", "heard_at")

    def __init__(self, limits: Limits, channels: dict[int, ServerChannel], now: float) -> None:
        self._channels = channels
        self._bucket = TokenBucket(limits.audio_bytes_per_s, limits.audio_burst_bytes, now)
        self._prepaid_bytes = 0  # taken from the bucket, and not yet used
        self._max_bytes = limits.frame_bytes
        self.heard_at = now

    def admit(self, data: bytes, now: float) -> ServerChannel | None:
        """The channel of the next expected frame, if it is open and within all limits. None for anything else, which is not counted.

        Frames with flags are left to `receive`, too.
        """
        n_bytes = len(data) - HEADER_BYTES
        if n_bytes < 0:
            return None
        head, generation, seq, _ = _unpack_words(data)
        channel = self._channels.get(head - _PLAIN)  # with flags or another version, there is no such channel
        if (
            channel is None
            or seq != channel.next_frame
            or generation
            or channel.state is not _OPEN
            or n_bytes > channel.receive_window.available
            or n_bytes > self._max_bytes
            or (n_bytes > self._prepaid_bytes and not self._pay(n_bytes, now))
        ):
            return None
        # This is `_count` written out: one call less for each frame of each microphone.
        self._prepaid_bytes -= n_bytes
        channel.receive_window.available -= n_bytes
        channel.next_frame = seq + 1
        self.heard_at = now
        return channel

    def _admit_flagged(self, data: bytes, now: float) -> ServerChannel | None:
        """The same for frames with flags, except LAST."""
        n_bytes = len(data) - HEADER_BYTES
        if n_bytes < 0:
            return None
        version, flags, channel_id, generation, seq, _ = _unpack(data)
        channel = self._channels.get(channel_id)
        if (
            channel is None
            or channel.state is not _OPEN
            or flags & LAST
            or version != VERSION
            or generation
            or (seq != channel.next_frame and (seq < channel.next_frame or not flags & LOST))
            or n_bytes > channel.receive_window.available
            or n_bytes > self._max_bytes
            or (n_bytes > self._prepaid_bytes and not self._pay(n_bytes, now))
        ):
            return None
        self._count(channel, n_bytes, seq)
        self.heard_at = now
        return channel

    def _count(self, channel: ServerChannel, n_bytes: int, seq: int) -> None:
        """Count a valid frame. It fits into the channel's window, and into what was taken from the bucket."""
        self._prepaid_bytes -= n_bytes
        channel.receive_window.available -= n_bytes
        channel.next_frame = seq + 1

    def receive(self, data: bytes, now: float) -> AudioReceived | None:
        """Like `admit`, also for frames with flags, and returns an event."""
        if self._admit_flagged(data, now) is None:
            return None
        _, flags, channel_id, _, seq, pts_ms = _unpack(data)
        return AudioReceived(channel_id, data[HEADER_BYTES:], pts_ms, False, flags & LOST != 0, 0, seq)

    def _pay(self, n_bytes: int, now: float) -> bool:
        """Take more from the bucket: much at once, or just what is missing. False: there is too little."""
        missing = n_bytes - self._prepaid_bytes
        for more in (max(missing, PREPAID_BYTES), missing):
            if self._bucket.take(more, now):
                self._prepaid_bytes += more
                return True
        return False

    def flaw(self, channel: ServerChannel, frame: Frame, now: float) -> Refusal | None:
        """Why a new frame on an open channel cannot be accepted, which closes the channel. None: it is valid, and was counted."""
        if frame.generation:
            return Refusal("INVALID_FRAME", "a client's frames have generation 0")
        if frame.seq != channel.next_frame and not frame.flags & LOST:
            return Refusal("FRAMES_MISSING", f"frame {frame.seq} came instead of {channel.next_frame}")
        if len(frame.payload) > channel.receive_window.available:
            return Refusal("FLOW_CONTROL", f"{channel.receive_window.available} bytes of credit were left")
        if len(frame.payload) > self._prepaid_bytes and not self._pay(len(frame.payload), now):
            return Refusal("AUDIO_RATE_LIMITED", "more audio per second than any microphone makes")
        self._count(channel, len(frame.payload), frame.seq)
        return None
