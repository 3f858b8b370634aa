from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from server.upstream.breaker import Breaker, BreakerPolicy, CircuitState, Permit

POLICY = BreakerPolicy(window_s=10, min_faults=3, fault_share=0.5, open_s=2, max_open_s=8, probes=2, probe_lease_s=5)


class Line:
    """A breaker and what it told."""

    def __init__(self, policy: BreakerPolicy = POLICY) -> None:
        self.told: list[str] = []
        self.breaker = Breaker(policy, lambda state: self.told.append(state.value))

    def permit(self, now: float) -> Permit:
        permit = self.breaker.admit(now)
        assert permit is not None
        return permit

    def fail(self, now: float, times: int = 1) -> None:
        for _ in range(times):
            self.breaker.failed(self.permit(now), now)

    def succeed(self, now: float, times: int = 1) -> None:
        for _ in range(times):
            self.breaker.succeeded(self.permit(now), now)

    def open(self, now: float = 0.0) -> None:
        self.fail(now, POLICY.min_faults)
        assert self.breaker.state(now) is CircuitState.OPEN


@pytest.fixture
def line() -> Line:
    return Line()


def test_it_opens_at_the_faults_the_policy_allows_and_not_before(line: Line) -> None:
    line.fail(0.0, 2)
    assert line.breaker.state(0.0) is CircuitState.CLOSED
    line.fail(0.0)
    assert line.breaker.admit(0.1) is None
    assert line.told == ["open"]


def test_few_faults_among_many_successes_do_not_open_it(line: Line) -> None:
    line.succeed(0.0, 10)
    line.fail(0.0, 9)
    assert line.breaker.state(0.0) is CircuitState.CLOSED
    line.fail(0.0)
    assert line.breaker.state(0.0) is CircuitState.OPEN


def test_faults_leave_the_window_when_they_are_old(line: Line) -> None:
    line.fail(0.0, 2)
    line.fail(10.0, 2)
    assert line.breaker.state(10.0) is CircuitState.CLOSED
    line.fail(10.5)
    assert line.breaker.state(10.5) is CircuitState.OPEN


def test_a_fixed_few_probes_pass_when_its_time_is_up(line: Line) -> None:
    line.open()
    assert line.breaker.retry_after_s(0.5) == pytest.approx(1.5)
    assert line.breaker.admit(1.99) is None
    probes = [line.permit(2.0), line.permit(2.0)]
    assert line.breaker.admit(2.0) is None
    line.breaker.succeeded(probes[0], 2.1)
    assert line.breaker.admit(2.1) is None, "two probes in all, not two at a time"
    line.breaker.succeeded(probes[1], 2.1)
    assert line.told == ["open", "half_open", "closed"]
    line.succeed(2.2, 50)


def test_a_failed_probe_opens_it_for_twice_as_long_up_to_the_bound(line: Line) -> None:
    line.open()
    now, waits = 0.0, []
    for _ in range(4):
        waits.append(line.breaker.retry_after_s(now))
        now += waits[-1]
        line.fail(now)
    assert waits == [2, 4, 8, 8]


def test_closing_forgets_the_longer_waits_and_the_old_faults(line: Line) -> None:
    line.open()
    line.fail(2.0)
    line.succeed(6.0, 2)
    assert line.breaker.state(6.0) is CircuitState.CLOSED
    line.fail(6.0, 2)
    assert line.breaker.state(6.0) is CircuitState.CLOSED
    line.fail(6.0)
    assert line.breaker.retry_after_s(6.0) == 2


def test_a_cancelled_probe_frees_its_slot(line: Line) -> None:
    line.open()
    first, _second = line.permit(2.0), line.permit(2.0)
    assert line.breaker.admit(2.0) is None
    line.breaker.released(first)
    assert line.breaker.admit(2.0) is not None
    assert line.breaker.state(2.0) is CircuitState.HALF_OPEN


def test_a_probe_that_stays_silent_gives_its_slot_back_in_time(line: Line) -> None:
    line.open()
    line.permit(2.0), line.permit(2.0)
    assert line.breaker.admit(6.9) is None
    line.succeed(7.0, 2)
    assert line.breaker.state(7.0) is CircuitState.CLOSED


def test_what_began_before_it_opened_says_nothing_about_now(line: Line) -> None:
    early = line.permit(0.0)
    line.open()
    line.permit(2.0)
    line.breaker.failed(early, 2.1)
    line.breaker.succeeded(early, 2.1)
    line.breaker.released(early)
    assert line.breaker.state(2.1) is CircuitState.HALF_OPEN


def test_a_probe_settled_twice_counts_once(line: Line) -> None:
    line.open()
    probe = line.permit(2.0)
    line.breaker.succeeded(probe, 2.0)
    line.breaker.succeeded(probe, 2.0)
    assert line.breaker.state(2.0) is CircuitState.HALF_OPEN


def test_a_service_seen_up_again_is_probed_at_once(line: Line) -> None:
    line.breaker.found_up(0.0)
    assert line.told == []
    line.open()
    line.breaker.found_up(0.1)
    line.succeed(0.1, 2)
    assert line.told == ["open", "half_open", "closed"]


class AnyHistory(RuleBasedStateMachine):
    """Whatever happens, in whatever order: the promises hold."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.line = Line()
        self.running: list[Permit] = []
        self.probes_out = 0

    @rule(seconds=st.floats(0, 6))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def call(self) -> None:
        before = self.line.breaker.state(self.now)
        permit = self.line.breaker.admit(self.now)
        if before is CircuitState.OPEN:
            assert permit is None
        if before is CircuitState.CLOSED:
            assert permit is not None
        if permit is not None:
            self.running.append(permit)

    @rule(data=st.data(), how=st.sampled_from(["succeeded", "failed", "released"]))
    def settle(self, data: st.DataObject, how: str) -> None:
        if self.running:
            permit = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
            if how == "released":
                self.line.breaker.released(permit)
            else:
                getattr(self.line.breaker, how)(permit, self.now)

    @rule()
    def seen_up(self) -> None:
        self.line.breaker.found_up(self.now)
        assert self.line.breaker.state(self.now) is not CircuitState.OPEN

    @invariant()
    def no_more_probes_than_allowed(self) -> None:
        assert len(self.line.breaker._probes) <= POLICY.probes

    @invariant()
    def an_open_one_says_when_to_come_back(self) -> None:
        is_open = self.line.breaker.state(self.now) is CircuitState.OPEN
        wait_s = self.line.breaker.retry_after_s(self.now)
        rounding_s = 1e-9  # (now + open_s) - now is not always open_s
        assert (0 < wait_s <= POLICY.max_open_s + rounding_s) if is_open else wait_s == 0

    @invariant()
    def states_follow_each_other_properly(self) -> None:
        follows = {"closed": {"open"}, "open": {"half_open"}, "half_open": {"open", "closed"}}
        seen = ["closed", *self.line.told]
        assert all(after in follows[before] for before, after in pairwise(seen))


TestAnyHistory = AnyHistory.TestCase
