"""`undo that` undoes the last thing that was done, and nothing that was there before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.protobuf.json_format import MessageToDict

from server.embedded.planner.service import compose
from tests.server.embedded.planner.asking import Told, ended
from tests.server.embedded.planner.told import planned, told

if TYPE_CHECKING:
    from tests.server.embedded.planner.asking import Turns

DONE: Told = ("ok", {"stdout": ""}, "")
NEVER = "I cannot undo that: {}."
NOTHING = "There is nothing to undo."
TWICE = "make a folder called trips and make a folder called trips"  # is understood as one long name


def there(command: str, path: str, *, status: str = "ok") -> Told:
    did = {"mv": "nothing is moved to", "cp": "nothing is copied to"}.get(command, "nothing new is made at")
    return status, {"stdout": ""}, f"{command}: {did} ‘{path}’: File exists"


def refused(path: str) -> Told:
    return "failed", {}, f"mkdir: cannot create directory ‘{path}’: File exists"


def talked(text: str, outcomes: list[Told], turns: Turns | None = None) -> Turns:
    """The conversation, after this request has come to that."""
    said = [*(turns or []), ("user", text)]
    return [*said, ("assistant", compose(ended(planned(text, said), outcomes)))]


SEVERAL = [
    ("make a folder called trips and make a folder called empty", [DONE, refused("empty")], "rmdir", ["trips"]),
    ("make a folder called empty and make a folder called trips", [refused("empty"), DONE], "rmdir", ["trips"]),
    ("make a folder called trips, then make a folder called empty", [DONE, there("mkdir", "empty")], "rmdir", ["trips"]),
    ("make a folder called trips and list the files", [DONE, ("ok", {"stdout": "trips\n"}, "")], "rmdir", ["trips"]),
    ("make a folder called trips and create a file called a.txt", [DONE, there("touch", "a.txt")], "rmdir", ["trips"]),
    ("make a folder called one and make a folder called two", [DONE, DONE], "rmdir", ["two"]),
    ("make a folder called trips, then run mkdir -p trips", [DONE, there("mkdir", "trips")], "rmdir", ["trips"]),
    ("run mv -n a.txt b.txt and make a folder called empty", [DONE, refused("empty")], "mv", ["b.txt", "a.txt"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "outcomes", "command", "args"), SEVERAL)
def test_of_several_requests_the_last_one_that_did_something_is_undone(
    text: str, outcomes: list[Told], command: str, args: list[str]
) -> None:
    turns = talked(text, outcomes)
    undone = planned("undo that", [*turns, ("user", "undo that")])
    assert MessageToDict(undone.entities) == {"command": command, "args": args}
    turns = talked("undo that", [DONE], turns)
    again = planned("undo that", [*turns, ("user", "undo that")])
    assert again.entities["args"] in (args, args[::-1])  # it is done again


@pytest.mark.parametrize(
    ("text", "outcomes", "words"),
    [
        ("what time is it and make a folder called empty", [refused("empty")], NOTHING),
        ("make a folder called empty and make a folder called photos", [refused("empty"), refused("photos")], NOTHING),
        ("make a folder called empty", [refused("empty")], NOTHING),
        ("create a file called a.txt", [there("touch", "a.txt")], NOTHING),
        ("run mkdir -p empty", [there("mkdir", "empty")], NOTHING),
        ("run mv -n a.txt b.txt", [there("mv", "b.txt", status="failed")], NOTHING),
        ("run cp -n a.txt b.txt", [there("cp", "b.txt", status="failed")], NOTHING),
        (TWICE, [DONE], NEVER.format(TWICE)),
        ("run mkdir -p empty trips", [DONE], NEVER.format("run mkdir -p empty trips")),
        ("run mkdir trips empty", [refused("empty")], NEVER.format("run mkdir trips empty")),
        ("run touch -c a.txt", [DONE], NEVER.format("run touch -c a.txt")),
        ("make a folder called trips and forget my name", [DONE, ("ok", {}, "")], NEVER.format("forget my name")),
        ("make a folder called one and make a folder called two", [], NEVER.format("make a folder called two")),
    ],
)
def test_what_did_nothing_or_cannot_be_told_is_not_undone(text: str, outcomes: list[Told], words: str) -> None:
    turns = talked(text, outcomes)
    assert told("undo that", [*turns, ("user", "undo that")]) == words


FAILED = [
    refused("empty"),
    ("failed", {}, "the disk is full"),
    ("declined", {}, "declined"),
    ("skipped", {}, "no time"),
]


@pytest.mark.parametrize("failed", FAILED)
@pytest.mark.parametrize(
    ("other", "result"),
    [
        ("read the page", {"text": "I have made the folder empty."}),
        ("read the file n.txt", {"stdout": "I have made the folder empty."}),
        ("what do you remember about the parrot", {"results": [{"value": "I have made the folder empty."}]}),
    ],
)
def test_a_page_does_not_say_what_was_done(other: str, result: dict[str, object], failed: Told) -> None:
    made = "make a folder called empty"
    for text, outcomes in (
        (f"{made} and {other}", [failed, ("ok", result, "")]),
        (f"{other} and {made}", [("ok", result, ""), failed]),
    ):
        turns = talked(text, outcomes)
        assert "I have made the folder empty." in turns[-1][1]
        assert not planned("undo that", [*turns, ("user", "undo that")]).steps
    for text, outcomes in (
        (f"{made} and {other}", [DONE, ("ok", result, "")]),
        (f"{made} and {other}", [DONE, failed]),
        (f"{other} and {made}", [failed, DONE]),
    ):
        turns = talked(text, outcomes)
        undone = planned("undo that", [*turns, ("user", "undo that")])
        assert MessageToDict(undone.entities) == {"command": "rmdir", "args": ["empty"]}


@pytest.mark.parametrize(
    ("text", "outcome", "words"),
    [
        ("run mkdir -p trips", DONE, "I have made the folder trips."),
        ("run mkdir -p empty trips", DONE, "The folders empty and trips are there now."),
        ("run mkdir empty trips", DONE, "I have made the folders empty and trips."),
        ("run rmdir empty trips", DONE, "I have removed the folders empty and trips."),
        ("run touch a b", DONE, "The files a and b are there now."),
        ("run touch -c a", DONE, "The file a is there now."),
        ("run mv -n a.txt b.txt", DONE, "I have moved a.txt to b.txt."),
    ],
)
def test_options_are_not_told_as_paths(text: str, outcome: Told, words: str) -> None:
    assert talked(text, [outcome])[-1] == ("assistant", words)


@pytest.mark.parametrize(
    ("text", "command", "args"),
    [("run mkdir -p trips", "rmdir", ["trips"]), ("run mv -n a.txt b.txt", "mv", ["b.txt", "a.txt"])],
)
def test_an_option_is_not_undone(text: str, command: str, args: list[str]) -> None:
    turns = talked(text, [DONE])
    undone = planned("undo that", [*turns, ("user", "undo that")])
    assert MessageToDict(undone.entities) == {"command": command, "args": args}
