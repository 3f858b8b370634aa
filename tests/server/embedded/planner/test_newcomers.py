"""What newcomers say: small talk, notes, and files that are moved, copied and found."""

from __future__ import annotations

import pytest
from google.protobuf.json_format import MessageToDict

from server.embedded.planner.recipes import key_of_note
from server.embedded.planner.replies import StepOutcome, reply
from tests.server.embedded.planner.asking import NOON
from tests.server.embedded.planner.told import planned, told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Are you a robot?", "I am a computer program called Jarvis."),
        ("how old are you", "I am a computer program called Jarvis."),
        ("Do you speak German?", "I understand English only."),
        ("You're great!", "Thank you."),
        ("cheers", "You are welcome."),
        ("nice to meet you", "Hello. What can I do for you?"),
        ("see you tomorrow", "Goodbye."),
        ("I need help", told("help")),
        ("create a new folder", "What should the folder be called?"),
    ],
)
def test_what_they_are_told(text: str, words: str) -> None:
    assert told(text) == words


@pytest.mark.parametrize(
    ("text", "action", "parameters"),
    [
        ("take a note: buy milk", "store", {"key": key_of_note("buy milk"), "value": "buy milk", "tags": ["note"]}),
        (
            "write down that the code is 1234",
            "store",
            {"key": key_of_note("the code is 1234"), "value": "the code is 1234", "tags": ["note"]},
        ),
        ("Read my notes.", "search", {"query": "", "limit": 5}),
        ("what's my dog called", "search", {"query": "dog", "limit": 20, "tags": ["about-user"]}),
        ("search google for cats", "search", {"query": "cats", "max_results": 5}),
        ("what's in the docs folder", "ls", {"args": ["docs"]}),
        ("rename notes.txt to plan.txt", "mv", {"args": ["notes.txt", "plan.txt"]}),
        ('rename the folder demo to "my stuff"', "mv", {"args": ["demo", "my stuff"]}),
        ("copy notes dot txt to docs slash old dot txt", "cp", {"args": ["notes.txt", "docs/old.txt"]}),
        ("rename zz4 to zz5", "mv", {"args": ["zz4", "zz5"]}),
        ("Rename the budget to budget 2026.", "mv", {"args": ["budget", "budget 2026"]}),
        ("copy alpha to omega", "cp", {"args": ["alpha", "omega"]}),
        ("duplicate report as report-old", "cp", {"args": ["report", "report-old"]}),
        ("move notes into archive", "mv", {"args": ["notes", "archive"]}),
        ("move the notes into the archive folder", "mv", {"args": ["notes", "archive"]}),
        ("put notes.txt in archive", "mv", {"args": ["notes.txt", "archive"]}),
        ("what does notes.txt say", "cat", {"args": ["notes.txt"]}),
        ("remove the empty folder demo", "rmdir", {"args": ["demo"]}),
        ("find the file notes.txt", "find", {"args": [".", "-name", "notes.txt"]}),
        ("where is my file report", "find", {"args": [".", "-iname", "*report*"]}),
    ],
)
def test_what_is_done_for_them(text: str, action: str, parameters: dict[str, object]) -> None:
    (step,) = planned(text).steps
    assert (step.action, MessageToDict(step.parameters)) == (action, parameters)


@pytest.mark.parametrize(
    "text",
    [
        "move on to the next", "copy that", "find me a good book", "where is the love", "copy that to memory", "move it to the left", "copy me to the email",
        "move money to savings", "rename this song to hope", "move the sofa into the kitchen", "put milk in the fridge", "move lunch to Friday",
        "move forward to the end", "put him into jail", "move house to Paris", "move us to tears",
    ],
)  # fmt: skip
def test_what_is_no_file_is_left_alone(text: str) -> None:
    assert all(step.executor != "os" for step in planned(text).steps)


@pytest.mark.parametrize(
    ("text", "stdout", "words"),
    [
        ("rename notes.txt to plan.txt", "", "I have moved notes.txt to plan.txt."),
        ("copy notes.txt to old.txt", "", "I have copied notes.txt to old.txt."),
        ("rmdir demo", "", "I have removed the folder demo."),
        ("find the file notes.txt", "./docs/notes.txt\n", "I found 1 file: docs/notes.txt."),
        ("find the file notes.txt", "", "I found no such file."),
    ],
)
def test_what_became_of_it_is_said(text: str, stdout: str, words: str) -> None:
    made = planned(text)
    assert reply(made.intent, MessageToDict(made.entities), [StepOutcome("ok", {"stdout": stdout})], NOON) == words
