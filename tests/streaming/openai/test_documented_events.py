"""docs/OPENAI.md names every event of OpenAI's published types, and for each a test file that has it."""

from __future__ import annotations

import re
from typing import get_args

import pytest
from openai.types.realtime import RealtimeClientEvent

from tests.clients.published import LIVE_MODELS, MODELS
from tests.support.gateway import ROOT

PAGE = (ROOT / "docs" / "OPENAI.md").read_text(encoding="utf-8")
SERVER = PAGE.partition("## Server events")[2].partition("\n## ")[0]
SENT, SENT_LIVE = SERVER.partition("Never sent")[0].split("Of the Live API:")
NEVER = set(re.findall(r"`([\w.]+)`", SERVER.partition("Never sent")[2]))


def rows(table: str) -> dict[str, str]:
    """Event and test file."""
    return dict(re.findall(r"^\| `([\w.]+)`.* \| `(\w+\.py)` \|$", table, re.MULTILINE))


def test_every_published_server_event_is_named_once() -> None:
    assert set(rows(SENT)) | (NEVER & set(MODELS)) == set(MODELS)
    assert set(rows(SENT_LIVE)) | (NEVER & set(LIVE_MODELS)) == set(LIVE_MODELS) - {"transport.dtmf.send"}
    assert not NEVER & (set(rows(SENT)) | set(rows(SENT_LIVE)))


@pytest.mark.parametrize(("event", "file"), [*rows(SENT).items(), *rows(SENT_LIVE).items()])
def test_the_named_file_has_the_event(event: str, file: str) -> None:
    (path,) = [path for folder in ("streaming/openai", "clients") for path in (ROOT / "tests" / folder).glob(file)]
    assert f'"{event}"' in path.read_text(encoding="utf-8")


def test_every_published_client_event_is_named() -> None:
    table = PAGE.partition("## Client events")[2].partition("\n## ")[0]
    for model in get_args(get_args(RealtimeClientEvent)[0]):
        kind: str = get_args(model.model_fields["type"].annotation)[0]
        stem, _, end = kind.rpartition(".")
        assert f"`{kind}`" in table or (f"`{stem}." in table and f"`.{end}`" in table), kind


def test_every_named_file_exists() -> None:
    files = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert set(re.findall(r"\btest_\w+\.py\b", PAGE)) <= files
