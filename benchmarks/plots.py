"""In charge of the plots: bars and lines as SVG, written by hand, so that no library is needed.

Every plot has its figures as a table on the same page.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape

_COLOURS = ("#d62828", "#f4a259", "#1d3557", "#2a9d8f", "#6a4c93", "#8a8d91", "#457b9d", "#b5838d")
_HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
    'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">'
    '<rect width="100%" height="100%" fill="white"/>'
)
_ROW, _LABEL, _BAR, _VALUE = 18, 210, 380, 70


def bars(title: str, groups: Mapping[str, Mapping[str, float]], unit: str) -> str:
    """Return horizontal bars: a panel a group, each with a scale of its own that begins at 0."""
    series = list(dict.fromkeys(name for group in groups.values() for name in group))
    y = 40
    parts = []
    for name, group in groups.items():
        parts.append(_text(10, y, name, weight="bold"))
        y += 8
        largest = max(group.values())
        for label, value in group.items():
            width = _BAR * value / largest
            colour = _COLOURS[series.index(label) % len(_COLOURS)]
            parts.append(_text(_LABEL - 8, y + 13, label, anchor="end"))
            parts.append(
                f'<rect x="{_LABEL}" y="{y + 2}" width="{width:.1f}" height="{_ROW - 4}" '
                f'fill="{colour}"/>'
            )
            parts.append(_text(_LABEL + width + 6, y + 13, f"{value:,.0f} {unit}"))
            y += _ROW
        y += 22
    head = _HEAD.format(width=_LABEL + _BAR + _VALUE + 20, height=y)
    return "\n".join([head, _text(10, 18, title, weight="bold", size=14), *parts, "</svg>\n"])


_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 680, 360, 70, 190, 40, 50


def lines(
    title: str, series: Mapping[str, Sequence[tuple[float, float]]], x_title: str, y_title: str
) -> str:
    """Return lines over a logarithmic x axis and a y axis that begins at 0."""
    ticks = sorted({x for points in series.values() for x, _ in points})
    top = _nice(max(y for points in series.values() for _, y in points))
    low, high = math.log(ticks[0]), math.log(ticks[-1])

    def at_x(x: float) -> float:
        share = (math.log(x) - low) / (high - low) if high > low else 0.5
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def at_y(y: float) -> float:
        return _HEIGHT - _BOTTOM - y / top * (_HEIGHT - _TOP - _BOTTOM)

    parts = [
        _HEAD.format(width=_WIDTH, height=_HEIGHT),
        _text(10, 18, title, weight="bold", size=14),
    ]
    for step in range(6):
        y = top * step / 5
        parts.append(_line(_LEFT, at_y(y), _WIDTH - _RIGHT, at_y(y)))
        parts.append(_text(_LEFT - 6, at_y(y) + 4, f"{y:,.0f}", anchor="end"))
    parts += [_text(at_x(x), _HEIGHT - _BOTTOM + 18, f"{x:,.0f}", anchor="middle") for x in ticks]
    parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 10, x_title, anchor="middle"))
    parts.append(_text(_LEFT, _TOP - 8, y_title))
    for number, (name, points) in enumerate(series.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="3" fill="{colour}"/>'
            for x, y in points
        ]
        y = _TOP + 10 + number * _ROW
        parts.append(
            f'<rect x="{_WIDTH - _RIGHT + 15}" y="{y - 9}" width="10" height="10" fill="{colour}"/>'
        )
        parts.append(_text(_WIDTH - _RIGHT + 31, y, name))
    return "\n".join([*parts, "</svg>\n"])


def _nice(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next(step * power for step in (1, 1.5, 2, 3, 4, 5, 7.5, 10) if value <= step * power)


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#ddd"/>'


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal", size: int = 12
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" '
        f'font-size="{size}">{escape(text)}</text>'
    )
