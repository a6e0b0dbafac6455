"""Who is selected: decided on the rebalance grid, carried between.

1. The range is cut at its grid sessions.
2. On a grid session every candidate is decided (`quant_platform.selection.decision`). If not one
   bar of the session was known at its cutoff, no scanner could see anything: nothing is decided,
   and what is held is carried, ``decided_on`` unchanged. Who was selected before and has no bar on
   a session that the others have one on is no candidate, for no scanner saw it; its row says
   ``no_bar``, so that no holding ends without a reason.
3. On the sessions that follow, the selected rows are carried: same decision, same score, same
   rank. A security that ``returns`` marks as delisted is dropped from that session on.
4. A range that begins off the grid carries on from what the table holds of the session before.

No candidate although the market was seen, or none that may win, selects nobody; the session before
is not carried over a decision. Before the first grid session of history nobody is selected.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date

import polars as pl

from quant_platform.lakehouse.contracts.selection import SELECTION
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.selection.decision import Rules, decided
from quant_platform.selection.ingestion import Around, ingested, ingestion_windows
from quant_platform.selection.veto import NO_BAR
from quant_platform.settings.selection import SelectionSettings

_KEY = ["session", "security_id"]


def selection_windows(
    settings: SelectionSettings,
    sleeve: str,
    around: Around,
    *,
    regime: str = "",
    earnings: bool = False,
) -> dict[str, Window]:
    """Sessions of its inputs that ``selection`` depends on; see `ingestion_windows`."""
    windows = ingestion_windows(settings, sleeve, around, regime=regime, earnings=earnings)
    return windows | {"selection": Window(f"{sleeve}/selection", 1, own=True)}


def select(
    frames: Mapping[str, pl.LazyFrame],
    settings: SelectionSettings,
    wanted: SessionRange,
    *,
    grid: Collection[date],
    around: Around,
) -> pl.DataFrame:
    """Compute ``selection`` for a range.

    Parameters
    ----------
    frames
        What `selection_windows` asks for, by its names.
    settings
        How it is chosen.
    wanted
        Sessions to compute.
    grid
        Rebalance sessions, of any calendar; those outside the range do not matter.
    around
        Year, benchmark and regime of the sleeve.

    Returns
    -------
    polars.DataFrame
        Every candidate on a grid session, and who was selected before and has no bar; the selected
        securities on the others; by session and security.
    """
    inside = pl.col("session").is_between(wanted.first, wanted.last)
    returns = frames["returns"].filter(inside).select(*_KEY, "delisted", "mark_session").collect()
    deciding = deciding_sessions(returns, grid) & set(wanted.sessions)
    leavers = returns.filter("delisted").select(*_KEY)
    held = _before(frames["selection"], wanted)
    rules = Rules(settings, around, wanted.calendar)
    inputs = ingested(frames, settings, wanted, deciding, around) if deciding else None
    parts = [SELECTION.empty()]
    for sessions in _segments(wanted.sessions, deciding):
        followers: Sequence[date] = sessions
        if inputs is not None and sessions[0] in deciding:
            made = decided(sessions[0], inputs, rules)
            parts += [made, _unseen(held, made, returns, sessions[0])]
            held = made.filter("selected")
            followers = sessions[1:]
        if followers and held.height:
            carried = _carried(held, leavers, followers)
            parts.append(carried)
            held = carried.filter(pl.col("session") == followers[-1])
    return pl.concat(parts).sort(_KEY)


def deciding_sessions(returns: pl.DataFrame, grid: Collection[date]) -> set[date]:
    """Rebalance sessions on which something was seen of the market: a bar that was known in time.

    Parameters
    ----------
    returns
        ``session``, ``mark_session`` and ``delisted`` of ``returns``.
    grid
        Rebalance sessions.
    """
    fresh = returns.filter(pl.col("mark_session") == pl.col("session"), pl.col("delisted").not_())
    return set(fresh["session"].unique()) & set(grid)


def _segments(sessions: Sequence[date], deciding: Collection[date]) -> list[tuple[date, ...]]:
    """Cut the range so that a deciding session can only be the first of a part."""
    starts = [i for i, session in enumerate(sessions) if i == 0 or session in deciding]
    ends = [*starts[1:], len(sessions)]
    return [tuple(sessions[start:end]) for start, end in zip(starts, ends, strict=True)]


def _before(own: pl.LazyFrame, wanted: SessionRange) -> pl.DataFrame:
    """Read what the session before the range selected."""
    position = wanted.calendar.ordinal(wanted.first)
    before = wanted.calendar.sessions[position - 1] if position else None
    return own.filter(pl.col("session") == before, pl.col("selected")).collect()


def _unseen(
    held: pl.DataFrame, candidates: pl.DataFrame, returns: pl.DataFrame, session: date
) -> pl.DataFrame:
    """Rows of who was selected before and has no bar on a deciding session."""
    stale = returns.filter(
        pl.col("session") == session, pl.col("mark_session") < session, pl.col("delisted").not_()
    )
    age = (pl.col("session") - pl.col("mark_session")).dt.total_days().cast(pl.Float64)
    asked = pl.struct(
        rule=pl.lit(NO_BAR.name), fired=pl.lit(value=True), value=age, threshold=pl.lit(0.0)
    )
    told = {
        "session": pl.col("session"),
        "security_id": pl.col("security_id"),
        "symbol": pl.col("symbol"),
        "decided_on": pl.col("session"),
        "components": pl.lit([], dtype=SELECTION.columns["components"].dtype),
        "vetoes": pl.concat_arr([asked]).arr.to_list(),
        "passed": pl.lit(value=False),
        "selected": pl.lit(value=False),
        "reason": pl.lit(NO_BAR.name),
    }
    return (
        held.select("security_id", "symbol")
        .join(stale, on="security_id", maintain_order="left")
        .join(candidates, on="security_id", how="anti", maintain_order="left")
        .select(
            told.get(name, pl.lit(None)).cast(column.dtype).alias(name)
            for name, column in SELECTION.columns.items()
        )
    )


def _carried(held: pl.DataFrame, leavers: pl.DataFrame, sessions: Sequence[date]) -> pl.DataFrame:
    """Rows of the held securities on the sessions after, up to where one was delisted."""
    days = pl.LazyFrame({"session": sessions}, schema={"session": pl.Date})
    gone = (
        leavers.lazy()
        .join(days, on="session", how="semi")
        .group_by("security_id")
        .agg(gone=pl.col("session").min())
    )
    return (
        held.lazy()
        .drop("session")
        .join(days, how="cross")
        .join(gone, on="security_id", how="left")
        .filter(pl.col("gone").is_null() | (pl.col("session") < pl.col("gone")))
        .select(*SELECTION.columns)
        .collect()
    )
