"""Line charts as SVG: a few lines, one axis each way, no library."""

from __future__ import annotations

import html
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 190, 34, 44
COLOURS = ("#0b6e99", "#d9730d", "#448361", "#9065b0", "#c14c8a", "#787774")
TICKS = 5


@dataclass(frozen=True, slots=True)
class Line:
    """A line by its points; *steps* holds each value until the next."""

    name: str
    points: Sequence[tuple[float, float]]
    steps: bool = False


def chart(title: str, x: str, y: str, lines: Sequence[Line]) -> str:
    """Return an SVG of *lines*; *x* and *y* are the axes' names. Both axes begin at 0."""
    right = _round_up(max((point[0] for line in lines for point in line.points), default=1.0))
    top = _round_up(max((point[1] for line in lines for point in line.points), default=1.0))
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def at(point: tuple[float, float]) -> str:
        return f"{LEFT + point[0] / right * width:.1f},{TOP + height - point[1] / top * height:.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="11">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="18" font-size="13" font-weight="bold">{html.escape(title)}</text>',
    ]
    for tick in range(TICKS + 1):
        across, up = LEFT + width * tick / TICKS, TOP + height - height * tick / TICKS
        parts += [
            f'<line x1="{LEFT}" y1="{up:.1f}" x2="{LEFT + width}" y2="{up:.1f}" stroke="#dddddd"/>',
            f'<text x="{LEFT - 6}" y="{up + 4:.1f}" text-anchor="end">{top * tick / TICKS:,.5g}</text>',
            f'<text x="{across:.1f}" y="{TOP + height + 16}" text-anchor="middle">{right * tick / TICKS:,.5g}</text>',
        ]
    parts += [
        f'<text x="{LEFT + width / 2}" y="{HEIGHT - 8}" text-anchor="middle">{html.escape(x)}</text>',
        f'<text transform="translate(14 {TOP + height / 2}) rotate(-90)" text-anchor="middle">{html.escape(y)}</text>',
    ]
    for number, line in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        points = [(0.0, 0.0)] if not line.points else list(line.points)
        if line.steps:
            points = [
                corner for before, after in itertools.pairwise(points) for corner in (before, (after[0], before[1]))
            ] + points[-1:]
        drawn = " ".join(at(point) for point in points)
        legend = TOP + 14 + 18 * number
        parts += [
            f'<polyline fill="none" stroke="{colour}" stroke-width="1.8" points="{drawn}"/>',
            f'<line x1="{LEFT + width + 12}" y1="{legend - 4}" x2="{LEFT + width + 30}" y2="{legend - 4}" '
            f'stroke="{colour}" stroke-width="3"/>',
            f'<text x="{LEFT + width + 36}" y="{legend}">{html.escape(line.name)}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def thinned(points: Sequence[tuple[float, float]], most: int = 240) -> list[tuple[float, float]]:
    """Return at most so many of the points, the last among them."""
    step = max(1, len(points) // most)
    return [*points[::step], *points[-1:]]


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 2.5, 5 times a power of ten that *value* does not exceed."""
    power = 1.0
    while power * 10 < value:
        power *= 10
    while power > value > 0:
        power /= 10
    return next(power * step for step in (1, 1.5, 2, 2.5, 3, 4, 5, 7.5, 10) if power * step >= value)
