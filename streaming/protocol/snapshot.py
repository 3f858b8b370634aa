"""Parts of a session as plain JSON, to carry it to another replica. Times become ages: clocks differ between machines."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

from streaming.protocol.channel import ChannelState, ServerChannel
from streaming.protocol.messages import ExecuteParams, ObserveParams, SttParams, TtsParams, TurnParams
from streaming.protocol.sendqueue import QueuedAudio, QueuedText

if TYPE_CHECKING:
    from streaming.protocol.messages import ChannelParams
    from streaming.protocol.replay import ReplayBuffer
    from streaming.protocol.sendqueue import SendQueue

PARAMS: dict[str, type[ChannelParams]] = {
    params.kind: params for params in (SttParams, TtsParams, ExecuteParams, TurnParams, ObserveParams)
}


def _dump_data(data: str | bytes) -> dict[str, str]:
    return {"text": data} if isinstance(data, str) else {"binary": b64encode(data).decode()}


def _load_data(data: dict[str, str]) -> str | bytes:
    return data["text"] if "text" in data else b64decode(data["binary"])


def dump_replay(replay: ReplayBuffer, now: float) -> dict[str, Any]:
    """What was sent and not acknowledged."""
    sent = [{**_dump_data(entry.data), "size": entry.size, "age_s": now - entry.at} for entry in replay]
    return {"floor": replay.floor, "sent": sent}


def load_replay(replay: ReplayBuffer, data: dict[str, Any], now: float) -> None:
    """Into an empty one."""
    replay.floor = replay.last_seq = data["floor"]
    for entry in data["sent"]:
        replay.push(_load_data(entry), entry["size"], now - entry["age_s"])


def dump_queue(queue: SendQueue) -> list[dict[str, Any]]:
    """What waits to be sent, in order."""
    return [_dump_item(channel, item) for channel, item in queue]


def _dump_item(behind: int | None, item: QueuedText | QueuedAudio) -> dict[str, Any]:
    if isinstance(item, QueuedText):
        return {"text": item.text, "closes": item.closes, "behind": behind}
    return {
        "binary": b64encode(item.payload).decode(),
        "channel": item.channel,
        "generation": item.generation,
        "pts_ms": item.pts_ms,
        "flags": item.flags,
    }


def load_queue(queue: SendQueue, data: list[dict[str, Any]]) -> None:
    """Into an empty one."""
    for item in data:
        if "text" in item:
            queue.put_text(QueuedText(item["text"], item["closes"]), item["behind"])
        else:
            payload = b64decode(item["binary"])
            queue.put_audio(QueuedAudio(item["channel"], payload, item["generation"], item["pts_ms"], item["flags"]))


def dump_channel(channel: ServerChannel) -> dict[str, Any]:
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
        "receive_window": [window.size, window.available, window.taken_bytes],
    }


def load_channel(data: dict[str, Any]) -> ServerChannel:
    """One channel."""
    params = PARAMS[data["kind"]].model_validate(data["params"], strict=False)
    size, available, taken_bytes = data["receive_window"]
    channel = ServerChannel(data["id"], params, data["send_credit"], size, data["open_id"])
    channel.receive_window.available = available
    channel.receive_window.taken_bytes = taken_bytes
    channel.state = ChannelState(data["state"])
    channel.generation = data["generation"]
    channel.next_frame = data["next_frame"]
    return channel
