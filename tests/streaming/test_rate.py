from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streaming.rate import TokenBucket


def test_a_burst_then_the_rate() -> None:
    bucket = TokenBucket(10.0, 3.0, now=0.0)
    assert [bucket.take(1, 0.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.wait_s(1) == 0.1
    assert not bucket.take(1, 0.05)
    assert bucket.take(1, 0.1)
    assert bucket.wait_s(0) == 0.0


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 10)), max_size=50))
def test_never_more_than_burst_and_rate(steps: list[tuple[float, float]]) -> None:
    bucket, now, spent = TokenBucket(2.0, 10.0, now=0.0), 0.0, 0.0
    for wait, amount in steps:
        now += wait
        if bucket.take(amount, now):
            spent += amount
        assert spent <= 10.0 + 2.0 * now + 1e-6
