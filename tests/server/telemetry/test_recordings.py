"""Recordings of live sessions: which sessions are recorded, the file's contents, and that disk errors only affect the recording."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from server.net.loop_turns import LoopTurns
from server.shared.observation import ReplicaObservation
from server.shared.state import LocalState
from server.telemetry.recordings import Recordings
from streaming.jarvis.entry import enter
from streaming.jarvis.recording import Recording, read
from streaming.jarvis.registry import Resume, Sessions
from streaming.ports import LaneServices
from streaming.protocol import frame
from streaming.protocol.limits import Limits
from streaming.residents import Residents
from tests.support.house import USER, FakeDesk, FakeSocket, FakeStore
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from streaming.jarvis.journal import SessionStore


class Studio:
    """Sessions with scripted services, on real time, whose clients may be recorded."""

    def __init__(
        self, group: asyncio.TaskGroup, recordings: Recordings | None, store: SessionStore | None = None
    ) -> None:
        world: Any = World()
        residents = Residents()
        observation = ReplicaObservation(LocalState(), None, group, residents, LoopTurns())
        provided = LaneServices(world.services(), world, world, world, world, observation)
        recorder = recordings.record if recordings else None
        self.sessions = Sessions(Limits(), provided, FakeDesk(), group, residents, store, recorder)
        self._group = group

    async def enter(self, *, record: bool, resume: Resume | None = None, session_id: str = "s1") -> FakeSocket:
        socket = FakeSocket(self._group)
        kept = await self.sessions.claim(session_id, USER, resume)
        socket.line = enter(self.sessions, session_id, USER, socket, resume, kept, recording=record)
        socket.wake()
        await asyncio.sleep(0.01)
        return socket


@asynccontextmanager
async def studio(recordings: Recordings | None, store: SessionStore | None = None) -> AsyncIterator[Studio]:
    async with asyncio.TaskGroup() as group:
        made = Studio(group, recordings, store)
        yield made
        await made.sessions.close()
        if recordings is not None:
            await recordings.close()


async def written(recordings: Recordings) -> None:
    """Until nothing waits for the disk."""
    while recordings._waiting_bytes:
        await asyncio.sleep(0.01)


def files(directory: Path) -> list[Recording]:
    return [read(path.open(encoding="utf-8"), path.name) for path in sorted(directory.glob("*.jsonl"))]


def types(recording: Recording) -> list[str]:
    return [f"{entry.direction} {entry.type}" for entry in recording.entries]


async def test_both_sides_are_in_the_file_and_no_secret_is(tmp_path: Path) -> None:
    async with studio(Recordings(tmp_path / "made" / "here", 10**6)) as made:
        socket = await made.enter(record=True)
        (ready,) = socket.of("session.ready")
        assert ready["recording"] is True
        socket.say(type="auth.refresh", token="s3cret", id="a")
        socket.say(type="channel.open", channel=1, kind="stt", params={})
        socket.sound(1, 0, b"\1\0" * 320)
        socket.say(type="call", id="c1", op="echo", params={"password": "s3cret"})
        await socket.until("result")
    (recording,) = files(tmp_path / "made" / "here")
    assert {"by": "gateway", "session_id": "s1", "user_id": "u1"}.items() <= recording.head.items()
    found = types(recording)
    assert found[0] == "in session.ready"
    assert [kind for kind in found if kind.startswith("out")] == [
        *["out auth.refresh", "out channel.open", "out audio", "out call"]
    ]
    assert {"in channel.opened", "in result"} <= set(found)
    assert found[-1] == "local recording.ended"
    (sound,) = [entry.frame for entry in recording.entries if entry.frame]
    assert frame.decode(sound).payload == b"\1\0" * 320
    (path,) = (tmp_path / "made" / "here").iterdir()
    text = path.read_text()
    assert "s3cret" not in text
    assert ready["resume_token"] not in text
    assert path.stat().st_mode & 0o077 == 0
    assert [entry.at_ms for entry in recording.entries] == sorted(entry.at_ms for entry in recording.entries)


async def test_nobody_is_recorded_who_did_not_ask(tmp_path: Path) -> None:
    async with studio(Recordings(tmp_path, 10**6)) as made:
        socket = await made.enter(record=False)
        socket.say(type="call", id="c1", op="echo", params={})
        await socket.until("result")
        assert "recording" not in socket.of("session.ready")[0]
    assert files(tmp_path) == []


async def test_who_asks_in_vain_is_not_told_otherwise() -> None:
    async with studio(None) as made:
        socket = await made.enter(record=True)
        assert "recording" not in socket.of("session.ready")[0]


async def test_consent_holds_over_a_resume_and_nothing_is_missing(tmp_path: Path) -> None:
    async with studio(Recordings(tmp_path, 10**6)) as made:
        socket = await made.enter(record=True)
        socket.say(type="call", id="c1", op="echo", params={"n": 1})
        await socket.until("result")
        assert socket.line is not None
        socket.line.closed(for_good=False)
        again = await made.enter(record=False, resume=Resume(socket.of("session.ready")[0]["resume_token"], 1))
        again.say(type="call", id="c2", op="echo", params={"n": 2})
        await again.until("result")
    (recording,) = files(tmp_path)
    results = [e.message["data"]["params"]["n"] for e in recording.entries if e.message and e.type == "result"]
    assert results == [1, 2]
    assert "in session.resumed" in types(recording)


async def test_a_session_taken_up_by_message_leaves_one_file(tmp_path: Path) -> None:
    async with studio(Recordings(tmp_path, 10**6)) as made:
        socket = await made.enter(record=True)
        socket.say(type="call", id="c1", op="echo", params={})
        await socket.until("result")
        assert socket.line is not None
        socket.line.closed(for_good=False)
        again = await made.enter(record=True)
        token = socket.of("session.ready")[0]["resume_token"]
        again.say(type="session.resume", resume_token=token, last_seq=1)
        await again.until("session.resumed")
        again.say(type="call", id="c2", op="echo", params={})
        await again.until("result")
    (recording,) = files(tmp_path)
    assert types(recording).count("out call") == 2


@pytest.mark.parametrize("by", ["url", "message"])
async def test_a_session_that_moves_is_recorded_on_at_the_other_replica(tmp_path: Path, by: str) -> None:
    store = FakeStore()
    here, there = Recordings(tmp_path / "here", 10**6), Recordings(tmp_path / "there", 10**6)
    async with studio(here, store) as first, studio(there, store) as second:
        socket = await first.enter(record=True)
        socket.say(type="call", id="c1", op="echo", params={})
        await socket.until("result")
        token = socket.of("session.ready")[0]["resume_token"]
        again = await second.enter(record=True, resume=Resume(token, 1) if by == "url" else None)
        if by == "message":
            again.say(type="session.resume", resume_token=token, last_seq=1)
        await again.until("session.resumed")
        again.say(type="call", id="c2", op="echo", params={})
        await again.until("result")
    calls = [
        [e.message["id"] for e in r.entries if e.message and e.type == "call"]
        for r in (*files(tmp_path / "here"), *files(tmp_path / "there"))
    ]
    assert calls == [["c1"], ["c2"]]


async def test_a_socket_that_says_nothing_leaves_no_file(tmp_path: Path) -> None:
    async with studio(Recordings(tmp_path, 10**6)) as made:
        socket = await made.enter(record=True)
        socket.say(type="ping", t=1)
        await socket.until("pong")
    assert files(tmp_path) == []


async def test_what_a_slow_disk_has_no_room_for_is_counted_in_the_file(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path, 10**6, max_waiting_bytes=4_000)
    async with studio(recordings) as made:
        socket = await made.enter(record=True)
        socket.say(type="channel.open", channel=1, kind="stt", params={})
        for number in range(20):
            socket.sound(1, number, bytes(640))
        await written(recordings)
        socket.say(type="call", id="c1", op="echo", params={})
        await socket.until("result")
    (recording,) = files(tmp_path)
    kept = [entry for entry in recording.entries if entry.direction == "out" and entry.frame]
    (said,) = [entry.message for entry in recording.entries if entry.type == "recording.dropped" and entry.message]
    assert 0 < len(kept) < 20
    assert said["count"] >= 20 - len(kept)
    assert said["bytes"] >= 656 * (20 - len(kept))
    assert "in result" in types(recording)


async def test_a_recording_has_its_largest_size_and_says_so(tmp_path: Path) -> None:
    async with studio(Recordings(tmp_path, 5_000)) as made:
        socket = await made.enter(record=True)
        socket.say(type="channel.open", channel=1, kind="stt", params={})
        for number in range(40):
            socket.sound(1, number, bytes(640))
    (path,) = tmp_path.iterdir()
    assert path.stat().st_size < 5_000 + 1_000
    (recording,) = files(tmp_path)
    last = recording.entries[-1].message
    assert last is not None
    assert last["reason"] == "larger than RECORD_MAX_BYTES"


async def test_an_hour_is_the_longest(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path, 10**6)
    async with studio(recordings) as made:
        socket = await made.enter(record=True)
        assert socket.line is not None
        (tape,) = socket.line.live.taps
        now = asyncio.get_running_loop().time()
        tape.received('{"type":"call","id":"1","op":"x"}', now)
        tape.received('{"type":"call","id":"2","op":"x"}', now + 3_601)
        tape.received('{"type":"call","id":"3","op":"x"}', now + 3_602)
    (recording,) = files(tmp_path)
    assert types(recording)[-2:] == ["out call", "local recording.ended"]


async def test_a_directory_that_cannot_be_written_costs_the_recording_only(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    async with studio(Recordings(in_the_way / "recordings", 10**6)) as made:
        socket = await made.enter(record=True)
        assert "recording" not in socket.of("session.ready")[0]
        socket.say(type="call", id="c1", op="echo", params={})
        await socket.until("result")


async def test_a_directory_that_goes_away_costs_the_recording_only(tmp_path: Path) -> None:
    directory = tmp_path / "recordings"
    recordings = Recordings(directory, 10**6)
    async with studio(recordings) as made:
        socket = await made.enter(record=True)
        directory.rmdir()
        for number in range(3):
            socket.say(type="call", id=f"c{number}", op="echo", params={})
            await socket.until("result", number + 1)
            await written(recordings)
    assert not directory.exists()


async def test_a_full_disk_leaves_a_file_that_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room, write = 2_000, os.write

    def filling(file: int, data: bytes) -> int:
        nonlocal room
        if threading.current_thread().name != "recordings":
            return write(file, data)
        if room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(file, data[:room])
        room -= written
        return written

    monkeypatch.setattr(os, "write", filling)
    recordings = Recordings(tmp_path, 10**6)
    async with studio(recordings) as made:
        socket = await made.enter(record=True)
        socket.say(type="call", id="c0", op="echo", params={})
        await socket.until("result")
        await written(recordings)
        for number in range(20):
            socket.say(type="call", id=f"d{number}", op="echo", params={})
        await socket.until("result", 21)
    (recording,) = files(tmp_path)
    assert types(recording).count("out call") == 1


@pytest.mark.parametrize("before", [False, True])
async def test_when_a_full_disk_has_room_again_the_recording_goes_on_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, before: bool
) -> None:
    full, write = not before, os.write

    def filling(file: int, data: bytes) -> int:
        if full and threading.current_thread().name == "recordings":
            if len(data) > 1:
                return write(file, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data)

    monkeypatch.setattr(os, "write", filling)
    recordings = Recordings(tmp_path, 10**6)
    async with studio(recordings) as made:
        socket = await made.enter(record=True)
        for count, full in enumerate((not before, True, True, False), 1):  # noqa: B007 - the closure reads it
            socket.say(type="call", id=f"c{count}", op="echo", params={})
            await socket.until("result", count)
            await written(recordings)
    (recording,) = files(tmp_path)
    calls = [entry.message["id"] for entry in recording.entries if entry.type == "call" and entry.message]
    said = [
        entry.message["count"] for entry in recording.entries if entry.type == "recording.dropped" and entry.message
    ]
    assert calls == (["c1", "c4"] if before else ["c4"])
    assert len(said) == 1
    assert said[0] >= 4  # two calls and their results
