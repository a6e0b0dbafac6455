"""Features of finite windows: one pass over a range, the same bytes as its single days.

1. The published bars become a panel, one column per security and vintage. A split begins a vintage,
   and each series is in the units of its own, so that no window sees the price jump.
2. The series are taken some at a time, those together whose vintages apply to about the same
   sessions, and of two such those that lack no bar: what is whole needs no counting. The function
   of a column is given the rows that are asked for and as many before them as the column's warm-up
   asks for. Its kernels depend on a row's window alone, not on where the rows begin
   (`quant_platform.features.rolling`), so a value has the same bytes whether its session is
   computed alone, in a chunk or in ten years.
3. What ``features_state`` held at the same sessions is laid out beside the bars, for the columns
   that read it; where it is blocked they are null.
4. As many threads as there are cores take series: no series depends on another, and numpy computes
   outside the interpreter's lock.
5. A cell is kept where its vintage applies and the security has a bar at that session. It is null
   before the column's warm-up, where more than ``max_missing_share`` of the sessions of the warm-up
   have no bar (rounded down), and where the value is no number.

Look-ahead cannot enter: row i reads rows up to i.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import dataframely as dy
import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.features.family import Family
from quant_platform.features.panel import Days, Panel, Places, places_of, rows_of
from quant_platform.features.rolling import Matrix, put, shifted
from quant_platform.features.warm_up import Enough
from quant_platform.lakehouse.contracts.feature import null_before
from quant_platform.lakehouse.vintages import splits_in_effect
from quant_platform.lakehouse.windows import ALL_HISTORY, SessionRange, Window
from quant_platform.settings import TrendSettings

_Scalar = TypeVar("_Scalar", bound=np.generic)
_Found = TypeVar("_Found")
Stored = npt.NDArray[np.floating[Any]]
"""A matrix with the precision of its column in the lake."""

PRICES = ("open", "high", "low", "close")
PUBLISHED = ("security_id", "session", "knowledge_session", "known_at")
CELLS = 65_536
"""Cells that are computed together: their matrices stay in the cache of a core."""


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
        are in the units of their own row. It ends with the last row, and may begin later than bars.
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
    others
        The same rows as they are given to columns of other windows, by their length.
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
            others=self.others,
        )

    def over(self, window: int) -> Block:
        """Return the block as a column of a shorter window is given it, and what that has found."""
        if not self.asked:
            return self
        if window not in self.others:
            self.others[window] = self.last(self.asked + window - 1)
        return self.others[window]

    def answer(self, matrix: npt.NDArray[_Scalar]) -> npt.NDArray[_Scalar]:
        """Return the rows of a matrix that are asked for."""
        return matrix[-self.asked :]

    def shared(self, name: str, make: Callable[[], _Found]) -> _Found:
        """Return what several columns of one window are made of, made once.

        Parameters
        ----------
        name
            Its name.
        make
            What makes it.
        """
        if name not in self.once:
            self.once[name] = make()
        found: _Found = self.once[name]
        return found

    @cached_property
    def returns(self) -> Matrix:
        """Log returns of one session; NaN where it or the one before has no bar."""
        return np.asarray(np.log(self.close / self.before))

    @cached_property
    def before(self) -> Matrix:
        """Close of the session before."""
        return shifted(self.close, 1)


def finite_windows(family: Family) -> dict[str, Window]:
    """Sessions of its inputs that a family of finite windows depends on.

    Parameters
    ----------
    family
        The family; the look-backs are those of its longest columns.
    """
    windows = {
        "bars": Window("bars", family.longest - 1),
        "actions": Window("actions", ALL_HISTORY),
    }
    if family.state_sessions:
        # A blocked state stays blocked until it is made again; what does not read it goes on.
        windows["state"] = Window("features_state", family.state_sessions - 1, withdraws=False)
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
        The tolerance for missing bars.
    wanted
        Sessions to compute.

    Returns
    -------
    polars.DataFrame
        One row per security with a bar known at the session's cutoff, by session and security.
    """
    loaded = wanted.loaded(finite_windows(family)["bars"])
    bars = frames["bars"].select(*PUBLISHED, *PRICES, "volume").collect()
    actions = frames.get("actions")
    splits = None if actions is None else splits_in_effect(actions.collect())
    panel = Panel.of(bars, wanted, loaded, [*PRICES, "volume"], splits)
    start = len(loaded) - len(wanted.sessions)
    reach = max(start - family.state_sessions + 1, 0) if family.state_sessions else start
    others = {
        **beside(family.reads, frames.get("state"), panel, reach),
        **beside(family.looks_at, frames.get("trend"), panel, start),
    }
    days = wanted.calendar.sessions
    ordinals = [wanted.calendar.ordinal(session) for session in loaded]
    before = [days[ordinal - 1] if ordinal else None for ordinal in ordinals]
    laid = _Laid(panel, others, np.array(before, dtype="datetime64[D]"), wanted.calendar.code)
    return _made(family, laid, start, settings.max_missing_share)


@dataclass(frozen=True)
class _Laid:
    """Everything that is loaded: bars, columns of other feature tables, the calendar."""

    panel: Panel
    beside: Mapping[str, Stored]
    previous: Days
    calendar: str


def beside(
    columns: tuple[str, ...], stored: pl.LazyFrame | None, panel: Panel, start: int = 0
) -> dict[str, Stored]:
    """Lay out columns of another feature table beside the panel, one matrix each.

    Parameters
    ----------
    columns
        The columns.
    stored
        Rows of the table; without them every matrix is NaN.
    panel
        Sessions and securities to lay them out by.
    start
        The first of its sessions that is wanted.

    Returns
    -------
    dict of matrices
        Sessions down, the panel's securities across: what was known then is the same for each
        vintage.
    """
    shape = len(panel.sessions) - start, len(panel.owners)
    if stored is None or not columns:
        return {name: np.full(shape, np.nan) for name in columns}
    rows = stored.select("session", "security_id", *columns).collect()
    row = rows_of(rows["session"], panel.days[start:])
    owner = places_of(rows["security_id"], panel.owners)
    # What is not loaded goes to a cell behind the last.
    nowhere = shape[0] * shape[1]
    cells = np.where((row >= 0) & (owner >= 0), row * shape[1] + owner, nowhere)

    def laid(name: str) -> Stored:
        values = rows[name].to_numpy()
        flat = np.full(nowhere + 1, np.nan, dtype=values.dtype)
        flat[cells] = values
        return flat[:-1].reshape(shape)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(columns, pool.map(laid, columns), strict=True))


@dataclass(frozen=True)
class _Some:
    """Series that are computed together, and the rows that are asked for of them."""

    series: Places
    start: int
    stop: int


def _made(family: Family, laid: _Laid, start: int, missing: float) -> pl.DataFrame:
    """Every column of the rows from ``start`` on."""
    panel, columns = laid.panel, family.contract.columns
    keep = panel.visible(start, len(panel.sessions)) & ~np.isnan(panel.columns["close"][start:])
    # One vintage of a security applies to a session: a cell is a session and a security.
    row, series = np.nonzero(keep)
    place = np.full((len(keep), len(panel.owners)), -1, dtype=np.int64)
    place[row, panel.owner[series]] = np.arange(len(row))
    made = {name: np.empty(len(row), _dtype(columns[name])) for name in family.functions}

    def fill(some: _Some) -> None:
        kept = keep[some.start - start : some.stop - start, some.series]
        cells = place[some.start - start : some.stop - start, panel.owner[some.series]][kept]
        places = np.flatnonzero(kept)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            for name, values in _values(family, laid, some, missing).items():
                column = made[name]
                column[cells] = np.take(values, places).astype(column.dtype, copy=False)

    def column(name: str) -> pl.Series:
        return _column(made.pop(name), columns[name])

    names = list(family.functions)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(fill, _together(panel, keep, start, family)))
        return pl.DataFrame(
            {
                "session": pl.Series(panel.sessions[start:], dtype=pl.Date).gather(row),
                "security_id": panel.series["security_id"].gather(series),
                **dict(zip(names, pool.map(column, names), strict=True)),
            }
        )


def _together(
    panel: Panel, keep: npt.NDArray[np.bool_], start: int, family: Family
) -> Iterator[_Some]:
    """Take series together that are asked for about the same rows."""
    years = panel.days[start:].astype("datetime64[Y]")
    begins = np.flatnonzero(years[1:] != years[:-1]) + 1 if family.yearly else np.zeros(0, int)
    for begin, stop in zip([0, *begins], [*begins, len(keep)], strict=True):
        yield from _of_span(panel, keep[begin:stop], start + int(begin), family.longest)


def _of_span(panel: Panel, keep: npt.NDArray[np.bool_], start: int, before: int) -> Iterator[_Some]:
    """Take series of a span together; each is given some rows ``before`` as well."""
    series = np.flatnonzero(keep.any(axis=0))
    first = start + keep[:, series].argmax(axis=0)
    stop = start + len(keep) - keep[::-1, series].argmax(axis=0)
    lacking = np.zeros((start + len(keep) + 1, keep.shape[1]), dtype=np.int32)
    np.cumsum(np.isnan(panel.columns["close"][: start + len(keep)]), axis=0, out=lacking[1:])
    torn = lacking[stop, series] > lacking[np.maximum(first - before + 1, 0), series]
    order = np.lexsort((stop, first, torn))
    at = 0
    while at < len(order):
        # The rows that the widest slice would have say how wide this one is.
        most = order[at : at + CELLS // before]
        rows = np.maximum.accumulate(stop[most]) - np.minimum.accumulate(first[most]) + before
        wide = np.count_nonzero(rows * np.arange(1, len(most) + 1) <= CELLS)
        some = most[: max(wide, 1)]
        yield _Some(series[some], int(first[some].min()), int(stop[some].max()))
        at += len(some)


def _values(family: Family, laid: _Laid, some: _Some, missing: float) -> dict[str, Matrix]:
    """Features of some series, by column; NaN where there is none."""
    panel, asked = laid.panel, some.stop - some.start
    rows = slice(max(some.start - family.longest + 1, 0), some.stop)
    bars = {name: np.take(bars[rows], some.series, axis=1) for name, bars in panel.columns.items()}
    owner = panel.owner[some.series]
    kept: dict[str, Matrix] = {}
    block = Block(
        open=bars["open"],
        high=bars["high"],
        low=bars["low"],
        close=bars["close"],
        volume=bars["volume"],
        state={name: _held(held, rows, owner, panel) for name, held in laid.beside.items()},
        made=kept,
        session=panel.days[rows],
        previous=laid.previous[rows],
        asked=asked,
        calendar=laid.calendar,
    )
    enough = Enough.of(block.close, asked, missing)
    for name, function in family.functions.items():
        values = block.answer(function(block.over(family.window(name))))
        if null_before(family.contract.columns[name]) is not None:
            there = np.isfinite(values) & enough.of_last(family.warm_up(name))
            values = put(values, ~there, np.nan)
        kept[name] = values
    return kept


def _held(matrix: Stored, rows: slice, owner: Places, panel: Panel) -> Matrix:
    """Rows of some securities, as far as a matrix beside the panel has them; see `beside`."""
    absent = len(panel.sessions) - len(matrix)
    span = slice(max(rows.start - absent, 0), rows.stop - absent)
    return np.take(matrix[span], owner, axis=1).astype(np.float64)


def _dtype(column: dy.Column) -> type[np.floating[Any]]:
    """How the values of a column are kept until they are cells."""
    return np.float32 if column.dtype == pl.Float32 else np.float64


def _column(cells: npt.NDArray[np.floating[Any]], column: dy.Column) -> pl.Series:
    """Values of a block as a column of the table."""
    values = pl.Series(cells, nan_to_null=True)
    # Names come as their places.
    if isinstance(column.dtype, pl.Enum):
        return values.cast(pl.UInt8).cat.to(column.dtype)
    return values.cast(column.dtype)
