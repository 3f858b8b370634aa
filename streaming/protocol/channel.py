"""A channel's states as one table, and its two sides: what the client sends in, and what the server sends out."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from streaming.protocol.errors import LocalProtocolError
from streaming.protocol.window import ReceiveWindow, SendWindow

if TYPE_CHECKING:
    from streaming.protocol.messages import ChannelParams


InputMark = Literal["commit", "end"]


class ChannelState(StrEnum):
    """The state of a channel; the same for server and client."""

    OPEN = "open"  # the client may send input
    INPUT_ENDED = "input_ended"  # the client has sent everything; results still follow
    CANCELLED = "cancelled"  # the client wants nothing more; the lane is being stopped
    CLOSING = "closing"  # the lane has ended; `channel.closed` waits behind audio that waits for credit
    CLOSED = "closed"


class ChannelInput(StrEnum):
    """What can happen to a channel."""

    CLIENT_DATA = "client_data"  # a frame, `tts.text`, `commit`
    CLIENT_END = "client_end"
    CLIENT_CANCEL = "client_cancel"
    SERVER_DATA = "server_data"  # an event, audio, `credit`
    SERVER_CLOSE = "server_close"  # `channel.closed` was decided on
    SERVER_CLOSED = "server_closed"  # `channel.closed` was sent


_OPEN, _ENDED, _CANCELLED, _CLOSING, _CLOSED = ChannelState
_DATA, _END, _CANCEL, _SERVER_DATA, _CLOSE, _LEFT = ChannelInput

# Anything missing here is a mistake: of the client, answered by an error, or of this side, a LocalProtocolError.
# Client input in CANCELLED, CLOSING and CLOSED crossed with a message on the wire, and is ignored.
TRANSITIONS: dict[tuple[ChannelState, ChannelInput], ChannelState] = {
    (_OPEN, _DATA): _OPEN,
    (_OPEN, _END): _ENDED,
    (_OPEN, _CANCEL): _CANCELLED,
    (_OPEN, _SERVER_DATA): _OPEN,
    (_OPEN, _CLOSE): _CLOSING,
    (_ENDED, _END): _ENDED,  # a frame marked LAST, followed by `channel.end`
    (_ENDED, _CANCEL): _CANCELLED,
    (_ENDED, _SERVER_DATA): _ENDED,
    (_ENDED, _CLOSE): _CLOSING,
    (_CANCELLED, _DATA): _CANCELLED,
    (_CANCELLED, _END): _CANCELLED,
    (_CANCELLED, _CANCEL): _CANCELLED,
    (_CANCELLED, _SERVER_DATA): _CANCELLED,
    (_CANCELLED, _CLOSE): _CLOSING,
    (_CLOSING, _DATA): _CLOSING,
    (_CLOSING, _END): _CLOSING,
    (_CLOSING, _CANCEL): _CLOSING,
    (_CLOSING, _LEFT): _CLOSED,
    (_CLOSED, _DATA): _CLOSED,
    (_CLOSED, _END): _CLOSED,
    (_CLOSED, _CANCEL): _CLOSED,
}

PLAYS_AUDIO = frozenset({"tts", "turn", "observe"})  # kinds on which the server sends audio

NOTHING_HEARD = (-1, -1, 0)


class Channel:
    """What both sides keep. `generation`: that of the server's newest audio; older audio is stale."""

    __slots__ = ("generation", "id", "params", "receive_window", "send_window", "state")

    def __init__(self, channel_id: int, params: ChannelParams, send_bytes: int, receive_bytes: int) -> None:
        self.id = channel_id
        self.params = params
        self.state = ChannelState.OPEN
        self.generation = 0
        self.send_window = SendWindow(send_bytes)
        self.receive_window = ReceiveWindow(receive_bytes)

    @property
    def hears(self) -> bool:
        """True if the client sends audio on it. A turn given as text has no microphone."""
        return self.params.kind in {"stt", "turn"} and getattr(self.params, "text", None) is None

    @property
    def plays(self) -> bool:
        """True if the server may send audio on it now."""
        return (self.state is _OPEN or self.state is _ENDED) and self.params.kind in PLAYS_AUDIO

    @property
    def reads(self) -> bool:
        """True if the client sends `tts.text` on it. An utterance given whole takes no more."""
        return self.params.kind == "tts" and getattr(self.params, "text", None) is None

    def allows(self, happening: ChannelInput) -> bool:
        """True if the table has this transition."""
        return (self.state, happening) in TRANSITIONS

    def move(self, happening: ChannelInput) -> None:
        """Make the transition. Raises LocalProtocolError if the table has none."""
        state = TRANSITIONS.get((self.state, happening))
        if state is None:
            raise LocalProtocolError(f"channel {self.id}: no {happening} in state {self.state}")
        self.state = state


class ServerChannel(Channel):
    """The server's side. `next_frame`: the number expected of the client's next frame.

    `marks`: commits and ends that followed frames which the client may have to send again, each with the number of the frame after it.
    `sent_pts_ms`: position of the utterance's newest frame sent; -1 if none. `sent_seq`: its number. `had_pts_ms`: frames up to this
    position were acknowledged. `paid_pts_ms`: frames up to this position were already sent by another replica; sending them again
    costs no credit. `begun_seq`: the number of the message with which the utterance began. `sounds`: frames may follow.
    """

    __slots__ = (
        "begun_seq",
        "had_pts_ms",
        "marks",
        "next_frame",
        "open_id",
        "paid_pts_ms",
        "sent_pts_ms",
        "sent_seq",
        "sounds",
    )

    def __init__(
        self, channel_id: int, params: ChannelParams, send_bytes: int, receive_bytes: int, open_id: str | None
    ) -> None:
        super().__init__(channel_id, params, send_bytes, receive_bytes)
        self.next_frame = 0
        self.open_id = open_id
        self.marks: list[tuple[int, InputMark]] = []
        self.sent_seq = 0
        self.begin_utterance(0)
        self.end_utterance()

    def begin_utterance(self, seq: int) -> None:
        """An utterance begins after message `seq`: its positions count from 0 again."""
        self.begun_seq = seq
        self.sent_pts_ms = self.paid_pts_ms = self.had_pts_ms = -1
        self.sounds = True

    def end_utterance(self) -> None:
        """No frame follows before the next utterance. What is observed has utterances of its own, of which nothing is known here."""
        self.sounds = self.params.kind == "observe"

    def mark(self, what: InputMark) -> None:
        """Record a commit or end at the current frame."""
        if (self.next_frame, what) not in self.marks[-1:]:  # repeated at the same place, it means nothing more
            self.marks.append((self.next_frame, what))

    def forget_marks(self, before_frame: int) -> None:
        """Forget marks before that frame, which will not be sent again."""
        if self.marks and self.marks[0][0] <= before_frame:
            self.marks = [mark for mark in self.marks if mark[0] > before_frame]


class ClientChannel(Channel):
    """The client's side. `next_frame`: the number of the next frame to be sent.

    `heard`: generation, `pts_ms` and LAST flag of the utterance's newest frame received.
    """

    __slots__ = ("heard", "lost", "next_frame", "opened")

    def __init__(self, channel_id: int, params: ChannelParams, receive_bytes: int) -> None:
        super().__init__(channel_id, params, 0, receive_bytes)
        self.next_frame = 0
        self.lost = False  # True if audio was dropped since the last frame was sent
        self.opened = False  # True if the server confirmed the channel
        self.heard = NOTHING_HEARD
