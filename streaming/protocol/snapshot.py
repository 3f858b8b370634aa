"""What a session leaves for another replica to go on with: text and numbers, as plain JSON; no audio.

Audio is not saved: a microphone's frames are the client's to send again, speech is made again from its text. Whatever else
a client may have seen is written down before it leaves (see `Snapshot`), so that a replica that dies takes nothing along.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from streaming.protocol.channel import ChannelState, ServerChannel
from streaming.protocol.messages import ExecuteParams, ObserveParams, SttParams, TtsParams, TurnParams

if TYPE_CHECKING:
    from streaming.protocol.messages import ChannelParams

PARAMS: dict[str, type[ChannelParams]] = {
    params.kind: params for params in (SttParams, TtsParams, ExecuteParams, TurnParams, ObserveParams)
}


@dataclass(frozen=True, slots=True)
class Rewind:
    """From where a channel's microphone is to be sent again: the frame, and the payload bytes received since."""

    frame: int
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A session at one moment. `core` changes with everything, `commands` with each command that has an id.

    `texts`: messages that wait, or left and are not acknowledged, by serial number; each stays as it is.
    """

    core: dict[str, Any]
    commands: list[list[Any]]
    commands_version: int = 0
    texts: dict[int, str] = field(default_factory=dict)


def dump_channel(channel: ServerChannel, rewind: Rewind | None) -> dict[str, Any]:
    """One channel."""
    window = channel.receive_window
    return {
        "id": channel.id,
        "kind": channel.params.kind,
        "params": channel.params.model_dump(mode="json"),
        "open_id": channel.open_id,
        "state": channel.state.value,
        "generation": channel.generation,
        "next_frame": channel.next_frame,
        "send_credit": channel.send_window.available,
        "receive_window": [window.size, window.available, window.taken_bytes, window.repaid_bytes],
        "sent_pts_ms": channel.sent_pts_ms,
        "paid_pts_ms": max(channel.sent_pts_ms, channel.paid_pts_ms),
        "marks": [list(mark) for mark in channel.marks],
        "rewind": [rewind.frame, rewind.n_bytes] if rewind else None,
    }


def load_channel(data: dict[str, Any]) -> ServerChannel:
    """One channel, its microphone wound back to where the client sends it again from."""
    params = PARAMS[data["kind"]].model_validate(data["params"], strict=False)
    size, available, taken_bytes, repaid_bytes = data["receive_window"]
    channel = ServerChannel(data["id"], params, data["send_credit"], size, data["open_id"])
    window = channel.receive_window
    window.available, window.taken_bytes, window.repaid_bytes = available, taken_bytes, repaid_bytes
    channel.state = ChannelState(data["state"])
    channel.generation = data["generation"]
    channel.next_frame = data["next_frame"]
    channel.sent_pts_ms, channel.paid_pts_ms = data["sent_pts_ms"], data["paid_pts_ms"]
    channel.marks = [(frame, what) for frame, what in data["marks"]]
    if data["rewind"] is not None:
        _wind_back(channel, Rewind(*data["rewind"]))
    return channel


def _wind_back(channel: ServerChannel, rewind: Rewind) -> None:
    channel.receive_window.rewind(rewind.n_bytes)
    again = rewind.frame < channel.next_frame
    channel.next_frame = rewind.frame
    channel.forget_marks(rewind.frame)
    if again and channel.state is ChannelState.INPUT_ENDED:
        channel.state = ChannelState.OPEN  # its end comes again, as a frame or as a mark
