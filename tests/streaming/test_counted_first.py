"""Values are counted before they are read, by whoever reads what a stranger sent: its session, and all who look on."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from server.errors import ApiError
from server.net.strict_json import loads
from streaming import strict_json
from streaming.jarvis.entry import RefusedError, first_token
from streaming.jarvis.observing import ChannelWatch
from streaming.jarvis.recording import UNREADABLE, RecordingEntry, Scribe
from streaming.openai import client_events
from streaming.openai.functions import arguments_in
from streaming.openai.watching import EventWatch
from streaming.protocol import inbound
from streaming.protocol.errors import RemoteProtocolError
from streaming.protocol.limits import Limits
from streaming.strict_json import MAX_VALUES
from streaming.twilio import wire
from streaming.twilio.call import PhoneWatch

if TYPE_CHECKING:
    from collections.abc import Callable

MANY = '{"type":"x","a":[' + ",".join(["[]"] * (MAX_VALUES + 1)) + "]}"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever parses JSON fails."""

    def parsed(*_text: object, **_options: object) -> None:
        raise AssertionError("it was read")

    for parser in ("from_json", "_judged", "_readable_fields"):
        monkeypatch.setattr(strict_json, parser, parsed)


def watched() -> Any:
    return SimpleNamespace(taps=[], work=SimpleNamespace(sounds=dict), connection=None)


SHOWS_NOTHING: list[Callable[[str], object]] = [
    lambda text: EventWatch(watched(), audio=False).read("client", text),
    lambda text: EventWatch(watched(), audio=True).read("client", text),
    lambda text: ChannelWatch(watched(), audio=True).read("client", text),
    lambda text: PhoneWatch(watched(), audio=True).read("client", text),
    arguments_in,
]


@pytest.mark.parametrize("read", SHOWS_NOTHING)
@pytest.mark.usefixtures("unread")
def test_who_looks_on_counts_first(read: Callable[[str], object]) -> None:
    assert not read(MANY)


SHOWS_ALL: list[Callable[[str], list[Any]]] = [
    lambda text: EventWatch(watched(), audio=True).read("server", text),
    lambda text: ChannelWatch(watched(), audio=True).read("server", text),
    lambda text: PhoneWatch(watched(), audio=True).read("server", text),
]


@pytest.mark.parametrize("read", SHOWS_ALL)
def test_what_the_session_sends_is_shown_however_many_values_it_has(read: Callable[[str], list[Any]]) -> None:
    """Observers missed long results, as of a search of memory, without a word."""
    assert [seen.text for seen in read(MANY)] == [MANY]


def test_a_recording_has_it_too() -> None:
    said = Scribe().entry(1.0, "in", MANY)
    assert said is not None
    assert said.type == "x"


@pytest.mark.usefixtures("unread")
def test_a_recording_counts_first() -> None:
    said = Scribe().entry(1.0, "out", MANY)
    assert said == RecordingEntry(1.0, "out", {"type": UNREADABLE, "characters": len(MANY)})


REFUSES: list[tuple[Callable[[str], object], type[Exception]]] = [
    (first_token, RefusedError),
    (lambda text: inbound.parse(text, Limits()), RemoteProtocolError),
    (client_events.read, client_events.UnreadableEventError),
    (wire.read, wire.UnreadableMessageError),
    (loads, ApiError),
]


@pytest.mark.parametrize(("read", "refusal"), REFUSES)
@pytest.mark.usefixtures("unread")
def test_who_is_spoken_to_counts_first(read: Callable[[str], object], refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        read(MANY)


@pytest.mark.parametrize(
    "message",
    [
        '{"type":"auth","token":"a","token":"b"}',
        '{"type":"auth","token":"' + "a" * 300_000 + '"}',
        '{"type":"auth"}',
        '{"type":"ping","t":1}',
        "[]",
        "no JSON",
        b'{"type":"auth","token":"a"}',
    ],
)
def test_a_first_message_is_read_as_strictly_as_any_other(message: str | bytes) -> None:
    with pytest.raises(RefusedError, match="the first message has to be auth"):
        first_token(message)


def test_a_first_message_brings_its_token() -> None:
    assert first_token('{"type":"auth","token":"a.b.c","id":"1"}') == "a.b.c"


# Who reads JSON in any other way, and why its size is not a stranger's choice.
OTHERS = {
    "server/process/children.py": "children of this process",
    "server/cli/replay_openai.py": "a gateway that is tested",
    "server/cli/replay_script.py": "a recording, before it is played",
    "server/config.py": "settings",
    "server/documents/asyncapi.py": "our examples",
    "server/identity/auth.py": "our records in Redis",
    "server/identity/users.py": "the file of users",
    "server/shared/confirmations.py": "our records in Redis",
    "server/shared/idempotency.py": "our records in Redis",
    "server/shared/observation.py": "another replica",
    "server/shared/once.py": "our records in Redis",
    "server/shared/session_records.py": "our records in Redis",
    "server/shared/state.py": "another replica",
    "server/upstream/memory.py": "a service",
    "streaming/client/talking.py": "the gateway that a client chose",
    "streaming/jarvis/journal.py": "our records in Redis",
    "streaming/jarvis/recording.py": "a file, read by the command line",
    "streaming/protocol/client.py": "the gateway that a client chose",
    "streaming/strict_json.py": "the reader itself",
}
PARSERS = re.compile(r"\bjson\.loads\(|\bfrom_json\(|validate_json\(|json_decode\(|JSONDecoder\(")


def test_nobody_else_reads_json_in_another_way() -> None:
    """A new reader counts first by `streaming.strict_json`, or is named above."""
    sources = (path for room in ("handlers", "server", "streaming") for path in (ROOT / room).rglob("*.py"))
    found = {str(path.relative_to(ROOT)) for path in sources if PARSERS.search(path.read_text(encoding="utf-8"))}
    assert {path for path in found if not path.startswith("server/embedded/")} == OTHERS.keys()
