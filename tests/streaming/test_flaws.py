"""The path of a flaw has only what the client wrote."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from streaming.flaws import path_of


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
