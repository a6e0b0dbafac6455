"""How often each gate fires over a year, and which of them say nothing.

1. The counts of ``reports/gates`` are added up over the 252 sessions up to each session: running
   sums of whole numbers, so that a range gives the bytes of its single days.
2. A gate is *warned* of when it was asked for long enough, over half a year and in a hundred cases,
   and fired in all of them, or in none although it is there to choose. A guard that never fires is
   as it should be.
3. The rules of the contracts are gates as well. Their outcomes lie in ``checks/<table>``, and they
   are counted from there; all of them are guards.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import date

import polars as pl

from quant_platform.lakehouse.contracts.daily import DAILY
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.reports.scope import YEAR

LONG = 126
"""Sessions since the first case from which a rate may be warned of: half a year."""
ENOUGH = 100
"""Cases from which it may."""

SECTION = "fire_rates"
_GATE = ["table", "gate"]


def fire_rates(frames: Mapping[str, pl.LazyFrame], wanted: SessionRange) -> pl.DataFrame:
    """Compute the section ``fire_rates`` of ``reports/daily`` for a range.

    Parameters
    ----------
    frames
        ``gates``: the counts of the range and of the 251 sessions before it.
    wanted
        Sessions to report on.

    Returns
    -------
    polars.DataFrame
        Figures with their session. ``rate`` is the share of cases in which a gate fired;
        ``warned`` is there where that says that it does nothing, or nothing else.
    """
    sessions = wanted.loaded(Window("", YEAR - 1))
    rates = rolling(frames["gates"].collect(), sessions).filter(
        pl.col("session") >= wanted.first, pl.col("asked") > 0
    )
    item = pl.format("{}: {}", "table", "gate")
    rated = rates.select(
        "session",
        item=item,
        figure=pl.lit("rate"),
        value=pl.col("fired") / pl.col("asked"),
        unit=pl.lit("fraction"),
        note=pl.format("{} of {} cases since {}", "fired", "asked", "since"),
    )
    warned = rates.filter(_warned(pl.col("sessions"))).select(
        "session",
        item=item,
        figure=pl.lit("warned"),
        value=pl.lit(1.0),
        unit=pl.lit("flag"),
        note=_warning(),
    )
    silent = pl.LazyFrame({"session": wanted.sessions}, schema={"session": pl.Date}).join(
        rates.lazy(), on="session", how="anti"
    )
    none = silent.select(
        "session",
        item=pl.lit("gates"),
        figure=pl.lit("rate"),
        value=pl.lit(None, pl.Float64),
        unit=pl.lit("fraction"),
        note=pl.lit(f"no gate was asked in the last {YEAR} sessions"),
    ).collect()
    return pl.concat([rated, warned, none]).select(
        pl.lit(SECTION).alias(name).cast(dtype) if name == "section" else pl.col(name).cast(dtype)
        for name, dtype in DAILY.empty().schema.items()
    )


def rolling(counts: pl.DataFrame, sessions: Sequence[date]) -> pl.DataFrame:
    """Add counts up over the year that ends with each session.

    Parameters
    ----------
    counts
        Rows of ``reports/gates``.
    sessions
        Sessions without a gap, those of the first year's beginning on.

    Returns
    -------
    polars.DataFrame
        By gate and session: ``duty`` as last told, ``asked``, ``fired``, ``since`` (first session
        with a case) and how many ``sessions`` that is ago, itself included.
    """
    days = pl.LazyFrame({"session": sessions}, schema={"session": pl.Date}).with_row_index("place")
    number = pl.col("asked", "fired").fill_null(0).cast(pl.Int64).cum_sum().over(_GATE)
    told = pl.when(pl.col("asked") > 0)
    return (
        counts.lazy()
        .select(_GATE)
        .unique()
        .join(days, how="cross")
        .join(counts.lazy(), on=[*_GATE, "session"], how="left")
        .sort(*_GATE, "session")
        .with_columns(
            pl.col("duty").forward_fill().over(_GATE),
            since=_first_within(told.then("session")),
            began=_first_within(told.then("place")),
        )
        .with_columns(number)
        .with_columns(
            pl.col("asked", "fired")
            - pl.col("asked", "fired").shift(YEAR, fill_value=0).over(_GATE)
        )
        .with_columns(sessions=pl.col("place").cast(pl.Int64) - pl.col("began") + 1)
        .select("session", *_GATE, "duty", "asked", "fired", "since", "sessions")
        .collect()
    )


def _first_within(told: pl.Expr) -> pl.Expr:
    """Take the first value of the year that ends with each row."""
    following = told.backward_fill()
    cut = pl.int_range(pl.len()) >= YEAR
    return pl.when(cut).then(following.shift(YEAR - 1)).otherwise(following.first()).over(_GATE)


def year_to(tonight: SessionRange) -> Sequence[date]:
    """Sessions of the year that ends with a session, of fewer where the calendar begins later.

    Parameters
    ----------
    tonight
        Range of the one session.
    """
    calendar, last = tonight.calendar, tonight.calendar.ordinal(tonight.last)
    return calendar.sessions[max(last - YEAR + 1, 0) : last + 1]


def check_rates(outcomes: Mapping[str, pl.DataFrame], tonight: SessionRange) -> pl.DataFrame:
    """Count how often the rules of the contracts failed over the year up to a session.

    Parameters
    ----------
    outcomes
        ``checks/<table>`` by table.
    tonight
        Range of the one session.

    Returns
    -------
    polars.DataFrame
        As :func:`rolling`, and whether a rule is ``warned`` of, with the ``warning``; by table and
        rule.
    """
    year, last = year_to(tonight), tonight.last
    parts = [
        told.filter(pl.col("session").is_between(year[0], last), pl.col("value").is_not_null())
        .group_by(gate="rule")
        .agg(
            asked=pl.len().cast(pl.Int64),
            fired=pl.col("passed").not_().sum().cast(pl.Int64),
            since=pl.col("session").min(),
        )
        .select(
            pl.lit(table).alias("table"),
            "gate",
            pl.lit("guard").alias("duty"),
            "asked",
            "fired",
            "since",
        )
        for table, told in outcomes.items()
        if told.height
    ]
    if not parts:
        return pl.DataFrame(schema={**dict.fromkeys(_GATE, pl.String), "warned": pl.Boolean})
    counted = pl.concat(parts)
    ago = [len(year) - bisect_left(year, since) for since in counted["since"]]
    return (
        counted.with_columns(sessions=pl.Series(ago, dtype=pl.Int64))
        .with_columns(warned=_warned(pl.col("sessions")), warning=_warning())
        .sort(_GATE)
    )


def _warned(sessions: pl.Expr) -> pl.Expr:
    """Whether a rate over these sessions says that the gate does nothing, or nothing else."""
    idle = (pl.col("fired") == 0) & (pl.col("duty") == "choice")
    always = pl.col("fired") == pl.col("asked")
    return (sessions >= LONG) & (pl.col("asked") >= ENOUGH) & (idle | always)


def _warning() -> pl.Expr:
    """Say what is warned of."""
    return (
        pl.when(pl.col("fired") == 0)
        .then(pl.format("fired in none of {} cases since {}", "asked", "since"))
        .otherwise(pl.format("fired in each of {} cases since {}", "asked", "since"))
    )
