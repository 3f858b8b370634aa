"""Checks the guarantees at the end of a run, and prints a table of the results."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from os import getloadavg
from statistics import median
from typing import TYPE_CHECKING

from tests.chaos.monkey import LOSES_DATA

if TYPE_CHECKING:
    from tests.chaos.client import Client
    from tests.chaos.topology import Cluster
    from tests.chaos.work import Outcome


@dataclass(frozen=True)
class Report:
    """`wrong`: every broken promise in words."""

    faults: tuple[str, ...]
    seed: int
    sessions: int
    messages: int
    moves: int
    lost: int
    done: dict[str, int]
    told: dict[str, int]
    refused: dict[str, int]
    resume_ms: tuple[int, int, int]  # p50, p99, longest
    ways_ms: dict[str, tuple[int, int, int]]  # the same of each way to resume: by URL, by message
    parts_ms: dict[str, tuple[int, int]]  # p50 and p99 of each step of the ways back
    slow: list[str]  # the ways back that took long, step by step
    drains_s: list[tuple[float, float]]  # until the process had ended, until all sessions had left
    late_ms: int  # p99 of how late the monkey itself was woken
    memory_kib: list[list[int]]  # of each gateway, 0 while it is down, now and then
    wrong: list[str]

    def lines(self) -> list[str]:
        """For people."""
        head = (
            f"seed {self.seed}: {', '.join(self.faults)}: {self.sessions} sessions, {self.messages} messages, {self.moves} resumes"
            f" (p50 {self.resume_ms[0]} ms, p99 {self.resume_ms[1]} ms, longest {self.resume_ms[2]} ms), {self.lost} told lost"
        )
        ways = "; ".join(f"by {way} {p50}, {p99}, {longest}" for way, (p50, p99, longest) in self.ways_ms.items())
        parts = ", ".join(f"{part} {p50} and {p99}" for part, (p50, p99) in self.parts_ms.items())
        return [
            head,
            f"  p50, p99 and longest in ms: {ways}",
            f"  of that, in ms (p50, p99): {parts}",
            f"  done {self.done}",
            f"  told {self.told}, refused {self.refused}",
            f"  the monkey itself was woken late by {self.late_ms} ms (p99); load average {getloadavg()[0]:.0f}",
            *([f"  drains (of that, until all had left): {_drains(self.drains_s)} s"] if self.drains_s else []),
            *(f"  away {line}" for line in self.slow),
            *(
                f"  memory of a gateway in MiB: {' '.join(str(kib // 1024) for kib in row)}"
                for row in zip(*self.memory_kib, strict=True)
            ),
            *(f"  WRONG: {line}" for line in self.wrong),
        ]


def check(
    cluster: Cluster,
    clients: list[Client],
    outcome: Outcome,
    faults: tuple[str, ...],
    seed: int,
    memory_kib: list[list[int]],
    late_s: list[float],
) -> Report:
    """Judge a run that is over."""
    wrong = [f"{client.session_id}: {line}" for client in clients for line in client.violations] + outcome.broken
    counts = Counter(cluster.stored_values())
    for value, answered in outcome.effects.items():
        if counts[value] > 1:
            wrong.append(f"the effect {value} happened {counts[value]} times")
        if answered and not counts[value]:
            wrong.append(f"the effect {value} was answered ok and is not there")
    wrong += [f"traceback: {line}" for line in cluster.tracebacks()]
    lost = [reason for client in clients for reason in client.lost]
    if lost and not LOSES_DATA & set(faults):
        wrong.append(f"{len(lost)} sessions were told lost ({Counter(lost)}), though Redis kept its data")
    times = [seconds for client in clients for seconds in client.resumes]
    parts = {part: [seconds for client in clients for seconds in client.parts[part]] for part in clients[0].parts}
    return Report(
        faults=faults,
        seed=seed,
        sessions=len(clients),
        messages=sum(client.messages for client in clients),
        moves=sum(client.moves for client in clients),
        lost=len(lost),
        done=outcome.done,
        told=outcome.told,
        refused=outcome.refused,
        resume_ms=_spread(times),
        ways_ms={
            way: _spread([seconds for client in clients if client.by == way for seconds in client.resumes])
            for way in sorted({client.by for client in clients})
        },
        parts_ms={part: (_ms(median(seconds or [0.0])), _ms(_p99(seconds))) for part, seconds in parts.items()},
        slow=[way for client in clients for way in client.slow],
        drains_s=cluster.drains_s,
        late_ms=_ms(_p99(late_s)),
        memory_kib=memory_kib,
        wrong=wrong,
    )


def _drains(drains_s: list[tuple[float, float]]) -> str:
    return ", ".join(f"{ended_s:.1f} ({left_s:.1f})" for ended_s, left_s in drains_s)


def _spread(times: list[float]) -> tuple[int, int, int]:
    """p50, p99 and the longest, in ms."""
    return _ms(median(times or [0.0])), _ms(_p99(times)), _ms(max(times, default=0.0))


def _p99(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)] if times else 0.0


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
