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
4. Series are taken some at a time, by as many threads as there are cores: no series depends on
   another, and numpy computes outside the interpreter's lock.
5. A cell is kept where its vintage applies and the security has a bar at that session. It is null
   before the column's warm-up, where more than ``max_missing_share`` of the sessions of the warm-up
   have no bar (rounded down), and where the value is no number.

Look-ahead cannot enter: row i of a block reads rows up to i.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any, TypeVar

import dataframely as dy
import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.features.family import Family
from quant_platform.features.panel import Days, Panel, places_of, rows_of
from quant_platform.features.rolling import Matrix, shifted
from quant_platform.lakehouse.contracts.feature import null_before
from quant_platform.lakehouse.vintages import splits_in_effect
from quant_platform.lakehouse.windows import ALL_HISTORY, SessionRange, Window
from quant_platform.settings import TrendSettings

_Scalar = TypeVar("_Scalar", bound=np.generic)

PRICES = ("open", "high", "low", "close")
PUBLISHED = ("security_id", "session", "knowledge_session", "known_at")
ABREAST = 256
"""Series that are computed together: their matrices stay in the cache of a core."""


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
    begun
        How many of the last rows the calendar-fixed block has had so far; 0 where there is none.
    others
        The same block as it is given to columns of other windows, by their length.
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
    begun: int = 0
    others: dict[int, Block] = field(default_factory=dict)

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
            begun=self.begun,
            others=self.others,
        )

    def over(self, window: int) -> Block:
        """Return the block as a column of a shorter window is given it, and what that has found."""
        if not self.begun:
            return self
        if window not in self.others:
            self.others[window] = self.last(self.begun + window - 1)
        return self.others[window]

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
    bars = frames["bars"].select(*PUBLISHED, *PRICES, "volume").collect()
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
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        blocks = [
            _block(family, laid, rows, settings.max_missing_share, pool)
            for rows in _blocks(family, wanted, loaded, settings.block_sessions)
        ]
    return pl.concat(blocks) if blocks else family.contract.empty()


@dataclass(frozen=True)
class _Laid:
    """Everything that is loaded: bars, columns of other feature tables, the calendar."""

    panel: Panel
    beside: Mapping[str, Matrix]
    previous: Days
    calendar: str


@dataclass(frozen=True)
class _Rows:
    """Rows of a block: where it is given bars from, begins, is asked from, and ends."""

    first: int
    begin: int
    start: int
    stop: int


def _blocks(
    family: Family, wanted: SessionRange, loaded: list[date], length: int
) -> Iterator[_Rows]:
    """Yield the rows of each block."""
    calendar = wanted.calendar
    row_of = {session: row for row, session in enumerate(loaded)}
    starts = sorted({calendar.block_start(session, length) for session in wanted.sessions})
    for number, block in enumerate(starts):
        output = max(block, wanted.first)
        stop = row_of[starts[number + 1]] if number + 1 < len(starts) else len(loaded)
        # Near the start of history the look-back is cut short, at the same session for any range.
        begin = row_of.get(block, 0)
        yield _Rows(max(begin - family.longest + 1, 0), begin, row_of[output], stop)


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
        Sessions and securities to lay them out by.

    Returns
    -------
    dict of matrices
        Sessions down, the panel's securities across: what was known then is the same for each
        vintage.
    """
    shape = len(panel.sessions), len(panel.owners)
    if stored is None or not columns:
        return {name: np.full(shape, np.nan) for name in columns}
    rows = stored.select("session", "security_id", *columns).collect()
    row = rows_of(rows["session"], panel.days)
    owner = places_of(rows["security_id"], panel.owners)
    inside = (row >= 0) & (owner >= 0)
    cells = row[inside], owner[inside]
    laid = {}
    for name in columns:
        laid[name] = np.full(shape, np.nan)
        laid[name][cells] = rows[name].cast(pl.Float64).fill_null(np.nan).to_numpy()[inside]
    return laid


def _block(
    family: Family, laid: _Laid, rows: _Rows, missing: float, pool: Executor
) -> pl.DataFrame:
    """Features of one block."""
    panel = laid.panel
    start, stop = rows.start, rows.stop
    keep = panel.visible(start, stop) & ~np.isnan(panel.columns["close"][start:stop])
    # Of the many vintages that a late session begins, a block needs its own.
    series = np.flatnonzero(keep.any(axis=0))
    keep = keep[:, series]
    columns = family.contract.columns
    made = {name: np.empty(keep.shape, _dtype(columns[name])) for name in family.functions}

    def fill(begin: int) -> None:
        part = slice(begin, begin + ABREAST)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            for name, values in _values(family, laid, rows, series[part], missing).items():
                made[name][:, part] = values

    def column(name: str) -> pl.Series:
        return _column(made.pop(name)[keep], columns[name])

    list(pool.map(fill, range(0, len(series), ABREAST)))
    session, place = np.nonzero(keep)
    names = list(family.functions)
    return pl.DataFrame(
        {
            "session": pl.Series(panel.sessions[start:stop], dtype=pl.Date).gather(session),
            "security_id": panel.series["security_id"].gather(series[place]),
            **dict(zip(names, pool.map(column, names), strict=True)),
        }
    )


def _values(
    family: Family, laid: _Laid, rows: _Rows, series: npt.NDArray[np.intp], missing: float
) -> dict[str, Matrix]:
    """Features of some series in a block, by column; NaN where there is none."""
    first, begin, start, stop = rows.first, rows.begin, rows.start, rows.stop
    panel = laid.panel
    bars = {name: np.take(bars[first:stop], series, axis=1) for name, bars in panel.columns.items()}
    owner = panel.owner[series]
    carried = {
        name: np.take(matrix[first:stop], owner, axis=1) for name, matrix in laid.beside.items()
    }
    for name in family.reads:
        # What a longer range has loaded for blocks before this one a single day has not.
        carried[name][: max(begin - family.state_sessions + 1 - first, 0)] = np.nan
    kept: dict[str, Matrix] = {}
    block = Block(
        open=bars["open"],
        high=bars["high"],
        low=bars["low"],
        close=bars["close"],
        volume=bars["volume"],
        state=carried,
        made=kept,
        session=panel.days[first:stop],
        previous=laid.previous[first:stop],
        asked=stop - start,
        calendar=laid.calendar,
        begun=stop - begin,
    )
    seen = np.cumsum(~np.isnan(block.close), axis=0)
    known: dict[int, npt.NDArray[np.bool_]] = {}
    for name, function in family.functions.items():
        values = block.answer(function(block.over(family.window(name))))
        if null_before(family.contract.columns[name]) is not None:
            warm_up = family.warm_up(name)
            if warm_up not in known:
                known[warm_up] = _enough(seen, stop - start, warm_up, missing)
            values = np.where(np.isfinite(values) & known[warm_up], values, np.nan)
        kept[name] = values
    return kept


def _enough(
    seen: npt.NDArray[np.int64], asked: int, warm_up: int, missing: float
) -> npt.NDArray[np.bool_]:
    """Where the sessions of a warm-up are there, and as many bars of them as are needed.

    Parameters
    ----------
    seen
        Bars from the first row to each.
    asked
        How many of the last rows are asked for.
    warm_up, missing
        Sessions, and the share of them that may have no bar.
    """
    row = np.arange(len(seen) - asked, len(seen))
    before = np.where((row >= warm_up)[:, None], seen[np.maximum(row - warm_up, 0)], 0)
    enough = seen[row] - before >= max(warm_up - int(missing * warm_up), 1)
    return np.asarray(enough & (row >= warm_up - 1)[:, None])


def _dtype(column: dy.Column) -> type[np.floating[Any]]:
    """How the values of a column are kept until they are cells."""
    return np.float32 if column.dtype == pl.Float32 else np.float64


def _column(cells: npt.NDArray[np.floating[Any]], column: dy.Column) -> pl.Series:
    """Values of a block as a column of the table."""
    values = pl.Series(cells).fill_nan(None)
    # Names come as their places.
    if isinstance(column.dtype, pl.Enum):
        return values.cast(pl.UInt8).cat.to(column.dtype)
    return values.cast(column.dtype)
