"""Ingestion: what each deciding session is given, laid out once for a range.

Everything that is collected here is a row or a matrix of known sessions; each deciding session is
then handed its own part of it and nothing after it:

- candidates with their features, as of the session;
- closes of the candidates as a panel, whose vintages hold what was known in time;
- total returns of candidates and benchmark over the sessions that stresses are looked for in, each
  as it was known on its own session;
- descriptions and announcements, every published version, of which the session takes the last.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.features.panel import Matrix, Panel
from quant_platform.lakehouse.vintages import splits_in_effect
from quant_platform.lakehouse.windows import ALL_HISTORY, SessionRange, Window
from quant_platform.selection.evidence import STANDING, YEAR
from quant_platform.selection.gold import SESSIONS as GOLD_SESSIONS
from quant_platform.settings.regimes import RegimeLabel
from quant_platform.settings.risk_features import SleeveBenchmark
from quant_platform.settings.selection import SelectionSettings

Vector = npt.NDArray[np.float64]

_KEY = ["session", "security_id"]
FEATURES: Mapping[str, Mapping[str, pl.DataType]] = {
    "features_trend": {"recommend_all": pl.Float64(), "recommend_ma": pl.Float64()},
    "features_state": {"adx_14": pl.Float64()},
    "features_liquidity": {"adv_money_20": pl.Float64(), "zero_volume_20": pl.Float64()},
    "features_predictability": {
        "permutation_entropy": pl.Float64(),
        "permutation_entropy_place": pl.Float64(),
        "efficiency": pl.Float64(),
        "efficiency_place": pl.Float64(),
        "hurst": pl.Float64(),
        "hurst_place": pl.Float64(),
    },
}
"""Columns that are taken from each feature table."""
DAYS_OF_GOLD = GOLD_SESSIONS * 2
"""Sessions of the sleeve that hold as many of the reference: a fund has five a week at the most."""


CLOSES = Window("bars", YEAR + STANDING)
"""Bars that the evidence is taken from."""


def _path(settings: SelectionSettings) -> Window:
    """Window on the returns that stresses and gold are looked for in.

    A blocked session of three years ago is one without a return, and stops nothing today.
    """
    days = max(settings.stress.lookback, DAYS_OF_GOLD if settings.gold is not None else 0)
    return Window("returns", days - 1, withdraws=False)


@dataclass(frozen=True)
class Around:
    """What a sleeve's selection stands on beside its own tables.

    Parameters
    ----------
    periods_per_year
        Sessions of a year, to annualise.
    rebalances
        Rebalances of a year.
    benchmark
        The security that the sleeve is held against; None without one.
    fits
        By strategy and label of the regime: fit, -1..1.
    """

    periods_per_year: int
    rebalances: float
    benchmark: SleeveBenchmark | None = None
    fits: Mapping[str, Mapping[RegimeLabel, float]] | None = None


def ingestion_windows(
    settings: SelectionSettings,
    sleeve: str,
    around: Around,
    *,
    regime: str = "",
    earnings: bool = False,
) -> dict[str, Window]:
    """Sessions of its inputs that a decision depends on, of the sleeve's own tables unless said.

    Parameters
    ----------
    settings
        How far it looks back.
    sleeve
        Name of the sleeve.
    around
        Benchmark.
    regime
        Table of the regime in full; empty where there is none.
    earnings
        Whether the sleeve has a table of announcements.

    Returns
    -------
    dict of Window
        Every table is named in full.
    """
    windows = {
        "candidates": Window("candidates"),
        "clusters": Window("clusters"),
        "bars": CLOSES,
        "actions": Window("actions", ALL_HISTORY),
        "securities": Window("securities", ALL_HISTORY),
        "returns": _path(settings),
        **{table: Window(table) for table in FEATURES},
    }
    if earnings:
        windows["earnings"] = Window("earnings", ALL_HISTORY)
    named = {
        name: replace(window, table=f"{sleeve}/{window.table}") for name, window in windows.items()
    }
    benchmark = around.benchmark
    if benchmark is not None and benchmark.sleeve != sleeve:
        named["benchmark"] = replace(_path(settings), table=f"{benchmark.sleeve}/returns")
    if regime:
        named["regime"] = Window(regime, withdraws=False)
    return named


@dataclass(frozen=True, eq=False)
class Inputs:
    """Inputs of a range, laid out.

    Parameters
    ----------
    candidates
        By deciding session: candidates by security, with features and what ``returns`` says.
    closes
        Closes of all of them.
    days, securities, totals
        Total returns of candidates and benchmark: sessions by securities, NaN where there is none.
    described
        Descriptions, every published version.
    earnings
        Announcements likewise; None where nobody tells them.
    labels
        Label of the regime by session.
    """

    candidates: Mapping[date, pl.DataFrame]
    closes: Panel
    days: Sequence[date]
    securities: pl.Series
    totals: Matrix
    described: pl.DataFrame
    earnings: pl.DataFrame | None
    labels: Mapping[date, RegimeLabel]

    def totals_of(self, session: date, securities: pl.Series, length: int) -> Matrix:
        """Total returns of some securities over the last sessions up to one.

        Parameters
        ----------
        session
            The session, the last row.
        securities
            Securities; one that is not known has no returns.
        length
            Sessions at the most.
        """
        end = self.days.index(session) + 1
        known = {name: place for place, name in enumerate(self.securities)}
        places = np.array([known.get(name, -1) for name in securities], dtype=np.int64)
        made = np.full((min(length, end), len(securities)), np.nan)
        made[:, places >= 0] = self.totals[max(end - length, 0) : end, places[places >= 0]]
        return made


def ingested(
    frames: Mapping[str, pl.LazyFrame],
    settings: SelectionSettings,
    wanted: SessionRange,
    deciding: Collection[date],
    around: Around,
) -> Inputs:
    """Lay out the inputs of a range.

    Parameters
    ----------
    frames
        What `ingestion_windows` asks for, by its names.
    settings
        Pegged tokens.
    wanted
        Range to decide.
    deciding
        Its sessions that decide.
    around
        Benchmark.
    """
    sessions = sorted(deciding)
    rows = _candidates(frames, sessions)
    names = rows["security_id"].unique().sort()
    own = pl.col("security_id").is_in(names.implode())
    columns = ("security_id", "session", "knowledge_session", "known_at", "close")
    bars = frames["bars"].filter(own).select(columns).collect()
    splits = splits_in_effect(frames["actions"].filter(own).collect())
    loaded = wanted.loaded(CLOSES)
    benchmark, gold = around.benchmark, settings.gold
    beside = [] if benchmark is None else [benchmark.security_id]
    beside += [] if gold is None else [gold.reference.security_id]
    every = pl.Series("security_id", [*names, *sorted(set(beside) - set(names))], dtype=pl.String)
    totals = frames["returns"].select(*_KEY, "total")
    if "benchmark" in frames:
        foreign = frames["benchmark"].select(*_KEY, "total")
        totals = pl.concat([totals, foreign.filter(pl.col("security_id").is_in(beside))])
    days = wanted.loaded(_path(settings))
    return Inputs(
        candidates={
            day: part for (day,), part in rows.partition_by("session", as_dict=True).items()
        },
        closes=Panel.of(bars, wanted, loaded, ["close"], splits),
        days=days,
        securities=every,
        totals=_matrix(totals, days, every),
        described=frames["securities"].collect(),
        earnings=frames["earnings"].filter(own).collect() if "earnings" in frames else None,
        labels=_labels(frames.get("regime"), sessions),
    )


def _candidates(frames: Mapping[str, pl.LazyFrame], sessions: Sequence[date]) -> pl.DataFrame:
    """Candidates of the deciding sessions, each with its features, by session and security."""
    inside = pl.col("session").is_in(sessions)
    rows = (
        frames["candidates"]
        .filter(inside)
        .select(*_KEY, "symbol", "scanners", pl.col("composite_score").cast(pl.Float64))
        .join(frames["returns"].select(*_KEY, "delisted"), on=_KEY, how="left")
        .join(
            frames["clusters"].select(*_KEY, "cluster", "cohesion", "identity", "leverage"),
            on=_KEY,
            how="left",
        )
    )
    for table, columns in FEATURES.items():
        told = frames[table].filter(inside)
        rows = rows.join(
            told.select(*_KEY, *(pl.col(name).cast(dtype) for name, dtype in columns.items())),
            on=_KEY,
            how="left",
        )
    return rows.sort(_KEY).collect()


def _matrix(totals: pl.LazyFrame, days: Sequence[date], securities: pl.Series) -> Matrix:
    """Lay out returns as sessions by securities."""
    rows = pl.LazyFrame({"session": days}, schema={"session": pl.Date}).with_row_index("row")
    columns = pl.LazyFrame({"security_id": securities}).with_row_index("column")
    placed = (
        totals.join(rows, on="session")
        .join(columns, on="security_id")
        .select("row", "column", "total")
        .collect()
    )
    matrix = np.full((len(days), len(securities)), np.nan)
    matrix[placed["row"].to_numpy(), placed["column"].to_numpy()] = placed["total"].to_numpy()
    return matrix


def _labels(regime: pl.LazyFrame | None, sessions: Sequence[date]) -> Mapping[date, RegimeLabel]:
    if regime is None:
        return {}
    told = regime.filter(pl.col("session").is_in(sessions))
    return dict(told.select("session", pl.col("label").cast(pl.String)).collect().iter_rows())
