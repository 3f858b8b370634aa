"""The collector looks at little at a time, and at old objects only when nobody speaks or memory needs it."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pytest

from server.heap import garbage
from server.heap.garbage import GROWTH, QUIET_EVERY_S, WholeCollection

if TYPE_CHECKING:
    from collections.abc import Iterator

MANY = 300_000
MOST = garbage.THRESHOLDS[0] * (garbage.THRESHOLDS[1] + 2)


@pytest.fixture(autouse=True)
def as_in_the_gateway() -> Iterator[None]:
    before = gc.get_threshold()
    garbage.begin()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


class Cycle:
    def __init__(self) -> None:
        self.me = self


class Machine:
    speaking = False
    memory_bytes = 100

    def collection(self) -> WholeCollection:
        return WholeCollection(lambda: self.speaking, lambda: self.memory_bytes)


def grow_old() -> weakref.ref[Cycle]:
    """A cycle that has outlived the young collections, and is garbage now."""
    cycle = Cycle()
    gc.collect(1)
    return weakref.ref(cycle)


def test_a_look_is_at_few_objects_however_many_there_are() -> None:
    """Old ones are never looked at by count: with many sessions that takes longer than audio may wait."""
    looked_at: list[int] = []

    def note(phase: str, information: dict[str, int]) -> None:
        if phase == "start":
            assert information["generation"] < 2
            looked_at.append(sum(len(gc.get_objects(each)) for each in range(information["generation"] + 1)))

    gc.callbacks.append(note)
    try:
        kept = [[number] for number in range(MANY)]
    finally:
        gc.callbacks.remove(note)
    assert len(kept) == MANY
    assert len(looked_at) >= MANY // MOST
    assert max(looked_at) <= MOST * 1.1


def test_young_cycles_are_freed_at_once() -> None:
    young = weakref.ref(Cycle())
    kept = [[number] for number in range(MOST)]
    assert young() is None, len(kept)


def test_an_old_cycle_is_freed_when_nobody_speaks() -> None:
    machine = Machine()
    collection = machine.collection()
    old = grow_old()
    assert old() is not None
    assert not collection.due(QUIET_EVERY_S - 1)
    machine.speaking = True
    assert not collection.due(QUIET_EVERY_S)
    machine.speaking = False
    assert collection.due(QUIET_EVERY_S)
    collection.collect(QUIET_EVERY_S)
    assert old() is None
    grow_old()
    assert not collection.due(2 * QUIET_EVERY_S - 1)
    assert collection.due(2 * QUIET_EVERY_S)


def test_an_idle_gateway_collects_nothing() -> None:
    collection = Machine().collection()
    gc.collect()
    assert not collection.due(10 * QUIET_EVERY_S)


def test_memory_does_not_wait_for_silence() -> None:
    machine = Machine()
    machine.speaking = True
    collection = machine.collection()
    old = grow_old()
    machine.memory_bytes = round(100 * GROWTH) - 1
    assert not collection.due(1)
    machine.memory_bytes += 1
    assert collection.due(1)
    collection.collect(1)
    assert old() is None
    grow_old()
    assert not collection.due(2), "it is measured from the last one"
