"""Nobody waits for another user's searches, however long they take."""

from __future__ import annotations

import asyncio
import sys
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from server.embedded.callers import bind_caller
from server.embedded.executor import UnavailableError
from server.embedded.search import index as search_index
from server.embedded.search.documents import Document, Page
from server.embedded.search.index import SearchIndex
from server.embedded.search.provider import Found, WebResult
from server.embedded.search.service import SearchParameters, SearchService
from tests.server.embedded.executing import config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.embedded.executor import TaskOutcome


@pytest.fixture
def go() -> Iterator[threading.Event]:
    """Slow searches end when it is set."""
    event = threading.Event()
    yield event
    event.set()


async def ask(service: SearchService, user: str, query: str) -> TaskOutcome:
    async def tell(*_told: object, **_more: object) -> None:
        pass

    bind_caller("test", [("x-user-id", user)])
    task: Any = SimpleNamespace(tell=tell)
    return await service.perform("search", SearchParameters(query=query), task)


async def test_one_user_s_slow_searches_hold_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, go: threading.Event
) -> None:
    def search(_index: SearchIndex, query: str, _most: int) -> Found:
        if query == "slow":
            go.wait()
        return Found([WebResult(query, "", "", 1.0)])

    monkeypatch.setattr(SearchIndex, "search", search)
    service = SearchService(config(tmp_path, SEARCH_DOCUMENTS_DIR=str(tmp_path)))
    await service.start()
    async with asyncio.TaskGroup() as group:
        slow = [group.create_task(ask(service, "ann", "slow"), name=f"slow {number}") for number in range(5)]
        for user in ("bob", "cy"):
            other = group.create_task(ask(service, user, "quick"), name=user)
            assert (await other).values["results"][0]["title"] == "quick"
        assert not any(task.done() for task in slow)
        go.set()
    await service.stop()


async def test_nor_do_those_that_their_user_has_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, go: threading.Event
) -> None:
    """A cancel ends no thread, and no connection to a search engine: who gave up and asked again had all of them."""
    begun: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def search(_index: SearchIndex, query: str, _most: int) -> Found:
        loop.call_soon_threadsafe(begun.put_nowait, query)
        if query == "slow":
            go.wait()
        return Found([WebResult(query, "", "", 1.0)])

    monkeypatch.setattr(SearchIndex, "search", search)
    service = SearchService(config(tmp_path, SEARCH_DOCUMENTS_DIR=str(tmp_path)))
    await service.start()
    async with asyncio.TaskGroup() as group:
        given_up = group.create_task(ask(service, "ann", "slow"), name="given up")
        assert await begun.get() == "slow"
        given_up.cancel()
        again = group.create_task(ask(service, "ann", "slow"), name="again")
        other = group.create_task(ask(service, "bob", "quick"), name="bob")
        assert await begun.get() == "quick"
        assert (await other).values["results"][0]["title"] == "quick"
        assert not again.done()
        go.set()
    await service.stop()


async def test_nor_do_those_of_search_engines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, go: threading.Event
) -> None:
    class Client:
        def __init__(self, timeout: int) -> None:
            assert timeout > 0

        def text(self, query: str, max_results: int) -> list[dict[str, str]]:
            if query == "slow":
                go.wait()
            return [{"title": query, "href": "https://a.example"}][:max_results]

    package = SimpleNamespace(DDGS=Client, exceptions=SimpleNamespace(DDGSException=OSError))
    monkeypatch.setitem(sys.modules, "ddgs", package)
    service = SearchService(config(tmp_path, SEARCH_PROVIDER="ddgs"))
    await service.start()
    async with asyncio.TaskGroup() as group:
        slow = [group.create_task(ask(service, "ann", "slow"), name=f"slow {number}") for number in range(40)]
        other = group.create_task(ask(service, "bob", "quick"), name="bob")
        assert (await other).values["results"][0]["title"] == "quick"
        await asyncio.to_thread(str)  # other work of the process has threads of its own
        assert not any(task.done() for task in slow)
        go.set()
    await service.stop()


def filled(path: Path, count: int) -> SearchIndex:
    index = SearchIndex(path)
    pages = (partial(Page, f"t{number}", f"u{number}", "word other") for number in range(count))
    index.update([Document(str(number), "1", page) for number, page in enumerate(pages)], threading.Event())
    return index


def test_a_search_whose_time_is_over_says_that_it_is_incomplete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = filled(tmp_path / "index", 20)
    monkeypatch.setattr(search_index, "STEPS", 1)
    assert index.search("word", 9).whole
    times = iter([0.0])
    monkeypatch.setattr(search_index, "time", SimpleNamespace(monotonic=lambda: next(times, 1e9)))
    assert index.search("word", 9) == ([], False)
    monkeypatch.undo()
    assert len(index.search("word", 9).results) == 9
    index.close()


async def test_so_does_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hit = WebResult("a", "b", "c", 1.0)
    monkeypatch.setattr(SearchIndex, "search", lambda *_asked: Found([hit], whole=False))
    service = SearchService(config(tmp_path, SEARCH_DOCUMENTS_DIR=str(tmp_path)))
    await service.start()
    outcome = await ask(service, "ann", "word")
    await service.stop()
    assert outcome.ok
    assert outcome.message == "it took too long to look everywhere, so there may be more"
    assert outcome.values["incomplete"] is True
    assert [entry["title"] for entry in outcome.values["results"]] == ["a"]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE passages_content SET c1 = 'other'",
        "UPDATE passages_data SET block = x'00' WHERE id = 10",
        "DELETE FROM passages",
        "PRAGMA writable_schema = ON; UPDATE sqlite_master SET rootpage = 2 WHERE name = 'sqlite_autoindex_documents_1'",
    ],
)
async def test_a_damaged_index_of_an_earlier_run_is_made_anew_without_a_search(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Searches would find less in it, and no fault."""
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "a.md").write_text("zanzibar")

    async def found(told: str) -> str:
        service = SearchService(config(tmp_path / "kept", SEARCH_DOCUMENTS_DIR=str(tmp_path / "documents")))
        await service.start()
        while told not in caplog.text:
            await asyncio.sleep(0.01)
        while not (results := (await ask(service, "ann", "zanzibar")).values["results"]):
            await asyncio.sleep(0.01)
        await service.stop()
        return str(results[0]["title"])

    assert await found("") == "a"
    index = SearchIndex(tmp_path / "kept" / "search.sqlite3")
    index._db.executescript(damage)
    index.close()
    assert await found("the search index was not brought up to date") == "a"
    index = SearchIndex(tmp_path / "kept" / "search.sqlite3")
    index.check()
    index.close()


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM passages_data",
        "DELETE FROM passages_data WHERE id > 10",
        "UPDATE passages_config SET v = 9 WHERE k = 'version'",
        "UPDATE passages_content SET c1 = CAST(x'7a616e7a696261722020ff' AS TEXT)",  # no UTF-8
        "",
    ],
)
async def test_a_damaged_index_is_made_anew_while_the_service_runs(tmp_path: Path, damage: str) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "a.md").write_text("zanzibar")
    service = SearchService(config(tmp_path / "kept", SEARCH_DOCUMENTS_DIR=str(tmp_path / "documents")))
    await service.start()

    async def titles() -> list[str]:
        return [entry["title"] for entry in (await ask(service, "ann", "zanzibar")).values["results"]]

    while await titles() != ["a"]:
        await asyncio.sleep(0.01)
    file = tmp_path / "kept" / "search.sqlite3"
    if damage:
        index = SearchIndex(file)
        index._db.execute(damage)
        index.close()
    else:  # its head
        Path(f"{file}-wal").unlink(missing_ok=True)
        with file.open("r+b") as data:
            data.write(b"x" * 100)
    with pytest.raises(UnavailableError, match="the search index is damaged, and is made anew"):
        await titles()
    while await titles() != ["a"]:
        await asyncio.sleep(0.01)
    await service.stop()
