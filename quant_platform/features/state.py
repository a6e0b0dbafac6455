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


@dataclass
class _State:
    """One vector per carried column over all securities; ``bars`` is 0 where there is none yet."""

    values: dict[str, Vector]

    @classmethod
    def nothing(cls, securities: int) -> _State:
        return cls({name: np.zeros(securities) for name in CARRIED})

    def copy(self) -> _State:
        return _State({name: vector.copy() for name, vector in self.values.items()})

    def at(self, chosen: npt.NDArray[np.intp]) -> _State:
        return _State({name: vector[chosen] for name, vector in self.values.items()})

    def put(self, chosen: npt.NDArray[np.intp], other: _State) -> None:
        for name, vector in self.values.items():
            vector[chosen] = other.values[name]

    def advance(self, bar: Mapping[str, Vector], ratio: Vector, *, new_year: bool) -> None:
        """Take in one session, and forget who has not traded for long; see `advanced`."""
        state = advanced(self.values, bar, ratio, new_year=new_year)
        gone = np.flatnonzero(state["idle"] >= FORGET_AFTER)
        for values in state.values() if len(gone) else ():
            values[gone] = 0.0
        self.values = state


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
    """What one session leaves behind: vectors over the securities that have a state."""

    ordinal: int
    columns: npt.NDArray[np.intp]
    restated: npt.NDArray[np.int64]
    missed: Vector
    state: _State


class _Walk:
    """The loop over sessions, with what replays need to remember."""

    def __init__(
        self,
        wanted: SessionRange,
        replay: int,
        securities: Sequence[str],
        *,
        bars: pl.DataFrame,
        splits: pl.DataFrame,
        stored: pl.LazyFrame,
    ) -> None:
        self.calendar = wanted.calendar
        self.replay = replay
        self.securities = pl.Series("security_id", securities, dtype=pl.String)
        self.stored = stored
        self.origin = self.calendar.ordinal(wanted.first) - replay
        rows = wanted.calendar.ordinal(wanted.last) - self.origin + 1
        self.known = {name: np.full((rows, len(securities)), np.nan) for name in BAR}
        self.ratio = np.ones((rows, len(securities)))
        self.arrivals = bars.partition_by("knowledge_session", as_dict=True, maintain_order=True)
        self.splits = splits.partition_by("effective", as_dict=True, maintain_order=True)
        self.states: dict[int, _State] = {}
        self.late: list[tuple[int, npt.NDArray[np.intp], npt.NDArray[np.int64]]] = []
        self.missed = np.zeros(len(securities))
        self.emitted: list[_Emitted] = []
        before = self.calendar.ordinal(wanted.first)
        for ordinal in range(max(self.origin, 0), before):
            self._take_arrivals(ordinal)

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
        securities = sorted({*bars["security_id"].unique(), *previous["security_id"]})
        names = pl.Series("security_id", securities, dtype=pl.String)
        codes = names.to_frame().with_row_index("column")
        days = np.array(calendar.sessions, dtype="datetime64[D]")
        placed = (
            bars.with_columns(
                column=pl.Series(places_of(bars["security_id"], names)),
                ordinal=pl.Series(rows_of(bars["session"], days)),
            )
            .filter(pl.col("ordinal") >= 0)
            .sort("knowledge_session", "ordinal", "column", "known_at")
            .unique(["knowledge_session", "ordinal", "column"], keep="last", maintain_order=True)
        )
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
        state = self.states[now - 1].copy()
        restated = np.full(len(self.securities), -1, dtype=np.int64)
        if late is not None:
            self._replay(now, *late, state, restated)
        self._step(state, now, np.arange(len(self.securities)))
        self.states[now] = state
        self.states.pop(now - self.replay - 2, None)
        alive = np.flatnonzero(state.values["bars"] > 0)
        # A security without a row has nowhere to keep its count: a restart would begin at none.
        self.missed[state.values["bars"] == 0] = 0
        self.emitted.append(
            _Emitted(now, alive, restated[alive], self.missed[alive], state.at(alive))
        )

    def rows(self) -> pl.DataFrame:
        """Rows of all sessions taken in, for the securities that had a state."""
        emitted = self.emitted

        def over_all(name: str) -> Vector:
            return np.concatenate([each.state.values[name] for each in emitted])

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            values = dict(zip(CARRIED, pool.map(over_all, CARRIED), strict=True))
            names = list(INDICATORS.functions)
            found = pool.map(lambda name: indicator(name, values), names)
            features = dict(zip(names, found, strict=True))
        days = pl.Series(self.calendar.sessions, dtype=pl.Date)
        since = pl.Series(np.concatenate([e.restated for e in emitted]))
        ordinals = np.repeat([e.ordinal for e in emitted], [len(e.columns) for e in emitted])
        columns = {
            "session": days.gather(ordinals),
            "security_id": self.securities.gather(np.concatenate([e.columns for e in emitted])),
            "restated_from": days.gather(since.replace(-1, None)),
            "revisions_missed": pl.Series(np.concatenate([e.missed for e in emitted])),
            **{name: pl.Series(vector).fill_nan(None) for name, vector in features.items()},
            **{name: pl.Series(vector) for name, vector in values.items()},
        }
        contract = FEATURES_STATE.columns
        return pl.DataFrame({name: columns[name].cast(contract[name].dtype) for name in contract})

    def _step(self, state: _State, ordinal: int, chosen: npt.NDArray[np.intp]) -> None:
        """Advance the state of some securities by one session."""
        days, row = self.calendar.sessions, ordinal - self.origin
        bar = {name: known[row, chosen] for name, known in self.known.items()}
        new_year = ordinal > 0 and days[ordinal].year > days[ordinal - 1].year
        state.advance(bar, self.ratio[row, chosen], new_year=new_year)

    def _take_arrivals(self, now: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]] | None:
        """Enter what became known at a session; return its late rows (security, session)."""
        day = (self.calendar.sessions[now],)
        late = []
        for arrivals, into in ((self.arrivals, self.known), (self.splits, {"ratio": self.ratio})):
            arrived = arrivals.get(day)
            if arrived is None:
                continue
            columns = arrived["column"].to_numpy().astype(np.intp)
            ordinals = arrived["ordinal"].to_numpy()
            inside = ordinals >= self.origin
            cells = (ordinals[inside] - self.origin, columns[inside])
            for name, taken in into.items():
                taken[cells] = arrived[name].to_numpy()[inside]
            past = ordinals < now
            if past.any():
                late.append((columns[past], ordinals[past]))
        if not late:
            return None
        columns, ordinals = (np.concatenate(part) for part in zip(*late, strict=True))
        self.late.append((now, columns, ordinals))
        return columns, ordinals

    def _replay(
        self,
        now: int,
        columns: npt.NDArray[np.intp],
        ordinals: npt.NDArray[np.int64],
        state: _State,
        restated: npt.NDArray[np.int64],
    ) -> None:
        """Step the securities with late rows again, from before the changed session to the last."""
        oldest = now - self.replay
        within = ordinals > oldest
        np.add.at(self.missed, columns[~within], 1)
        begin = np.full(len(self.securities), now + 1, dtype=np.int64)
        np.minimum.at(begin, columns[within], ordinals[within])
        self._begin_before_what_is_missing(now, oldest, begin)
        chosen = np.flatnonzero(begin <= now)
        if not len(chosen):
            return
        restated[chosen] = begin[chosen]
        self._recall(int(begin[chosen].min()) - 1, now)
        redone = _State.nothing(len(chosen))
        for ordinal in range(int(begin[chosen].min()), now):
            fresh = np.flatnonzero(begin[chosen] == ordinal)
            redone.put(fresh, self.states[ordinal - 1].at(chosen[fresh]))
            running = np.flatnonzero(begin[chosen] <= ordinal)
            part = redone.at(running)
            self._step(part, ordinal, chosen[running])
            redone.put(running, part)
        state.put(chosen, redone)

    def _begin_before_what_is_missing(
        self, now: int, oldest: int, begin: npt.NDArray[np.int64]
    ) -> None:
        """Move replays back until the state that they begin from lacks no known late row.

        The state before session ``begin`` lacks the late rows that arrived at ``begin`` or later
        and describe a session before it. Where one of those is too old to begin from, a replay
        would lose it: the security keeps its state and today's late rows count as missed.
        """
        recent = [entry for entry in self.late if oldest < entry[0] <= now]
        moved = True
        while moved:
            moved = False
            for arrival, columns, ordinals in recent:
                lacking = (
                    (begin[columns] <= now)
                    & (arrival >= begin[columns])
                    & (ordinals < begin[columns])
                    & (ordinals > oldest)
                )
                if lacking.any():
                    np.minimum.at(begin, columns[lacking], ordinals[lacking])
                    moved = True
        torn = np.zeros(len(self.securities), dtype=bool)
        for arrival, columns, ordinals in recent:
            replayable = ordinals > arrival - self.replay
            lost = (arrival >= begin[columns]) & (ordinals <= oldest) & replayable
            torn[columns[lost & (begin[columns] <= now)]] = True
        for arrival, columns, ordinals in recent:
            if arrival == now:
                refused = torn[columns] & (ordinals > oldest)
                np.add.at(self.missed, columns[refused], 1)
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

    def _laid_out(self, rows: pl.DataFrame) -> _State:
        """Vectors over all securities from stored rows."""
        aligned = self.securities.to_frame().join(
            rows.select("security_id", *CARRIED),
            on="security_id",
            how="left",
            maintain_order="left",
        )
        return _State(
            {
                name: aligned[name].cast(pl.Float64).fill_null(0.0).to_numpy().copy()
                for name in CARRIED
            }
        )
