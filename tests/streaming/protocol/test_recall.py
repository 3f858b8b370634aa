from __future__ import annotations

import time

from streaming.protocol.recall import CommandMemory, SeenCommand


def test_a_command_is_known_with_its_answer() -> None:
    memory = CommandMemory(3, 100)
    memory.remember("a", SeenCommand("call"))
    assert memory.get("b") is None
    memory.answer("a", "text")
    memory.answer("a", "another")
    memory.answer("never seen", "text")
    assert memory.get("a") == SeenCommand("call", answered=True, answer="text")


def test_the_oldest_command_is_forgotten_with_its_answer() -> None:
    memory = CommandMemory(2, 10)
    for key in "abc":
        memory.remember(key, SeenCommand("call"))
        memory.answer(key, "12345")
    assert memory.get("a") is None
    assert [getattr(memory.get(key), "answer", None) for key in "bc"] == ["12345", "12345"]


def test_who_waits_for_an_answer_is_not_forgotten_for_newer_ones() -> None:
    memory = CommandMemory(3, 100)
    memory.remember("slow", SeenCommand("call"))
    memory.remember("open", SeenCommand("channel.open stt", 3))
    for key in "abc":
        memory.remember(key, SeenCommand("call"))
        memory.answer(key, "12345")
    assert memory.unanswered() == ["slow"]
    assert [entry[0] for entry in memory.save()] == ["slow", "b", "c"]


def test_commands_that_wait_are_bounded_too() -> None:
    memory = CommandMemory(2, 100)
    for key in "abc":
        memory.remember(key, SeenCommand("task.confirm"))
    assert memory.unanswered() == ["b", "c"]


def test_answers_are_bounded_in_bytes_and_the_newest_stay() -> None:
    memory = CommandMemory(10, 10)
    for key in "abc":
        memory.remember(key, SeenCommand("call"))
        memory.answer(key, "12345")
    assert [seen.answer for key in "abc" if (seen := memory.get(key))] == [None, "12345", "12345"]
    memory.remember("d", SeenCommand("call"))
    memory.answer("d", "x" * 11)
    assert [seen.answer for key in "abcd" if (seen := memory.get(key))] == [None] * 4
    assert all(seen.answered for key in "abcd" if (seen := memory.get(key)))


def test_an_answer_costs_the_same_however_many_are_remembered() -> None:
    """A client that never acknowledges has thousands of them."""

    def answering_s(remembered: int) -> float:
        memory = CommandMemory(remembered, 100)
        taken = []
        for number in range(remembered + 400):
            memory.remember(str(number), SeenCommand("call"))
            began = time.thread_time()
            memory.answer(str(number), "x" * 60)
            taken.append(time.thread_time() - began)
        return sorted(taken)[-200]

    assert answering_s(10_000) < 10 * answering_s(10)


def test_it_can_be_carried_over() -> None:
    memory = CommandMemory(10, 10)
    memory.remember("a", SeenCommand("call"))
    memory.remember("b", SeenCommand("channel.open stt", 3))
    memory.answer("a", "12345")
    other = CommandMemory(10, 10)
    other.restore(memory.save())
    assert other.get("a") == SeenCommand("call", answered=True, answer="12345")
    assert other.get("b") == SeenCommand("channel.open stt", 3)
    assert other.save() == memory.save()
