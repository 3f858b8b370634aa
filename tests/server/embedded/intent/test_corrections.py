"""What the speaker takes back, and words of a value that only look like it."""

from __future__ import annotations

import pytest

from server.embedded.intent.recognition import recognise

CORRECTED = [
    # numbers
    ("set a timer for five, no, six minutes", "set a timer for six minutes"),
    ("what is 5 plus 3, no, 4", "what is 5 plus 4"),
    ("what's 15 percent, no, 20 percent of 80", "what is 20 percent of 80"),
    ("what is 20 percent, no 30 percent of 50", "what is 30 percent of 50"),
    ("what is 5 miles, sorry, 6 miles in kilometers", "what is 6 miles in kilometers"),
    ("convert 5, no, 6 miles to kilometers", "convert 6 miles to kilometers"),
    ("convert 5 no 6 miles to kilometers", "convert 6 miles to kilometers"),
    ("what day is it in three, no, four days", "what day is it in four days"),
    ("what day is it in three days, no, in four", "what day is it in four days"),
    ("how long until 5, uh, no, 6 p.m.", "how long until 6 p.m."),
    ("open the first, no, the second result", "open the second result"),
    ("open the second, sorry, third result", "open the third result"),
    # days
    ("what date is Monday, I mean Tuesday", "what date is Tuesday"),
    ("remember that the meeting is on Monday, no wait, Tuesday", "remember that the meeting is on Tuesday"),
    ("remember that the meeting is on Monday no Tuesday", "remember that the meeting is on Tuesday"),
    ("remember to call Bob on Monday, I mean on Tuesday", "remember to call Bob on Tuesday"),
    # names and places
    ("what time is it in London, I mean Paris", "what time is it in Paris"),
    ("What time is it in London? No, in Paris.", "what time is it in Paris"),
    ("what's the weather in New York, no, Boston", "what's the weather in Boston"),
    ("what is the capital of France, sorry, Germany", "what is the capital of Germany"),
    ("call me Bob, no, Robert", "call me Robert"),
    ("remember that my favorite color is dark blue, no, green", "remember that my favorite color is green"),
    ("who wrote Hamlet, no, Macbeth", "who wrote Macbeth"),
    # addresses, files and folders
    ("open example.com, no, example.org", "open example.org"),
    ("Open example.com. No, wait, python.org.", "open python.org"),
    ("open example.com and no, wait, open example.org", "open example.org"),
    ("create a folder called demo, no, test", "create a folder called test"),
    ("create a folder called alpha. Sorry. Beta.", "create a folder called Beta"),
    ("create a folder called test, uh, no, make it demo", "create a folder called demo"),
    ("read the file notes.txt, I mean plan.txt", "read the file plan.txt"),
    ("rename a.txt to b.txt, no, c.txt", "rename a.txt to c.txt"),
    # words of a search
    ("search for cats, sorry, dogs", "search for dogs"),
    ("search for cats no wait dogs", "search for dogs"),
    ("search for cats, oh sorry, I meant big dogs", "search for big dogs"),
    ("search for flights to Paris, no, to London", "search for flights to London"),
    ("find hotels in Rome, sorry, in Milan", "find hotels in Milan"),
    ("search for the best, no, the cheapest hotel in Rome, sorry, Oslo", "search for the cheapest hotel in Oslo"),
    ("search for jazz, actually, blues", "search for blues"),
    ("convert 3 feet, I mean inches, to centimeters", "convert 3 inches, to centimeters"),
    # as recognisers write it, without a mark
    ("search for cat's sorry dogs", "search for dogs"),
    ("create a folder called alpha oops beta", "create a folder called beta"),
    ("what time is it in london sorry paris", "what time is it in paris"),
    ("what time is it in new york sorry los angeles", "what time is it in los angeles"),
    ("my favorite color is blue sorry green", "my favorite color is green"),
    ("open wikipedia sorry github", "open github"),
    ("open example.com sorry example.org", "open example.org"),
    ("what is 10 percent sorry 20 percent of 50", "what is 20 percent of 50"),
    ("convert 5 miles sorry 6 miles to km", "convert 6 miles to km"),
    ("take a screenshot of example.com sorry example.org", "take a screenshot of example.org"),
    # the whole request
    ("open example.com, no, what time is it", "what time is it"),
    ("list the files, I mean, what's the date", "what is the date"),
    ("what's my, no, what's your name", "what is your name"),
    ("tell me the time and the date, no, just the time", "tell me the time"),
    ("what time is it in Paris or London, no, just Paris", "what time is it in Paris"),
    ("search for cats, sorry, dogs and open example.com", "search for dogs and open example.com"),
]


@pytest.mark.parametrize(("said", "meant"), CORRECTED)
def test_a_corrected_word_replaces_the_one_before_it(said: str, meant: str) -> None:
    assert recognise(said)[0] == recognise(meant)[0]


@pytest.mark.parametrize(
    "said",
    [
        "search for cats, never mind",
        "create a folder called demo, never mind",
        "open example.com. No wait, don't.",
        "what time is it in Paris, forget it",
        "set a timer for five minutes, cancel that",
        "list the files and open example.com, no, stop",
    ],
)
def test_a_request_that_is_taken_back_is_not_done(said: str) -> None:
    assert recognise(said)[0].intent == "no"


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("search for no country for old men", "no country for old men"),
        ("search for Dr. No", "Dr. No"),
        ("search for James Bond: Dr. No", "James Bond: Dr. No"),
        ("search for error correction codes", "error correction codes"),
        ("search for words I mean a lot", "words I mean a lot"),
        ("my favourite perfume is Chanel, no. 5", "Chanel, no. 5"),
        (
            "search for the difference between sorry, excuse me, and pardon",
            "the difference between sorry, excuse me, and pardon",
        ),
        ("search for sorry seems to be the hardest word", "sorry seems to be the hardest word"),
        ("search for wait, wait, don't tell me", "wait, wait, don't tell me"),
        ("search for yes, no, maybe", "yes, no, maybe"),
        ("search for no, I don't want to", "no, I don't want to"),
        ("search for nirvana never mind", "nirvana never mind"),
        ("search for what do I mean by love", "what do I mean by love"),
        ("search for how to make that cake", "how to make that cake"),
        ('search for "cats, no, dogs"', '"cats, no, dogs"'),
        ("search for beyonce sorry lyrics", "beyonce sorry lyrics"),
        ("search for minimum wait time", "minimum wait time"),
        ("search for cats no dogs", "cats no dogs"),
        ("search for better safe than sorry", "better safe than sorry"),
        ("search for people who are sorry now", "people who are sorry now"),
        ("create a folder called sorry not sorry", ["sorry not sorry"]),
        ("remember that I eat fish no meat", "I eat fish no meat"),
        ("remember that it is rather cold there", "it is rather cold there"),
        ("remember that I like tea, no sugar", "I like tea, no sugar"),
        ("remember that I mean business", "I mean business"),
        ("remember that I said no, wait, and left", "I said no, wait, and left"),
        ("remember that he said, never mind", "he said, never mind"),
        ("remember that the shop has no, or almost no, bread", "the shop has no, or almost no, bread"),
        ("remember that my sister is not nice, no really", "my sister is not nice, no really"),
        ("call me No", "No"),
        ("say no to drugs", ["no", "to", "drugs"]),
        ("say hello, no, goodbye", ["hello,", "no,", "goodbye"]),
    ],
)
def test_a_value_keeps_words_that_only_look_like_a_correction(said: str, value: object) -> None:
    assert value in recognise(said)[0].entities.values()


def test_many_corrections_cost_little() -> None:
    said = "search for " + ", no, ".join(f"cats{number}" for number in range(30))
    assert recognise(said)[0].intent == "web_search"
