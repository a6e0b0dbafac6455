"""The regime of a benchmark over a year: its path, and behind it the label in force."""

from __future__ import annotations

import polars as pl

from quant_platform.reports.chart import Line, Ribbon, line_chart
from quant_platform.reports.scope import YEAR

LABELS = ("RISK_ON", "NEUTRAL", "RISK_OFF", "STRESSED")
"""Labels of the ribbon, the mildest first; a test holds them to the contract's."""


def regime_charts(rows: pl.DataFrame, *, standalone: bool = False) -> list[str]:
    """Draw the last year of each benchmark; nothing of one without two sessions.

    Parameters
    ----------
    rows
        Rows of ``regime``; the last ``YEAR`` sessions of each benchmark are drawn.
    standalone
        Whether each chart brings its own style, for the metadata of an asset.
    """
    return [
        chart
        for _, own in rows.sort("benchmark", "session").group_by("benchmark", maintain_order=True)
        if (chart := _drawn(own.tail(YEAR), standalone=standalone))
    ]


def _drawn(rows: pl.DataFrame, *, standalone: bool) -> str:
    """Compound the returns from zero at the first session, over the label of each."""
    if rows.height < 2:
        return ""
    last = rows.row(-1, named=True)
    name = last["symbol"] or last["benchmark"]
    level, values = 1.0, [0.0]
    for value in rows["session_return"].to_list()[1:]:
        level *= 1 if value is None else 1 + value
        values.append(level - 1)
    days = rows["session"].to_list()
    title = f"{name} since {days[0]}, and its regime by {last['model'].upper()}"
    # A label that nothing has confirmed yet is no evidence and gets no colour.
    labels = [
        label if confirmed else None
        for label, confirmed in rows.select(pl.col("label").cast(pl.String), "confirmed").rows()
    ]
    ribbon = Ribbon(LABELS, labels)
    return line_chart(title, days, [Line(name, values)], "fraction", ribbon, standalone=standalone)
