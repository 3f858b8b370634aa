"""A circuit breaker as pure classes: time is an argument (monotonic seconds), nothing waits, nothing is logged.

Closed: calls pass, and their outcomes are counted over a rolling window; too many faults open the circuit. Open: no call passes
for a while, which grows each time. Half-open: a fixed few calls pass as probes; if so many succeed it closes, a fault opens it.

Faults that only one user meets may be that user's doing: calls that wait behind each other, or input that the service stumbles over. Then
the circuit opens for that user alone, and for all once two users have met them. Nor can one user's probes, which may hang, keep others out.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

FAULTS = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN"})
"""Statuses that are the service's fault. All others are mistakes of the caller, plain answers, or load that it reports. So is DATA_LOSS:
some of what was stored is damaged, and the service still has the rest."""

_BUCKETS = 10  # the window moves in tenths
_USERS_OF_ALL = 2  # whose faults open the circuit of all


class CircuitState(StrEnum):
    """The state, as in metrics and health."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """Opens after five faults in half a minute that are at least half of the calls, which works with one caller as with many."""

    window_s: float = 30.0
    min_faults: int = 5
    fault_share: float = 0.5
    open_s: float = 2.0
    max_open_s: float = 30.0
    probes: int = 2
    probe_lease_s: float = 10.0  # a probe without an outcome for this long (a silent stream) frees its slot


class Permit:
    """Permission for one call. Outcomes of calls permitted before the last change of state are not counted."""

    __slots__ = ("epoch", "lease_until")

    def __init__(self, epoch: int, lease_until: float | None = None) -> None:
        self.epoch = epoch
        self.lease_until = lease_until


class _Bucket:
    """Outcomes of a tenth of the window. `users`: who met the faults."""

    __slots__ = ("calls", "faults", "tenth", "users")

    def __init__(self, tenth: int) -> None:
        self.tenth = tenth
        self.calls = self.faults = 0
        self.users: set[str] = set()


class _Window:
    """Outcomes of the last `span_s` seconds in ten buckets."""

    def __init__(self, span_s: float) -> None:
        self._tenth_s = span_s / _BUCKETS
        self._buckets: deque[_Bucket] = deque()

    def _newest(self, now: float) -> _Bucket:
        tenth = int(now / self._tenth_s)
        if not self._buckets or self._buckets[-1].tenth != tenth:
            self._buckets.append(_Bucket(tenth))
            while self._buckets[0].tenth <= tenth - _BUCKETS:
                self._buckets.popleft()
        return self._buckets[-1]

    def add_success(self, now: float) -> None:
        self._newest(now).calls += 1

    def add_fault(self, now: float, user: str) -> None:
        bucket = self._newest(now)
        bucket.calls += 1
        bucket.faults += 1
        bucket.users.add(user)

    def totals(self, now: float) -> tuple[int, int, int]:
        """Calls, faults, and users who met faults."""
        oldest = int(now / self._tenth_s) - _BUCKETS
        live = [bucket for bucket in self._buckets if bucket.tenth > oldest]
        users: set[str] = set().union(*(bucket.users for bucket in live))
        return sum(bucket.calls for bucket in live), sum(bucket.faults for bucket in live), len(users)

    def clear(self) -> None:
        self._buckets.clear()


class Circuit:
    """One circuit. It opens only for faults that so many users have met, and when `open` is called."""

    def __init__(self, policy: BreakerPolicy, users: int = 1) -> None:
        self._policy = policy
        self._users = users
        self.opened_at = 0.0
        self._state = CircuitState.CLOSED
        self._window = _Window(self._policy.window_s)
        self._open_until = 0.0
        self._open_s = self._policy.open_s
        self._probes: dict[Permit, str] = {}  # with the user of each
        self._probes_ok = 0
        self._probes_of: set[str] = set()  # users whose probes have failed
        self._everyday = Permit(0)  # shared by all calls while closed: no object per call

    @property
    def closed(self) -> bool:
        """True if calls pass."""
        return self._state is CircuitState.CLOSED

    def counts(self, permit: Permit) -> bool:
        """True if the outcome of this call counts."""
        return permit.epoch == self._everyday.epoch

    def state(self, now: float) -> CircuitState:
        """The state; an open breaker whose time is up is half-open."""
        if self._state is CircuitState.OPEN and now >= self._open_until:
            self._enter(CircuitState.HALF_OPEN)
        return self._state

    def retry_after_s(self, now: float) -> float:
        """Seconds until a call may pass; 0 if it may now."""
        return max(0.0, self._open_until - now) if self._state is CircuitState.OPEN else 0.0

    def admit(self, now: float, user: str) -> Permit | None:
        """Permission for a call, to be settled by `succeeded`, `failed` or `released`; None if refused."""
        match self.state(now):
            case CircuitState.CLOSED:
                return self._everyday
            case CircuitState.HALF_OPEN:
                return self._probe(now, user)
            case CircuitState.OPEN:
                return None

    def _probe(self, now: float, user: str) -> Permit | None:
        for silent in [probe for probe in self._probes if probe.lease_until is not None and probe.lease_until <= now]:
            del self._probes[silent]
        if len(self._probes) + self._probes_ok >= self._policy.probes and not self._held_by_too_few(user):
            return None
        permit = Permit(self._everyday.epoch, now + self._policy.probe_lease_s)
        self._probes[permit] = user
        return permit

    def _held_by_too_few(self, user: str) -> bool:
        """True if the probes under way are of fewer users than it takes to open the circuit, and none is this user's."""
        holders = set(self._probes.values())
        return user not in holders and 0 < len(holders) < self._users

    def succeeded(self, permit: Permit, now: float) -> None:
        """The service answered, even if it refused."""
        if permit.epoch != self._everyday.epoch:
            return
        if self._state is CircuitState.CLOSED:
            self._window.add_success(now)
        elif permit in self._probes:
            del self._probes[permit]
            self._probes_ok += 1
            if self._probes_ok >= self._policy.probes:
                self._open_s = self._policy.open_s
                self._enter(CircuitState.CLOSED)

    def failed(self, permit: Permit, now: float, user: str) -> None:
        """The service was at fault."""
        if not self.counts(permit):
            return
        if self._state is CircuitState.HALF_OPEN:
            self._probes.pop(permit, None)
            self._probes_of.add(user)
            if len(self._probes_of) >= self._users:
                self._open_s = min(self._open_s * 2, self._policy.max_open_s)
                self.open(now)
            return
        self._window.add_fault(now, user)
        if self.users_of_faults(now) >= self._users:
            self.open(now)

    def users_of_faults(self, now: float) -> int:
        """How many users have met faults lately; 0 if the faults are few, or few of the calls."""
        calls, faults, users = self._window.totals(now)
        many = faults >= self._policy.min_faults and faults >= calls * self._policy.fault_share
        return users if many else 0

    def forget(self) -> None:
        """Count from the beginning."""
        self._window.clear()

    def released(self, permit: Permit) -> None:
        """The call revealed nothing about the service (cancelled, or the caller's own short deadline): free its slot."""
        self._probes.pop(permit, None)

    def found_up(self, now: float) -> None:
        """The health watch has seen the service come back: probe at once."""
        if self.state(now) is CircuitState.OPEN:
            self._enter(CircuitState.HALF_OPEN)

    def open(self, now: float) -> None:
        """Refuse calls for a while."""
        self.opened_at = now
        self._open_until = now + self._open_s
        self._enter(CircuitState.OPEN)

    def _enter(self, state: CircuitState) -> None:
        self._state = state
        self._everyday = Permit(self._everyday.epoch + 1)
        self._probes.clear()
        self._probes_ok = 0
        self._probes_of.clear()
        self._window.clear()


class TwoPermits(NamedTuple):
    """Permission for a probe of a user for whom alone the circuit has opened."""

    everyone: Permit
    own: Permit
    circuit: Circuit  # the user's


class Breaker:
    """The breaker of one service: the circuit of all users, and one of each user for whom alone it has opened.

    `on_change` is called with each new state.
    """

    def __init__(
        self, policy: BreakerPolicy | None = None, on_change: Callable[[CircuitState], None] = lambda _state: None
    ) -> None:
        self._policy = policy or BreakerPolicy()
        self._on_change = on_change
        self._told = CircuitState.CLOSED
        self._everyone = Circuit(self._policy, _USERS_OF_ALL)
        self._own: dict[str, Circuit] = {}  # by user; open or half-open
        self._served_at = -math.inf  # when somebody else was last served

    def state(self, now: float) -> CircuitState:
        """The state for all users; if nobody else has been served since it opened for one user, the state for that one."""
        state = self._everyone.state(now)
        if state is CircuitState.CLOSED and self._own:
            unserved = {own.state(now) for own in self._own.values() if own.opened_at >= self._served_at}
            state = next((worst for worst in (CircuitState.OPEN, CircuitState.HALF_OPEN) if worst in unserved), state)
        if state is not self._told:
            self._told = state
            self._on_change(state)
        return state

    def retry_after_s(self, now: float, user: str) -> float:
        """Seconds until a call of the user may pass; 0 if it may now."""
        own = self._own.get(user)
        return max(self._everyone.retry_after_s(now), 0.0 if own is None else own.retry_after_s(now))

    def admit(self, now: float, user: str) -> Permit | TwoPermits | None:
        """Permission for a call, to be settled by `succeeded`, `failed` or `released`; None if refused."""
        circuit = self._own.get(user) if self._own else None
        permit = self._everyone.admit(now, user) if circuit is None else self._admit_probe(circuit, now, user)
        self._tell_change(now)
        return permit

    def _admit_probe(self, circuit: Circuit, now: float, user: str) -> TwoPermits | None:
        own = circuit.admit(now, user)
        everyone = None if own is None else self._everyone.admit(now, user)
        if own is None or everyone is None:
            if own is not None:
                circuit.released(own)
            return None
        return TwoPermits(everyone, own, circuit)

    def succeeded(self, permit: Permit | TwoPermits, now: float, user: str) -> None:
        """The service answered, even if it refused."""
        if isinstance(permit, TwoPermits):
            permit.circuit.succeeded(permit.own, now)
            if permit.circuit.closed and self._own.get(user) is permit.circuit:
                del self._own[user]
                self._everyone.forget()
            permit = permit.everyone
        elif user not in self._own:
            self._served_at = now
        self._everyone.succeeded(permit, now)
        self._tell_change(now)

    def failed(self, permit: Permit | TwoPermits, now: float, user: str) -> None:
        """The service was at fault."""
        if isinstance(permit, TwoPermits):
            permit.circuit.failed(permit.own, now, user)
            permit = permit.everyone
        elif user in self._own:  # the call began before it opened for the user
            self._everyone.released(permit)
            return
        if not self._everyone.counts(permit):
            return
        self._everyone.failed(permit, now, user)
        match self._everyone.state(now):
            case CircuitState.OPEN:
                self._own.clear()
            case CircuitState.HALF_OPEN:  # one failed probe is enough
                self._open_for(user, now)
            case CircuitState.CLOSED if self._everyone.users_of_faults(now):
                self._open_for(user, now)
        self._tell_change(now)

    def _open_for(self, user: str, now: float) -> None:
        if user not in self._own:
            oldest = now - 2 * self._policy.max_open_s  # whoever has not come back since then begins anew
            self._own = {other: own for other, own in self._own.items() if own.opened_at > oldest}
            self._own[user] = Circuit(self._policy)
            self._own[user].open(now)

    def released(self, permit: Permit | TwoPermits) -> None:
        """The call revealed nothing about the service (cancelled, or the caller's own short deadline): free its slot."""
        if isinstance(permit, TwoPermits):
            permit.circuit.released(permit.own)
            permit = permit.everyone
        self._everyone.released(permit)

    def found_up(self, now: float) -> None:
        """The health watch has seen the service come back: probe at once."""
        for circuit in (self._everyone, *self._own.values()):
            circuit.found_up(now)
        self._tell_change(now)

    def _tell_change(self, now: float) -> None:
        """Called at each call, so it does nothing while all is well."""
        if self._own or not self._everyone.closed or self._told is not CircuitState.CLOSED:
            self.state(now)
