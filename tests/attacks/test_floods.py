"""The line of a flood: medians of its rounds, and how its offenders were ended."""

from __future__ import annotations

from tests.attacks.floods import Round, row, spread
from tests.attacks.offenders import CONTROL, CONTROL_S, OPEN, Ended


def test_ratios_are_those_of_pairs_of_one_round() -> None:
    assert spread([4.0, 1.0, 1.5]).split() == ["1.5", "(1.0–4.0)"]
    ended = [Ended("4029", 1.0)]
    rounds = [Round(ended, 1.0, 2.0, 1.5), Round(ended, 10.0, 8.0, 10.0), Round(ended, 2.0, 4.0, 8.0)]
    line, right = row("stray frames", rounds)
    assert right
    assert line.split()[-7:] == ["2.00", "4.00", "8.00", "1.5", "(1.0–4.0)", "1.2", "(0.8–2.0)"]


def test_one_offender_that_ends_otherwise_or_late_makes_the_flood_wrong() -> None:
    fine = Round([Ended("4029", 1.0)], 1.0, 1.0, 1.0)
    for odd in (Ended("1006", 1.0), Ended(OPEN, 1.0), Ended("4029", 60.0)):
        line, right = row("stray frames", [fine, Round([odd], 1.0, 1.0, 1.0)])
        assert not right
        assert "WRONG" in line
    assert row(CONTROL, [Round([Ended(OPEN, CONTROL_S)], 1.0, 1.0, 1.0)])[1]
