"""The path of a flaw has only what the client wrote."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from streaming.flaws import MOST_FLAWS, MOST_NAMES, flaws_of, has_too_many_names, path_of


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    id: str


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    voice: str | Inner = ""
    names: list[str] | Inner | None = None
    many: list[str | Inner] = []


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"voice": 5}, ("voice",)),
        ({"voice": {}}, ("voice",)),
        ({"voice": {"id": 5}}, ("voice",)),
        ({"names": [5]}, ("names", 0)),
        ({"names": {"id": 1}}, ("names",)),
        ({"many": ["x", 5]}, ("many", 1)),
        ({"more": 1}, ("more",)),
        ([], ()),
    ],
)
def test_members_of_a_union_are_not_in_the_path(given: Any, path: tuple[str | int, ...]) -> None:
    with pytest.raises(ValidationError) as flaws:
        Outer.model_validate(given)
    flaw = flaws.value.errors()[0]
    assert path_of(flaw["loc"], given, absent=flaw["type"] == "missing") == path


def test_a_missing_field_is_in_the_path() -> None:
    with pytest.raises(ValidationError) as flaws:
        Outer.model_validate({"voice": {}})
    paths = {path_of(flaw["loc"], {"voice": {}}, absent=flaw["type"] == "missing") for flaw in flaws.value.errors()}
    assert paths == {("voice",), ("voice", "id")}


@pytest.mark.parametrize(("given", "too_many"), [({}, False), ([0] * 200, False), (None, False)])
def test_what_is_no_object_has_no_names(given: Any, too_many: bool) -> None:
    assert has_too_many_names(given) is too_many


def test_names_are_counted() -> None:
    names = {str(number): 0 for number in range(MOST_NAMES)}
    assert not has_too_many_names(names)
    assert has_too_many_names(names | {"more": 0})


@pytest.mark.parametrize("number", [1, MOST_FLAWS, MOST_FLAWS + 1])
def test_flaws_are_not_asked_for_if_there_are_too_many(number: int) -> None:
    with pytest.raises(ValidationError) as flaws:
        Outer.model_validate({str(each): 0 for each in range(number)})
    assert len(flaws_of(flaws.value)) == (number if number <= MOST_FLAWS else 0)
