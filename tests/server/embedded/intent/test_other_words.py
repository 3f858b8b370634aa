"""Other words for the same: approvals, refusals, "stop", addresses, files and notes."""

from __future__ import annotations

from typing import Any

import pytest

from server.embedded.intent.recognition import recognise

ANSWERS = {
    "yes": """
        yea | aye | Agreed. | approve it | Confirm. | accept | continue | Proceed! | I agree. | okay then | Go right ahead.
        Be my guest. | let's do it | That works. | works for me | fine with me | correct, do it | Yes, that's what I want. | 👍 | 👍🏽 | ✅
        Sure, go ahead and do it. | Yes, sir. | That's a yes. | That would be great! | great, do it | Sounds good to me.
        sounds good, go ahead | you bet | Roger. | yes, I'd like that | No problem, go ahead.""",
    "no": """
        nay | Wrong. | no, wrong | I refuse. | denied | no need | Not today. | not that one | do nothing | don't bother
        Don't you dare! | no thank you, leave it alone | No, that's fine. | no, it's fine | maybe later | don't create it
        Don't create the folder. | No, don't delete the file. | please don't send it | 👎 | ❌
        I don't think so. | I'd prefer not to. | let's not | Let's not do that. | maybe not | Not at all. | no chance | hell no
        It's fine, leave it. | That's a no. | on second thought, no | leave it as is | Not necessary. | By no means!""",
    "stop": """
        stop reading | stop that now | stop immediately | Enough already! | I've heard enough. | cut it out | knock it off
        zip it | time out | not so fast | skip | no more | ✋
        just stop | Stop right there!""",
}
OTHERS: list[tuple[str, str, dict[str, Any]]] = [
    ("don't forget that my sister's name is Anna", "remember", {"attribute": "sister's name", "value": "Anna"}),
    ("Don't forget to call mum at 5:30 p.m.", "remember_fact", {"fact": "to call mum at 5:30 p.m."}),
    ("make a note that the code is *#06#", "remember_fact", {"fact": "the code is *#06#"}),
    ("open the website of example.com", "open_page", {"url": "https://example.com"}),
    ("go to the page at example.com/a?b=1!", "open_page", {"url": "https://example.com/a?b=1"}),
    ("pull up example.com", "open_page", {"url": "https://example.com"}),
    ("browse example.com, please", "open_page", {"url": "https://example.com"}),
    ("read me the file named to-do (1).md", "read_file", {"path": "to-do (1).md"}),
    ("read out notes.txt", "read_file", {"path": "notes.txt"}),
    ('display the file "my list.txt"', "read_file", {"path": "my list.txt"}),
    ("view notes.txt", "read_file", {"path": "notes.txt"}),
    ("list files in the folder my docs", "list_files", {"path": "my docs"}),
    ("show me the folder my docs", "list_files", {"path": "my docs"}),
    ("what's in here?", "list_files", {}),
    ("ls -la", "run_command", {"command": "ls", "args": ["-la"]}),
    ("pwd", "run_command", {"command": "pwd"}),
]


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        (text.strip(), intent)
        for intent, texts in ANSWERS.items()
        for text in texts.replace("\n", "|").split("|")
        if text.strip()
    ],
)
def test_answers(text: str, intent: str) -> None:
    assert recognise(text)[0].intent == intent


@pytest.mark.parametrize(("text", "intent", "entities"), OTHERS)
def test_requests(text: str, intent: str, entities: dict[str, Any]) -> None:
    best = recognise(text)[0]
    assert (best.intent, best.entities) == (intent, entities)


def test_an_emoji_beside_words_is_decoration() -> None:
    assert recognise("👍 what time is it")[0].intent == "get_time"


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("y", "yes"),
        ("N.", "no"),
        ("I mean, what time is it", "get_time"),
        ("you know, what's the time", "get_time"),
        ("actually, what time is it?", "get_time"),
        ("...what time is it...", "get_time"),
        ("read the file .../notes.txt", "read_file"),
    ],
)
def test_letters_and_openings_that_people_type(text: str, intent: str) -> None:
    assert recognise(text)[0].intent == intent
