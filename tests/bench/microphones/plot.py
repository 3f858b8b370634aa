"""Plots cost against the number of talkers, as an SVG with logarithmic axes, without a library."""

from __future__ import annotations

from math import log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Point = tuple[int, float]  # talkers, µs a frame

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 400, 60, 110, 50, 50
COLOURS = ("#0b6e4f", "#c8553d", "#3d5a98", "#8a6d1f")
GRID_US = (5, 10, 20, 50, 100, 200, 500, 1_000, 2_000)


def _scale(value: float, low: float, high: float, begin: float, end: float) -> float:
    """Where a value stands between two ends of an axis; in the middle when there is one value only."""
    if high <= low:
        return (begin + end) / 2
    return begin + (log10(value) - log10(low)) / (log10(high) - log10(low)) * (end - begin)


def svg(title: str, lines: Mapping[str, list[Point]]) -> str:
    """One line for each target."""
    points = [point for line in lines.values() for point in line]
    talkers = sorted({number for number, _ in points})
    low_us = max([us for us in GRID_US if us <= min(cost for _, cost in points)], default=GRID_US[0])
    high_us = min([us for us in GRID_US if us >= max(cost for _, cost in points)], default=GRID_US[-1])

    def x(number: float) -> float:
        return _scale(number, talkers[0], talkers[-1], LEFT, WIDTH - RIGHT)

    def y(cost_us: float) -> float:
        return _scale(cost_us, low_us, high_us, HEIGHT - BOTTOM, TOP)

    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="24" font-size="15">{title}</text>',
    ]
    for us in (us for us in GRID_US if low_us <= us <= high_us):
        drawn.append(f'<path d="M{LEFT} {y(us):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        drawn.append(f'<text x="{LEFT - 8}" y="{y(us) + 4:.1f}" text-anchor="end">{us} µs</text>')
    for number in talkers:
        at = f'x="{x(number):.1f}" y="{HEIGHT - BOTTOM + 20}"'
        drawn.append(f'<text {at} text-anchor="middle">{number:,}</text>')
    drawn.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">talkers</text>')
    for (name, line), colour in zip(lines.items(), COLOURS, strict=False):
        path = " ".join(f"{x(number):.1f},{y(cost_us):.1f}" for number, cost_us in line)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn += [f'<circle cx="{x(number):.1f}" cy="{y(us):.1f}" r="3" fill="{colour}"/>' for number, us in line]
        number, cost_us = line[-1]
        drawn.append(f'<text x="{x(number) + 8:.1f}" y="{y(cost_us) + 4:.1f}" fill="{colour}">{name}</text>')
    return "\n".join([*drawn, "</svg>", ""])
