"""Features of finite windows: one pass over a range, the same bytes as its single days.

1. The published bars become a panel, one column per security and vintage. A split begins a vintage,
   and each series is in the units of its own, so that no window sees the price jump.
2. The panel is cut into blocks of ``block_sessions`` counted from the calendar's epoch. The
   function of a column is given a block's rows and as many before them as the column's warm-up
   asks for, no more. Its sums begin there: they depend on where the block begins and on nothing
   after the row in hand, so a value has the same bytes whether its session is computed alone, in a
   chunk or in ten years.
3. What ``features_state`` held at the same sessions is laid out beside the bars, for the columns
   that read it; where it is blocked they are null.
4. A cell is kept where its vintage applies and the security has a bar at that session. It is null
   before the column's warm-up, where more than ``max_missing_share`` of the sessions of the warm-up
   have no bar (rounded down), and where the value is no number.

Look-ahead cannot enter: row i of a block reads rows up to i.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.features.family import Family
from quant_platform.features.panel import Panel
from quant_platform.features.rolling import Matrix, count, shifted
from quant_platform.lakehouse.contracts.feature import null_before
from quant_platform.lakehouse.vintages import splits_in_effect
from quant_platform.lakehouse.windows import ALL_HISTORY, SessionRange, Window
from quant_platform.settings import TrendSettings

Days = npt.NDArray[np.datetime64]

_Scalar = TypeVar("_Scalar", bound=np.generic)

PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Block:
    """Rows that a function is given: sessions down, series across, NaN where there is nothing.

    Parameters
    ----------
    open, high, low, close
        Prices in the units of the last row.
    volume
        Units traded, likewise.
    state
        Columns of ``features_state`` as they were known at each row's cutoff; prices among them
        are in the units of their own row.
    made
        Columns above this one in the contract, of the rows that are asked for: the last ones.
    session, previous
        The session of each row, and the one before it on the calendar.
    asked
        How many of the last rows are asked for; 0 for all of them.
    calendar
        Code of the calendar.
    once
        What the functions of several columns share of these rows, by name.
    """

    open: Matrix
    high: Matrix
    low: Matrix
    close: Matrix
    volume: Matrix
    state: Mapping[str, Matrix]
    made: Mapping[str, Matrix] = field(default_factory=dict)
    session: Days = field(default_factory=lambda: np.zeros(0, "datetime64[D]"))
    previous: Days = field(default_factory=lambda: np.zeros(0, "datetime64[D]"))
    asked: int = 0
    calendar: str = ""
    once: dict[str, Any] = field(default_factory=dict)

    def last(self, rows: int) -> Block:
        """Return the last rows alone."""
        if rows >= len(self.close):
            return self
        return Block(
            self.open[-rows:],
            self.high[-rows:],
            self.low[-rows:],
            self.close[-rows:],
            self.volume[-rows:],
            {name: matrix[-rows:] for name, matrix in self.state.items()},
            self.made,
            self.session[-rows:],
            self.previous[-rows:],
            self.asked,
            self.calendar,
        )

    def answer(self, matrix: npt.NDArray[_Scalar]) -> npt.NDArray[_Scalar]:
        """Return the rows of a matrix that are asked for."""
        return matrix[-self.asked :]

    @cached_property
    def returns(self) -> Matrix:
        """Log returns of one session; NaN where it or the one before has no bar."""
        return np.asarray(np.log(self.close / self.before))

    @cached_property
    def before(self) -> Matrix:
        """Close of the session before."""
        return shifted(self.close, 1)


def finite_windows(family: Family, settings: TrendSettings) -> dict[str, Window]:
    """Sessions of its inputs that a family of finite windows depends on.

    Parameters
    ----------
    family
        The family; the look-backs are those of its longest columns.
    settings
        Block length.
    """
    windows = {
        "bars": Window("bars", family.longest - 1, settings.block_sessions),
        "actions": Window("actions", ALL_HISTORY),
    }
    if family.state_sessions:
        reach = family.state_sessions - 1
        # A blocked state stays blocked until it is made again; what does not read it goes on.
        windows["state"] = Window("features_state", reach, settings.block_sessions, withdraws=False)
    if family.looks_at:
        windows["trend"] = Window("features_trend", withdraws=False)
    return windows


def finite_features(
    family: Family,
    frames: Mapping[str, pl.LazyFrame],
    settings: TrendSettings,
    wanted: SessionRange,
) -> pl.DataFrame:
    """Compute every column of a family for a range.

    Parameters
    ----------
    family
        The family.
    frames
        ``bars``: published bars of the loaded sessions. ``actions``: published actions; without
        that frame no price is adjusted. ``state``, ``trend``: carried indicators and trend features
        of the loaded sessions; without such a frame what reads them is null.
    settings
        Block length and the tolerance for missing bars.
    wanted
        Sessions to compute.

    Returns
    -------
    polars.DataFrame
        One row per security with a bar known at the session's cutoff, by session and security.
    """
    loaded = wanted.loaded(finite_windows(family, settings)["bars"])
    bars = frames["bars"].collect()
    actions = frames.get("actions")
    splits = None if actions is None else splits_in_effect(actions.collect())
    panel = Panel.of(bars, wanted, loaded, [*PRICES, "volume"], splits)
    others = {
        **beside(family.reads, frames.get("state"), panel),
        **beside(family.looks_at, frames.get("trend"), panel),
    }
    days = wanted.calendar.sessions
    ordinals = [wanted.calendar.ordinal(session) for session in loaded]
    before = [days[ordinal - 1] if ordinal else None for ordinal in ordinals]
    laid = _Laid(panel, others, np.array(before, dtype="datetime64[D]"), wanted.calendar.code)
    blocks = [
        _block(family, laid, rows, settings.max_missing_share)
        for rows in _blocks(wanted, loaded, settings.block_sessions)
    ]
    frame = pl.concat(blocks) if blocks else family.contract.empty()
    return frame.sort("session", "security_id")


@dataclass(frozen=True)
class _Laid:
    """Everything that is loaded: bars, columns of other feature tables, the calendar."""

    panel: Panel
    beside: Mapping[str, Matrix]
    previous: Days
    calendar: str


def _blocks(
    wanted: SessionRange, loaded: list[date], length: int
) -> Iterator[tuple[int, int, int]]:
    """Yield, per block, the rows where it begins, where its output begins, and where it ends."""
    calendar = wanted.calendar
    row_of = {session: row for row, session in enumerate(loaded)}
    starts = sorted({calendar.block_start(session, length) for session in wanted.sessions})
    for number, begin in enumerate(starts):
        output = max(begin, wanted.first)
        stop = row_of[starts[number + 1]] if number + 1 < len(starts) else len(loaded)
        # Near the start of history the look-back is cut short, at the same session for any range.
        yield row_of.get(begin, 0), row_of[output], stop


def beside(
    columns: tuple[str, ...], stored: pl.LazyFrame | None, panel: Panel
) -> dict[str, Matrix]:
    """Lay out columns of another feature table beside the panel, one matrix each.

    Parameters
    ----------
    columns
        The columns.
    stored
        Rows of the table; without them every matrix is NaN.
    panel
        Sessions and series to lay them out by.
    """
    laid = {name: np.full((len(panel.sessions), panel.series.height), np.nan) for name in columns}
    if stored is None or not laid:
        return laid
    days = pl.DataFrame({"session": panel.sessions}, schema={"session": pl.Date})
    owners = panel.series.select("security_id").with_row_index("column").lazy()
    placed = (
        stored.select("session", "security_id", *columns)
        .join(days.with_row_index("row").lazy(), on="session")
        .join(owners, on="security_id")
        .collect()
    )
    at = (placed["row"].to_numpy(), placed["column"].to_numpy())
    for name, matrix in laid.items():
        matrix[at] = placed[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
    return laid


def _block(family: Family, laid: _Laid, rows: tuple[int, int, int], missing: float) -> pl.DataFrame:
    """Features of one block; see `_blocks` for its rows."""
    panel = laid.panel
    begin, start, stop = rows
    first = max(begin - family.longest + 1, 0)
    keep = panel.visible(start, stop) & ~np.isnan(panel.columns["close"][start:stop])
    # Of the many vintages that a late session begins, a block needs its own.
    series = np.flatnonzero(keep.any(axis=0))
    bars = {name: matrix[first:stop, series] for name, matrix in panel.columns.items()}
    carried = {name: matrix[first:stop, series] for name, matrix in laid.beside.items()}
    for name in family.reads:
        # What a longer range has loaded for blocks before this one a single day has not.
        carried[name][: max(begin - family.state_sessions + 1 - first, 0)] = np.nan
    kept: dict[str, Matrix] = {}
    session = np.array(panel.sessions[first:stop], dtype="datetime64[D]")
    previous = laid.previous[first:stop]
    block = Block(
        open=bars["open"],
        high=bars["high"],
        low=bars["low"],
        close=bars["close"],
        volume=bars["volume"],
        state=carried,
        made=kept,
        session=session,
        previous=previous,
        asked=stop - start,
        calendar=laid.calendar,
    )
    cells = np.nonzero(keep[:, series])
    made = {
        "session": pl.Series(panel.sessions[start:stop], dtype=pl.Date).gather(cells[0]),
        "security_id": panel.series["security_id"].gather(series[cells[1]]),
    }
    taken = np.arange(first, stop)[start - first :, None]
    for name, function in family.functions.items():
        column = family.contract.columns[name]
        warm_up = family.warm_up(name)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            values = function(block.last(stop - begin + family.window(name) - 1))[start - stop :]
        if null_before(column) is not None:
            bars_there = count(block.close, warm_up)[start - first :]
            enough = bars_there >= max(warm_up - int(missing * warm_up), 1)
            known = enough & (taken - first >= warm_up - 1) & np.isfinite(values)
            values = np.where(known, values, np.nan)
        kept[name] = values
        cast = pl.Series(values[cells]).fill_nan(None)
        if isinstance(column.dtype, pl.Enum):
            # Names come as their places.
            cast = column.dtype.categories.gather(cast.cast(pl.UInt32))
        made[name] = cast.cast(column.dtype)
    return pl.DataFrame(made)
