"""Everyday requests that nothing was tuned for when they were first judged, one or two of each kind."""

from __future__ import annotations

import pytest
from google.protobuf.json_format import MessageToDict

from server.embedded.intent.recognition import SEVERAL, recognise
from tests.server.embedded.planner.told import planned, told


@pytest.mark.parametrize(
    ("text", "action", "parameters"),
    [
        ("show me the first ten lines of readme.md", "head", {"args": ["-n", "10", "readme.md"]}),
        ("the last five lines of server.log please", "tail", {"args": ["-n", "5", "server.log"]}),
        ("what's the first line of poem.txt", "head", {"args": ["-n", "1", "poem.txt"]}),
        ("how many lines are in main.py", "wc", {"args": ["-l", "main.py"]}),
        ("does notes.txt mention the word garden", "grep", {"args": ["-i", "garden", "notes.txt"]}),
        ("find the word invoice in notes.txt", "grep", {"args": ["-i", "invoice", "notes.txt"]}),
        ("how big is the photos folder", "du", {"args": ["-s", "-h", "photos"]}),
        ("find all my pdf files", "find", {"args": [".", "-name", "*.pdf"]}),
        ("move report.pdf into the archive folder", "mv", {"args": ["report.pdf", "archive"]}),
        ("get rid of the empty folder temp", "rmdir", {"args": ["temp"]}),
        ("create a folder called gift for me", "mkdir", {"args": ["gift"]}),
        ("create a folder called notes for the team", "mkdir", {"args": ["notes for the team"]}),
        ("create a folder called thank you notes", "mkdir", {"args": ["thank you notes"]}),
        ("say this is for me", "echo", {"args": ["this", "is", "for", "me"]}),
        ("google pasta recipes for me would you", "search", {"query": "pasta recipes", "max_results": 5}),
        ("search for catch me if you can", "search", {"query": "catch me if you can", "max_results": 5}),
        ("find out who invented the telephone", "search", {"query": "who invented the telephone", "max_results": 5}),
        ("could you show me what files there are", "ls", {"args": []}),
        ("is there any disk space left", "df", {"args": ["-h", "."]}),
        ("what does it say on this page", "extract_text", {}),
        ("google maps please", "navigate", {"url": "https://google.com/maps"}),
        ("no don't make a folder, make a file called a.txt", "touch", {"args": ["a.txt"]}),
    ],
)
def test_what_is_done(text: str, action: str, parameters: dict[str, object]) -> None:
    (step,) = planned(text).steps
    assert (step.action, MessageToDict(step.parameters)) == (action, parameters)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("how many is three dozen", "3 times 12 is 36."),
        ("3 dozen", "3 times 12 is 36."),
        ("nine times nine take away one", "9 times 9 minus 1 is 80."),
        ("give me seven percent of twelve hundred", "7 percent of 1200 is 84."),
        ("could i trouble you for the date", "Today is Sunday, March 1st."),
        ("take seventeen away from fifty", "50 minus 17 is 33."),
        ("how many times does seven go into ninety one", "91 divided by 7 is 13."),
        ("if i split 86 between four people how much does each pay", "86 divided by 4 is 21.5."),
        ("could you tell me what 20 percent of 150 is", "20 percent of 150 is 30."),
        ("what's thirty degrees c in f", "30 degrees Celsius are 86 degrees Fahrenheit."),
        ("i'm five foot nine, what's that in centimetres", "5 feet 9 inches are 175.26 centimeters."),
        ("how many feet are in a mile", "1 mile is 5280 feet."),
        ("hey so what time do you have right now", "It is 12:05 PM."),
        ("do you happen to know how late it is", "It is 12:05 PM."),
        ("i don't want the time, i want the date", "Today is Sunday, March 1st."),
        ("order me a pizza", "I am sorry, I cannot order, buy or book things."),
        ("wipe everything", "I am sorry, I cannot forget everything at once."),
    ],
)
def test_what_is_told(text: str, words: str) -> None:
    assert told(text) == words


def test_what_another_is_called_is_another_request() -> None:
    requests = ["create a folder called one", "create a folder called two"]
    assert recognise("create a folder called one and another called two")[0].entities == {"requests": requests}
    assert recognise("create a folder called rock and roll")[0].intent != SEVERAL


def test_a_file_is_moved_into_the_folder_just_made() -> None:
    made = planned("make a folder called x and move a.txt into it")
    assert [MessageToDict(step.parameters)["args"] for step in made.steps] == [["x"], ["a.txt", "x"]]
    assert told("move a.txt into it") == "Where should I move it?"


def test_what_the_user_has_not_told_is_not_recalled() -> None:
    assert recognise("do you know what the capital of mongolia is")[0].intent == "web_search"
