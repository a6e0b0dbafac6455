"""Recursive indicators: one step per session over symbol vectors, byte-equal at any restart.

1. The state of the session before the range comes from the table itself; a range that begins with
   history begins with nothing.
2. Sessions are taken in order. On the ex session of a split the prices of the state are divided by
   its ratio; then bars known on time advance every security by one step
   (`quant_platform.features.recursions` has the steps, and what is read from them).
3. A late bar or a correction that arrives at session K changes the past. Its security is
   *replayed*: its state goes back to the session before the changed one (stored, or computed
   earlier in this range) and steps forward again over what is known at K. If a row known since then
   is missing from that older state, the replay begins before that row too, until none is. A split
   that became known after its ex session is such news about that session. Replays take the splits
   in again on their ex sessions, as they are known by now.
4. No replay reaches back ``replay_sessions`` or more. A late row that would need one is counted in
   ``revisions_missed`` and stays out of the state: said, not hidden.
5. A security without a bar for ``FORGET_AFTER`` sessions is dropped.

States stored for the sessions in between are not rewritten: they are what was known then.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.features.panel import places_of, rows_of
from quant_platform.features.recursions import (
    BAR,
    CARRIED,
    INDICATORS,
    ROW,
    Matrix,
    Vector,
    advanced,
    indicator,
)
from quant_platform.lakehouse.contracts.features_state import FEATURES_STATE
from quant_platform.lakehouse.vintages import SPLITS, splits_in_effect
from quant_platform.lakehouse.windows import ALL_HISTORY, SessionRange, Window
from quant_platform.settings import StateSettings

FORGET_AFTER = 252
"""Sessions without a bar after which a security's state is dropped."""


def state_windows(settings: StateSettings) -> dict[str, Window]:
    """Sessions of its inputs that ``features_state`` depends on."""
    return {
        "bars": Window("bars", settings.replay_sessions),
        "actions": Window("actions", ALL_HISTORY),
        "state": Window("features_state", settings.replay_sessions + 1, own=True),
    }


def advance_state(
    frames: Mapping[str, pl.LazyFrame], settings: StateSettings, wanted: SessionRange
) -> pl.DataFrame:
    """Compute ``features_state`` for a range.

    Parameters
    ----------
    frames
        ``bars``: published bars of the range and of ``replay_sessions`` before it. ``actions``:
        published actions; without that frame nothing is split. ``state``: the table itself before
        the range, ``replay_sessions`` + 1 sessions of it.
    settings
        Length of the replay.
    wanted
        Sessions to compute.

    Returns
    -------
    polars.DataFrame
        One row per security with a state, by session and security.
    """
    walk = _Walk.begin(frames, settings.replay_sessions, wanted)
    for session in wanted.sessions:
        walk.advance(session)
    return walk.rows()


@dataclass(frozen=True)
class _Emitted:
    """What one session leaves behind: the state, and vectors over the securities that have one."""

    ordinal: int
    columns: npt.NDArray[np.intp]
    restated: npt.NDArray[np.int64]
    missed: Vector
    state: Matrix


class _Walk:
    """The loop over sessions, with what replays need to remember.

    A state is a table: a row for each of `CARRIED`, a column for each security, whose ``bars`` are
    0 where it has no state. What one session left is never changed afterwards.
    """

    def __init__(
        self,
        wanted: SessionRange,
        replay: int,
        securities: pl.Series,
        *,
        bars: pl.DataFrame,
        splits: pl.DataFrame,
        stored: pl.LazyFrame,
    ) -> None:
        self.calendar = wanted.calendar
        self.replay = replay
        self.securities = securities
        self.stored = stored
        self.origin = self.calendar.ordinal(wanted.first) - replay
        rows = wanted.calendar.ordinal(wanted.last) - self.origin + 1
        timely = (bars["knowledge_session"] == bars["session"]).to_numpy()
        self.known = self._laid_out_bars(bars, timely, rows)
        self.ratio = np.ones((rows, len(securities)))
        late = (
            bars.filter(~timely)
            .sort("knowledge_session", "ordinal", "column", "known_at")
            .unique(["knowledge_session", "ordinal", "column"], keep="last", maintain_order=True)
        )
        self.arrivals = late.partition_by("knowledge_session", as_dict=True, maintain_order=True)
        self.splits = splits.partition_by("effective", as_dict=True, maintain_order=True)
        self.states: dict[int, Matrix] = {}
        self.late: list[_Late] = []
        self.missed = np.zeros(len(securities))
        self.emitted: list[_Emitted] = []
        before = self.calendar.ordinal(wanted.first)
        for ordinal in range(max(self.origin, 0), before):
            self._take_arrivals(ordinal)

    def _laid_out_bars(
        self, bars: pl.DataFrame, timely: npt.NDArray[np.bool_], rows: int
    ) -> npt.NDArray[np.float64]:
        """Bars known on time, by session, column of `BAR` and security: nobody reads ahead."""
        row = bars["ordinal"].to_numpy() - self.origin
        known = np.full((rows, len(BAR), len(self.securities)), np.nan)
        chosen = np.flatnonzero(timely & (row >= 0) & (row < rows))
        # Of two versions of one session's evening the last one counts.
        order = bars["known_at"].to_physical().to_numpy()[chosen]
        if np.any(order[1:] < order[:-1]):
            chosen = chosen[np.argsort(order, kind="stable")]
        first = row[chosen] * (len(BAR) * len(self.securities)) + bars["column"].to_numpy()[chosen]
        for place, name in enumerate(BAR):
            known.reshape(-1)[first + place * len(self.securities)] = bars[name].to_numpy()[chosen]
        return known

    @classmethod
    def begin(cls, frames: Mapping[str, pl.LazyFrame], replay: int, wanted: SessionRange) -> _Walk:
        """Lay out the bars and the state before the range."""
        calendar = wanted.calendar
        bars = (
            frames["bars"]
            .select("security_id", "session", "knowledge_session", "known_at", *BAR)
            .collect()
        )
        first = calendar.ordinal(wanted.first)
        before = calendar.sessions[first - 1] if first else None
        previous = frames["state"].filter(pl.col("session") == before).collect()
        named = [bars["security_id"].unique(), previous["security_id"]]
        securities = pl.concat(named).unique().sort()
        codes = securities.to_frame().with_row_index("column")
        days = np.array(calendar.sessions, dtype="datetime64[D]")
        placed = bars.with_columns(
            column=pl.Series(places_of(bars["security_id"], securities)),
            ordinal=pl.Series(rows_of(bars["session"], days)),
        ).filter(pl.col("ordinal") >= 0)
        ordinals = calendar.frame().select("session", "ordinal")
        actions = frames.get("actions")
        splits = (
            pl.DataFrame(schema=SPLITS) if actions is None else splits_in_effect(actions.collect())
        )
        split = splits.join(codes, on="security_id", maintain_order="left").join(
            ordinals, left_on="ex", right_on="session", maintain_order="left"
        )
        walk = cls(wanted, replay, securities, bars=placed, splits=split, stored=frames["state"])
        walk.states[first - 1] = walk._laid_out(previous)
        seen = previous.join(codes, on="security_id")
        walk.missed[seen["column"].to_numpy()] = seen["revisions_missed"].to_numpy()
        return walk

    def advance(self, session: date) -> None:
        """Take one session in and remember its rows."""
        now = self.calendar.ordinal(session)
        late = self._take_arrivals(now)
        state = self.states[now - 1]
        restated = np.full(len(self.securities), -1, dtype=np.int64)
        if late is not None:
            state = self._replayed(now, late, state, restated)
        state = self._step(state, now, slice(None))
        self.states[now] = state
        self.states.pop(now - self.replay - 2, None)
        alive = np.flatnonzero(state[ROW["bars"]] > 0)
        # A security without a row has nowhere to keep its count: a restart would begin at none.
        self.missed[state[ROW["bars"]] == 0] = 0
        self.emitted.append(_Emitted(now, alive, restated[alive], self.missed[alive], state))

    def rows(self) -> pl.DataFrame:
        """Rows of all sessions taken in, for the securities that had a state."""
        emitted, contract = self.emitted, FEATURES_STATE.columns
        values: dict[str, Vector] = {}

        def over_all(name: str) -> None:
            row = ROW[name]
            values[name] = np.concatenate([each.state[row][each.columns] for each in emitted])

        def column(name: str) -> pl.Series:
            if name in values:
                return pl.Series(values[name]).cast(contract[name].dtype)
            found = indicator(name, values).astype(np.float32)
            return pl.Series(found, nan_to_null=True).cast(contract[name].dtype)

        numbers = [name for name in contract if name in ROW or name in INDICATORS.functions]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(over_all, CARRIED))
            made = dict(zip(numbers, pool.map(column, numbers), strict=True))
        days = pl.Series(self.calendar.sessions, dtype=pl.Date)
        since = pl.Series(np.concatenate([e.restated for e in emitted]))
        ordinals = np.repeat([e.ordinal for e in emitted], [len(e.columns) for e in emitted])
        made["session"] = days.gather(ordinals)
        made["security_id"] = self.securities.gather(np.concatenate([e.columns for e in emitted]))
        made["restated_from"] = days.gather(since.replace(-1, None))
        missed = pl.Series(np.concatenate([e.missed for e in emitted]))
        made["revisions_missed"] = missed.cast(contract["revisions_missed"].dtype)
        return pl.DataFrame({name: made[name] for name in contract})

    def _step(self, state: Matrix, ordinal: int, chosen: npt.NDArray[np.intp] | slice) -> Matrix:
        """State of some securities after a session, without who has not traded for long."""
        days, row = self.calendar.sessions, ordinal - self.origin
        bar = dict(zip(BAR, self.known[row][:, chosen], strict=True))
        new_year = ordinal > 0 and days[ordinal].year > days[ordinal - 1].year
        after = advanced(state, bar, self.ratio[row, chosen], new_year=new_year)
        after[:, after[ROW["idle"]] >= FORGET_AFTER] = 0.0
        return after

    def _take_arrivals(self, now: int) -> _Late | None:
        """Enter what became known at a session and was not known on time; return the late rows."""
        day, late = (self.calendar.sessions[now],), []
        bars, splits = self.arrivals.get(day), self.splits.get(day)
        if bars is not None:
            columns, row, inside = self._cells(bars)
            for place, name in enumerate(BAR):
                self.known[row[inside], place, columns[inside]] = bars[name].to_numpy()[inside]
            late.append((columns, row + self.origin))
        if splits is not None:
            columns, row, inside = self._cells(splits)
            self.ratio[row[inside], columns[inside]] = splits["ratio"].to_numpy()[inside]
            late.append((columns, row + self.origin))
        if not late:
            return None
        columns, ordinals = (np.concatenate(part) for part in zip(*late, strict=True))
        past = ordinals < now
        if not past.any():
            return None
        self.late.append(_Late(np.full(np.count_nonzero(past), now), columns[past], ordinals[past]))
        return self.late[-1]

    def _cells(
        self, rows: pl.DataFrame
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Column and row of what arrived, and whether there is such a row."""
        columns = rows["column"].to_numpy().astype(np.intp)
        row = rows["ordinal"].to_numpy().astype(np.int64) - self.origin
        return columns, row, row >= 0

    def _replayed(
        self, now: int, late: _Late, state: Matrix, restated: npt.NDArray[np.int64]
    ) -> Matrix:
        """State with the securities of late rows stepped again, from before the changed session."""
        oldest = now - self.replay
        within = late.ordinals > oldest
        np.add.at(self.missed, late.columns[~within], 1)
        begin = np.full(len(self.securities), now + 1, dtype=np.int64)
        np.minimum.at(begin, late.columns[within], late.ordinals[within])
        self._begin_before_what_is_missing(now, oldest, begin)
        chosen = np.flatnonzero(begin <= now)
        if not len(chosen):
            return state
        restated[chosen] = begin = begin[chosen]
        self._recall(int(begin.min()) - 1, now)
        redone = np.zeros((len(CARRIED), len(chosen)))
        for ordinal in range(int(begin.min()), now):
            fresh = np.flatnonzero(begin == ordinal)
            redone[:, fresh] = self.states[ordinal - 1][:, chosen[fresh]]
            running = np.flatnonzero(begin <= ordinal)
            redone[:, running] = self._step(redone[:, running], ordinal, chosen[running])
        state = state.copy()
        state[:, chosen] = redone
        return state

    def _begin_before_what_is_missing(
        self, now: int, oldest: int, begin: npt.NDArray[np.int64]
    ) -> None:
        """Move replays back until the state that they begin from lacks no known late row.

        The state before session ``begin`` lacks the late rows that arrived at ``begin`` or later
        and describe a session before it. Where one of those is too old to begin from, a replay
        would lose it: the security keeps its state and today's late rows count as missed.
        """
        self.late = [entry for entry in self.late if entry.arrival[0] > oldest]
        if not self.late:
            return
        recent = _Late.of(self.late)
        # Only what concerns a security that is replayed can move one.
        recent = recent.where(begin[recent.columns] <= now)
        while True:
            start = begin[recent.columns]
            lacking = (
                (recent.arrival >= start) & (recent.ordinals < start) & (recent.ordinals > oldest)
            )
            if not lacking.any():
                break
            np.minimum.at(begin, recent.columns[lacking], recent.ordinals[lacking])
        replayable = recent.ordinals > recent.arrival - self.replay
        lost = (recent.arrival >= start) & (recent.ordinals <= oldest) & replayable
        torn = np.zeros(len(self.securities), dtype=bool)
        torn[recent.columns[lost]] = True
        refused = torn[recent.columns] & (recent.ordinals > oldest) & (recent.arrival == now)
        np.add.at(self.missed, recent.columns[refused], 1)
        begin[torn] = now + 1

    def _recall(self, earliest: int, now: int) -> None:
        """Read stored states that a replay begins from and this range has not made."""
        absent = [o for o in range(max(earliest, -1), now) if o not in self.states]
        if not absent:
            return
        days = [self.calendar.sessions[ordinal] for ordinal in absent if ordinal >= 0]
        rows = self.stored.filter(pl.col("session").is_in(days)).collect()
        by_day = rows.partition_by("session", as_dict=True)
        for ordinal in absent:
            day = self.calendar.sessions[ordinal] if ordinal >= 0 else None
            self.states[ordinal] = self._laid_out(by_day.get((day,), rows.head(0)))

    def _laid_out(self, rows: pl.DataFrame) -> Matrix:
        """Table of a state over all securities from stored rows."""
        place = places_of(rows["security_id"], self.securities)
        known = place >= 0
        table = np.zeros((len(CARRIED), len(self.securities)))
        for name, row in ROW.items():
            values = rows[name].cast(pl.Float64).fill_null(0.0).to_numpy()
            table[row, place[known]] = values[known]
        return table


@dataclass(frozen=True)
class _Late:
    """Late rows: the session at which each arrived, its security, and the session it is about."""

    arrival: npt.NDArray[np.int64]
    columns: npt.NDArray[np.intp]
    ordinals: npt.NDArray[np.int64]

    @classmethod
    def of(cls, entries: Sequence[_Late]) -> _Late:
        """Put several together."""
        return cls(
            np.concatenate([entry.arrival for entry in entries]),
            np.concatenate([entry.columns for entry in entries]),
            np.concatenate([entry.ordinals for entry in entries]),
        )

    def where(self, chosen: npt.NDArray[np.bool_]) -> _Late:
        """Take some of them."""
        return _Late(self.arrival[chosen], self.columns[chosen], self.ordinals[chosen])
