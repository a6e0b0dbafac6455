"""The report of one evening as one HTML page: no script, no network, no other file.

What is said comes from ``reports/daily``; single positions, targets, orders and fills come from the
tables themselves, and the lines of the charts are drawn from the streams that the figures were
computed from. The page of a session is the same whatever range it was made in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date
from html import escape

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.reports.account import equities
from quant_platform.reports.board import Board
from quant_platform.reports.chart import Line, line_chart
from quant_platform.reports.details import detail_tables
from quant_platform.reports.notation import SPACE, long_date
from quant_platform.reports.rates import FIRE_RATES, rate_tables
from quant_platform.reports.scope import YEAR, DailyScope
from quant_platform.reports.sections import figure_tables
from quant_platform.reports.streams import Streams, read_streams
from quant_platform.reports.style import CHART_STYLE, PAGE_STYLE

SHOWN = 12
"""Rows of a long table that are shown at once."""

_TILES = (
    ("Equity", "equity", "account", "equity"),
    ("P&L of the session", "equity", "account", "profit"),
    ("Account, 21 sessions", "equity", "account", "return_21"),
    ("Worst drawdown", "equity", "account", "drawdown"),
    ("Fills of the session", "fills", "all", "count"),
    ("Slippage, 21 sessions", "slippage", "all", "mean_21"),
)


def daily_page(
    frames: Mapping[str, pl.LazyFrame],
    figures: pl.DataFrame,
    scope: DailyScope,
    wanted: SessionRange,
    calendars: Mapping[str, SessionCalendar],
    *,
    checks: pl.DataFrame | None = None,
) -> str:
    """Write the page of the last session of a range.

    Parameters
    ----------
    frames
        What ``daily_figures`` got.
    figures
        What it returned.
    scope
        What there is to report on.
    wanted
        The range.
    calendars
        Calendar of each sleeve.
    checks
        How often the rules of the tables failed, as ``fire_rates.check_rates`` says.

    Raises
    ------
    MissingUpstreamError
        When ``figures`` has none of the session.
    """
    board = Board.of(figures, wanted.last)
    tonight = wanted.at_last
    details = detail_tables(frames, scope, tonight) | {FIRE_RATES: rate_tables(board, checks)}
    charts = {
        "Account": equity_chart(frames, scope, tonight),
        "Profiles": return_charts(frames, scope, tonight, calendars),
    }
    parts = [_head(board), _band(scope), _chips(board), _tiles(board)]
    for title, tables in figure_tables(board, checks).items():
        parts.append(f"<section><h2>{escape(title)}</h2>")
        drawn = charts.get(title, [])
        # One chart stands beside its table, several stand above it.
        beside = tables.pop(0).html() if len(drawn) == 1 else ""
        parts.append(_charts(drawn, beside))
        parts += [table.html() for table in tables]
        parts += [table.html(SHOWN) for table in details.get(title, [])]
        parts.append("</section>")
    parts.append(_FOOT)
    return "\n".join(part for part in parts if part)


def return_charts(
    frames: Mapping[str, pl.LazyFrame],
    scope: DailyScope,
    wanted: SessionRange,
    calendars: Mapping[str, SessionCalendar],
    *,
    branches: Sequence[str] = (),
    standalone: bool = False,
) -> list[str]:
    """Draw the net return of each profile over the last year, a chart for each meta and sleeve.

    Parameters
    ----------
    frames, scope, wanted, calendars
        As for :func:`daily_page`; the last session of the range is drawn.
    branches
        Metas and sleeves to draw; all of them by default, metas first.
    standalone
        Whether each chart brings its own style, for the metadata of an asset.
    """
    tonight = wanted.at_last
    streams = read_streams(frames, scope, tonight, calendars)
    charts = []
    for branch in branches or (*scope.metas, *scope.sleeves):
        days, lines = _compounded(streams, scope, tonight, branch)
        if days:
            title = f"{branch}: net return since {days[0]}"
            charts.append(line_chart(title, days, lines, "fraction", standalone=standalone))
    return charts


def _compounded(
    streams: Streams, scope: DailyScope, wanted: SessionRange, branch: str
) -> tuple[list[date], list[Line]]:
    """Compound the profiles of a branch from zero at the cutoff before its first session."""
    profiles = {**scope.metas, **scope.sleeves}[branch]
    years = {p: streams.year((branch, p), wanted.last) for p in profiles}
    longest = max((days for days, _ in years.values()), key=len, default=())
    if not longest:
        return [], []
    position = wanted.calendar.ordinal(longest[0])
    days = [wanted.calendar.sessions[max(position - 1, 0)], *longest]
    lines = []
    for colour, (profile, (own, returns)) in enumerate(years.items()):
        values: list[float | None] = [None] * (len(days) - len(own) - 1)
        level = 1.0
        values.append(0.0 if own else None)
        for value in returns.tolist():
            level *= 1.0 if math.isnan(value) else 1 + value
            values.append(None if math.isnan(value) else level - 1)
        lines.append(Line(profile, values, colour))
    lines.sort(key=lambda line: (-(line.last or (0, -2.0))[1], line.name))
    return days, lines


def equity_chart(
    frames: Mapping[str, pl.LazyFrame], scope: DailyScope, wanted: SessionRange
) -> list[str]:
    """Draw the account's equity over the last year; nothing before it has two evenings.

    Parameters
    ----------
    frames, scope, wanted
        As for :func:`daily_page`.
    """
    position = wanted.calendar.ordinal(wanted.last)
    year = wanted.calendar.sessions[max(position - YEAR, 0) : position + 1]
    stored = equities(frames)
    known = [place for place, day in enumerate(year) if day in stored]
    if len(known) < 2:
        return []
    days = year[known[0] :]
    line = Line("equity", [stored.get(day) for day in days])
    return [line_chart(f"Account: equity, {scope.currency}", days, [line], scope.currency)]


def _head(board: Board) -> str:
    title = f"Daily report, {long_date(board.session)}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{CHART_STYLE}{PAGE_STYLE}</style></head>\n"
        f'<body><main><header><h1>{escape(title)}</h1><p class="quiet">As known at the cutoff of '
        f"the session {board.session}. Returns are net of costs.</p></header>"
    )


_FOOT = (
    "<footer><p>Returns compound the sessions of the report; a sleeve on another calendar is "
    "compounded over its own days in between. A drawdown is never positive. Slippage is measured "
    "against the ideal price, weighted by amounts; a cost is positive. A dash is a number that "
    "there is not; the notes say why.</p></footer></main></body></html>"
)


def _band(scope: DailyScope) -> str:
    """Warn of histories that look ahead."""
    if not scope.biased:
        return ""
    return (
        f'<p class="band">Survivorship bias: {escape(", ".join(scope.biased))} '
        "chose from a later day's list. These returns measure the bias; nobody could have earned "
        "them.</p>"
    )


def _chips(board: Board) -> str:
    """Say in a few words how the evening stands."""
    ready = board.value("gates", "execution", "ready")
    note = board.note("gates", "execution", "ready")
    chips = [
        ("good", "Orders may go out")
        if ready
        else ("wait", note)
        if ready is None
        else ("bad", f"Orders held back, {note}")
    ]
    wrong = board.value("gates", "reconciliation", "mismatches")
    if wrong is not None:
        chips.append(("bad", f"{wrong:.0f} mismatches") if wrong else ("good", "Book reconciled"))
    for item in board.items("regime"):
        if board.value("regime", item, "risk_multiplier") is not None:
            text = board.note("regime", item, "risk_multiplier")
            throttle = board.written("regime", item, "risk_multiplier")
            kind = "good" if text == "RISK_ON" else "bad" if text == "STRESSED" else "wait"
            chips.append((kind, f"Regime {text}, throttle {throttle}"))
    items = "".join(f'<li class="{kind}">{escape(text)}</li>' for kind, text in chips)
    return f'<ul class="chips">{items}</ul>'


def _tiles(board: Board) -> str:
    """Show the first numbers that one wants to know; nothing without an account."""
    if board.value("equity", "account", "equity") is None:
        return ""
    tiles = []
    for name, *key in _TILES:
        value = board.value(*key)
        signed = key[2] in {"profit", "return_21"} and value
        kind = (' class="good"' if value > 0 else ' class="bad"') if signed and value else ""
        number, _, unit = board.written(*key).partition(SPACE)
        text = f"{escape(number)}<small> {escape(unit)}</small>" if unit else escape(number)
        tiles.append(f'<div class="tile"><span>{escape(name)}</span><b{kind}>{text}</b></div>')
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _charts(charts: Sequence[str], beside: str) -> str:
    if not charts:
        return ""
    figures = "".join(f"<figure>{chart}</figure>" for chart in charts)
    return f'<div class="charts">{figures}{beside and f"<div>{beside}</div>"}</div>'
