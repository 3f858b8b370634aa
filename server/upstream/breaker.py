"""A circuit breaker as a pure class: time is an argument (monotonic seconds), nothing waits, nothing is logged.

Closed: calls pass, and their outcomes are counted over a rolling window; too many faults open the breaker. Open: no call passes
for a while, which grows each time. Half-open: a fixed few calls pass as probes; if all succeed it closes, one fault opens it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FAULTS = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN", "DATA_LOSS"})
"""Statuses that are the service's fault. All others are mistakes of the caller, plain answers, or load that it reports."""

_BUCKETS = 10  # the window moves in tenths


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


class _Window:
    """Outcomes of the last `span_s` seconds in ten buckets: (tenth, calls, faults)."""

    def __init__(self, span_s: float) -> None:
        self._tenth_s = span_s / _BUCKETS
        self._buckets: deque[list[int]] = deque()

    def add(self, now: float, *, fault: bool) -> None:
        tenth = int(now / self._tenth_s)
        if not self._buckets or self._buckets[-1][0] != tenth:
            self._buckets.append([tenth, 0, 0])
            while self._buckets[0][0] <= tenth - _BUCKETS:
                self._buckets.popleft()
        self._buckets[-1][1] += 1
        self._buckets[-1][2] += fault

    def totals(self, now: float) -> tuple[int, int]:
        oldest = int(now / self._tenth_s) - _BUCKETS
        live = [bucket for bucket in self._buckets if bucket[0] > oldest]
        return sum(bucket[1] for bucket in live), sum(bucket[2] for bucket in live)

    def clear(self) -> None:
        self._buckets.clear()


class Breaker:
    """The breaker of one service. `on_change` is called with each new state."""

    def __init__(
        self, policy: BreakerPolicy | None = None, on_change: Callable[[CircuitState], None] = lambda _state: None
    ) -> None:
        self._policy = policy or BreakerPolicy()
        self._on_change = on_change
        self._state = CircuitState.CLOSED
        self._window = _Window(self._policy.window_s)
        self._open_until = 0.0
        self._open_s = self._policy.open_s
        self._probes: set[Permit] = set()
        self._probes_ok = 0
        self._everyday = Permit(0)  # shared by all calls while closed: no object per call

    def state(self, now: float) -> CircuitState:
        """The state; an open breaker whose time is up is half-open."""
        if self._state is CircuitState.OPEN and now >= self._open_until:
            self._enter(CircuitState.HALF_OPEN)
        return self._state

    def retry_after_s(self, now: float) -> float:
        """Seconds until a call may pass; 0 if it may now."""
        return max(0.0, self._open_until - now) if self._state is CircuitState.OPEN else 0.0

    def admit(self, now: float) -> Permit | None:
        """Permission for a call, to be settled by `succeeded`, `failed` or `released`; None if refused."""
        match self.state(now):
            case CircuitState.CLOSED:
                return self._everyday
            case CircuitState.HALF_OPEN:
                return self._probe(now)
            case CircuitState.OPEN:
                return None

    def _probe(self, now: float) -> Permit | None:
        self._probes = {permit for permit in self._probes if permit.lease_until is None or permit.lease_until > now}
        if len(self._probes) + self._probes_ok >= self._policy.probes:
            return None
        permit = Permit(self._everyday.epoch, now + self._policy.probe_lease_s)
        self._probes.add(permit)
        return permit

    def succeeded(self, permit: Permit, now: float) -> None:
        """The service answered, even if it refused."""
        if permit.epoch != self._everyday.epoch:
            return
        if self._state is CircuitState.CLOSED:
            self._window.add(now, fault=False)
        elif permit in self._probes:
            self._probes.discard(permit)
            self._probes_ok += 1
            if self._probes_ok >= self._policy.probes:
                self._open_s = self._policy.open_s
                self._enter(CircuitState.CLOSED)

    def failed(self, permit: Permit, now: float) -> None:
        """The service was at fault."""
        if permit.epoch != self._everyday.epoch:
            return
        if self._state is CircuitState.HALF_OPEN:
            self._open_s = min(self._open_s * 2, self._policy.max_open_s)
            self._open(now)
            return
        self._window.add(now, fault=True)
        calls, faults = self._window.totals(now)
        if faults >= self._policy.min_faults and faults >= calls * self._policy.fault_share:
            self._open(now)

    def released(self, permit: Permit) -> None:
        """The call revealed nothing about the service (cancelled, or the caller's own short deadline): free its slot."""
        self._probes.discard(permit)

    def found_up(self, now: float) -> None:
        """The health watch has seen the service come back: probe at once."""
        if self.state(now) is CircuitState.OPEN:
            self._enter(CircuitState.HALF_OPEN)

    def _open(self, now: float) -> None:
        self._open_until = now + self._open_s
        self._enter(CircuitState.OPEN)

    def _enter(self, state: CircuitState) -> None:
        self._state = state
        self._everyday = Permit(self._everyday.epoch + 1)
        self._probes.clear()
        self._probes_ok = 0
        self._window.clear()
        self._on_change(state)
