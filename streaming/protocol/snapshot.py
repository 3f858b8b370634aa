"""What another replica needs to continue a session: text and numbers, as plain JSON, without audio.

The client sends microphone frames again, and speech is synthesised again from its text. Everything else that a client may have
seen is saved before it is sent (see `Snapshot`), so that a replica that dies takes nothing with it.
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
    """Where a channel's microphone is to be sent again from: the frame, and the payload bytes received since."""

    frame: int
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A session at one moment. `core` changes with everything, `commands` with each command that has an id.

    `texts`: messages not sent or not acknowledged, by serial number; they never change.
    """

    core: dict[str, Any]
    commands: list[list[Any]]
    commands_version: int = 0
    texts: dict[int, str] = field(default_factory=dict)


def dump_channel(channel: ServerChannel, rewind: Rewind | None) -> dict[str, Any]:
    """A channel as JSON."""
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
        "had_pts_ms": channel.had_pts_ms,
        "sounds": channel.sounds,
        "marks": [list(mark) for mark in channel.marks],
        "rewind": [rewind.frame, rewind.n_bytes] if rewind else None,
    }


def load_channel(data: dict[str, Any]) -> ServerChannel:
    """A channel from JSON, its microphone rewound to where the client sends it again from."""
    params = PARAMS[data["kind"]].model_validate(data["params"], strict=False)
    size, available, taken_bytes, repaid_bytes = data["receive_window"]
    channel = ServerChannel(data["id"], params, data["send_credit"], size, data["open_id"])
    window = channel.receive_window
    window.available, window.taken_bytes, window.repaid_bytes = available, taken_bytes, repaid_bytes
    channel.state = ChannelState(data["state"])
    channel.generation = data["generation"]
    channel.next_frame = data["next_frame"]
    channel.sent_pts_ms, channel.paid_pts_ms = data["sent_pts_ms"], data["paid_pts_ms"]
    channel.had_pts_ms = data["had_pts_ms"]
    channel.sounds = data.get("sounds", True)  # 0.1.0 did not save it
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
        channel.state = ChannelState.OPEN  # its end comes again, as a frame or a mark
