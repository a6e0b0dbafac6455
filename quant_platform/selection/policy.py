"""Who is selected: decided on the rebalance grid, carried between.

1. The range is cut at its grid sessions.
2. On a grid session every candidate gets its score and its vetoes. Those that no veto stopped are
   ranked, ties by ``security_id``, and the first ``top_n`` are selected; that cut is the last entry
   of their ``vetoes``. If not one bar of the session was known at its cutoff, no scanner could see
   anything: nothing is decided, and what is held is carried, ``decided_on`` unchanged. Who was
   selected before and has no bar on a session that the others have one on is no candidate, for no
   scanner saw it; its row says ``no_bar``, so that no holding ends without a reason.
3. On the sessions that follow, the selected rows are carried: same decision, same score, same
   rank. A security that ``returns`` marks as delisted is dropped from that session on.
4. A range that begins off the grid carries on from what the table holds of the session before.

No candidate although the market was seen, or none that passes, selects nobody; the session before
is not carried over a decision. Before the first grid session of history nobody is selected.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date

import polars as pl

from quant_platform.features.panel import Panel
from quant_platform.lakehouse.contracts.selection import SELECTION
from quant_platform.lakehouse.vintages import splits_in_effect
from quant_platform.lakehouse.windows import ALL_HISTORY, SessionRange, Window
from quant_platform.selection.evidence import STANDING, evidence
from quant_platform.selection.score import score
from quant_platform.selection.veto import CUT, NO_BAR, VETOES, first_fired
from quant_platform.settings.selection import SelectionSettings

_KEY = ["session", "security_id"]


def selection_windows(settings: SelectionSettings) -> dict[str, Window]:
    """Sessions of its inputs that ``selection`` depends on.

    As many returns as are looked back at lie between one close more.
    """
    return {
        "candidates": Window("candidates"),
        "bars": Window("bars", settings.lookback_sessions + STANDING),
        "actions": Window("actions", ALL_HISTORY),
        "returns": Window("returns"),
        "selection": Window("selection", 1, own=True),
    }


def select(
    frames: Mapping[str, pl.LazyFrame],
    settings: SelectionSettings,
    wanted: SessionRange,
    grid: Collection[date],
    periods_per_year: int,
) -> pl.DataFrame:
    """Compute ``selection`` for a range.

    Parameters
    ----------
    frames
        ``candidates`` and ``returns``: the range. ``bars``: published bars of the range and of the
        sessions before it that the windows say. ``actions``: all published actions.
        ``selection``: the table itself, the session before the range.
    settings
        How many are selected, and when a candidate is vetoed.
    wanted
        Sessions to compute.
    grid
        Rebalance sessions, of any calendar; those outside the range do not matter.
    periods_per_year
        Sessions of a year of the sleeve's calendar, to annualise the volatility.

    Returns
    -------
    polars.DataFrame
        Every candidate on a grid session, and who was selected before and has no bar; the selected
        securities on the others; by session and security.
    """
    returns = frames["returns"].select(*_KEY, "delisted", "mark_session").collect()
    candidates = (
        frames["candidates"]
        .select("session", "security_id", "symbol")
        .collect()
        .join(returns.select(*_KEY, "delisted"), on=_KEY, how="left")
    )
    deciding = deciding_sessions(returns, grid) & set(wanted.sessions)
    leavers = returns.filter("delisted").select(*_KEY)
    held = _before(frames["selection"], wanted)
    asked = candidates.filter(pl.col("session").is_in(deciding))["security_id"].unique()
    closes = _closes(frames, settings, wanted, asked) if deciding else None
    parts = [SELECTION.empty()]
    for sessions in _segments(wanted.sessions, deciding):
        followers: Sequence[date] = sessions
        if closes is not None and sessions[0] in deciding:
            known = evidence(closes, sessions[0], settings.lookback_sessions, periods_per_year)
            today = candidates.filter(pl.col("session") == sessions[0])
            decided = _decide(today.join(known, on="security_id", how="left"), settings)
            parts += [decided, _unseen(held, today, returns, sessions[0], settings)]
            held = decided.filter("selected")
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


def _closes(
    frames: Mapping[str, pl.LazyFrame],
    settings: SelectionSettings,
    wanted: SessionRange,
    securities: pl.Series,
) -> Panel:
    """Lay out the closes of the securities that are asked, as the sessions knew them."""
    own = pl.col("security_id").is_in(securities.implode())
    columns = ("security_id", "session", "knowledge_session", "known_at", "close")
    bars = frames["bars"].filter(own).select(columns).collect()
    splits = splits_in_effect(frames["actions"].filter(own).collect())
    loaded = wanted.loaded(selection_windows(settings)["bars"])
    return Panel.of(bars, wanted, loaded, ["close"], splits)


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


def _decide(asked: pl.DataFrame, settings: SelectionSettings) -> pl.DataFrame:
    """Score, veto, rank and cut the candidates of one session, with the evidence on each."""
    gates, last = [veto.asked(settings) for veto in VETOES], CUT.asked(settings)
    stopped = pl.col("reason").is_not_null()
    # Arrays of structs are laid out in one go, lists of them row by row.
    every = pl.concat_arr([*gates, last]).arr.to_list()
    return (
        asked.with_columns(decided_on="session", score=score(), reason=first_fired(gates))
        .lazy()
        .with_columns(stopped=stopped)
        .sort("stopped", "score", "security_id", descending=[False, True, False], nulls_last=True)
        .with_columns(rank=pl.when(stopped.not_()).then(pl.int_range(1, pl.len() + 1)))
        .with_columns(
            vetoes=every.list.head(len(gates) + stopped.not_().cast(pl.Int64)),
            reason=pl.when(stopped).then("reason").otherwise(first_fired([last])),
        )
        .with_columns(selected=pl.col("reason").is_null())
        .select(pl.col(name).cast(column.dtype) for name, column in SELECTION.columns.items())
        .collect()
    )


def _unseen(
    held: pl.DataFrame,
    candidates: pl.DataFrame,
    returns: pl.DataFrame,
    session: date,
    settings: SelectionSettings,
) -> pl.DataFrame:
    """Rows of who was selected before and has no bar on a deciding session."""
    asked = NO_BAR.asked(settings)
    stale = returns.filter(
        pl.col("session") == session, pl.col("mark_session") < session, pl.col("delisted").not_()
    )
    return (
        held.select("security_id", "symbol")
        .join(stale, on="security_id", maintain_order="left")
        .join(candidates, on="security_id", how="anti", maintain_order="left")
        .with_columns(
            decided_on="session",
            score=None,
            rank=None,
            mark_age=(pl.col("session") - pl.col("mark_session")).dt.total_days(),
            selected=pl.lit(value=False),
        )
        .with_columns(vetoes=pl.concat_arr([asked]).arr.to_list(), reason=first_fired([asked]))
        .select(pl.col(name).cast(column.dtype) for name, column in SELECTION.columns.items())
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
