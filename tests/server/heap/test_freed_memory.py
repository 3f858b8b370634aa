"""Memory that was freed is given back to the system."""

from __future__ import annotations

import pytest

from server.heap.freed_memory import DROP_BYTES, FreedMemory, freed_memory
from server.overload import resident_bytes


def test_it_is_given_back_after_each_drop() -> None:
    used = [100, DROP_BYTES, DROP_BYTES + 2, 2, 1, DROP_BYTES, DROP_BYTES + 1, 0]
    at, given = 0, []
    freed = FreedMemory(lambda: used[at], lambda: given.append(at))
    for at in range(len(used)):  # noqa: B007 - the functions above use it
        freed.look()
    assert given == [3, 7]


def test_what_lies_before_something_in_use_is_given_back_too() -> None:
    freed = freed_memory()
    if freed is None:
        pytest.skip("this C library cannot give memory back")
    many = [bytes(1_000 + number % 3_000) for number in range(40_000)]  # a hundred MB
    freed.look()
    most_bytes = resident_bytes()
    kept = many[::50]
    del many
    freed.look()
    assert most_bytes - resident_bytes() > 60_000_000
    assert len(kept) == 800
