"""A family of features at one session: coverage, distribution, one security as an example.

1. Of each feature: the share of the securities that have it, and its percentiles over them.
2. A picture with one line a feature: how much is covered; from its 5th to its 95th percentile, with
   the middle half and the median; where the example stands. Each line has its own scale.
3. The same in numbers, and how often each name occurs of features that are names.

The example is the security that has most of the features, the first by name of several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from html import escape

import polars as pl

from quant_platform.lakehouse.contracts import contract_of
from quant_platform.lakehouse.contracts.feature import told
from quant_platform.reports.chart import data_uri
from quant_platform.reports.notation import NOTHING, long_date
from quant_platform.reports.style import CHART_STYLE, STANDALONE_STYLE
from quant_platform.reports.table import Table

WIDTH, ROW, TOP = 640, 18, 46
COVERED, SPREAD = (190, 260), (290, 620)
"""Where the two scales of a line begin and end."""
PERCENTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Described:
    """One feature over the securities of a session.

    Parameters
    ----------
    name, unit
        The feature.
    coverage
        Share of the securities that have it.
    levels
        Its percentiles; none where no security has it.
    example
        Value of the example, if it has one.
    """

    name: str
    unit: str
    coverage: float
    levels: tuple[float, ...]
    example: float | None


def family_markdown(kind: str, rows: pl.DataFrame) -> str:
    """Describe the newest session of a family; empty text where there is none.

    Parameters
    ----------
    kind
        Kind of the table.
    rows
        Its rows.
    """
    if not rows.height:
        return ""
    session: date = max(rows["session"].unique())
    rows = rows.filter(pl.col("session") == session)
    columns = contract_of(f"x/{kind}").columns
    mine = [name for name, column in columns.items() if told(column, "unit")]
    lacking = rows.select("security_id", n=pl.sum_horizontal(pl.col(mine).is_null()))
    chosen = lacking.sort("n", "security_id")["security_id"][0]
    example = rows.row(by_predicate=pl.col("security_id") == chosen, named=True)
    numbers = [
        _described(rows[name], str(told(columns[name], "unit")), example[name])
        for name in mine
        if columns[name].dtype.is_numeric()
    ]
    names = [name for name in mine if not columns[name].dtype.is_numeric()]
    title = f"{kind}, {long_date(session)}"
    parts = [
        f"**{title}**: {rows.height:,} securities; the dot is {chosen}.\n",
        f"![{title}]({data_uri(family_chart(title, numbers))})\n",
        _table(numbers, chosen).markdown(),
        *(_occurrences(rows[name], example[name]).markdown() for name in names),
    ]
    return "\n".join(parts)


def family_chart(title: str, features: Sequence[Described]) -> str:
    """Draw a line for each feature, as SVG that brings its style.

    Parameters
    ----------
    title
        What is drawn; also read aloud by screen readers.
    features
        The features, from top to bottom.
    """
    height = TOP + ROW * len(features) + 6
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {WIDTH} {height}" '
        f'role="img" aria-label="{escape(title)}"><title>{escape(title)}</title>',
        f"<style>{STANDALONE_STYLE}{CHART_STYLE}</style>",
        f'<rect class="back" width="{WIDTH}" height="{height}"/>',
        f'<text class="title" x="0" y="16">{escape(title)}</text>',
        f'<text x="{COVERED[0]}" y="36">covered</text>',
        f'<text x="{SPREAD[0]}" y="36">5 % to 95 %, middle half, median</text>',
    ]
    for number, feature in enumerate(features):
        parts.append(_line(feature, TOP + ROW * number + ROW / 2))
    return "".join([*parts, "</svg>"])


def _described(values: pl.Series, unit: str, example: float | None) -> Described:
    known = values.drop_nulls().cast(pl.Float64)
    levels = [known.quantile(at, "linear") for at in PERCENTILES]
    return Described(
        values.name,
        unit,
        len(known) / len(values),
        tuple(level for level in levels if level is not None),
        None if example is None else float(example),
    )


def _line(feature: Described, middle: float) -> str:
    """One feature's line of the picture."""
    begin, end = COVERED
    covered = begin + (end - begin) * feature.coverage
    parts = [
        f'<text class="name" x="0" y="{middle + 4:g}">{escape(feature.name)}</text>',
        f'<path class="grid" d="M{begin} {middle:g}H{end}"/>',
        f'<path class="line c1" d="M{begin} {middle:g}H{covered:.1f}"/>',
    ]
    if feature.levels:
        low, first, median, last, high = feature.levels
        begin, end = SPREAD

        def across(value: float) -> str:
            place = (value - low) / (high - low) if high > low else 0.5
            return f"{begin + (end - begin) * min(max(place, 0.0), 1.0):.1f}"

        parts += [
            f'<path class="grid" d="M{begin} {middle:g}H{end}"/>',
            f'<path class="line c0" d="M{across(first)} {middle:g}H{across(last)}"/>',
            f'<path class="line c0" d="M{across(median)} {middle - 4:g}v8"/>',
        ]
        if feature.example is not None:
            at = across(feature.example)
            parts.append(f'<circle class="c3" cx="{at}" cy="{middle:g}" r="2.6"/>')
    return "".join(parts)


def _table(features: Sequence[Described], example: str) -> Table:
    """Write the features in numbers."""
    rows = []
    for feature in features:
        low, _, median, _, high = feature.levels or (None,) * len(PERCENTILES)
        numbers = map(_number, (low, median, high, feature.example))
        rows.append((feature.name, feature.unit, f"{feature.coverage:.1%}", *numbers))
    head = ("feature", "unit", "covered", "5 %", "median", "95 %", example)
    return Table("", head, rows, "no feature is a number", frozenset({0, 1}))


def _occurrences(values: pl.Series, example: str | None) -> Table:
    """How often each name of a feature occurs."""
    counts = values.cast(pl.String).value_counts(sort=True, name="count")
    rows = [
        (NOTHING if name is None else str(name), f"{count:,}") for name, count in counts.iter_rows()
    ]
    return Table(f"{values.name} (example: {example or NOTHING})", ("name", "securities"), rows)


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.4g}"
