"""The doubts of a session as Markdown: how many of which kind, and what was compared with what.

A table of doubts that is empty says that nothing was found, not that anybody has looked. So the
page says first how many bars could be held against a second source, or that there is none.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.lakehouse.contracts.quality import FLAGS
from quant_platform.reports.notation import long_date, price, written
from quant_platform.reports.table import Table, markdown_text

SHOWN = 20
"""Bars that are shown beside those of the second source, the most different first."""
_PRICES = ("open", "high", "low", "close")


def quality_markdown(
    calendar: SessionCalendar,
    session: date,
    quality: pl.DataFrame,
    bars: pl.LazyFrame,
    *,
    second: tuple[str, pl.LazyFrame] | None,
) -> str:
    """Describe the doubts of one session.

    Parameters
    ----------
    calendar
        Calendar of the sleeve.
    session
        The session.
    quality
        Rows of ``quality``.
    bars
        Rows of ``bars``, of the session and of those that it looks back on.
    second
        Name of the second source, and rows of ``second_bars``; None where there is none.
    """
    doubts = quality.filter(session=session)
    counts = dict(doubts.group_by("flag").len().iter_rows())
    lines = [(flag, str(counts[flag])) for flag in FLAGS if flag in counts]
    parts = [f"**Quality, {long_date(session)}**\n"]
    if second is None:
        parts.append("No second source is named: no bar was compared with anything.\n")
        return "\n".join([*parts, _counted(lines)])
    name, theirs = second
    came = (
        bars.filter(knowledge_session=session)
        .select(pl.struct("security_id", "session").n_unique())
        .collect()
        .item()
    )
    held = came - counts.get("uncompared", 0)
    parts.append(
        f"{held} of {came} bars that became known were compared with those of "
        f"{markdown_text(name)}.\n"
    )
    parts.append(_counted(lines))
    if "mismatch" in counts:
        parts.append(_beside(calendar, session, doubts, bars, theirs).markdown())
    return "\n".join(parts)


def _counted(lines: list[tuple[str, str]]) -> str:
    return Table("Doubts", ("flag", "bars"), lines, "nothing is in doubt").markdown()


def _beside(
    calendar: SessionCalendar,
    session: date,
    doubts: pl.DataFrame,
    bars: pl.LazyFrame,
    theirs: pl.LazyFrame,
) -> Table:
    """Write bars beside those of the second source, as both were known at the session."""
    found = doubts.filter(flag="mismatch").sort(
        "value", "security_id", "sessions_ago", descending=[True, False, False]
    )
    most = found.head(SHOWN)
    days = [calendar.offset(session, -ago) for ago in most["sessions_ago"]]
    most = most.select("security_id", "value", pl.Series("day", days, dtype=pl.Date))
    ours, other = (
        rows.filter(pl.col("knowledge_session") <= session, pl.col("session").is_in(days))
        .select("security_id", "symbol", "known_at", *_PRICES, day="session")
        .collect()
        .sort("known_at")
        .unique(["symbol", "day"], keep="last", maintain_order=True)
        for rows in (bars, theirs)
    )
    beside = most.join(ours, on=["security_id", "day"], maintain_order="left").join(
        other.drop("security_id"), on=["symbol", "day"], suffix="_other", maintain_order="left"
    )
    lines = [
        (
            row["symbol"],
            str(row["day"]),
            *(f"{price(row[name])} / {price(row[f'{name}_other'])}" for name in _PRICES),
            written(row["value"] * 1e4, "bps"),
        )
        for row in beside.iter_rows(named=True)
    ]
    left = found.height - most.height
    return Table(
        "Ours and the second source's",
        ("symbol", "session", *_PRICES, "apart"),
        lines,
        text=frozenset({0, 1}),
        notes=[f"and {left} more"] if left else [],
    )
