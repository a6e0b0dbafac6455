"""Line charts as SVG text: no library, no script, the same bytes for the same numbers.

1. Values are scaled between round ticks, sessions lie at equal distances.
2. A session without a value breaks its line; a value alone is a dot.
3. The last value of each line stands at its end, in its colour; labels that would overlap are moved
   apart. The legend above the plot names the lines in the same order.

A ribbon of labels may lie behind the lines. Colours are classes that the page's style sheet fills
in, so that one chart serves light and dark. ``standalone`` brings that style along, for a chart
that is shown as a picture.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from html import escape
from itertools import groupby

from quant_platform.reports.notation import MINUS, written
from quant_platform.reports.style import CHART_STYLE, STANDALONE_STYLE

WIDTH, HEIGHT = 560, 280
LEFT, RIGHT, TOP, BOTTOM = 62, 84, 62, 30
LINE_HEIGHT = 16.0
COLOURS = 6
"""Line colours of the style sheet; the seventh line looks like the first."""
BANDS = 4
"""Colours of a ribbon, from good to bad."""
MOST_TICKS = 6
LONG_SPAN = 400
"""Days above which labels of the time axis are years."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Parameters
    ----------
    name
        What the legend says.
    values
        One value for each day, None where there is none.
    colour
        Number of its colour, so that a thing has the same one in every chart.
    """

    name: str
    values: Sequence[float | None]
    colour: int = 0

    @property
    def last(self) -> tuple[int, float] | None:
        """Place and height of the last value."""
        known = [(place, value) for place, value in enumerate(self.values) if value is not None]
        return known[-1] if known else None


@dataclass(frozen=True)
class Ribbon:
    """Labels behind the lines of a chart, a band of colour for each stretch of one label.

    Parameters
    ----------
    order
        All labels there are, the mildest first; the place of one is its colour.
    labels
        One for each day, None where there is none.
    """

    order: Sequence[str]
    labels: Sequence[str | None]

    @property
    def stretches(self) -> list[tuple[int, int, str]]:
        """First and last place of each stretch of one label, and the label."""
        found, place = [], 0
        for label, run in groupby(self.labels):
            length = len(list(run))
            if label is not None:
                found.append((place, place + length - 1, label))
            place += length
        return found


def line_chart(
    title: str,
    days: Sequence[date],
    lines: Sequence[Line],
    unit: str,
    ribbon: Ribbon | None = None,
    *,
    standalone: bool = False,
) -> str:
    """Draw lines over days; empty text if there is nothing to draw.

    Parameters
    ----------
    title
        What is drawn; also read aloud by screen readers.
    days
        Days of the values, ascending.
    lines
        The lines, the most important first.
    unit
        ``fraction``, drawn as percent, or a currency.
    ribbon
        Labels of the days, drawn behind the lines.
    standalone
        Whether the picture brings its own style and background.
    """
    drawn = [line for line in lines if line.last is not None]
    if not drawn:
        return ""
    values = [value for line in drawn for value in line.values if value is not None]
    ticks = round_ticks(min(values), max(values))
    low, high = ticks[0], ticks[-1]
    steps = max(len(days) - 1, 1)

    def across(place: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * place / steps

    def down(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)

    half = (WIDTH - LEFT - RIGHT) / steps / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
    ]
    if standalone:
        parts.append(f"<style>{STANDALONE_STYLE}{CHART_STYLE}</style>")
        parts.append(f'<rect class="back" width="{WIDTH}" height="{HEIGHT}"/>')
    parts.append(f'<text class="title" x="0" y="16">{escape(title)}</text>')
    parts += _legend(drawn, ribbon)
    for first, last, label in [] if ribbon is None else ribbon.stretches:
        # Half a session on either side belongs to a label, so that neighbours meet.
        left = max(across(first) - half, LEFT)
        width = min(across(last) + half, WIDTH - RIGHT) - left
        parts.append(
            f'<rect class="{_band(ribbon, label)}" x="{_round(left)}" y="{TOP}" '
            f'width="{_round(width)}" height="{HEIGHT - TOP - BOTTOM}">'
            f"<title>{escape(label)} from {days[first]} to {days[last]}</title></rect>"
        )
    for tick in ticks:
        height = _round(down(tick))
        zero = " zero" if tick == 0 else ""
        parts.append(f'<path class="grid{zero}" d="M{LEFT} {height}H{WIDTH - RIGHT}"/>')
        text = _tick_text(tick, unit, ticks[1] - ticks[0])
        parts.append(
            f'<text class="tick" x="{LEFT - 6}" y="{_round(down(tick) + 4)}">{text}</text>'
        )
    for place, text in time_ticks(days):
        at = _round(across(place))
        parts.append(f'<path class="grid" d="M{at} {HEIGHT - BOTTOM}v4"/>')
        parts.append(f'<text class="day" x="{at}" y="{HEIGHT - 10}">{text}</text>')
    ends = [line.last for line in drawn]
    places = apart([down(end[1]) for end in ends if end is not None], TOP, HEIGHT - BOTTOM)
    for line, end, beside in zip(drawn, ends, places, strict=True):
        path = "".join(
            f"{'L' if joined else 'M'}{_round(across(along))} {_round(down(value))}"
            for along, value, joined in _points(line.values)
        )
        colour = f"c{line.colour % COLOURS}"
        parts.append(f'<path class="line {colour}" d="{path}"><title>{escape(line.name)}</title>')
        parts.append("</path>")
        if end is not None:
            dot = f'cx="{_round(across(end[0]))}" cy="{_round(down(end[1]))}" r="2.6"'
            parts.append(f'<circle class="{colour}" {dot}/>')
            text = written(end[1], unit, signed=unit == "fraction")
            text = text if unit == "fraction" else f"{end[1]:,.0f}".replace("-", MINUS)
            spot = f'x="{WIDTH - RIGHT + 7}" y="{_round(beside + 4)}"'
            parts.append(f'<text class="end {colour}" {spot}>{escape(text)}</text>')
    return "".join([*parts, "</svg>"])


def data_uri(svg: str) -> str:
    """Return a picture as an address that holds it."""
    return f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"


def round_ticks(low: float, high: float) -> list[float]:
    """Round numbers at equal distances that enclose all values, at most ``MOST_TICKS`` + 1.

    Parameters
    ----------
    low, high
        Smallest and largest value.
    """
    if high - low < 1e-9 * max(abs(high), abs(low), 1e-3):
        margin = max(abs(high) * 0.01, 1e-3)
        low, high = low - margin, high + margin
    raw = (high - low) / (MOST_TICKS - 1)
    power = math.floor(math.log10(raw))
    # 1, 2, 5 and 10 times a power of ten; as integers, so that no tick is 0.30000000000000004.
    factor = next(step for step in (1, 2, 5, 10) if step >= raw / 10.0**power - 1e-9)
    unit = factor * 10.0**power
    first, last = math.floor(low / unit + 1e-9), math.ceil(high / unit - 1e-9)
    digits = max(-power, 0)
    return [round(number * unit, digits) for number in range(first, last + 1)]


def time_ticks(days: Sequence[date]) -> list[tuple[int, str]]:
    """Places and names of the first sessions of months, or of years where there are many.

    Parameters
    ----------
    days
        Days of the axis, ascending.
    """
    begins = [
        place
        for place in range(1, len(days))
        if (days[place].year, days[place].month) != (days[place - 1].year, days[place - 1].month)
    ]
    if not begins:
        # Within one month the ends say it all.
        ends = sorted({0, len(days) - 1})
        return [(place, f"{days[place].day} {_MONTHS[days[place].month - 1]}") for place in ends]
    every = math.ceil(len(begins) / MOST_TICKS)
    if (days[-1] - days[0]).days > LONG_SPAN:
        begins = [place for place in begins if days[place].month == 1] or begins
        every = math.ceil(len(begins) / MOST_TICKS)
    return [
        (place, f"{_MONTHS[days[place].month - 1]} {days[place].year}") for place in begins[::every]
    ]


def apart(heights: Sequence[float], top: float, bottom: float) -> list[float]:
    """Move labels apart that would overlap, in their order and inside the plot where they fit.

    Parameters
    ----------
    heights
        Where the labels belong.
    top, bottom
        Limits of the plot.
    """
    order = sorted(range(len(heights)), key=lambda number: (heights[number], number))
    moved = list(heights)
    floor = top
    for number in order:
        moved[number] = floor = max(moved[number], floor)
        floor += LINE_HEIGHT
    ceiling = bottom
    for number in reversed(order):
        moved[number] = ceiling = min(moved[number], ceiling)
        ceiling -= LINE_HEIGHT
    return moved


def _points(values: Sequence[float | None]) -> list[tuple[int, float, bool]]:
    """Places and heights of the values, and whether the value before is joined to each."""
    return [
        (place, value, place > 0 and values[place - 1] is not None)
        for place, value in enumerate(values)
        if value is not None
    ]


def _band(ribbon: Ribbon | None, label: str) -> str:
    """Class of a label's colour."""
    return f"band b{ribbon.order.index(label) % BANDS}" if ribbon else ""


def _legend(lines: Sequence[Line], ribbon: Ribbon | None) -> list[str]:
    """Names of the lines and of the ribbon's labels in one row below the title."""
    parts, left = [], 0.0
    for line in lines:
        colour, at = f"c{line.colour % COLOURS}", _round(left)
        parts.append(f'<path class="line {colour}" d="M{at} 34h16"/>')
        parts.append(
            f'<text class="name" x="{_round(left + 21)}" y="38">{escape(line.name)}</text>'
        )
        # Widths of letters are not known here; 7.2 units is a wide average at this size.
        left += 21 + 7.2 * len(line.name) + 16
    seen = {label for label in ribbon.labels if label is not None} if ribbon else set()
    for label in ribbon.order if ribbon else ():
        if label in seen:
            at = _round(left)
            parts.append(
                f'<rect class="{_band(ribbon, label)}" x="{at}" y="28" width="12" height="12"/>'
            )
            parts.append(
                f'<text class="name" x="{_round(left + 17)}" y="38">{escape(label)}</text>'
            )
            left += 17 + 7.2 * len(label) + 16
    return parts


def _tick_text(tick: float, unit: str, step: float) -> str:
    """Write a tick with as many digits as its distance to the next needs."""
    if unit == "fraction":
        digits = max(-math.floor(math.log10(step * 100) + 1e-9), 0)
        text = f"{abs(tick) * 100:,.{digits}f} %"
    else:
        digits = max(-math.floor(math.log10(step) + 1e-9), 0)
        text = f"{abs(tick):,.{digits}f}"
    return f"{MINUS}{text}" if tick < 0 else text


def _round(value: float) -> str:
    """Write a coordinate with one digit, which is finer than a pixel."""
    return f"{value:.1f}".removesuffix(".0")
