from __future__ import annotations

import pytest

from server.upstream.retry import FIRST_BACKOFF_S, MAX_BACKOFF_S, RetryBudget, backoff_s


def test_a_burst_is_allowed_and_then_a_tenth_of_the_calls() -> None:
    budget = RetryBudget()
    assert sum(budget.spend() for _ in range(100)) == 10
    retries = 0
    for _ in range(1000):
        budget.earn()
        retries += budget.spend()
    assert 95 <= retries <= 100


def test_a_quiet_day_does_not_save_up_more_than_the_burst() -> None:
    budget = RetryBudget(capacity=3)
    for _ in range(1000):
        budget.earn()
    assert sum(budget.spend() for _ in range(10)) == 3


def test_backoff_doubles_up_to_its_bound_and_is_jittered_over_all_of_it() -> None:
    assert [backoff_s(attempt, lambda: 1.0) for attempt in (1, 2, 3)] == pytest.approx([0.05, 0.1, 0.2])
    assert backoff_s(50, lambda: 1.0) == MAX_BACKOFF_S
    assert backoff_s(1, lambda: 0.0) == 0.0
    assert 0.0 <= backoff_s(1) <= FIRST_BACKOFF_S
