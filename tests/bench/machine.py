"""A description of the machine, printed with the figures."""

from __future__ import annotations

import os
import platform
import sys


def machine() -> str:
    """Cores, Python, system."""
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()} {platform.machine()}"


def row(name: str, values: list[float], unit: str) -> str:
    """Median, 95th and 99th percentile, and the extremes."""
    ordered = sorted(values)

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return (
        f"{name:44} n={len(ordered):<6} min {ordered[0]:8.2f}  p50 {at(0.5):8.2f}  p95 {at(0.95):8.2f}"
        f"  p99 {at(0.99):8.2f}  max {ordered[-1]:8.2f} {unit}"
    )


def head(title: str) -> None:
    """What is measured, by which command, where."""
    sys.stdout.write(f"\n{title}\n  python -m {' '.join([__spec_name(), *sys.argv[1:]])} · {machine()}\n")


def __spec_name() -> str:
    spec = sys.modules["__main__"].__spec__
    return spec.name.removesuffix(".__main__") if spec else "?"


def say(line: str) -> None:
    """One line of the table."""
    sys.stdout.write(f"  {line}\n")
    sys.stdout.flush()
