"""M5 planner over real gRPC: the replies about the outcomes of plans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest

from protos import planner_pb2
from server.embedded.intent import templates
from server.embedded.planner.recipes import RECIPES
from server.embedded.planner.replies import StepOutcome, reply
from tests.server.embedded.serving import refusal

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

from tests.server.embedded.planner.asking import NOON, Told, ended, planner, said, wanted

DF = "Filesystem Size Used Avail Use% Mounted on\n/dev/vda 252G 25G 78.5G 25% /\n"
FREE = "   total used free shared buff/cache available\nMem: 23Gi 1.3Gi 20Gi 25Mi 2.1Gi 22Gi\nSwap: 0B 0B 0B\n"
TWELVE = "\n".join(f"file {number}" for number in range(12))
CATS = {"results": [{"title": "Cats", "url": "https://cats.example"}, {"title": "More", "url": "https://more.example"}]}
NOTES = {
    "results": [
        {"key": "user.name", "value": "ada", "score": 1.0, "metadata": {"attribute": "name"}},
        {"key": "k", "value": "the door code is 456.", "score": 0.5, "metadata": {}},
    ]
}
HELP = (
    "You can ask me for the time or the date, to search for something, to open a page and read it, to list files, to run a"
    " command, or to remember something about you."
)
SAID: list[tuple[str, list[Told], str]] = [
    ("what is my favourite colour", [("ok", {"value": "blue"}, "")], "Your favourite colour is blue."),
    ("where are my keys", [("ok", {"value": "in the kitchen"}, "")], "Your keys are in the kitchen."),
    ("what is my address", [("ok", {"value": "Elm Street"}, "")], "Your address is Elm Street."),
    ("what is my age", [("ok", {"value": 25}, "")], "Your age is 25."),
    ("what is my password", [("ok", {"value": "p#ss=w*rd~[1]^2"}, "")], "Your password is p#ss=w*rd~[1]^2."),
    ("what is my path", [("ok", {"value": "C:\\Users\\ada"}, "")], "Your path is C:\\Users\\ada."),
    (
        "what is my site",
        [("ok", {"value": "https://a.example/b?c=d#e"}, "")],
        "Your site is https://a.example/b?c=d#e.",
    ),
    ("what is my site", [("ok", {"value": "www.a.example"}, "")], "Your site is www.a.example."),
    ("remember that my tag is #42", [("ok", {"key": "k"}, "")], "I will remember that your tag is #42."),
    ("create a folder called a#b", [("ok", {"stdout": ""}, "")], "I have made the folder a#b."),
    ("say https://a.example", [("ok", {"stdout": "https://a.example\n"}, "")], "https://a.example"),
    (
        "open a.example",
        [("failed", {}, "no host www.a.example, or no network")],
        "I am sorry, that did not work: no host a.example, or no network.",
    ),
    ("what is my height", [("ok", {"value": 1.75}, "")], "Your height is 1.75."),
    ("what is my list", [("ok", {"value": ["tea", "milk", 2]}, "")], "Your list is tea, milk and 2."),
    (
        "create a folder called demo",
        [("failed", {}, "mkdir: cannot create directory ‘demo’: File exists")],
        "There is already something called demo here.",
    ),
    (
        "move a.txt to b.txt",
        [("failed", {}, "mv: nothing is moved to ‘b.txt’: File exists")],
        "There is already something called b.txt here.",
    ),
    (
        "create notes.txt",
        [("ok", {"stdout": ""}, "touch: nothing new is made at ‘notes.txt’: File exists")],
        "There is already something called notes.txt here.",
    ),
    ("find the word tea in a.txt", [("ok", {"stdout": "", "exit_code": 1}, "")], "There is no such line in it."),
    (
        "create a folder called a/b",
        [("failed", {}, "mkdir: cannot create directory ‘a/b’: No such file or directory")],
        "I find no a here.",
    ),
    (
        "move a.txt to b.txt",
        [("failed", {}, "mv: cannot stat 'a.txt': No such file or directory")],
        "I find no a.txt here.",
    ),
    (
        "remove the empty folder demo",
        [("failed", {}, "rmdir: failed to remove 'demo': Directory not empty")],
        "demo is not empty, so I have left it as it is.",
    ),
    ("run wc a.txt", [("failed", {}, "wc: a.txt: No such file or directory")], "I find no a.txt here."),
    ("what is my name", [("ok", {}, "")], "I do not know your name yet."),
    ("what is my name", [("failed", {}, "no such key")], "I do not know your name yet."),
    ("what is my name", [("failed", {}, "the disk is full")], "I am sorry, that did not work: the disk is full."),
    ("what did i say about tea", [("ok", NOTES, "")], "Your name is ada. You said: the door code is 456."),
    ("what did i say about tea", [("ok", {"results": []}, "")], "I do not remember anything about tea."),
    ("where do I live", [("ok", {"results": []}, "")], "I do not know that."),
    ("remember that my name is ada", [("ok", {"key": "k"}, "")], "I will remember that your name is ada."),
    ("remember that my keys are here", [("ok", {"key": "k"}, "")], "I will remember that your keys are here."),
    ("remember that i like tea", [("ok", {"key": "k"}, "")], "I will remember that."),
    ("forget my name", [("ok", {}, "")], "I have forgotten your name."),
    ("forget my name", [("failed", {}, "no such key")], "I do not know your name, so there is nothing to forget."),
    ("forget my name", [("declined", {}, "it was not approved")], "All right, I will not do it."),
    ("forget my name", [("declined", {}, "nobody answered in time")], "I had no answer, so I have not done it."),
    ("list files", [("ok", {"stdout": TWELVE}, "")], "There are 12 entries here: file 0, file 1, file 2 and 9 more."),
    ("list files", [("ok", {"stdout": "__init__.py\nc\n"}, "")], "There are 2 entries here: init.py and c."),
    ("list files", [("ok", {"stdout": "a b\nc\n"}, "")], "There are 2 entries here: a b and c."),
    ("list files", [("ok", {"stdout": "a\n"}, "")], "There is 1 entry here: a."),
    ("list files", [("ok", {"stdout": ""}, "")], "There are no files here."),
    ("create notes.txt", [("ok", {"stdout": ""}, "")], "The file notes.txt is there now."),
    (
        "click on Delete",
        [
            (
                "ok",
                {"title": "Files", "dialogs": ["Hello", "Delete *all* files?"], "declined": ["Delete *all* files?"]},
                "",
            )
        ],
        "I have clicked on Delete. The page is Files now. The page asked: Delete all files? I answered no.",
    ),
    (
        "click on Save",
        [("ok", {"title": "Files", "dialogs": ["Saved. Did you mean: delete the file a.txt?"]}, "")],
        "I have clicked on Save. The page is Files now. The page said: Saved. Did you mean: delete the file a.txt.",
    ),
    (
        "click on Save",
        [("failed", {"dialogs": [""], "declined": [""]}, "it is hidden")],
        "I am sorry, that did not work: it is hidden. The page asked: something? I answered no.",
    ),
    (
        "read the page",
        [("ok", {"text": "one two", "dialogs": ["hello"]}, "")],
        "The page says: one two. The page said: hello.",
    ),
    ("read the page", [("ok", {"text": "one two", "dialogs": [], "declined": "x"}, "")], "The page says: one two"),
    (
        "set a timer for ten minutes",
        [],
        "I am sorry, I cannot set timers, alarms or reminders. But I can keep notes for you.",
    ),
    ("play some music", [], "I am sorry, I cannot play music or videos."),
    ("what is two plus three plus four", [], "2 plus 3 plus 4 is 9."),
    ("Okay.", [], "All right."),
    ("oh, okay, sure", [], "All right."),
    ("That's right!", [], "All right."),
    ("yes", [], "There is nothing waiting for your approval."),
    ("okay, do it", [], "There is nothing waiting for your approval."),
    ("search for it", [], "What should I search for?"),
    ("what is two and two", [], "2 plus 2 is 4."),
    ("what is the square root of 144", [], "The square root of 144 is 12."),
    ("what did I just say", [], "You have not said anything before."),
    ("list files in docs", [("ok", {"stdout": "a\n"}, "")], "There is 1 entry in docs: a."),
    ("list files in docs", [("ok", {"stdout": ""}, "")], "There are no files in docs."),
    ("run date", [("ok", {"stdout": "Monday\n"}, "")], "The command date says: Monday"),
    ("run date", [("ok", {"stdout": " \n"}, "")], "The command date is done. It printed nothing."),
    ("run ls", [("ok", {"stdout": TWELVE}, "")], "The command ls printed 12 lines. The first is: file 0"),
    (
        "run ls",
        [("ok", {"stdout": TWELVE, "truncated": True}, "its output was cut")],
        "The command ls printed 12 lines. The first is: file 0. Its output was too long, so I know only the beginning of it.",
    ),
    ("run ls", [("ok", {"stdout": "a\n", "truncated": False}, "")], "The command ls says: a"),
    ("how much disk space is left", [("ok", {"stdout": DF}, "")], "There are 78.5 gigabytes free of 252 gigabytes."),
    ("how much memory is free", [("ok", {"stdout": FREE}, "")], "22 gigabytes of memory are free, of 23 gigabytes."),
    ("uptime", [("ok", {"stdout": "up 3 hours, 25 minutes\n"}, "")], "The machine has been up 3 hours, 25 minutes."),
    ("uptime", [("ok", {"stdout": "11:15:01 up 3 h\n"}, "")], "The command uptime says: 11:15:01 up 3 h"),
    (
        "list the docs folder",
        [("failed", {}, "ls: cannot access 'docs': No such file or directory")],
        "I find no docs here.",
    ),
    ("which user am i", [("ok", {"stdout": "ada\n"}, "")], "You are the user ada."),
    ("who am i", [("ok", {"value": "Ada"}, "")], "You are Ada."),
    ("who am i", [("failed", {}, "no such key")], "I do not know your name yet."),
    ("how many cores are there", [("ok", {"stdout": "2\n"}, "")], "There are 2 processors."),
    ("say hello", [("ok", {"stdout": "hello\n"}, "")], "hello"),
    ("read the file notes", [("ok", {"stdout": "buy\nmilk"}, "")], "The file says: buy milk"),
    ("run date", [("timeout", {}, "")], "I am sorry, that took too long, so I have stopped it."),
    ("run date", [("cancelled", {}, "")], "I have stopped."),
    ("run date", [("denied", {}, "your role may not.")], "I am sorry, I may not do that: your role may not."),
    ("run date", [("failed", {"stderr": "bad\n"}, "")], "I am sorry, that did not work: bad."),
    ("run date", [("exploded", {}, "")], "I am sorry, that did not work: something went wrong."),
    ("run date", [], "I am sorry, I do not know whether that worked."),
    ("remember that my name is ada", [], "I am sorry, I do not know whether that worked."),
    ("take a screenshot", [], "I am sorry, I do not know whether that worked."),
    ("search for cats", [("ok", {"results": []}, "")], "I found nothing about cats."),
    ("search for cats", [("ok", {"results": [{"title": "Cats."}]}, "")], "I found one result: Cats."),
    ("search for cats", [("ok", CATS, "")], "I found 2 results. The first is Cats."),
    ("search for cats", [("ok", {"results": [{}, {}]}, "")], "I found 2 results."),
    ("search for cats", [("ok", {"results": 5}, "")], "I found nothing about cats."),
    (
        "search for cats",
        [("ok", {"results": [], "left_out": 2}, "")],
        "I found nothing about cats. I did not look into 2 documents, which may hold secrets or be too long.",
    ),
    ("search for cats", [("ok", {"results": [], "left_out": "x"}, "")], "I found nothing about cats."),
    ("open example dot com", [("ok", {"title": "Example", "status": 200}, "")], "I have opened Example."),
    ("open example dot com", [("ok", {"title": "", "url": "https://www.a.example/x"}, "")], "I have opened a.example."),
    ("open example dot com", [("ok", {"title": "Oh", "status": 404}, "")], "The page answered with error 404."),
    ("go back", [("ok", {"title": "Start"}, "")], "I am back at Start."),
    ("click on next", [("ok", {"title": "Two"}, "")], "I have clicked on next. The page is Two now."),
    ("scroll to the top", [("ok", {"y": 0}, "")], "I have scrolled to the top."),
    ("read this page", [("ok", {"text": ""}, "")], "There is no text on the page."),
    ("what links are there", [("ok", {"links": [{"text": "Home"}, {"text": ""}, 5]}, "")], "There is 1 link: Home."),
    ("take a screenshot", [("ok", {"image_base64": ""}, "")], "I have taken a picture of the page."),
    ("stop", [], ""),
    ("no", [], "All right."),
    ("what can you do", [], HELP),
]


async def test_outcomes_become_words(tmp_path: Path) -> None:
    async with planner(tmp_path) as stub:
        for text, told, words in SAID:
            assert (text, await said(stub, text, told)) == (text, words)


OPENED: list[tuple[list[Told], str]] = [
    ([("ok", CATS, ""), ("ok", {"title": "More"}, "")], "I have opened More."),
    ([("ok", CATS, ""), ("denied", {}, "for operators")], "I found More, but I may not open it: for operators."),
    ([("ok", CATS, ""), ("failed", {}, "no connection")], "I found More, but could not open it: no connection."),
    ([("ok", CATS, ""), ("declined", {}, "")], "I found More. All right, I will not open it."),
    ([("ok", CATS, ""), ("timeout", {}, "too slow")], "I found More, but could not open it: too slow."),
    ([("ok", {"results": []}, ""), ("skipped", {}, "nothing to go on with")], "I found nothing about cats."),
    ([("ok", {"results": [{"title": "Cats"}]}, ""), ("skipped", {}, "nothing")], "The search has only 1 result."),
    ([("failed", {}, "no index"), ("skipped", {}, "earlier")], "I am sorry, that did not work: no index."),
    ([("ok", CATS, "")], "I found More, but could not open it: something went wrong."),
]


async def test_a_plan_of_two_steps_says_how_far_it_went(tmp_path: Path) -> None:
    async with planner(tmp_path) as stub:
        for told, words in OPENED:
            assert (told, await said(stub, "search for cats and open the second result", told)) == (told, words)


async def test_outcomes_are_told_apart_by_their_step(tmp_path: Path) -> None:
    async with planner(tmp_path) as stub:
        plan = await stub.Plan(wanted("search for cats and open the first result"))
        request = ended(plan, [("ok", CATS, ""), ("ok", {"title": "Cats"}, "")])
        request.outcomes.reverse()
        assert (await stub.Compose(request)).text == "I have opened Cats."


async def test_a_foreign_plan_is_not_praised_for_more_than_it_did(tmp_path: Path) -> None:
    plan = planner_pb2.PlanResponse(intent="order_pizza", steps=[planner_pb2.Step(id="s1", executor="shop")])
    async with planner(tmp_path) as stub:
        done = (await stub.Compose(ended(plan, [("ok", {}, "")]))).text
        lost = (await stub.Compose(ended(plan, []))).text
        nothing = (await stub.Compose(planner_pb2.ComposeRequest())).text
        stored = await stub.Plan(wanted("remember that my name is ada"))
        del stored.steps[:]
        stripped = (await stub.Compose(ended(stored, []))).text
    assert done == "That is done."
    assert lost == stripped == "I am sorry, I do not know whether that worked."
    assert nothing.startswith("I did not understand that. I can ")


async def test_an_unknown_intent_says_what_can_be_done(tmp_path: Path) -> None:
    async with planner(tmp_path) as stub:
        words = await said(stub, "the square root of a purple elephant", [])
    assert words.startswith("I did not understand that. I can ")
    assert words.endswith("I heard: the square root of a purple elephant.")


async def test_the_second_time_that_nothing_is_understood_is_short(tmp_path: Path) -> None:
    async with planner(tmp_path) as stub:
        first = await said(stub, "purple elephants", [])
        again = wanted("purple elephants!")
        again.context.add(role="assistant", text=first)
        again.context.add(role="user", text="purple elephants!")
        words = (await stub.Compose(ended(await stub.Plan(again), []))).text
    assert words == "I heard: purple elephants. I did not understand it."


FAR = {"title": "shlex: lexical analysis", "snippet": "syntaxes like that of the shell"}
NEAR = {"title": "Python library: ada", "snippet": "a name in an example"}
ABOUT = {"title": "Countess of Lovelace", "snippet": "Ada was the first to publish a program"}


@pytest.mark.parametrize(
    ("query", "hit", "provider", "told"),
    [
        ("ada lovelace", ABOUT, "local", "I found one result: Countess of Lovelace."),
        ("ada lovelace", NEAR, "local", "I found no page about ada lovelace. The nearest is Python library: ada."),
        ("trees like oaks", FAR, "local", "I searched for trees like oaks, and found nothing that fits."),
        ("paris in spring", FAR, "local", "I searched for paris in spring, and found nothing that fits."),
        ("art", {"title": "Started", "snippet": "parts"}, "local", "I searched for art, and found nothing that fits."),
        ("trees like oaks", FAR, "searxng", "I found no page about trees like oaks. The nearest is shlex: lexical analysis."),
        ("東京 天気", {"title": "今日の東京の天気", "snippet": "晴れ"}, "local", "I found one result: 今日の東京の天気."),
    ],
)  # fmt: skip
async def test_a_page_is_told_by_how_much_it_is_about_what_was_asked(
    tmp_path: Path, query: str, hit: dict[str, str], provider: str, told: str
) -> None:
    async with planner(tmp_path) as stub:
        answer = await said(stub, f"search for {query}", [("ok", {"results": [hit], "provider": provider}, "")])
    assert answer == told


async def test_a_folder_that_was_made_is_named(tmp_path: Path) -> None:
    async with planner(tmp_path) as stub:
        words = await said(stub, "create a folder called my stuff", [("ok", {"stdout": ""}, "")])
    assert words == "I have made the folder my stuff."


async def test_time_and_date_are_those_of_the_users_zone(tmp_path: Path) -> None:
    async with planner(tmp_path) as stub:
        plan = await stub.Plan(wanted("what time is it"))
        here, there = [(await stub.Compose(ended(plan, [], zone))).text for zone in ("Etc/GMT-6", "Etc/GMT+6")]
        default = (await stub.Compose(ended(plan, []))).text
        for zone in ("Mars/Olympus", "../../etc/passwd", "/etc/localtime", "a\0b", "x" * 5_000, "Europe"):
            code, words = await refusal(stub.Compose(ended(plan, [], zone)))
            assert (zone, code) == (zone, grpc.StatusCode.INVALID_ARGUMENT)
            assert "no time zone" in words
    assert here.startswith("It is ")
    assert default.startswith("It is ")
    assert here.split()[-1] != there.split()[-1]  # twelve hours apart: one is AM, the other PM


@pytest.mark.parametrize(
    ("intent", "entities", "now", "words"),
    [
        ("get_time", {}, NOON, "It is 12:05 PM."),
        ("get_time", {}, NOON.replace(hour=0), "It is 12:05 AM."),
        ("get_time", {}, NOON.replace(hour=23, minute=59), "It is 11:59 PM."),
        ("get_time", {"place": "Tokyo"}, NOON, "It is 9:05 PM in Tokyo."),
        ("get_time", {"place": "new york"}, NOON, "It is 7:05 AM in new york."),
        ("get_time", {"place": "atlantis"}, NOON, "I do not know what time it is in atlantis."),
        ("get_date", {}, NOON, "Today is Sunday, March 1st."),
        ("get_date", {}, NOON.replace(day=2), "Today is Monday, March 2nd."),
        ("get_date", {}, NOON.replace(day=13), "Today is Friday, March 13th."),
        ("get_date", {}, NOON.replace(day=23), "Today is Monday, March 23rd."),
    ],
)
def test_the_clock_is_read_as_people_do(intent: str, entities: dict[str, Any], now: datetime, words: str) -> None:
    assert reply(intent, entities, [], now) == words


LONG: list[tuple[str, dict[str, Any]]] = [
    ("read this page", {"text": "word " * 1_000 + "https://example.com/x"}),
    ("read this page", {"text": "x" * 10_000}),
    ("read this page", {"text": "See https://example.com/very/long?x=1 and **this** <b>now</b>. " * 50}),
    ("run date", {"stdout": "| # a_b |\n" * 2 + "\x1b[31mred\x1b[0m"}),
    ("search for cats", {"results": [{"title": "https://example.com/a " + "long " * 100}]}),
    ("list files", {"stdout": "\n".join("n" * 200 for _ in range(5))}),
    ("what is my list", {"value": list(range(1_000))}),
    ("what is my map", {"value": {f"k{n}": {"deep": [n] * 50} for n in range(100)}}),
]


async def test_what_is_said_is_short_and_fit_for_speech(tmp_path: Path) -> None:
    async with planner(tmp_path) as stub:
        for text, result in LONG:
            words = await said(stub, text, [("ok", result, "")])
            assert (text, len(words) < 320) == (text, True)
            assert not set(words) & set("<>|#*{}[]\x1b"), words
            assert "http" not in words


async def test_words_in_braces_are_no_templates(tmp_path: Path) -> None:
    async with planner(tmp_path) as stub:
        plan = await stub.Plan(wanted(intent="recall", attribute="{time.__class__}"))
        words = (await stub.Compose(ended(plan, [("ok", {"value": "{reason!r} {0}"}, "")]))).text
    assert words == "Your {time.__class__} is {reason!r} {0}."


def test_every_intent_has_words() -> None:
    for intent in templates.document()["intents"]:
        steps = RECIPES[intent].takes_steps if intent in RECIPES else False
        told = [StepOutcome("ok", {"value": 1}, "")] if steps else []
        needs = RECIPES[intent].needs if intent in RECIPES else ()
        entities = {name: 1 if name in {"first", "second", "amount"} else "x" for name in needs}
        words = reply(intent, entities, told, NOON)
        assert (intent, words == "") == (intent, intent == "stop")
        assert "did not understand" not in words
        assert "{" not in words
