from __future__ import annotations

from typing import Any

import pytest

from streaming.agent.questions import question_about, reminder_of, with_other_ways
from streaming.ports import Action


@pytest.mark.parametrize(
    ("action", "parameters", "description", "sentence"),
    [
        ("mkdir", {"args": ["demo"]}, "Create the folder demo", "Shall I create the folder demo?"),
        ("mkdir", {"args": ["-p", "demo"]}, "Run mkdir", "Shall I run mkdir demo?"),
        ("rm", {"args": ["a", "b"]}, "", "Shall I run rm a b?"),
        ("delete", {"key": "your colour"}, "Forget your colour.", "Shall I forget your colour?"),
        ("click", {"selector": "#buy", "force": True}, "Click", "Shall I click #buy?"),
    ],
)
def test_the_sentence_says_what_would_be_done(
    action: str, parameters: dict[str, Any], description: str, sentence: str
) -> None:
    assert question_about(Action("os", action, parameters, "s1"), description) == sentence


def test_what_a_voice_may_not_approve_says_what_may() -> None:
    assert with_other_ways("Shall I go?") == "Shall I go? Please click, or type yes."
    assert reminder_of("Shall I go?").endswith("Shall I go?")
