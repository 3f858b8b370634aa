"""M10 memory over real gRPC: search results, for any spelling and script."""

from __future__ import annotations

import json
import sqlite3
import time
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from protos import memory_pb2 as pb
from server.embedded.memory import index as index_module
from server.embedded.memory.store import MemoryStore
from server.embedded.memory.words import MAX_INDEXED_CHARS, MAX_QUERY_WORDS, indexed
from server.embedded.spelling import folded
from tests.server.embedded.serving import code_of

if TYPE_CHECKING:
    from pathlib import Path

from tests.server.embedded.memory.remembering import found, item, memory, searched


@pytest.mark.parametrize("query", ["favorite colors", "FAVOURITE COLOUR", 'colour" OR (', "colour*", "neighbor colour"])
async def test_search_folds_spelling_and_takes_words_as_words(tmp_path: Path, query: str) -> None:
    async with memory(tmp_path) as stub:
        await stub.Store(item('"my favourite colour is blue"', key="k1"))
        await stub.Store(item('"something else"', key="k2"))
        results = (await stub.Search(pb.SearchRequest(user_id="ada", query=query))).results
    assert [hit.item.key for hit in results] == ["k1"]
    assert 0 < results[0].score <= 1


async def test_the_best_match_comes_first_and_a_whole_one_has_score_one(tmp_path: Path) -> None:
    async with memory(tmp_path) as stub:
        await stub.Store(item('"green tea from japan"', key="tea"))
        await stub.Store(item('"green paint"', key="paint"))
        await stub.Store(item('"a green door"', key="door"))
        results = (await stub.Search(pb.SearchRequest(user_id="ada", query="my green tea"))).results
        assert await found(stub, "green", limit=2) == ["door", "paint"]  # alike: the newest first
    assert [hit.item.key for hit in results] == ["tea", "door", "paint"]
    assert results[0].score == 1
    assert 0 < results[1].score == results[2].score < 0.5  # green is in all, tea in one: tea weighs more


SEARCHED: list[tuple[str, list[str]]] = [
    ("größe", ["unicode"]),
    ("CAFE", ["unicode"]),  # é is an e with a mark
    ("walking", ["object"]),
    ("hobby", ["object"]),
    ("tag one", ["tagged"]),
    ("home address", ["home.address"]),
    ("3.14159", ["number"]),
    ("hidden", []),
    ("!!! *", []),
    ('"', []),
    ("NEAR(blue red)", []),
    ("text : blue", []),
    ("of the", []),
    (" ".join(f"w{number}" for number in range(200)), []),
]


async def test_values_keys_and_tags_are_searched_and_nothing_else(tmp_path: Path) -> None:
    async with memory(tmp_path) as stub:
        await stub.Store(item(json.dumps("café größe 日本"), key="unicode", metadata_json='{"hidden": "hidden"}'))
        await stub.Store(item('{"hobby": ["walks", {"deep": "sea"}]}', key="object"))
        await stub.Store(item("3.14159", key="number"))
        await stub.Store(item("true", key="tagged", tags=["tag one"]))
        await stub.Store(item("null", key="home.address"))
        await stub.Store(item('"half a pair \\ud800 and a zero \\u0000 byte"', key="odd"))
        for query, keys in SEARCHED:
            assert (query[:20], await found(stub, query)) == (query[:20], keys)
        assert await found(stub, "byte") == ["odd"]


async def test_all_tags_have_to_be_there(tmp_path: Path) -> None:
    async with memory(tmp_path) as stub:
        await stub.Store(item(key="one", tags=["a"]))
        await stub.Store(item(key="two", tags=["a", "b"]))
        found = (await stub.Search(pb.SearchRequest(user_id="ada", query="blue", tags=["a", "b"]))).results
        newest = (await stub.Search(pb.SearchRequest(user_id="ada", tags=["a"]))).results
    assert [hit.item.key for hit in found] == ["two"]
    assert [hit.item.key for hit in newest] == ["two", "one"]


@pytest.mark.parametrize(
    ("british", "american"),
    [
        ("colour", "color"),
        ("favourites", "favorites"),
        ("theatre", "theater"),
        ("organise", "organize"),
        ("grey", "gray"),
        ("travelling", "traveling"),
        ("neighbourhood", "neighborhood"),
        ("colourful", "colorful"),
        ("kilometres", "kilometers"),
        ("dialogue", "dialog"),
        ("pyjamas", "pajamas"),
        ("licence", "license"),
        ("analysed", "analyzed"),
        ("four hours of your tour", "four hours of your tour"),
        ("there, where, here", "there, where, here"),
    ],
)
def test_spellings_are_folded(british: str, american: str) -> None:
    assert folded(british) == folded(american) == american


async def test_a_key_is_the_same_however_its_accents_are_typed(tmp_path: Path) -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    async with memory(tmp_path) as stub:
        assert (await stub.Store(item(key=decomposed))).key == composed
        for key in (composed, decomposed):
            assert (await stub.Retrieve(pb.RetrieveRequest(user_id="ada", key=key))).key == composed
        await stub.Delete(pb.DeleteRequest(user_id="ada", key=decomposed))
        assert (
            await code_of(stub.Retrieve(pb.RetrieveRequest(user_id="ada", key=composed))) is grpc.StatusCode.NOT_FOUND
        )


@pytest.mark.parametrize(
    ("kept", "query"),
    [
        ("明日の会議は三時です", "会議"),
        ("東京都に住んでいます", "東京"),
        ("東京都に住んでいます", "京都"),
        ("车停在三号楼前面", "停在"),
        ("车停在三号楼前面", "车"),
        ("车停在三号楼前面", "面"),
        ("월요일에 회의가 있어요", "월요일"),
        ("ประชุมวันจันทร์", "วันจันทร์"),
        ("ﾄｳｷｮｳ タワー", "トウキョウ"),
        ("meeting 会議室A at 3", "会議室"),
        ("कल बैठक है", "बैठक"),
        ("Cafe\u0301 de Flore", "café"),
        ("Café de Flore", "cafe"),
    ],
)
async def test_words_are_found_in_every_script(tmp_path: Path, kept: str, query: str) -> None:
    async with memory(tmp_path) as stub:
        await stub.Store(item(json.dumps(kept, ensure_ascii=False), key="wanted"))
        await stub.Store(item('"昨天的天气很好 어제 เมื่อวาน कब"', key="other"))
        results = (await stub.Search(pb.SearchRequest(user_id="ada", query=query))).results
    assert [(hit.item.key, hit.score) for hit in results] == [("wanted", 1.0)]


async def test_keys_and_words_of_an_older_database_are_made_anew(tmp_path: Path) -> None:
    async with memory(tmp_path) as stub:
        await stub.Store(item('"明日の会議"'))
    with sqlite3.connect(tmp_path / "memory.sqlite3") as old:
        old.execute("UPDATE items SET key = 'cafe\u0301'")
        old.execute("DELETE FROM words")
        old.execute("PRAGMA user_version = 2")
    old.close()
    async with memory(tmp_path) as stub:
        assert await found(stub, "会議") == ["caf\u00e9"]


@pytest.mark.parametrize(
    "text", ["\ufdfa" * 20_000, "a@" * 30_000, "会議東京" * 15_000], ids=["ligatures", "words", "pairs"]
)
def test_long_values_cost_little(text: str) -> None:
    """A character of a dense script is written with its space, and so is its pair."""
    assert len(indexed(text)) <= 5 * MAX_INDEXED_CHARS
    assert indexed("milk " + text).startswith("milk ")


WORDS = [f"word{number}" for number in range(MAX_QUERY_WORDS)]


def keep(store: MemoryStore, number: int, **fields: Any) -> None:
    request = pb.StoreRequest(user_id="ada", value_json=json.dumps(" ".join(WORDS)), **fields)
    store.put(request, f"key {number}")


def test_a_search_among_many_items_costs_little(tmp_path: Path) -> None:
    """One user's search must not stop the memory of all. A join of the index with the items took two seconds here."""
    store = MemoryStore(tmp_path / "m.sqlite3")
    for number in range(500):
        keep(store, number, tags=["even"] if number % 2 == 0 else [])
    began = time.thread_time()
    found = searched(store, "ada", " ".join(WORDS), [], 5)
    assert time.thread_time() - began < 0.2
    assert [(hit.row["key"], hit.score) for hit in found] == [(f"key {number}", 1.0) for number in range(499, 494, -1)]
    tagged = searched(store, "ada", "word1", ["even"], 2)
    assert [hit.row["key"] for hit in tagged] == ["key 498", "key 496"]
    assert searched(store, "ada", "word1", ["odd"], 2) == searched(store, "bob", "word1", [], 2) == []
    store.close()


def test_each_look_up_of_a_search_is_a_step_and_asks_for_whole_terms_of_the_index(tmp_path: Path) -> None:
    """For the beginning of terms, all users' terms were read: one user's Chinese texts made each search for a character take two seconds."""
    store = MemoryStore(tmp_path / "m.sqlite3")
    store.put(item('"東京都"', tags=["a", "b"]), "colour")
    assert {"東", "京", "都", "東京", "京都"} == set(indexed("東京都").split())
    asked: list[str] = []
    store._db.set_trace_callback(asked.append)
    steps = store.search("ada", "東 京都 milk", ["a", "b"], 5)
    for number in range(3):
        next(steps)
        assert len([sql for sql in asked if "MATCH" in sql]) == number
        assert number == 0 or "*" not in asked[-1].partition("MATCH")[2]
    found = []
    try:
        while True:
            next(steps)
    except StopIteration as end:
        found = end.value
    assert [hit.row["key"] for hit in found] == ["colour"]
    assert not [sql for sql in asked if "json_each" in sql]  # the tags of all the user's items, one by one
    store.close()


def test_what_takes_the_place_of_a_found_item_meanwhile_is_not_shown(tmp_path: Path) -> None:
    store = MemoryStore(tmp_path / "m.sqlite3")
    store.put(item(), "colour")
    steps = store.search("ada", "blue", [], 5)
    for _ in range(2):
        next(steps)
    store.delete("ada", "colour")
    store.put(item(user_id="bob"), "colour")  # with the same id
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value == []
    store.close()


def test_the_newest_items_with_a_word_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "MOST_MATCHES", 3)
    store = MemoryStore(tmp_path / "m.sqlite3")
    for number in range(5):
        keep(store, number)
    assert [hit.row["key"] for hit in searched(store, "ada", "word1", [], 5)] == ["key 4", "key 3", "key 2"]
    store.close()
