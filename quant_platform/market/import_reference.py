"""What a quality report says of rows beside the bars: what breaks its contract, what bars belie.

Listings, members, announcements, facts and series go through the hygiene of their tables as bars
do, so that nothing of them is set aside later that the report has not told. And bars are held
against the actions: a security that trades on after its end, and a close that nearly halves or
doubles overnight without a word, are most often an action that is wrong and one that is lacking.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.lakehouse.contracts import CONTRACTS
from quant_platform.market.doubts import MEMORY_SESSIONS
from quant_platform.market.hygiene import ingest
from quant_platform.market.import_findings import Finding
from quant_platform.market.returns import CASH_KINDS

_JUDGED = ("securities", "membership", "earnings", "fund_facts", "series")
_HALVED = 0.55
"""A close and an open below this share of the close before, or above its inverse, have jumped: two
for one, and a day's move."""
_LARGE_PAYMENT = 0.25


def within(rows: pl.DataFrame, calendar: SessionCalendar) -> pl.DataFrame:
    """Rows that become known while the calendar lasts; of others nothing is ever told."""
    return rows.filter(pl.col("known_at") <= calendar.cutoff(calendar.sessions[-1]))


def of_reference(
    kinds: Mapping[str, pl.DataFrame], calendar: SessionCalendar, begin: date | None
) -> Iterator[Finding]:
    """Tell of rows that will be in quarantine.

    Parameters
    ----------
    kinds
        Rows by kind.
    calendar
        Calendar of the sessions.
    begin
        What was known before this day has been looked at; None for nothing.
    """
    for kind in _JUDGED:
        rows = within(kinds[kind], calendar)
        if begin is not None:
            rows = rows.filter(pl.col("known_at").dt.replace_time_zone(None) >= _midnight(begin))
        rejected = ingest(rows, CONTRACTS[kind], calendar).rejected
        for rule, count, example in (
            rejected.group_by("rule")
            .agg(pl.len(), pl.col("raw").first())
            .sort("len", descending=True)
            .iter_rows()
        ):
            yield Finding(
                "warning", f"rows of {kind} that break {rule}", count, f"quarantined, as {example}"
            )


def of_actions_and_bars(
    actions: pl.DataFrame, bars: pl.DataFrame, calendar: SessionCalendar
) -> Iterator[Finding]:
    """Tell of bars after an end, and of jumps that no action explains.

    Parameters
    ----------
    actions
        Actions that are kept.
    bars
        Bars that are kept.
    calendar
        Calendar of the sessions.
    """
    kind = pl.col("kind").cast(pl.String)
    ends = actions.filter(kind.is_in(["delisting", "merger"])).select(
        "security_id", kind.alias("kind"), end="session"
    )
    after = (
        bars.join(ends.sort("end").unique("security_id", keep="first"), on="security_id")
        .filter(pl.col("session") > pl.col("end"))
        .group_by("security_id", "kind", "end")
        .len()
        .sort("len", "security_id", descending=[True, False])
    )
    if after.height:
        security, end, day, count = after.row(0)
        yield Finding(
            "warning",
            "securities with bars after their end",
            after.height,
            f"such as {security} with {count} after its {end} of {day}: holders are paid then and "
            "the bars not looked at; if it goes on, correct the action or list the symbol anew",
        )
    prints = _prints(bars, calendar)
    yield from _jumps(actions, prints)
    yield from _payments(actions, prints)


def _prints(bars: pl.DataFrame, calendar: SessionCalendar) -> pl.DataFrame:
    """Bars with the close ``before``, if that is no older than a doubt looks back."""
    return (
        bars.sort("known_at")
        .unique(["security_id", "session"], keep="last")
        .join(calendar.frame().select("session", "ordinal"), on="session")
        .sort("security_id", "ordinal")
        .with_columns(
            before=pl.col("close").shift(1).over("security_id"),
            age=pl.col("ordinal") - pl.col("ordinal").shift(1).over("security_id"),
        )
        .filter(pl.col("age") <= MEMORY_SESSIONS)
    )


def _payments(actions: pl.DataFrame, prints: pl.DataFrame) -> Iterator[Finding]:
    """Tell of payments of a quarter of the price: splits that were read as such, or other units."""
    large = (
        actions.filter(pl.col("kind").cast(pl.String).is_in(CASH_KINDS))
        .join(prints.select("security_id", "session", "before"), on=["security_id", "session"])
        .with_columns(share=pl.col("value") / pl.col("before"))
        .filter(pl.col("share") > _LARGE_PAYMENT)
        .sort("share", "security_id", "session", descending=[True, False, False])
    )
    if large.height:
        security, session, share = large.select("security_id", "session", "share").row(0)
        yield Finding(
            "warning",
            "payments of more than a quarter of the price",
            large.height,
            f"most {security}, {100 * share:.3g} % on {session}: if amounts are in another unit, "
            "scale them in the mapping file; if the closes are raw and the adjusted ones tell of "
            "splits, say splits_in_adjusted there",
        )


def _jumps(actions: pl.DataFrame, prints: pl.DataFrame) -> Iterator[Finding]:
    """Tell of closes that nearly halve or double overnight."""
    lowest = pl.min_horizontal("open", "close") / pl.col("before")
    highest = pl.max_horizontal("open", "close") / pl.col("before")
    jumped = (
        prints.filter((highest < _HALVED) | (lowest > 1 / _HALVED))
        .join(actions, on=["security_id", "session"], how="anti")
        .with_columns(step=pl.col("close") / pl.col("before"))
        .sort(pl.col("step").log().abs(), "security_id", "session", descending=[True, False, False])
    )
    if jumped.height:
        security, session, step = jumped.select("security_id", "session", "step").row(0)
        yield Finding(
            "warning",
            "closes that jump without an action",
            jumped.height,
            f"in {jumped['security_id'].n_unique()} securities; most {security}, to {step:.3g} "
            f"times on {session}: taken for what holders earned; a split is told in actions",
        )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min)
