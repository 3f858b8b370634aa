from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streaming.protocol.channel import Channel
from streaming.protocol.messages import (
    Message,
    ObserveEvent,
    SeenEvent,
    TaskProgress,
    TaskResult,
    TtsDone,
    TtsParams,
    TurnReply,
)
from streaming.protocol.sendqueue import QueuedAudio, QueuedText, SendQueue

MERGED_BYTES = 20


def channels(**credit: int) -> dict[int, Channel]:
    return {int(name[1:]): Channel(int(name[1:]), TtsParams(), n_bytes, 0) for name, n_bytes in credit.items()}


def audio(channel: int, payload: bytes = b"1234") -> QueuedAudio:
    return QueuedAudio(channel, payload, 0, 0, 0)


def progress(message: str = "", channel: int = 1, **fields: Any) -> TaskProgress:
    return TaskProgress(channel=channel, message=message, **fields)


def drain(queue: SendQueue, of: dict[int, Channel]) -> list[Any]:
    out: list[Any] = []
    while (item := queue.pop(of)) is not None:
        out.append((item.channel, item.payload) if isinstance(item, QueuedAudio) else json.loads(item.text))
    return out


def kinds(out: list[Any]) -> list[Any]:
    return [item["type"] if isinstance(item, dict) else item for item in out]


def test_control_overtakes_audio() -> None:
    queue = SendQueue(MERGED_BYTES)
    queue.put_audio(audio(1))
    queue.put(TurnReply(channel=1, text="hi"), 1)
    assert kinds(drain(queue, channels(c1=100))) == ["turn.reply", (1, b"1234")]
    assert queue.bytes == 0


def test_what_is_about_audio_keeps_its_place_behind_it() -> None:
    queue = SendQueue(MERGED_BYTES)
    queue.put_audio(audio(1))
    queue.put(TtsDone(channel=1, duration_ms=1), 1)
    queue.put(TtsDone(channel=3, duration_ms=1), 3)
    of = channels(c1=3, c3=0)
    assert queue.sendable(of)
    assert kinds(drain(queue, of)) == ["tts.done"]  # channel 3 has no audio to wait for
    assert not queue.sendable(of)
    of[1].send_window.grant(1)
    assert queue.sendable(of)
    assert kinds(drain(queue, of)) == [(1, b"1234"), "tts.done"]


def test_what_was_seen_is_written_as_it_was_said() -> None:
    """A client reads it as an ObserveEvent, and nobody has to read it before."""
    queue = SendQueue(MERGED_BYTES)
    queue.put(SeenEvent(channel=5, direction="client", text='{"type":"ping","id":"\\u00e9"}'), 5)
    (event,) = drain(queue, {})
    assert ObserveEvent.model_validate(event) == ObserveEvent(
        channel=5, direction="client", message={"type": "ping", "id": "é"}
    )


def test_channels_take_turns_and_do_not_wait_for_each_other() -> None:
    queue = SendQueue(MERGED_BYTES)
    for channel in (1, 1, 1, 3, 3, 5):
        queue.put_audio(audio(channel))
    assert [item[0] for item in drain(queue, channels(c1=8, c3=100, c5=0))] == [1, 3, 1, 3]
    assert queue.audio_bytes(1) == 4
    assert queue.audio_bytes(3) == 0
    assert queue.bytes == 2 * (4 + 16)


def test_dropped_audio_leaves_its_messages() -> None:
    queue = SendQueue(MERGED_BYTES)
    queue.put_audio(audio(1))
    queue.put(TtsDone(channel=1, duration_ms=1), 1)
    queue.put_audio(audio(1))
    assert queue.drop_audio(1) == 8
    assert queue.drop_audio(1) == 0
    assert kinds(drain(queue, channels(c1=100))) == ["tts.done"]
    assert queue.bytes == 0


def test_the_oldest_frame_can_be_dropped() -> None:
    queue = SendQueue(MERGED_BYTES)
    queue.put_audio(audio(1, b"old"))
    queue.put(TtsDone(channel=1, duration_ms=1), 1)
    queue.put_audio(audio(1, b"new"))
    queue.drop_oldest_frame(1)
    assert kinds(drain(queue, channels(c1=100))) == ["tts.done", (1, b"new")]
    queue.put_audio(audio(1, b"only"))
    queue.drop_oldest_frame(1)
    assert drain(queue, channels(c1=100)) == []
    assert queue.bytes == 0


def test_progress_is_merged_to_the_latest_and_output_is_joined() -> None:
    queue = SendQueue(MERGED_BYTES)
    queue.put(progress("one", percent=10.0), 1)
    queue.put(progress("two", stream="stdout", data="ab"), 1)
    queue.put(progress(stream="stdout", data="cd"), 1)
    queue.put(progress(percent=50.0), 1)
    (merged,) = drain(queue, channels())
    assert merged == {
        "type": "task.progress",
        "channel": 1,
        "percent": 50.0,
        "message": "two",
        "stream": "stdout",
        "data": "abcd",
    }
    assert queue.merged_messages == 3
    assert queue.bytes == 0


def test_output_of_two_streams_keeps_its_order_and_long_output_its_pieces() -> None:
    queue = SendQueue(MERGED_BYTES)
    for stream, data in (("stdout", "a"), ("stderr", "b"), ("stderr", "c"), ("stdout", "d"), ("stdout", "e" * 20)):
        queue.put(progress(stream=stream, data=data), 1)
    assert [(item["stream"], item["data"]) for item in drain(queue, channels())] == [
        ("stdout", "a"),
        ("stderr", "bc"),
        ("stdout", "d"),
        ("stdout", "e" * 20),
    ]


def test_progress_is_merged_with_its_own_step_only() -> None:
    queue = SendQueue(MERGED_BYTES)
    queue.put(progress("a", step_id="s1"), 1)
    queue.put(progress("b", step_id="s2"), 1)
    queue.put(progress("c", channel=3, step_id="s1"), 3)
    queue.put(progress("d", step_id="s1"), 1)
    assert [item["message"] for item in drain(queue, channels())] == ["d", "b", "c"]


def test_progress_after_a_result_is_another_run() -> None:
    queue = SendQueue(MERGED_BYTES)
    queue.put(progress("a"), 1)
    queue.put(TaskResult(channel=1), 1)
    queue.put(progress("b"), 1)
    assert kinds(drain(queue, channels())) == ["task.progress", "task.result", "task.progress"]
    queue.put(progress("c"), 1)
    assert [item["message"] for item in drain(queue, channels())] == ["c"]


def test_messages_of_no_channel_do_not_end_a_run() -> None:
    queue = SendQueue(MERGED_BYTES)
    queue.put(progress("a"), 1)
    queue.put(TurnReply(channel=9, text=""))
    queue.put(progress("b"), 1)
    assert [item.get("message") for item in drain(queue, channels())] == ["b", None]


def test_every_text_that_waits_has_a_serial_number_and_can_be_cleared() -> None:
    queue = SendQueue(MERGED_BYTES)
    queue.put(progress("a", step_id="s"), 1)
    queue.put_audio(audio(1))
    queue.put(TtsDone(channel=1, duration_ms=20), 1)
    queue.put(progress("b", step_id="s"), 1)
    assert [item.serial for item in queue.texts()] == [3, 2]  # what is merged is another text
    queue.clear()
    assert list(queue.texts()) == []
    assert queue.bytes == 0


text = st.text("ab", min_size=1, max_size=9)
progresses = st.builds(
    progress,
    message=st.text("xyz", max_size=2),
    step_id=st.sampled_from(["s1", "s2"]),
    stream=st.sampled_from(["stdout", "stderr"]),
    data=st.none() | text,
)
steps = st.lists(progresses | st.sampled_from(["pop", "result"]), max_size=40)


@given(steps)
def test_no_output_is_ever_lost_or_out_of_order(happenings: list[Message | str]) -> None:
    queue, put, got = SendQueue(MERGED_BYTES), [], []
    for happening in happenings:
        if isinstance(happening, TaskProgress):
            queue.put(happening, 1)
            put.append((happening.step_id, happening.stream, happening.data))
        elif happening == "result":
            queue.put(TaskResult(channel=1, step_id="s1"), 1)
        elif (item := queue.pop({})) is not None:
            assert isinstance(item, QueuedText)
            got.append(json.loads(item.text))
    got += drain(queue, {})
    assert queue.bytes == 0
    for step in ("s1", "s2"):
        want = [(stream, char) for of, stream, data in put if of == step for char in data or ""]
        assert want == [
            (item["stream"], char) for item in got if item.get("step_id") == step for char in item.get("data", "")
        ]
