"""M9 over gRPC: the local index with real files, SearXNG's API on a real HTTP server, and a stand-in for ddgs."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import threading
from contextlib import asynccontextmanager
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import tornado.httpserver
import tornado.web
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # the library carries no types
from tornado.testing import bind_unused_port

from protos import search_pb2_grpc
from server.embedded.search import local as search_local
from server.embedded.search.documents import Document, Page, folder, machine
from server.embedded.search.index import SearchIndex, expressions
from server.embedded.search.service import SearchService
from server.embedded.search.text import from_html, from_markdown, heading
from server.embedded.service import MissingPartError
from tests.server.embedded.executing import config, execute, listed, refused, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    import grpc.aio

    from tests.server.embedded.executing import Run

NEVER = threading.Event()


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    root = tmp_path / "documents"
    (root / "deep" / "er").mkdir(parents=True)
    (root / "bread.md").write_text("# Baking *bread*\n\n[Knead](x.html) the **dough** for `ten` minutes.\n")
    (root / "deep" / "er" / "tea.html").write_text(
        "<title>Green &amp; black tea</title><style>p {}</style><p>Let the <b>leaves</b> steep<script>dough()</script>"
    )
    (root / "plain_notes.txt").write_text("5 < 6 and 7 > 6, bread is cheap\n")
    (root / ".hidden.md").write_text("dough")
    (root / "picture.png").write_bytes(b"dough")
    return root


def local(directory: Path, documents: Path | None = None) -> SearchService:
    options = {"SEARCH_DOCUMENTS_DIR": str(documents)} if documents else {}
    return SearchService(config(directory, **options))


async def search(channel: grpc.aio.Channel, query: str, **more: Any) -> Run:
    return await execute(search_pb2_grpc.SearchExecutorStub(channel), "search", {"query": query, **more})


async def found(channel: grpc.aio.Channel, query: str, wanted: Callable[[list[dict[str, Any]]], bool]) -> list[Any]:
    """Ask until the index, which grows meanwhile, gives what is wanted."""
    while True:
        results: list[dict[str, Any]] = (await search(channel, query)).values["results"]
        if wanted(results):
            return results
        await asyncio.sleep(0.02)


async def test_a_folder_is_found_by_its_words_in_plain_text(tmp_path: Path, documents: Path) -> None:
    async with serving(local(tmp_path, documents)) as channel:
        (bread,) = await found(channel, "kneading", bool)
        assert bread["title"] == "Baking bread"
        assert bread["url"] == (documents / "bread.md").as_uri()
        assert "Knead the dough for ten minutes." in bread["snippet"]
        (tea,) = await found(channel, "leaves", bool)
        assert tea["title"] == "Green & black tea"
        assert tea["snippet"] == "Let the leaves steep"
        both = await found(channel, "bread", lambda results: len(results) == 2)
        assert [entry["title"] for entry in both] == ["Baking bread", "plain notes"]
        assert 1 >= both[0]["score"] >= both[1]["score"] >= 0
        run = await search(channel, "bread", max_results=1)
        assert run.values.keys() == {"query", "provider", "results"}
        assert (run.status, run.values["query"], run.values["provider"]) == ("ok", "bread", "local")
        assert len(run.values["results"]) == 1
        assert [told.message for told in run.progress] == ["searching with local", "found 1 result"]


async def test_new_changed_and_removed_files_are_noticed(
    tmp_path: Path, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_local, "RESCAN_S", 0.01)
    async with serving(local(tmp_path, documents)) as channel:
        await found(channel, "bread", lambda results: len(results) == 2)
        (documents / "bread.md").write_text("# Cake\n\nonly sugar")
        (documents / "plain_notes.txt").unlink()
        (documents / "new.rst").write_text("Soup\n====\n\nwith :ref:`leek`")
        await found(channel, "leek", lambda results: [entry["title"] for entry in results] == ["Soup"])
        await found(channel, "bread", lambda results: not results or results[0]["title"] == "Cake")
        await found(channel, "cheap", lambda results: not results)
        await found(channel, "dough", lambda results: not results)
        (cake,) = (await search(channel, "sugar")).values["results"]
        assert cake["title"] == "Cake"


async def test_the_index_survives_a_restart(tmp_path: Path, documents: Path) -> None:
    async with serving(local(tmp_path, documents)) as channel:
        await found(channel, "leaves", bool)
    async with serving(local(tmp_path, documents)) as channel:
        assert (await search(channel, "leaves")).values["results"]


async def test_the_documentation_of_this_machine_answers_offline(tmp_path: Path) -> None:
    async with serving(local(tmp_path)) as channel:
        results = await found(channel, "python tutorials", lambda results: len(results) >= 5)
        assert results[0]["title"] == "The Python Tutorial"
        assert results[0]["url"].startswith("https://docs.python.org/3")
        results = await found(channel, "websocket server framework", lambda results: "tornado" in str(results))
        assert all(entry["url"].startswith(("https://", "http://", "file://")) for entry in results)


@pytest.mark.parametrize("text", ['"', "AND", "c++", "foo*", "NEAR(a b)", "-x", "title:x", "🎉", "(((", "' OR 1=1 --"])
async def test_no_query_is_a_syntax_error(tmp_path: Path, documents: Path, text: str) -> None:
    async with serving(local(tmp_path, documents)) as channel:
        assert (await search(channel, text)).status == "ok"


@given(st.text(min_size=1, max_size=200))
def test_expressions_are_understood_by_fts5(text: str) -> None:
    with sqlite3.connect(":memory:") as db:
        db.execute("CREATE VIRTUAL TABLE t USING fts5 (x)")
        db.execute("INSERT INTO t VALUES (?)", (text,))
        for expression in expressions(text):
            assert db.execute("SELECT * FROM t WHERE t MATCH ?", (expression,)).fetchall() in ([], [(text,)])


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, "query: field required"),
        ({"query": ""}, "query: string should have at least 1 character"),
        ({"query": "  \n"}, "query: there are no words in it"),
        ({"query": "x" * 1001}, "query: string should have at most 1000 characters"),
        ({"query": 5}, "query: input should be a valid string"),
        ({"query": "x", "max_results": 0}, "max_results: input should be greater than or equal to 1"),
        ({"query": "x", "max_results": 51}, "max_results: input should be less than or equal to 50"),
        ({"query": "x", "max_results": 1.5}, "max_results: input should be a valid integer"),
        ({"query": "x", "page": 2}, "page: extra inputs are not permitted"),
    ],
)
async def test_wrong_parameters_are_named(
    tmp_path: Path, documents: Path, parameters: dict[str, Any], words: str
) -> None:
    async with serving(local(tmp_path, documents)) as channel:
        stub = search_pb2_grpc.SearchExecutorStub(channel)
        status, details = await refused(stub, "search", parameters)
        assert (status, details[: len(words)]) == ("INVALID_ARGUMENT", words)


async def test_the_one_action_is_listed_and_others_are_not_found(tmp_path: Path, documents: Path) -> None:
    async with serving(local(tmp_path, documents)) as channel:
        stub = search_pb2_grpc.SearchExecutorStub(channel)
        actions = await listed(stub)
        assert set(actions) == {"search"}
        Draft202012Validator.check_schema(actions["search"])
        assert not Draft202012Validator(actions["search"]).is_valid({"max_results": 5})
        assert await refused(stub, "find") == ("NOT_FOUND", "there is no action find; known: search")


# --- the index itself -----------------------------------------------------------------------------------------------


def test_a_broken_or_foreign_index_file_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "index"
    path.write_bytes(b"no database at all" * 100)
    SearchIndex(path).close()
    foreign = tmp_path / "foreign"
    with sqlite3.connect(foreign) as db:
        db.execute("CREATE TABLE documents (x)")
    index = SearchIndex(foreign)
    assert index.count() == 0
    index.close()


def test_queries_are_answered_while_it_is_built(tmp_path: Path) -> None:
    builder, reader = SearchIndex(tmp_path / "index"), SearchIndex(tmp_path / "index")
    counts = []

    def documents() -> Iterator[Document]:
        for number in range(60):
            counts.append(reader.count())
            yield Document(str(number), "1", partial(Page, f"t{number}", f"u{number}", "word"))

    builder.update(documents(), NEVER)
    assert counts[0] == 0
    assert 0 < counts[-1] < 60
    assert len(reader.search("word", 100).results) == reader.count() == 60
    builder.close()
    reader.close()


def test_only_what_has_changed_is_read_again(tmp_path: Path) -> None:
    index, reads = SearchIndex(tmp_path / "index"), []

    def read() -> Page:
        reads.append(1)
        return Page("t", "u", f"word{len(reads)}")

    for stamp, count in (("1", 1), ("1", 1), ("2", 2)):
        index.update([Document("a", stamp, read)], NEVER)
        assert len(reads) == count
    assert (index.search("word1", 5).results, len(index.search("word2", 5).results), index.count()) == ([], 1, 1)
    index.close()


def test_stopping_keeps_what_is_there(tmp_path: Path) -> None:
    index, stopping = SearchIndex(tmp_path / "index"), threading.Event()
    index.update([Document("a", "1", lambda: Page("a", "a", "word"))], NEVER)
    stopping.set()
    index.update([Document("b", "1", lambda: Page("b", "b", "word"))], stopping)
    assert [entry.title for entry in index.search("word", 9).results] == ["a"]
    index.close()


def test_odd_texts_are_taken(tmp_path: Path) -> None:
    index = SearchIndex(tmp_path / "index")
    text = "zero\0byte \ud800 surrogate " + "word " * 10_000
    index.update([Document("a", "1", lambda: Page("t\0\ud800", "u", text)), Document("b", "1", _gone)], NEVER)
    (hit,) = index.search("surrogate", 5).results
    assert len(hit.snippet) <= 401
    (hit,) = index.search("word", 5).results
    index.close()


def test_no_word_is_cut_where_a_long_text_is(tmp_path: Path) -> None:
    index = SearchIndex(tmp_path / "index")
    text = " ".join(f"word{number:04}" for number in range(1000)) + " " + "x" * 5000
    index.update([Document("a", "1", lambda: Page("Long", "a", text))], NEVER)
    for number in range(1000):
        assert f"word{number:04}" in index.search(f"word{number:04}", 1).results[0].snippet
    index.close()


def _gone() -> Page:
    raise FileNotFoundError


def test_documents_of_a_folder_stay_in_it(tmp_path: Path, documents: Path) -> None:
    outside = tmp_path / "outside.md"
    outside.write_text("x")
    (documents / "link.md").symlink_to(outside)
    (documents / "node_modules").mkdir()
    (documents / "node_modules" / "x.md").write_text("x")
    (documents / "big.txt").write_bytes(b"x" * 1_100_000)
    names = [document.key.rpartition("/")[2] for document in folder(documents)]
    assert names == ["bread.md", "plain_notes.txt", "tea.html"]


def test_the_machine_has_language_library_and_packages() -> None:
    documents = {document.key: document for document in machine()}
    assert documents["python:module:json"].read().url.endswith("/library/json.html")
    assert documents["python:topic:for"].read().title == 'Python language reference: The "for" statement'
    tornado_page = documents["package:tornado"].read()
    assert tornado_page.title.startswith("tornado: Tornado is a Python web framework")
    assert tornado_page.url == "http://www.tornadoweb.org/"


@pytest.mark.parametrize(
    ("markdown", "plain"),
    [
        ("# A *b* `c`", "A b c"),
        ("[a](b) ![c](d) [e][f]", "a  e"),
        ("```py\nx = 1\n```", "x = 1"),
        ("2 < 3 > 1 and <b>x</b>", "2 < 3 > 1 and  x"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a b \n\n 1 2"),
        ("snake_case_name &amp; 2*3*4", "snake_case_name & 2*3*4"),
    ],
)
def test_markdown_becomes_plain(markdown: str, plain: str) -> None:
    assert from_markdown(markdown).strip() == plain.strip()


def test_headings_and_titles() -> None:
    assert heading("text\n\n# The **title**\n# Other") == "The title"
    assert heading("Title\n=====\n") == "Title"
    assert heading("none") == ""
    assert from_html("<title> a &gt; b</title><div>c<br>e<script>d<div>") == ("a > b", "c\ne")


# --- SearXNG --------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def searxng(body: Any, status: int = 200) -> AsyncIterator[tuple[str, list[dict[str, str]]]]:
    """A server that speaks SearXNG's JSON; returns its address and what it was asked."""
    asked: list[dict[str, str]] = []

    class Search(tornado.web.RequestHandler):
        def get(self) -> None:
            asked.append({name: self.get_argument(name) for name in self.request.arguments})
            self.set_status(status)
            self.finish(body if isinstance(body, str) else json.dumps(body))

    server = tornado.httpserver.HTTPServer(tornado.web.Application([("/searxng/search", Search)]))
    sock, port = bind_unused_port()
    server.add_socket(sock)
    try:
        yield f"http://127.0.0.1:{port}/searxng/", asked
    finally:
        server.stop()
        await server.close_all_connections()


async def test_searxng_answers_in_the_same_shape(tmp_path: Path) -> None:
    rows = [
        {"title": "First", "url": "https://a.example/", "content": "of <b>many</b> &amp; more", "score": 4.0},
        {"title": "No address", "url": "javascript:alert(1)", "content": ""},
        {"title": "Second", "url": "http://b.example/", "content": None, "score": 1.0},
        "nonsense",
        {"title": "Third", "url": "http://c.example/", "score": 0.5},
    ]
    async with searxng({"query": "x", "number_of_results": 3, "results": rows}) as (url, asked):  # noqa: SIM117
        async with serving(SearchService(config(tmp_path, SEARXNG_URL=url))) as channel:
            run = await search(channel, 'a & "b"', max_results=2)
            assert run.values == {
                "query": 'a & "b"',
                "provider": "searxng",
                "results": [
                    {"title": "First", "url": "https://a.example/", "snippet": "of many & more", "score": 1.0},
                    {"title": "Second", "url": "http://b.example/", "snippet": "", "score": 0.25},
                ],
            }
            assert asked == [{"q": 'a & "b"', "format": "json"}]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ("no", 403, "SearXNG answered 403 Forbidden: json is not among its search.formats"),
        ("no", 500, "SearXNG answered 500 Internal Server Error"),
        ("<html>", 200, "SearXNG did not answer with its JSON"),
        ([], 200, "SearXNG did not answer with its JSON"),
        ({"results": {}}, 200, "SearXNG did not answer with its JSON"),
        ("[" * 100_000, 200, "SearXNG did not answer with its JSON"),
    ],
)
async def test_a_searxng_that_fails_is_unavailable_with_words(
    tmp_path: Path, body: Any, status: int, words: str
) -> None:
    async with searxng(body, status) as (url, _), serving(SearchService(config(tmp_path, SEARXNG_URL=url))) as channel:
        stub = search_pb2_grpc.SearchExecutorStub(channel)
        assert await refused(stub, "search", {"query": "x"}) == ("UNAVAILABLE", words)


async def test_a_searxng_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    sock, port = bind_unused_port()
    sock.close()
    async with serving(SearchService(config(tmp_path, SEARXNG_URL=f"http://127.0.0.1:{port}"))) as channel:
        stub = search_pb2_grpc.SearchExecutorStub(channel)
        status, details = await refused(stub, "search", {"query": "x"})
        assert (status, details) == ("UNAVAILABLE", "SearXNG cannot be reached: Connection refused")


# --- ddgs and the choice --------------------------------------------------------------------------------------------


class DdgsError(Exception):
    """As ddgs.exceptions.DDGSException."""


def ddgs_package(answer: list[dict[str, str]] | Exception) -> Any:
    """The part of the ddgs package that is used (it asks public search engines, which tests don't)."""

    class Client:
        def __init__(self, timeout: int) -> None:
            assert timeout > 0

        def text(self, query: str, max_results: int) -> list[dict[str, str]]:
            assert (query, max_results) == ("x", 10)
            if isinstance(answer, Exception):
                raise answer
            return answer

    return SimpleNamespace(DDGS=Client, exceptions=SimpleNamespace(DDGSException=DdgsError))


async def test_ddgs_answers_in_the_same_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"title": "A", "href": "https://a.example", "body": "b\nc"}, {"title": "B", "href": "https://b.example"}]
    monkeypatch.setitem(sys.modules, "ddgs", ddgs_package(rows))
    async with serving(SearchService(config(tmp_path, SEARCH_PROVIDER="ddgs"))) as channel:
        run = await search(channel, "x")
        assert run.values["provider"] == "ddgs"
        assert run.values["results"] == [
            {"title": "A", "url": "https://a.example", "snippet": "b c", "score": 1.0},
            {"title": "B", "url": "https://b.example", "snippet": "", "score": 0.5},
        ]


async def test_ddgs_that_finds_nothing_and_ddgs_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ddgs", ddgs_package(DdgsError("No results found.")))
    async with serving(SearchService(config(tmp_path, SEARCH_PROVIDER="ddgs"))) as channel:
        assert (await search(channel, "x")).values["results"] == []
    monkeypatch.setitem(sys.modules, "ddgs", ddgs_package(DdgsError("all engines timed out")))
    async with serving(SearchService(config(tmp_path, SEARCH_PROVIDER="ddgs"))) as channel:
        stub = search_pb2_grpc.SearchExecutorStub(channel)
        status, details = await refused(stub, "search", {"query": "x"})
        assert (status, details) == ("UNAVAILABLE", "no search engine answers: all engines timed out")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"SEARCH_PROVIDER": "google"}, "SEARCH_PROVIDER is local, searxng or ddgs, not google"),
        ({"SEARCH_PROVIDER": "searxng"}, "SEARCH_PROVIDER=searxng needs SEARXNG_URL, the address of an instance"),
        ({"SEARXNG_URL": "localhost"}, "SEARXNG_URL: localhost is not an http address"),
        ({"SEARCH_DOCUMENTS_DIR": "/nowhere"}, "SEARCH_DOCUMENTS_DIR: /nowhere is not a folder"),
        ({"SEARCH_PROVIDER": "ddgs"}, "the Python package ddgs is missing: pip install ddgs"),
    ],
)
async def test_a_wrong_choice_stops_the_start(
    tmp_path: Path, options: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ddgs", None)
    with pytest.raises(MissingPartError) as error:
        await SearchService(config(tmp_path, **options)).start()
    assert str(error.value) == words


async def test_an_index_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(MissingPartError, match=r"the search index .* cannot be opened"):
        await SearchService(config(tmp_path / "file")).start()
