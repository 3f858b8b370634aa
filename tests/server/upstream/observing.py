"""Shared by tests of the service clients: a recording observer, and a caller."""

from __future__ import annotations

from streaming.ports import CallContext

CALLER = CallContext("u-1", ("user",), "s-1", "req-12345678", "00-4bf9-00f0-01")


class Observed:
    """A CallObserver that keeps what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str]] = []
        self.circuits: list[tuple[str, str]] = []

    def observe(self, service: str, method: str, status: str, seconds: float) -> None:
        assert seconds >= 0
        self.calls.append((service, method, status))

    def circuit(self, service: str, state: str) -> None:
        self.circuits.append((service, state))

    def statuses(self) -> list[str]:
        return [status for _, _, status in self.calls]
