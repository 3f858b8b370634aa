"""A socket's writer: batches are sent in order, not before they are saved, and only while the client reads."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from handlers.writer import SURELY_ALL_CHARS, SocketWriter
from server.net.tick import TickEnd
from tests.server.net.websocket.client import connected
from tests.server.net.websocket.client_frames import BINARY, CLOSE, TEXT
from tests.server.net.websocket.echo import Echo


class Batches:
    """A session that has these to say; text has to be saved, and that is let happen by `may_save`."""

    def __init__(self, *batches: list[str | bytes]) -> None:
        self.waiting = list(batches)
        self.may_save = asyncio.Event()
        self.looks = 0
        self.last_words = ""

    def data_to_send(self) -> list[str | bytes]:
        self.looks += 1
        return self.waiting.pop(0) if self.waiting else []

    def must_be_saved(self, batch: list[str | bytes]) -> bool:
        return isinstance(batch[0], str)

    async def saved(self, batch: list[str | bytes]) -> list[str | bytes]:
        await self.may_save.wait()
        return batch

    def said(self, text: str) -> None:
        self.last_words = text


class Writing(Echo):
    writer: SocketWriter

    def cut(self) -> None:
        self.ws_connection.abort()  # type: ignore[union-attr]

    def on_writable(self) -> None:
        self.writer.resume()


def writer_of(client: Any, tasks: asyncio.TaskGroup) -> SocketWriter:
    client.handler.writer = SocketWriter(client.handler, tasks, TickEnd())
    return client.handler.writer  # type: ignore[no-any-return]


async def test_batches_leave_in_order_and_the_end_comes_last() -> None:
    async with asyncio.TaskGroup() as tasks, connected(handler=Writing) as client:
        much = bytes(SURELY_ALL_CHARS)
        writer, source = writer_of(client, tasks), Batches([b"1", much], ["3"], [b"4"])
        writer.begin(source)
        writer.finish("farewell", 1012, "restart")
        assert [await client.frame(), await client.frame()] == [(BINARY, b"1"), (BINARY, much)]
        assert source.waiting == [[b"4"]]  # text waits for the record, and nothing overtakes it
        source.may_save.set()
        assert [(await client.frame())[1] for _ in range(3)] == [b"3", b"4", b"farewell"]
        assert (await client.frame())[0] == CLOSE
        assert source.last_words == "farewell"


async def test_any_number_of_wakes_is_one_look_in_a_tick() -> None:
    async with asyncio.TaskGroup() as tasks, connected(handler=Writing) as client:
        writer, source = writer_of(client, tasks), Batches([b"1"])
        writer.begin(source)
        for _ in range(10):
            writer.wake()
        assert await client.frame() == (BINARY, b"1")
        assert source.looks == 1  # so short a batch is all there is


@pytest.mark.plain_python("replaces a method of a compiled object")
async def test_the_first_frame_of_a_tick_leaves_at_once_and_the_others_together_before_what_the_source_has() -> None:
    async with asyncio.TaskGroup() as tasks, connected(handler=Writing) as client:
        writer, source = writer_of(client, tasks), Batches()
        writer.begin(source)
        await asyncio.sleep(0)
        looks = source.looks
        calls: list[list[str | bytes]] = []
        send = client.handler.ws_connection.send

        def note(batch: list[str | bytes]) -> None:
            calls.append(batch)
            send(batch)

        client.handler.ws_connection.send = note
        was_free = [writer.free]
        for number in (b"0", b"1", b"2"):
            writer.write_frame(number, 7.0)
        assert calls == []
        await asyncio.sleep(0)
        assert (calls, source.looks) == ([[b"1", b"2"]], looks)  # nobody said that the source has anything
        writer.write_frame(b"3", 7.1)
        source.waiting = [["4"]]
        writer.wake()
        assert [(await client.frame())[1] for _ in range(4)] == [b"0", b"1", b"2", b"3"]
        was_free.append(writer.free)  # text waits for the record
        source.may_save.set()
        assert (await client.frame())[1] == b"4"
        was_free.append(writer.free)
        client.handler.ws_connection.close()
        assert [*was_free, writer.free] == [True, False, True, False]  # no frame follows a close
        del client.handler.ws_connection.send


async def test_no_frame_of_a_tick_overtakes_another() -> None:
    async with asyncio.TaskGroup() as tasks, connected(handler=Writing) as client:
        writer = writer_of(client, tasks)
        writer.begin(Batches())
        for number, now in (
            (b"1", 7.0),
            (b"2", 7.0),
            (b"3", 7.1),
            (b"4", 7.0),
        ):  # another loop's time goes on in a tick
            writer.write_frame(number, now)
        assert [(await client.frame())[1] for _ in range(4)] == [b"1", b"2", b"3", b"4"]


async def test_a_text_is_written_at_once() -> None:
    async with asyncio.TaskGroup() as tasks, connected(handler=Writing) as client:
        writer = writer_of(client, tasks)
        writer.begin(Batches())
        for number, now in ((b"1", 7.0), (b"3", 7.0)):
            writer.write_frame(number, now)
        writer.write_text("2")
        assert [await client.frame() for _ in range(3)] == [(BINARY, b"1"), (TEXT, b"2"), (BINARY, b"3")]


async def test_a_client_that_does_not_read_is_not_written_to() -> None:
    async with asyncio.TaskGroup() as tasks, connected(handler=Writing) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer, source = writer_of(client, tasks), Batches()
        source.waiting = [[bytes(60_000)] for _ in range(500)]
        writer.begin(source)
        while not client.handler.ws_connection.paused:
            await asyncio.sleep(0)
        left = len(source.waiting)
        assert left > 0
        writer.wake()
        await asyncio.sleep(0)
        assert len(source.waiting) == left
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        for _ in range(500):
            assert (await client.frame())[0] == BINARY


async def test_nothing_is_written_to_a_socket_that_is_gone() -> None:
    async with asyncio.TaskGroup() as tasks, connected(handler=Writing) as client:
        writer, source = writer_of(client, tasks), Batches(["1"], ["2"])
        writer.begin(source)
        await asyncio.sleep(0)
        client.handler.cut()
        await client.handler.closed
        writer.stop()
        source.may_save.set()
        writer.wake()
        await asyncio.sleep(0)
        assert source.waiting == [["2"]]
