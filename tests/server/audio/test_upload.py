"""Strangers' files, decoded in a process of their own."""

from __future__ import annotations

import asyncio
import io
import resource
import socket
import subprocess
import sys
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO

import pytest

from server.audio import upload
from server.audio.decode import PCM_RATE_HZ, FileDecoder
from server.audio.decoder_wire import HEADER, PCM, STARTED
from server.audio.errors import AudioTooLongError, UnreadableAudioError
from server.audio.upload import MAX_AT_ONCE, MAX_OF_A_USER, UploadDecoder, UploadTurns
from tests.server.audio.test_decode import wav
from tests.support.bombs import flac_at, mp4_bomb


async def decoded(file: IO[bytes], max_audio_s: float = 600.0) -> bytes:
    decoder = UploadDecoder(file, max_audio_s)
    pcm = b""
    try:
        while (piece := await decoder.next_piece()) is not None:
            pcm += piece
    finally:
        decoder.close()
    assert await decoder.next_piece() is None
    return pcm


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def forker() -> int:
    assert upload._forker._process is not None
    return upload._forker._process.pid


async def until_it_has_no_children(pid: int) -> None:
    async with asyncio.timeout(30):
        while children(pid):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("spooled", [0, 10_000_000])
async def test_a_file_is_decoded_as_in_this_process(spooled: int) -> None:
    data = wav(2.25, 44_100)
    here = FileDecoder(io.BytesIO(data))
    with SpooledTemporaryFile(spooled) as file:
        file.write(data)
        file.seek(0)
        assert await decoded(file) == b"".join(iter(here.next_piece, None))


async def test_a_file_that_claims_millions_of_samples_takes_nothing_of_the_gateway() -> None:
    """700 bytes took 2.6 GB of the gateway, and 18 seconds of one of its four codec threads."""
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UnreadableAudioError):
        await decoded(io.BytesIO(mp4_bomb(20_000_000)))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 64 * 1024
    assert await decoded(io.BytesIO(wav(0.5)))


def test_a_decoder_gets_so_much_memory_and_time() -> None:
    take_too_much = """
import resource
from server.audio import decoder_process
decoder_process._limit()
print(resource.getrlimit(resource.RLIMIT_CPU)[1] == decoder_process.MAX_CPU_S)
try:
    bytearray(decoder_process.MAX_MEMORY_BYTES)
except MemoryError:
    print("refused")
"""
    ended = subprocess.run(
        [sys.executable, "-c", take_too_much], capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stdout.split() == ["True", "refused"]


async def test_nothing_secret_is_in_a_decoders_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET", "s3cret")
    assert not [name for name, value in upload._environment().items() if value == "s3cret"]


async def test_what_is_no_audio_says_so() -> None:
    with pytest.raises(UnreadableAudioError, match="the file is not wav, mp3"):
        await decoded(io.BytesIO(b"hello" * 100))
    with pytest.raises(UnreadableAudioError, match="the audio has a rate of 10 Hz"):
        await decoded(io.BytesIO(flac_at(10)))


async def test_a_long_file_is_cut_off_and_its_decoder_ends() -> None:
    with pytest.raises(AudioTooLongError, match="longer than 1 seconds"):
        await decoded(io.BytesIO(wav(60.0)), 1.0)
    await until_it_has_no_children(forker())


async def test_what_is_longer_than_ten_minutes_is_told_as_too_long() -> None:
    with pytest.raises(AudioTooLongError, match="longer than 600 seconds"):
        await decoded(io.BytesIO(wav(600.6)))


async def test_a_decoder_that_waits_for_the_gateway_ends_when_it_is_closed() -> None:
    decoder = UploadDecoder(io.BytesIO(wav(60.0)))
    assert await decoder.next_piece()
    assert children(forker())
    decoder.close()
    await until_it_has_no_children(forker())


async def test_a_decoder_that_dies_has_not_decoded_its_file() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        theirs.sendall(HEADER.pack(STARTED, 0, 0) + HEADER.pack(PCM, 50, 4) + b"half" + HEADER.pack(PCM, 99, 4) + b"h")
    assert await upload._message(ours) == (STARTED, 0, b"")
    decoder = UploadDecoder(io.BytesIO())
    decoder._answer = ours
    assert await decoder.next_piece() == b"half"
    with pytest.raises(UnreadableAudioError, match="cannot be decoded"):
        await decoder.next_piece()


async def test_the_process_that_makes_decoders_is_made_again() -> None:
    assert await decoded(io.BytesIO(wav(0.5)))
    process = upload._forker._process
    assert process is not None
    process.kill()
    assert len(await decoded(io.BytesIO(wav(1.0)))) == 2 * PCM_RATE_HZ


async def test_many_files_at_once_are_all_decoded() -> None:
    found = await asyncio.gather(*(decoded(io.BytesIO(wav(length / 10))) for length in range(1, 9)))
    assert [len(pcm) for pcm in found] == [2 * PCM_RATE_HZ * length // 10 for length in range(1, 9)]


async def test_a_users_files_wait_for_that_users_own() -> None:
    turns, go_on, running = UploadTurns(), asyncio.Event(), list[str]()

    async def take(user: str) -> None:
        async with turns.turn(user):
            running.append(user)
            await go_on.wait()

    async with asyncio.TaskGroup() as group:
        for user in ["busy"] * (MAX_AT_ONCE + 1) + ["other"]:
            group.create_task(take(user))
        while "other" not in running:
            await asyncio.sleep(0)
        assert running == ["busy"] * MAX_OF_A_USER + ["other"]
        go_on.set()
    assert len(running) == MAX_AT_ONCE + 2
    assert not turns._places.taken
    assert not turns._waiting


class Files:
    """Files that each keep their place until they are told to end."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self.turns = UploadTurns()
        self.running: list[tuple[str, asyncio.Task[None]]] = []

    def send(self, *users: str) -> list[asyncio.Task[None]]:
        return [self._group.create_task(self._take(user)) for user in users]

    async def _take(self, user: str) -> None:
        async with self.turns.turn(user):
            task = asyncio.current_task()
            assert task is not None
            self.running.append((user, task))
            await asyncio.Event().wait()

    async def users(self) -> list[str]:
        for _ in range(4):
            await asyncio.sleep(0)
        self.running = [(user, task) for user, task in self.running if not task.done()]
        return [user for user, _ in self.running]

    async def end(self, user: str) -> None:
        next(task for name, task in self.running if name == user).cancel()
        await self.users()


async def test_a_few_users_do_not_keep_all_others_out() -> None:
    async with asyncio.TaskGroup() as group:
        files = Files(group)
        few = [f"busy{number}" for number in range(8)]
        sent = files.send(*few * MAX_OF_A_USER)
        assert len(await files.users()) == MAX_AT_ONCE // 2
        others = [f"other{number}" for number in range(MAX_AT_ONCE // 2 + 1)]
        sent += files.send(*others)
        assert set(await files.users()) == {*few, *others[:-1]}
        await files.end("busy0")
        assert (await files.users())[-1] == others[-1]
        for task in sent:
            task.cancel()
    assert not files.turns._places.taken
    assert not files.turns._waiting


async def test_users_who_wait_are_let_in_by_turns() -> None:
    async with asyncio.TaskGroup() as group:
        files = Files(group)
        sent = files.send(*[f"first{number}" for number in range(MAX_AT_ONCE)])
        await files.users()
        sent += files.send("ada", "ada", "ada", "eve")
        gone, *_ = files.send("gone")
        await files.users()
        gone.cancel()
        for number in range(MAX_AT_ONCE):
            await files.end(f"first{number}")
        assert await files.users() == ["ada", "eve", "ada", "ada"]
        for task in sent:
            task.cancel()
    assert not files.turns._places.taken
    assert not files.turns._waiting
