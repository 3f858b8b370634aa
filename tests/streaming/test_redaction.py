"""Secrets never reach an observer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from streaming import redaction
from streaming.redaction import MAX_INNER_CHARS, hide, without_secrets
from streaming.secret_fields import HIDDEN
from streaming.strict_json import strict_value

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = [
    "token", "resume_token", "access_token", "ticket", "password", "authorization", "headers", "server_url",
    "Token", "Password", "PASSWORD", "Authorization", "api_key", "apiKey", "client_secret", "secret", "passwd",
]  # fmt: skip
TYPED = {"action": "type", "parameters": {"selector": "#pin", "text": "s3cret"}}
NAVIGATED = {"action": "navigate", "parameters": {"url": "http://u:s3cret@host/"}}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("around", [lambda it: it, lambda it: {"a": it}, lambda it: {"a": [[{"b": [it]}]]}])
def test_what_opens_something_is_hidden_however_deep(name: str, around: Callable[[Any], Any]) -> None:
    message = {"type": "x", "params": around({name: "s3cret", "id": "1"})}
    assert hide(message)
    assert message == {"type": "x", "params": around({name: HIDDEN, "id": "1"})}


def test_all_that_is_typed_into_a_field_for_secrets_is_hidden() -> None:
    parameters = {"selector": "#password", "text": "s3cret", "value": "s3cret"}
    assert hide(parameters)
    assert parameters == {"selector": "#password", "text": HIDDEN, "value": HIDDEN}


def test_nothing_is_nothing_to_hide() -> None:
    message = {"type": "x", "token": None, "password": ""}
    assert not hide(dict(message))


def test_words_about_tokens_are_no_secrets() -> None:
    text = '{"type": "tts.text", "text": "say \\"token\\": me"}'
    assert without_secrets(text, {"type": "tts.text", "text": 'say "token": me'}) == text


def test_a_message_that_names_no_secret_is_not_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each message of a watched session passes here."""

    def looked(*_: object) -> bool:
        raise AssertionError

    monkeypatch.setattr(redaction, "hide", looked)
    assert without_secrets('{"type": "é"}', {"type": "é"}) == '{"type": "é"}'
    for text in ('{"token": 1}', '{"tok\\u0065n": 1}'):
        with pytest.raises(AssertionError):
            without_secrets(text, {"token": 1})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("around", [lambda it: {"arguments": it}, lambda it: {"a": [["words", it]]}])
def test_what_opens_something_is_hidden_in_json_within_strings(name: str, around: Callable[[Any], Any]) -> None:
    """As in the arguments of functions, and in what is remembered."""
    inner = {name: "s3cret", "id": "é"}
    message = {"type": "x", "item": around(json.dumps(inner)), "note": "token"}
    assert hide(message)
    shown = json.dumps(inner | {name: HIDDEN}, ensure_ascii=False, separators=(",", ":"))
    assert message == {"type": "x", "item": around(shown), "note": "token"}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"a": json.dumps([json.dumps({"token": "s3cret"})])}),
        json.dumps(json.dumps({"token": "s3cret"})),
        '\ufeff{"token": "s3cret"}',
        ' \n[{"pass\\u0077ord": "s3cret"}]',
        '{"token": "", "token": "s3cret"}',
        '{"id": 1, "password": "s3cret',
        json.dumps({"a": json.dumps({"token": "s3cret"})})[:-3],
        json.dumps({"a": "x" * MAX_INNER_CHARS, "token": "s3cret"}),
        json.dumps({"a": [0] * 10_000, "token": "s3cret"}),
        '{"a":' * 100 + '{"token": "s3cret"}' + "}" * 100,
        '{"selector":"#pin","text":"s3cret',
        '{"selector":"#cvv","value":"s3cret","x":NaN}',
        "https://host/?token=s3cret",
        '["https://host/?token=s3cret"',
    ],
    ids=[
        "nested",
        "twice JSON",
        "marked",
        "escaped",
        "twice",
        "cut",
        "nested and cut",
        "long",
        "many values",
        "deep",
        *("typed", "no JSON", "address", "cut address"),
    ],
)
def test_no_secret_within_a_string_is_shown_in_any_form(text: str) -> None:
    message = {"type": "x", "value": text}
    assert "s3cret" not in without_secrets(json.dumps(message), message)


@pytest.mark.parametrize(
    "words",
    [
        "[laughs] my token is gone",
        "[the token](https://x.example/)",
        '{"note": "a token"}',
        '[note] my "card" selector',
        "{color: red} .selector card",
    ],
)
def test_words_in_brackets_are_no_secrets(words: str) -> None:
    message = {"type": "x", "text": words}
    assert not hide(message)
    assert message["text"] == words


def test_strings_that_are_json_take_little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are. Those that are not read are hidden."""
    read = list[str]()

    def counted(text: str, max_depth: int) -> Any:
        read.append(text)
        return strict_value(text, max_depth)

    monkeypatch.setattr(redaction, "strict_value", counted)
    short = {"type": "x", "texts": [f'{{"token": "s3cret {number}"}}' for number in range(9_000)]}
    long = {"type": "x", "texts": [json.dumps({"a": [1] * 3_000, "token": f"s3cret {number}"}) for number in range(20)]}
    for message in (short, long):
        assert hide(message)
        assert "s3cret" not in json.dumps(message)
        assert 0 < len(read) < 200
        assert sum(map(len, read)) <= MAX_INNER_CHARS
        read.clear()


@pytest.mark.parametrize("action", [TYPED, NAVIGATED], ids=["typed", "navigated"])
@pytest.mark.parametrize(
    "around", [lambda it: it, lambda it: {"item": {"arguments": json.dumps(it)}}, lambda it: [[it]]]
)
def test_what_an_action_brings_to_a_page_is_hidden(action: dict[str, Any], around: Callable[[Any], Any]) -> None:
    text = json.dumps({"type": "x", "params": around(action)})
    shown = without_secrets(text, json.loads(text))
    assert "s3cret" not in shown
    assert HIDDEN in shown


def test_what_is_typed_elsewhere_is_shown_and_so_is_what_is_counted() -> None:
    message = {
        "type": "x",
        "params": {"selector": "#q", "text": "hello"},
        "usage": {"total_tokens": 3, "token_count": 4},
    }
    text = json.dumps(message)
    assert without_secrets(text, message) == text
