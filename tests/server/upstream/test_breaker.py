from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from server.upstream.breaker import Breaker, BreakerPolicy, CircuitState, Permit, TwoPermits

if TYPE_CHECKING:
    from collections.abc import Sequence

POLICY = BreakerPolicy(window_s=10, min_faults=3, fault_share=0.5, open_s=2, max_open_s=8, probes=2, probe_lease_s=5)
ADA, BOB, EVE = "ada", "bob", "eve"


class Line:
    """A breaker and what it told."""

    def __init__(self, policy: BreakerPolicy = POLICY) -> None:
        self.told: list[str] = []
        self.breaker = Breaker(policy, lambda state: self.told.append(state.value))

    def permit(self, now: float, user: str = ADA) -> Permit | TwoPermits:
        permit = self.breaker.admit(now, user)
        assert permit is not None
        return permit

    def fail(self, now: float, times: int = 1, users: Sequence[str] = (ADA,)) -> None:
        for number in range(times):
            user = users[number % len(users)]
            self.breaker.failed(self.permit(now, user), now, user)

    def succeed(self, now: float, times: int = 1, user: str = ADA) -> None:
        for _ in range(times):
            self.breaker.succeeded(self.permit(now, user), now, user)

    def open(self, now: float = 0.0, users: Sequence[str] = (ADA,)) -> None:
        self.fail(now, POLICY.min_faults, users)
        assert self.breaker.state(now) is CircuitState.OPEN

    def open_for(self, user: str, now: float) -> None:
        self.fail(now, POLICY.min_faults, [user])
        assert self.breaker.admit(now, user) is None


@pytest.fixture
def line() -> Line:
    return Line()


def test_it_opens_at_the_faults_the_policy_allows_and_not_before(line: Line) -> None:
    line.fail(0.0, 2)
    assert line.breaker.state(0.0) is CircuitState.CLOSED
    line.fail(0.0)
    assert line.breaker.admit(0.1, ADA) is None
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
    assert line.breaker.retry_after_s(0.5, ADA) == pytest.approx(1.5)
    assert line.breaker.admit(1.99, ADA) is None
    probes = [line.permit(2.0), line.permit(2.0)]
    assert line.breaker.admit(2.0, ADA) is None
    line.breaker.succeeded(probes[0], 2.1, ADA)
    assert line.breaker.admit(2.1, ADA) is None, "two probes in all, not two at a time"
    line.breaker.succeeded(probes[1], 2.1, ADA)
    assert line.told == ["open", "half_open", "closed"]
    line.succeed(2.2, 50)


def test_a_failed_probe_opens_it_for_twice_as_long_up_to_the_bound(line: Line) -> None:
    line.open()
    now, waits = 0.0, []
    for _ in range(4):
        waits.append(line.breaker.retry_after_s(now, ADA))
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
    assert line.breaker.retry_after_s(6.0, ADA) == 2


def test_a_cancelled_probe_frees_its_slot(line: Line) -> None:
    line.open()
    first, _second = line.permit(2.0), line.permit(2.0)
    assert line.breaker.admit(2.0, ADA) is None
    line.breaker.released(first)
    assert line.breaker.admit(2.0, ADA) is not None
    assert line.breaker.state(2.0) is CircuitState.HALF_OPEN


def test_a_probe_that_stays_silent_gives_its_slot_back_in_time(line: Line) -> None:
    line.open()
    line.permit(2.0), line.permit(2.0)
    assert line.breaker.admit(6.9, ADA) is None
    line.succeed(7.0, 2)
    assert line.breaker.state(7.0) is CircuitState.CLOSED


def test_what_began_before_it_opened_says_nothing_about_now(line: Line) -> None:
    early = line.permit(0.0)
    line.open()
    line.permit(2.0)
    line.breaker.failed(early, 2.1, ADA)
    line.breaker.succeeded(early, 2.1, ADA)
    line.breaker.released(early)
    assert line.breaker.state(2.1) is CircuitState.HALF_OPEN


def test_a_probe_settled_twice_counts_once(line: Line) -> None:
    line.open()
    probe = line.permit(2.0)
    line.breaker.succeeded(probe, 2.0, ADA)
    line.breaker.succeeded(probe, 2.0, ADA)
    assert line.breaker.state(2.0) is CircuitState.HALF_OPEN


def test_a_service_seen_up_again_is_probed_at_once(line: Line) -> None:
    line.breaker.found_up(0.0)
    assert line.told == []
    line.open()
    line.breaker.found_up(0.1)
    line.succeed(0.1, 2)
    assert line.told == ["open", "half_open", "closed"]


def test_it_opens_only_for_the_user_who_alone_meets_the_faults(line: Line) -> None:
    line.succeed(0.0, 2)
    line.fail(0.0, 3, [EVE])
    assert line.breaker.admit(0.1, EVE) is None
    assert line.breaker.retry_after_s(0.5, EVE) == pytest.approx(1.5)
    line.succeed(0.1)
    assert (line.breaker.retry_after_s(0.5, ADA), line.breaker.state(0.5)) == (0, CircuitState.CLOSED)
    assert line.told == ["open", "closed"], "open, as long as nobody else has been served"
    line.fail(2.0, 1, [EVE])
    assert line.breaker.retry_after_s(2.0, EVE) == 4
    line.succeed(6.0, 2, EVE)
    line.succeed(6.0, 9, EVE)


def test_faults_of_two_users_open_it_for_all(line: Line) -> None:
    line.open(0.0, [EVE, ADA])
    assert line.breaker.admit(0.1, BOB) is None
    assert line.told == ["open"]


def test_a_dead_service_is_refused_to_all_at_the_second_users_first_fault(line: Line) -> None:
    line.open()
    line.fail(0.1, 1, [BOB])
    assert line.breaker.admit(0.2, EVE) is None
    assert line.told == ["open"]


def test_one_users_failed_probe_does_not_keep_it_open_for_others(line: Line) -> None:
    line.open(0.0, [ADA, BOB])
    both = [line.permit(2.0, EVE), line.permit(2.0, EVE)]
    for probe in both:
        line.breaker.failed(probe, 2.1, EVE)
    assert line.breaker.admit(2.1, EVE) is None
    line.succeed(2.2, 2, ADA)
    assert line.breaker.state(2.2) is CircuitState.CLOSED
    assert line.breaker.admit(2.2, EVE) is None
    line.succeed(4.1, 2, EVE)
    assert line.breaker.retry_after_s(4.1, EVE) == 0


@pytest.mark.parametrize("hanging", [1, 2])
def test_one_users_hanging_probes_do_not_keep_it_open_for_others(line: Line, hanging: int) -> None:
    line.open(0.0, [ADA, BOB])
    for _ in range(hanging):
        line.permit(2.0, EVE)
    line.succeed(2.1, 2, ADA)
    assert line.breaker.state(2.1) is CircuitState.CLOSED


def test_others_get_one_probe_beside_those_of_one_user(line: Line) -> None:
    line.open(0.0, [ADA, BOB])
    line.permit(2.0, EVE), line.permit(2.0, EVE), line.permit(2.0, ADA)
    assert [line.breaker.admit(2.0, user) for user in (ADA, BOB, EVE)] == [None, None, None]
    line.breaker.state(7.0)
    assert line.breaker.admit(7.0, BOB) is not None, "the leases are over"


def test_two_users_failed_probes_open_it_again_for_twice_as_long(line: Line) -> None:
    line.open(0.0, [ADA, BOB])
    line.fail(2.0, 2, [ADA, BOB])
    assert line.breaker.retry_after_s(2.0, EVE) == 4


def test_calls_that_began_before_it_opened_for_their_user_are_not_counted(line: Line) -> None:
    early = [line.permit(0.0, EVE) for _ in range(3)]
    line.open(0.0, [EVE])
    line.succeed(2.0, 2, EVE)
    line.open(2.0, [EVE])
    for permit in early:
        line.breaker.failed(permit, 2.0, EVE)
    assert line.breaker.retry_after_s(2.0, EVE) == 2


def test_who_has_not_come_back_for_long_is_forgotten(line: Line) -> None:
    for number in range(100):
        line.open_for(f"user {number}", number * 20.0)
    assert len(line.breaker._own) == 1


class AnyHistory(RuleBasedStateMachine):
    """Whatever happens, in whatever order: the promises hold."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.line = Line()
        self.running: list[Permit | TwoPermits] = []
        self.probes_out = 0

    @rule(seconds=st.floats(0, 6))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def call(self) -> None:
        before = self.line.breaker.state(self.now)
        permit = self.line.breaker.admit(self.now, ADA)
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
                getattr(self.line.breaker, how)(permit, self.now, ADA)

    @rule()
    def seen_up(self) -> None:
        self.line.breaker.found_up(self.now)
        assert self.line.breaker.state(self.now) is not CircuitState.OPEN

    @invariant()
    def no_more_probes_than_allowed(self) -> None:
        assert all(len(own._probes) <= POLICY.probes for own in self.line.breaker._own.values())

    @invariant()
    def an_open_one_says_when_to_come_back(self) -> None:
        is_open = self.line.breaker.state(self.now) is CircuitState.OPEN
        wait_s = self.line.breaker.retry_after_s(self.now, ADA)
        rounding_s = 1e-9  # (now + open_s) - now is not always open_s
        assert (0 < wait_s <= POLICY.max_open_s + rounding_s) if is_open else wait_s == 0

    @invariant()
    def states_follow_each_other_properly(self) -> None:
        follows = {"closed": {"open"}, "open": {"half_open"}, "half_open": {"open", "closed"}}
        seen = ["closed", *self.line.told]
        assert all(after in follows[before] for before, after in pairwise(seen))


TestAnyHistory = AnyHistory.TestCase
