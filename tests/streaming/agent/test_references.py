from __future__ import annotations

from typing import Any

import pytest

from streaming.agent.references import MissingResultError, fill

RESULTS: dict[str, dict[str, Any]] = {
    "s1": {"results": [{"url": "https://example.com/", "n": 3}]},
    "s2": {"text": "hi"},
}


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("${s1.results.0.url}", "https://example.com/"),
        ("${s1.results.0.n}", 3),
        ("see ${s1.results.0.url} ${s2.text}", "see https://example.com/ hi"),
        ({"a": ["${s2.text}", 1, None]}, {"a": ["hi", 1, None]}),
        ("plain $ {text}", "plain $ {text}"),
        ("echo ${HOME} and ${s4.text}", "echo ${HOME} and ${s4.text}"),
        ("${s4.text}", "${s4.text}"),
        ("${HOME} says ${s2.text}", "${HOME} says hi"),
    ],
)
def test_references_are_replaced(template: object, filled: object) -> None:
    assert fill(template, RESULTS, ("s1", "s2", "s3")) == filled


@pytest.mark.parametrize("template", ["${s3.x}", "${s1.results.1.url}", "x ${s1.results.key}", "${s2.text.deeper}"])
def test_a_reference_to_nothing_is_an_error(template: str) -> None:
    with pytest.raises(MissingResultError):
        fill(template, RESULTS, ("s1", "s2", "s3"))


def test_the_template_is_not_changed() -> None:
    template = {"a": ["${s2.text}"]}
    fill(template, RESULTS, ("s1", "s2", "s3"))
    assert template == {"a": ["${s2.text}"]}
