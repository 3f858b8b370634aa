"""Sums of any form and units of measurement, from words to the reply."""

from __future__ import annotations

from typing import Any

import pytest

from server.embedded.intent.recognition import recognise
from server.embedded.planner.recipes import WrongEntityError, read_entities
from server.embedded.planner.replies import reply
from tests.server.embedded.planner.asking import NOON
from tests.server.embedded.planner.told import told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("average of 3, 4 and 5", "That is 4."),
        ("What is the average of 3,4,5?", "That is 4."),
        ("average of 100,200 and 300", "That is 200."),
        ("average of 1,200 and 300", "That is 750."),
        ("average of 250,000 and 300,000", "That is 275000."),
        ("the average of 100,200,300", "That is 200."),
        ("add 100,200 and 300", "100 plus 200 plus 300 is 600."),
        ("minus five squared", "That is -25."),
        ("-5^2", "That is -25."),
        ("(-5)^2", "That is 25."),
        ("what is minus two cubed", "That is -8."),
        ("minus 2 to the power of 4", "That is -16."),
        ("minus 2 to the 4", "That is -16."),
        ("the median of 1, 2 and 10", "That is 2."),
        ("what is the maximum of 3, 9 and 4", "That is 9."),
        ("pi times 2", "That is about 6.2832."),
        ("What is pi?", "That is about 3.1416."),
        ("(2+3)*4", "That is 20."),
        ("((1+2)*3)^2", "That is 81."),
        ("what is (10 - 4) / 3", "That is 2."),
        ("5 factorial", "That is 120."),
        ("What is 5!", "That is 120."),
        ("what is 5 plus 3!", "5 plus 3 is 8."),
        ("what is 100 factorial", "I cannot work that out, or it has more digits than I can say."),
        ("9^9^9", "I cannot work that out, or it has more digits than I can say."),
        ("fifth root of 32", "That is 2."),
        ("3 squared plus 4 squared", "That is 25."),
        ("5 plus 3 times the square root of 9", "That is 14."),
        ("what is a half plus a third", "That is about 0.8333."),
        ("two thirds of 90", "That is 60."),
        ("what is the square of 12", "That is 144."),
        ("the cube of 3 plus 1", "That is 28."),
        ("tell me how much 5 plus 5 is", "5 plus 5 is 10."),
        ("five and a half times two", "That is 11."),
        ("(3 + 4) / (2 - 2)", "Nothing can be divided by zero."),
        ("2^57", "2 to the power of 57 is 144115188075855872."),
        ("1.5^60", "1.5 to the power of 60 is about 36768468716.933."),
        ("4^(1/2)", "That is 2."),
        ("0^-1", "Nothing can be divided by zero."),
        ("0^-0.5", "Nothing can be divided by zero."),
        ("(-5)^2 + 1", "That is 26."),
        ("1 + (-5)^2", "That is 26."),
        ("5 - (-3)", "5 minus -3 is 8."),
        ("1 divided by 30000", "1 divided by 30000 is about 0.0000333."),
        ("1 divided by 2000", "1 divided by 2000 is 0.0005."),
        ("100000000000000 / 3", "100000000000000 divided by 3 is about 33333333333333.3333."),
        ("-1 / 3", "-1 divided by 3 is about -0.3333."),
        ("½ + ½", "0.5 plus 0.5 is 1."),
        ("3½ + 1", "3.5 plus 1 is 4.5."),
        ("what is ½ of 10", "10 divided by 2 is 5."),
        ("5² + 1", "That is 26."),
        ('"5 + 3"', "5 plus 3 is 8."),
        ("😀 5 + 3 😀", "5 plus 3 is 8."),
        ("**5 + 3**", "5 plus 3 is 8."),
        ("1 mm in km", "1 millimeter is 0.000001 kilometers."),
        ("-500 c in f", "Nothing is as cold as -500 degrees Celsius."),
        ("what is five and a half", "That is 5.5."),
        ("+".join("1" * 30), f"1 {'plus 1 ' * 29}is 30."),
    ],
)
def test_sums_of_any_form(text: str, words: str) -> None:
    assert told(text) == words


@pytest.mark.parametrize(
    "text",
    [
        "+".join("1" * 40),  # longer than what is read
        f"5 {'billion ' * 40}plus 1",  # more than a double holds
        f"one {'hundred ' * 40}plus one",
        f"what is {'- ' * 50}1 + 1",
    ],
)
def test_a_sum_beyond_bounds_is_refused_and_not_worked_out_in_part(text: str) -> None:
    assert told(text) == "I cannot work out that sum."


@pytest.mark.parametrize(
    "text",
    [
        "average",
        "mean streets",
        "the fifth of november",
        "a third of the people",
        "pi",
        "the sum of all fears",
        "a quarter",
        "two thirds",
        "five and a half",
        "what is 9:30",
    ],
)
def test_words_of_arithmetic_alone_are_no_sum(text: str) -> None:
    assert recognise(text)[0].intent != "calculate"


@pytest.mark.parametrize(
    "tree",
    ["tau", ["plus"], ["power", 2], ["factorial", 2, 3], ["shout", 1], [1, 2], ["plus", True], [[1], 2]],
)
def test_a_tree_that_is_no_sum_is_refused(tree: Any) -> None:
    with pytest.raises(WrongEntityError):
        read_entities({"tree": tree})


@pytest.mark.parametrize("number", [1e308, 1e-320, -1e73])
def test_a_number_of_too_many_digits_is_not_calculated_with(number: float) -> None:
    """Some of these ended in an error of the service's own; a client may send any number that JSON has."""
    for intent, given in (
        ("convert", {"amount": number, "unit": "kilometer", "into": "mile"}),
        ("convert", {"amount": 1, "unit": "mile", "into": "foot", "more": number}),
        ("calculate", {"first": number, "second": 2, "operation": "root"}),
        ("calculate", {"first": 2, "second": 2, "operation": "times", "then": ["times", number]}),
        ("calculate", {"first": 1e60, "second": 1e60, "operation": "times", "then": ["times", 1e60]}),
        ("calculate", {"tree": ["root", number, 2]}),
    ):
        words = reply(intent, given, [], NOON)
        assert words == "I cannot work that out, or it has more digits than I can say.", given


@pytest.mark.parametrize(
    ("intent", "given"),
    [
        ("calculate", {"first": "x", "second": 2, "operation": "plus"}),
        ("calculate", {"first": 1, "second": 2, "operation": "plus", "then": ["plus", []]}),
        ("convert", {"amount": True, "unit": "mile", "into": "foot"}),
    ],
)
def test_what_is_no_number_is_refused_also_where_the_reply_is_composed(intent: str, given: dict[str, Any]) -> None:
    with pytest.raises(WrongEntityError, match="number"):
        reply(intent, given, [], NOON)


def test_a_tree_that_is_too_deep_is_refused() -> None:
    tree: Any = 1
    for _ in range(100):
        tree = ["plus", tree, 1]
    with pytest.raises(WrongEntityError):
        read_entities({"tree": tree})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("How many miles is 5 kilometres?", "5 kilometers are about 3.107 miles."),
        ("convert 20 celsius to fahrenheit", "20 degrees Celsius are 68 degrees Fahrenheit."),
        ("-40 c to f", "-40 degrees Celsius are -40 degrees Fahrenheit."),
        ("what is 0 celsius in kelvin", "0 degrees Celsius are 273.15 kelvin."),
        ("How many feet are in a mile?", "1 mile is 5280 feet."),
        ("how many centimeters are there in an inch", "1 inch is 2.54 centimeters."),
        ("How many feet is 3 miles?", "3 miles are 15840 feet."),
        ("convert ten miles to kilometers", "10 miles are about 16.09 kilometers."),
        ("what is 5.5 feet in meters", "5.5 feet are about 1.676 meters."),
        ("five pounds in kilograms", "5 pounds are about 2.268 kilograms."),
        ("5km to miles", "5 kilometers are about 3.107 miles."),
        ("how tall is 6 foot 2 in cm", "6 feet 2 inches are 187.96 centimeters."),
        ("half a mile in metres", "0.5 miles are about 804.7 meters."),
        ("how many minutes are there in an hour and a half", "1.5 hours are 90 minutes."),
        ("what is 60 mph in kmh", "60 miles per hour are about 96.56 kilometers per hour."),
        ("how many days in a year", "1 year is 365 days."),
        ("convert 5 kg to metres", "I cannot convert kilograms into meters."),
        ("convert 3 apples to oranges", "I do not know these units."),
    ],
)
def test_units(text: str, words: str) -> None:
    assert told(text) == words


@pytest.mark.parametrize(
    "text", ["10 feet to the left", "a day in paris", "five minutes to ten", "what is a mile", "9 to 5"]
)
def test_other_amounts_are_not_converted(text: str) -> None:
    assert recognise(text)[0].intent != "convert"
