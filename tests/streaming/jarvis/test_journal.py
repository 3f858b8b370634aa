"""A session's record: only what changed is written, one write at a time, and waiting callers learn its outcome."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any, Literal

from streaming.jarvis.journal import DECIDE, GO_AHEAD_S, REFRESH_S, Journal, SessionHead, WriteOutcome
from streaming.protocol.snapshot import Snapshot
from tests.support import virtual_time

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import pytest

    from streaming.jarvis.journal import Change, Writer, Written


class Notes:
    """A store that writes down what it was given; `answers` for the next writes."""

    def __init__(self) -> None:
        self.writes: list[tuple[str, set[str], list[str]]] = []
        self.orders: list[int] = []
        self.former: list[str] = []
        self.answers: list[Written] = []
        self.forgotten: list[str] = []
        self.slow_s = 1.0
        self.silent_s = 0.0

    async def write(self, session_id: str, writer: Writer, head: SessionHead, change: Change) -> WriteOutcome:
        await asyncio.sleep(self.slow_s)
        self.writes.append(("whole" if change.whole else "update", set(change.fields), sorted(change.gone)))
        self.orders.append(change.order)
        self.former.append(change.former)
        return WriteOutcome(self.answers.pop(0) if self.answers else "kept", 7)

    async def claim(self, session_id: str, name: str, user_id: str, resume_token: str, mine: str) -> Literal["unknown"]:
        return "unknown"

    async def forget(self, session_id: str, writer: Writer, resume_token: str) -> None:
        self.forgotten.append(session_id)


class Live:
    session_id = "s"
    head = SessionHead("ada", "token", 0.0, "e1")
    connected = True
    lost = False
    refused: list[str]

    def __init__(self) -> None:
        self.texts: dict[int, str] = {1: "one"}
        self.commands_version = 1
        self.broken = False
        self.recorded: list[bool] = []

    def save(self, commands_version: int) -> Snapshot:
        if self.broken:
            raise ValueError("a flaw of ours")
        return Snapshot({}, [], self.commands_version, dict(self.texts))

    def on_refused(self, written: Written) -> None:
        self.refused.append(written)

    def on_unrecorded(self) -> None:
        self.recorded.append(False)

    def on_recorded(self) -> None:
        self.recorded.append(True)

    def save_lanes(self) -> dict[int, dict[str, Any] | None]:
        return {}


def journalled(test: Callable[[Journal, Notes, Live, list[str]], Awaitable[None]]) -> None:
    async def body() -> None:
        refused: list[str] = []
        async with asyncio.TaskGroup() as group:
            notes, live = Notes(), Live()
            live.refused = refused
            await test(Journal(notes, live, group), notes, live, refused)

    virtual_time.run(body())


def test_only_what_changed_is_written() -> None:
    async def test(journal: Journal, notes: Notes, live: Live, _refused: list[str]) -> None:
        assert await journal.written()
        live.texts = {2: "two"}
        assert await journal.written()
        live.commands_version = 2
        assert await journal.written()
        assert notes.writes == [
            ("whole", {"t1", "core", "lanes", "commands", "signed_out_by"}, []),
            ("update", {"t2", "core", "lanes"}, ["t1"]),
            ("update", {"core", "lanes", "commands"}, []),
        ]

    journalled(test)


def test_the_epoch_is_the_clients_only_when_it_has_decided() -> None:
    async def test(journal: Journal, notes: Notes, _live: Live, _refused: list[str]) -> None:
        journal.changed()
        await asyncio.sleep(0.1)
        journal.decide()  # during a write that does not say so
        assert await journal.written()
        assert await journal.written()
        journal.decide()
        assert await journal.written()
        assert notes.orders == [0, DECIDE, 7, 7]

    journalled(test)


def test_what_changes_during_a_write_is_written_with_the_next() -> None:
    async def test(journal: Journal, notes: Notes, _live: Live, _refused: list[str]) -> None:
        journal.changed()
        await asyncio.sleep(0.1)
        for _ in range(50):
            journal.changed()
        assert await journal.written()
        assert len(notes.writes) == 2

    journalled(test)


def test_a_store_that_lost_it_gets_everything() -> None:
    async def test(journal: Journal, notes: Notes, live: Live, _refused: list[str]) -> None:
        await journal.written()
        notes.answers = ["lost"]
        assert await journal.written()
        assert [mode for mode, _, _ in notes.writes] == ["whole", "update", "whole"]
        assert live.recorded == []

    journalled(test)


def test_a_session_goes_on_without_a_record_only_after_a_while_and_is_told() -> None:
    async def test(journal: Journal, notes: Notes, live: Live, _refused: list[str]) -> None:
        notes.slow_s = 0.01
        await journal.written()
        notes.answers = ["lost"] * 1_000
        began = asyncio.get_running_loop().time()
        assert await journal.written()
        assert asyncio.get_running_loop().time() - began >= GO_AHEAD_S
        assert live.recorded == [False]
        notes.silent_s = GO_AHEAD_S  # and then every text at once
        began = asyncio.get_running_loop().time()
        assert await journal.written()
        assert asyncio.get_running_loop().time() - began < 0.1
        live.head = SessionHead("ada", "another token", 0.0, "e1")
        notes.answers = []
        assert await journal.written()
        assert live.recorded == [False, True]
        assert notes.writes[-1][0] == "whole"
        assert notes.former[-2:] == ["", "token"]
        assert await journal.written()
        assert notes.former[-1] == ""

    journalled(test)


def test_what_is_to_be_written_anew_during_a_write_is_written_behind_it() -> None:
    async def test(journal: Journal, notes: Notes, _live: Live, _refused: list[str]) -> None:
        await journal.written()
        journal.changed()
        await asyncio.sleep(0.1)
        journal.write_anew()
        await journal.written()
        await journal.written()
        assert [mode for mode, _, _ in notes.writes] == ["whole", "update", "whole", "update"]

    journalled(test)


def test_it_does_not_wait_for_ever_for_a_store_that_is_gone() -> None:
    async def test(journal: Journal, notes: Notes, _live: Live, _refused: list[str]) -> None:
        notes.answers = ["lost"] * 1_000
        await journal.settled(3.0)
        assert len(notes.writes) <= 4

    journalled(test)


def test_a_record_that_is_another_replicas_ends_the_writing() -> None:
    async def test(journal: Journal, notes: Notes, _live: Live, refused: list[str]) -> None:
        await journal.written()
        notes.answers = ["taken"]
        assert not await journal.written()
        journal.changed()
        assert not await journal.written()
        assert refused == ["taken"]
        assert len(notes.writes) == 2

    journalled(test)


def test_a_flaw_in_the_record_costs_the_record_only() -> None:
    async def test(journal: Journal, notes: Notes, live: Live, refused: list[str]) -> None:
        live.broken = True
        assert await journal.written()
        live.broken = False
        assert await journal.written()
        assert (len(notes.writes), refused) == (1, [])

    journalled(test)


def test_a_silent_session_is_renewed_and_an_ended_one_forgotten() -> None:
    async def test(journal: Journal, notes: Notes, _live: Live, _refused: list[str]) -> None:
        await journal.written()
        journal.refresh()
        await asyncio.sleep(REFRESH_S)
        journal.refresh()
        await asyncio.sleep(2)
        assert len(notes.writes) == 2
        await journal.forget()
        journal.refresh()
        assert await journal.written()
        assert (len(notes.writes), notes.forgotten) == (2, ["s"])

    journalled(test)


def test_nothing_is_written_once_the_group_has_ended(recwarn: pytest.WarningsRecorder) -> None:
    async def body() -> None:
        async with asyncio.TaskGroup() as group:
            journal = Journal(Notes(), Live(), group)
        journal.changed()
        assert journal.stopped
        journal = Journal(Notes(), Live(), group)
        assert await journal.written() is False

    virtual_time.run(body())
    gc.collect()
    told = [str(warning.message) for warning in recwarn]  # others' garbage may be among it
    assert [each for each in told if "never awaited" in each] == []


def test_a_silent_session_notices_that_the_store_is_unreachable() -> None:
    async def test(journal: Journal, notes: Notes, live: Live, _refused: list[str]) -> None:
        assert await journal.written()
        notes.silent_s = GO_AHEAD_S - 0.1
        notes.answers = ["lost"] * 10
        journal.refresh()
        await asyncio.sleep(1)
        assert live.recorded == []
        notes.silent_s = GO_AHEAD_S + 0.1
        journal.refresh()
        await asyncio.sleep(2)
        assert live.recorded == [False]

    journalled(test)


def test_a_session_that_is_lost_is_written_no_more_and_forgotten() -> None:
    """What it was to keep for its client is gone: as a record, it would be resumed without that."""

    async def test(journal: Journal, notes: Notes, live: Live, refused: list[str]) -> None:
        journal.changed()
        await asyncio.sleep(0.1)
        live.lost, live.texts = True, {}
        assert await journal.written()  # nothing waits for it
        assert await journal.written()
        assert len(notes.writes) == 1
        assert (notes.forgotten, refused) == (["s"], [])

    journalled(test)
