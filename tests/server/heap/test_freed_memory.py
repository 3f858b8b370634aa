"""Memory that was freed is given back to the system."""

from __future__ import annotations

import pytest

from server.heap.freed_memory import LEAST_SHARE, LITTLE_BYTES, MUCH_BYTES, UNUSED_LOOKS, FreedMemory, freed_memory
from server.overload import resident_bytes


class Machine:
    """A process and its C library, which gives back all that is free."""

    def __init__(self) -> None:
        self.in_use_bytes = 100 * LITTLE_BYTES
        self.free_bytes = self.given_bytes = 0  # the latter: of what is free, not resident
        self.given = 0  # times

    def memory(self) -> FreedMemory:
        return FreedMemory(lambda: self.free_bytes, self.resident_bytes, self.give_back)

    def resident_bytes(self) -> int:
        return self.in_use_bytes + self.free_bytes - self.given_bytes

    def give_back(self) -> None:
        self.given += 1
        self.given_bytes = self.free_bytes

    def crowd(self, size_bytes: int) -> None:
        """Somebody needs so much for a moment, and frees it: what is free is used first."""
        self.given_bytes = max(0, min(self.given_bytes, self.free_bytes - size_bytes))
        self.free_bytes = max(self.free_bytes, size_bytes)


def test_much_is_given_back_at_once() -> None:
    machine = Machine()
    memory = machine.memory()
    given = []
    for size_bytes in (100, MUCH_BYTES - 1, MUCH_BYTES, 100, MUCH_BYTES - 1, MUCH_BYTES):
        machine.crowd(size_bytes)
        memory.look()
        given.append(machine.given)
    assert given == [0, 0, 1, 1, 1, 2]


def test_little_is_given_back_when_it_was_not_needed_for_a_minute() -> None:
    machine = Machine()
    memory = machine.memory()
    machine.crowd(LITTLE_BYTES)
    for _ in range(UNUSED_LOOKS - 1):
        memory.look()
    machine.free_bytes -= 1  # somebody needs it
    machine.in_use_bytes += 1
    memory.look()
    machine.free_bytes += 1
    machine.in_use_bytes -= 1
    for _ in range(UNUSED_LOOKS - 1):
        memory.look()
    assert machine.given == 0
    memory.look()
    assert machine.given == 1
    for _ in range(2 * UNUSED_LOOKS):
        memory.look()
    assert machine.given == 1, "it has been given back already"


def test_memory_that_was_used_between_two_looks_is_given_back_again() -> None:
    """The C library says only how much is free, which is the same before and after."""
    machine = Machine()
    memory = machine.memory()
    for times in range(1, 4):
        machine.crowd(2 * LITTLE_BYTES)
        for _ in range(UNUSED_LOOKS):
            memory.look()
        assert machine.given == times
        assert machine.resident_bytes() == machine.in_use_bytes


def test_what_a_crowd_leaves_is_given_back_though_some_was_in_its_midst() -> None:
    machine = Machine()
    machine.in_use_bytes += 10 * MUCH_BYTES
    memory = machine.memory()
    machine.crowd(MUCH_BYTES)
    memory.look()
    assert machine.given == 1
    machine.in_use_bytes -= 10 * MUCH_BYTES
    machine.free_bytes += 10 * MUCH_BYTES
    memory.look()
    assert machine.resident_bytes() == machine.in_use_bytes
    memory.look()
    assert machine.given == 2, "it has been given back already"


def test_memory_in_use_is_not_looked_for() -> None:
    machine = Machine()
    memory = machine.memory()
    for _ in range(3 * UNUSED_LOOKS):
        machine.in_use_bytes += MUCH_BYTES
        memory.look()
    assert machine.given == 0


def test_it_must_be_worth_visiting_all_that_is_free() -> None:
    machine = Machine()
    memory = machine.memory()
    machine.crowd(int(2 * LITTLE_BYTES / LEAST_SHARE))
    memory.look()
    assert machine.given == 1
    machine.crowd(LITTLE_BYTES)
    for _ in range(2 * UNUSED_LOOKS):
        memory.look()
    assert machine.given == 1
    machine.crowd(2 * LITTLE_BYTES)
    for _ in range(UNUSED_LOOKS):
        memory.look()
    assert machine.given == 2


def test_what_lies_before_something_in_use_is_given_back_too() -> None:
    freed = freed_memory(resident_bytes)
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
