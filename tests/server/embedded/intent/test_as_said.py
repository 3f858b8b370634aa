"""Sentences as people say and type them, with punctuation, hesitations and synonyms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import hassil
import pytest

from server.embedded.intent import recognition
from server.embedded.intent.recognition import recognise
from server.embedded.intent.words import MAX_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

Said = tuple[str, str, dict[str, Any]]


def remembered(attribute: str, value: str) -> dict[str, Any]:
    return {"attribute": attribute, "value": value}


VALUES: list[Said] = [
    ("remember that my wifi password is Tulip77!", "remember", remembered("wifi password", "Tulip77!")),
    ("remember my favourite band is Wham!", "remember", remembered("favourite band", "Wham!")),
    ("Remember that my name is Ada.", "remember", remembered("name", "Ada")),
    ("remember my name is Ada, please", "remember", remembered("name", "Ada")),
    ("call me J.R.", "remember", remembered("name", "J.R.")),
    ("remember that my password is ***", "remember", remembered("password", "***")),
    ("remember my door code is #4711*", "remember", remembered("door code", "#4711*")),
    ("my email is a.b+c@example.co.uk", "remember", remembered("email", "a.b+c@example.co.uk")),
    ("remember my favourite emoji is 😀", "remember", remembered("favourite emoji", "😀")),
    ("my favourite song is Bye Bye Bye", "remember", remembered("favourite song", "Bye Bye Bye")),
    ('my motto is "live and let live"', "remember", remembered("motto", '"live and let live"')),
    (
        "remember that I park at 9 St. Anne Rd., Bay 4",
        "remember_fact",
        {"fact": "I park at 9 St. Anne Rd., Bay 4"},
    ),
    (
        "remember that the class is at 3 p.m. on Jan. 5, 2027",
        "remember_fact",
        {"fact": "the class is at 3 p.m. on Jan. 5, 2027"},
    ),
    ("remember to call mum at 5:30 p.m.", "remember_fact", {"fact": "to call mum at 5:30 p.m."}),
    ("remember that I live on 12 Main St.", "remember_fact", {"fact": "I live on 12 Main St."}),
    ("remember that 5 + 3 = 8", "remember_fact", {"fact": "5 + 3 = 8"}),
    ("echo well, hello!", "run_command", {"command": "echo", "args": ["well,", "hello!"]}),
    ("search for C++ tutorials", "web_search", {"query": "C++ tutorials"}),
    ('search for "exact phrase" cats?', "web_search", {"query": '"exact phrase" cats'}),
]

ADDRESSES: list[Said] = [
    ("open example.com/?q=1", "open_page", {"url": "https://example.com/?q=1"}),
    ("go to example.com/!faq", "open_page", {"url": "https://example.com/!faq"}),
    ("Go to Example.com/a?x=1&y=(2)#z.", "open_page", {"url": "https://example.com/a?x=1&y=(2)#z"}),
    ('open "example.com"', "open_page", {"url": "https://example.com"}),
    ("open «example.com».", "open_page", {"url": "https://example.com"}),
    ("click on „Weiter“", "click", {"label": "Weiter"}),
    ("remember that my motto is «festina lente»", "remember", remembered("motto", "«festina lente»")),
    ('open "https://example.com/a".', "open_page", {"url": "https://example.com/a"}),
    ("open yahoo!", "open_page", {"url": "https://yahoo.com"}),
    ("read the file notes (1).txt", "read_file", {"path": "notes (1).txt"}),
    ("read the file plan [old].md", "read_file", {"path": "plan [old].md"}),
    ('read the file "my notes.txt"', "read_file", {"path": "my notes.txt"}),
    ("Read the file a,b.txt.", "read_file", {"path": "a,b.txt"}),
    ("run ls -la docs", "run_command", {"command": "ls", "args": ["-la", "docs"]}),
    ('click on the "Sign in" button', "click", {"label": "Sign in"}),
    ("press the 'OK' button", "click", {"label": "OK"}),
    ("open the 2nd result", "open_result", {"ordinal": 1}),
    ("open münchen.de/straße", "open_page", {"url": "https://xn--mnchen-3ya.de/straße"}),
    ("open <https://example.com/>", "open_page", {"url": "https://example.com/"}),
    ("open up example.com", "open_page", {"url": "https://example.com"}),
    ("take me to example.org/a#b", "open_page", {"url": "https://example.org/a#b"}),
    ("https://example.com/?a=1", "open_page", {"url": "https://example.com/?a=1"}),
    ("Example.com.", "open_page", {"url": "https://example.com"}),
    ("open notes.txt", "read_file", {"path": "notes.txt"}),
    ("open example.com/notes.txt", "open_page", {"url": "https://example.com/notes.txt"}),
    ("read notes (1).txt", "read_file", {"path": "notes (1).txt"}),
    ('cat "my file.txt"', "read_file", {"path": "my file.txt"}),
    ("read file report_v2-final!.txt", "read_file", {"path": "report_v2-final!.txt"}),
    ('click the link "Learn more..."', "click", {"label": "Learn more..."}),
    ("click on the button labelled Save & close", "click", {"label": "Save & close"}),
    ("press the button that says OK", "click", {"label": "OK"}),
    ('click the menu item "File > Open"', "click", {"label": "File > Open"}),
    ("click the link", "click", {"label": "link"}),
    ("tap on 'Next'", "click", {"label": "Next"}),
    ("what is 1.000,5 + 2", "calculate", {}),
    ("5€ + 3$", "calculate", {}),
    ("do it now", "yes", {}),
    ("I said yes", "yes", {}),
    ("I told you yes, go ahead", "yes", {}),
    ("yes I said", "yes", {}),
    ("no I said", "no", {}),
    ("nuh uh", "no", {}),
    ("no, stop that", "no", {}),
    ("I said no", "no", {}),
    ("wait, stop", "stop", {}),
    ("er... the time, please", "get_time", {}),
    ("3.14", "unknown", {}),
    ("notes.txt", "unknown", {}),
]

ANSWERS: list[Said] = [
    *((text, "stop", {}) for text in ("stop stop stop", "enough")),
    *((text, "stop", {"pause": "yes"}) for text in ("wait", "hold on", "Wait, wait!")),
    *(
        (text, "yes", {})
        for text in ("yeah, sure", "yes, yes", "Yes!", "absolutely", "go for it", "okay, go!", "sure, why not")
    ),
    *((text, "no", {}) for text in ("no, leave it", "No, no, no!", "nah", "better not", "no, don't do it", "not now")),
]

STATEMENTS: list[Said] = [
    ("remember that my name's Ada", "remember", remembered("name", "Ada")),
    ("my favourite colour's blue", "remember", remembered("favourite colour", "blue")),
    ("my dog's name is Rex", "remember", remembered("dog's name", "Rex")),
    ("Forget my dog's name.", "forget", {"attribute": "dog's name"}),
    ("do you know my dog's name", "recall", {"attribute": "dog's name"}),
    ("tell me my dog's name", "recall", {"attribute": "dog's name"}),
    ("forget that my name's Ada", "forget", {"attribute": "name", "value": "Ada"}),
    ("my dog's name's Rex", "remember", remembered("dog's name", "Rex")),
    ("i'm called Ada", "remember", remembered("name", "Ada")),
    ("where's my keys", "recall", {"attribute": "keys"}),
    ("when's my dad's birthday", "recall", {"attribute": "dad's birthday"}),
    ("where's my dad's car?", "recall", {"attribute": "dad's car"}),
    ("when's mum's birthday", "web_search", {"query": "mum's birthday"}),
    ("my wife's name is not Eve", "unknown", {}),
    ("my boss's office isn't on floor 3", "unknown", {}),
    ("whats the time", "get_time", {}),
    ("my dog is called Rex", "remember", remembered("dog's name", "Rex")),
    ("my name is not Bob", "unknown", {}),
    (
        "my favourite book is Not Without My Daughter",
        "remember",
        remembered("favourite book", "Not Without My Daughter"),
    ),
    ("remember me", "unknown", {}),
    ("say it again", "repeat", {}),
    ("Pardon?", "repeat", {}),
    ("can you hear me", "greeting", {}),
    ("show me the time", "get_time", {}),
    ("I've changed my mind", "no", {}),
    ("go to sleep", "stop", {}),
    ("show me pictures of cats", "web_search", {"query": "pictures of cats"}),
]

SPOKEN: list[Said] = [
    ("um, what's the, uh, time", "get_time", {}),
    ("search for, um, cats", "web_search", {"query": "cats"}),
    ("search for ER", "web_search", {"query": "ER"}),
    ("search for um", "web_search", {"query": "um"}),
    ("what ti- what time is it", "get_time", {}),
    ("wh— what's the time", "get_time", {}),
    ("I I I want to know what time it is", "get_time", {}),
    ("search for pre- and post-war art", "web_search", {"query": "pre- and post-war art"}),
    ("sorry, remember that my code is 7 7 7", "remember", remembered("code", "7 7 7")),
    ("what time is it what time is it", "get_time", {}),
    ("What time is it? What time is it?", "get_time", {}),
    ("what's the the time", "get_time", {}),
    ("Well, what's the time?", "get_time", {}),
    ("😀 what time is it", "get_time", {}),
    ("what time is it?!?! 🎉🎉", "get_time", {}),
    ("create a folder called demo", "run_command", {"command": "mkdir", "args": ["demo"]}),
    ('make a new directory named "my stuff"', "run_command", {"command": "mkdir", "args": ["my stuff"]}),
]


@pytest.mark.parametrize(("text", "intent", "entities"), VALUES + ADDRESSES + ANSWERS + STATEMENTS + SPOKEN)
def test_what_was_said_is_understood_and_kept(text: str, intent: str, entities: dict[str, Any]) -> None:
    best = recognise(text)[0]
    assert (best.intent, best.entities) == (intent, entities)


@pytest.mark.parametrize(
    ("text", "first", "operation", "second"),
    [
        ("what is 5+3", 5, "plus", 3),
        ("3*4", 3, "times", 4),
        ("3 × 4", 3, "times", 4),
        ("3∗4", 3, "times", 4),
        ("3 ⋅ 4", 3, "times", 4),
        ("10 ÷ 2", 10, "divided by", 2),
        ("1,500 / 3 =", 1500, "divided by", 3),
        ("10 percent of 50", 10, "percent of", 50),
        ("What's 15% of 80?", 15, "percent of", 80),
        ("minus five plus three", -5, "plus", 3),
        ("what is -5 minus -3", -5, "minus", -3),
        ("what’s twenty-five x 2.5", 25, "times", 2.5),
        ("two hundred and five plus one thousand", 205, "plus", 1000),
        ("three point five times two", 3.5, "times", 2),
        ("add 5 and 3", 5, "plus", 3),
        ("subtract 2 from 10", 10, "minus", 2),
        ("take 5 from 20", 20, "minus", 5),
        ("what's the sum of 3 and 5", 3, "plus", 5),
        ("the difference between 10 and 4", 10, "minus", 4),
        ("what is the product of 6 and 7", 6, "times", 7),
        ("half of 90", 90, "divided by", 2),
        ("what is a quarter of 200", 200, "divided by", 4),
        ("double 45", 45, "times", 2),
        ("five squared", 5, "times", 5),
        ("what is two and two", 2, "plus", 2),
        ("2^3", 2, "power", 3),
        ("two to the power of ten", 2, "power", 10),
        ("what is four cubed", 4, "power", 3),
        ("what is the square root of 16", 16, "root", 2),
        ("√81", 81, "root", 2),
        ("the cube root of twenty-seven", 27, "root", 3),
        ("what is 10 mod 3", 10, "remainder", 3),
        ("5€ + 3€", 5, "plus", 3),
        ("add 20 percent to 50", 50, "plus percent", 20),
        ("increase 200 by 15%", 200, "plus percent", 15),
        ("fifty plus ten per cent", 50, "plus percent", 10),
        ("what is 50 percent more than 80", 80, "plus percent", 50),
        ("what is 10 percent less than 80", 80, "minus percent", 10),
        ("take 15 percent off 60", 60, "minus percent", 15),
        ("what is 50% off 80", 80, "minus percent", 50),
        ("90 minus ten percent", 90, "minus percent", 10),
        ("how much is a 15 percent tip on 42 dollars", 15, "percent of", 42),
        ("what percent of 80 is 20", 20, "share", 80),
        ("20 is what percent of 80", 20, "share", 80),
        ("15 out of 60 as a percentage", 15, "share", 60),
        ("could you tell me what 20 percent of 150 is", 20, "percent of", 150),
        ("what does 3 times 4 make", 3, "times", 4),
        ("three quarters of 80", 75, "percent of", 80),
        ("split 90 between three people", 90, "divided by", 3),
        ("add 5% tax to 200", 200, "plus percent", 5),
        ("Jarvis, could you add 20% to 50, please?", 50, "plus percent", 20),
        ("sqrt(16)", 16, "root", 2),
        ("what is sqrt of 81", 81, "root", 2),
        ("5 - (-3)", 5, "minus", -3),
        ("2 ** 10", 2, "power", 10),
        ("a dozen times 3", 12, "times", 3),
        ("two dozen plus one", 24, "plus", 1),
        ("half a dozen plus 2", 6, "plus", 2),
        ("twelve less five", 12, "minus", 5),
        ("what's 5 less than 12", 12, "minus", 5),
        ("seven more than ten", 10, "plus", 7),
        ("five, plus three", 5, "plus", 3),
        ("100 - 20%", 100, "minus percent", 20),
        ("50 + 10%", 50, "plus percent", 10),
    ],
)
def test_sums_are_read_in_any_form(text: str, first: float, operation: str, second: float) -> None:
    best = recognise(text)[0]
    assert (best.intent, best.entities) == ("calculate", {"first": first, "operation": operation, "second": second})


@pytest.mark.parametrize("text", ["what is 15 percent", "What's 15%?", "how much is 15 percent of"])
def test_a_percentage_of_nothing_is_a_sum_that_lacks_a_number(text: str) -> None:
    best = recognise(text)[0]
    assert (best.intent, best.entities) == ("calculate", {"first": 15, "operation": "percent of"})


@pytest.mark.parametrize("text", ["2^3^2", "what is 2 + 3 ^ 4", "(2+3)*4", "what is 5 + 3% of 80 + 1"])
def test_other_arithmetic_is_no_web_search(text: str) -> None:
    best = recognise(text)[0]
    assert best.intent == "calculate"
    assert "second" not in best.entities


@pytest.mark.parametrize("text", ["555-1234", "9/11", "five five", "12:30", "2027-01-05", "10 percent"])
def test_numbers_with_signs_need_not_be_sums(text: str) -> None:
    assert recognise(text)[0].intent != "calculate"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "take me to bed",
            "take me to church",
            "take me home",
            "open the door",
            "open a bottle of wine",
            "show me love",
        ),
        *(
            "bring up the volume",
            "go to the kitchen",
            "visit my mother",
            "open sesame",
            "go to sleep",
            "navigate to work",
        ),
    ],
)
def test_no_page_is_opened_by_guesswork(text: str) -> None:
    assert "url" not in recognise(text)[0].entities


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("take me to wikipedia", "https://wikipedia.org"),
        ("open the new york times", "https://nytimes.com"),
        ("go to the youtube homepage", "https://youtube.com"),
        ("open git hub", "https://github.com"),
        ("take me to bed.com", "https://bed.com"),
        ("take me to bed dot com", "https://bed.com"),
    ],
)
def test_known_sites_and_addresses_are_opened(text: str, url: str) -> None:
    assert (recognise(text)[0].intent, recognise(text)[0].entities) == ("open_page", {"url": url})


@pytest.fixture
def compared() -> Iterator[list[int]]:
    """The number of words of each sentence that is compared with the templates."""
    counts: list[int] = []
    real = hassil.recognize_all

    def counting(text: str, *args: Any, **options: Any) -> Any:
        counts.append(len(text.split()))
        return real(text, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recognition, "recognize_all", counting)
        recognise.cache_clear()
        yield counts
    recognise.cache_clear()


@pytest.mark.parametrize(
    "text",
    [
        "what is 11" + " plus 11" * 220,
        "what is " + "one " * 490,
        "my " + "is " * 660,
        "remember my " + "a is b " * 280,
        "um what time is it " * 100,
        "x " * 1_000,
    ],
)
def test_a_long_text_is_bounded_before_it_costs(text: str, compared: list[int]) -> None:
    recognise(text)
    assert max(compared, default=0) <= MAX_WORDS + 1
    assert sum(compared) <= 7 * (MAX_WORDS + 1)


def test_a_long_value_is_kept_whole() -> None:
    fact = " ".join(f"word-{number}," for number in range(200)) + " end!"
    assert recognise(f"remember that {fact}")[0].entities == {"fact": fact}


@pytest.mark.parametrize(
    ("text", "numbers", "operation"),
    [
        ("add 5 and 7 and 3", [5, 7, 3], "plus"),
        ("add up five, seven and three", [5, 7, 3], "plus"),
        ("what is the sum of 1, 2, and 1,000?", [1, 2, 1000], "plus"),
        ("multiply 2 by 3 by 4", [2, 3, 4], "times"),
        ("the product of 2, 3, 4 and 5", [2, 3, 4, 5], "times"),
    ],
)
def test_a_list_of_numbers_is_one_sum(text: str, numbers: list[float], operation: str) -> None:
    first, second, *rest = numbers
    then = [part for number in rest for part in (operation, number)]
    wanted = {"first": first, "operation": operation, "second": second, "then": then}
    best = recognise(text)[0]
    assert (best.intent, best.entities) == ("calculate", wanted)


@pytest.mark.parametrize("text", ["add milk, eggs and bread", "1, 2, 3", "what is 3, 4, 5", "a dozen", "less is more"])
def test_numbers_in_a_row_are_no_sum(text: str) -> None:
    assert recognise(text)[0].intent != "calculate"
