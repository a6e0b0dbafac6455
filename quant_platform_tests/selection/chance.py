"""Is what was chosen better than chance: choices of whole markets against random draws.

1. A market of stocks is run through the real stages up to its decisions. What only a rebalance
   reads (ranks, screener, scans) is made for the rebalances alone; a range has the bytes of its
   days, so nothing differs.
2. Of each rebalance ``advantage`` is the mean of the chosen less the mean of the pool they were
   chosen from, in standard deviations of such a mean over random draws of as many from the same
   pool. The mean and deviation over all draws are known, so nothing is drawn: without replacement
   the variance is ``s²/n · (1 - n/N)``.
3. What is held is held for the 20 sessions after the decision, without those of the decision
   itself; rebalances are 21 apart, so that no two share a session.
4. The chosen of one market share its factors, hence its rebalances are no independent witnesses;
   markets of different seeds are. One market is one number, its mean advantage, and Student's t
   over markets is the test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import stats

from quant_platform.calendars import rebalance_grid
from quant_platform.features.standardised import predictability_features
from quant_platform.features.state import advance_state
from quant_platform.lakehouse.contracts import CONTRACTS
from quant_platform.market.bars import published_bars
from quant_platform.market.reference import published_actions, published_securities
from quant_platform.market.returns import session_returns
from quant_platform.selection.cluster_table import cluster_candidates, cluster_windows
from quant_platform.selection.ingestion import Around
from quant_platform.selection.policy import select, selection_windows
from quant_platform.settings import StateSettings
from quant_platform.sources import Dirt, Planted, SimulatedSleeve
from quant_platform_tests.scanners.chain import (
    HISTORY,
    SOURCE,
    TREND,
    Tables,
    featured,
    handed,
    ranked,
    scanned,
    screened,
    span,
)
from quant_platform_tests.scanners.manifests import shipped_settings
from quant_platform_tests.sources.markets import NYSE

LAST = date(2024, 12, 31)
HELD = 20
"""Sessions after a decision over which it is judged."""
KNOWN = 13
"""Rebalance of history from which predictability is known, and with it every veto."""
SYMBOLS = 120
REBALANCES = sorted(
    day for day in rebalance_grid(NYSE, date(2015, 1, 2), 21) if HISTORY <= day <= LAST
)
JUDGED = [day for day in REBALANCES[KNOWN:] if NYSE.offset(day, HELD) <= LAST]


@dataclass(frozen=True, eq=False)
class Chosen:
    """What a market's rebalances saw and chose, and what became of it.

    Parameters
    ----------
    seen
        ``session``, ``security_id`` and ``future`` of all that was screened, with ``found`` by the
        momentum scanner, ``candidate``, ``score``, and ``selected``.
    """

    seen: pl.DataFrame

    def advantage(self, chosen: str, pool: str) -> float:
        """Mean advantage of the chosen of a pool over the rebalances; both are flags."""
        rows = self.seen.filter(pool)
        made = [
            advantage(day["future"].to_numpy(), day[chosen].to_numpy())
            for _, day in rows.group_by("session", maintain_order=True)
        ]
        return float(np.nanmean(made))

    def rank_correlation(self) -> float:
        """Mean rank correlation of candidates' scores with what became of them."""
        rows = self.seen.filter("candidate").drop_nulls("score")
        made = rows.group_by("session").agg(pl.corr("score", "future", method="spearman"))
        return float(made["score"].drop_nulls().drop_nans().mean())


def advantage(future: npt.NDArray[np.float64], chosen: npt.NDArray[np.bool_]) -> float:
    """Mean of the chosen against random draws of as many, in deviations of those draws.

    NaN where nobody or everybody is chosen, or all of the pool became the same.
    """
    count, total = int(chosen.sum()), len(future)
    if not 0 < count < total:
        return np.nan
    variance = future.var(ddof=1) / count * (1 - count / total)
    return float((future[chosen].mean() - future.mean()) / np.sqrt(variance))


def better_than_chance(witnesses: Sequence[float]) -> tuple[float, float]:
    """Student's t of the mean of independent markets, and the chance of as much from nothing."""
    made = stats.ttest_1samp(witnesses, 0.0, alternative="greater")
    return float(made.statistic), float(made.pvalue)


def _each(tables: Tables, days: Sequence[date]) -> Mapping[str, pl.DataFrame]:
    """Rank, screen and scan some sessions, each alone."""
    scanners = shipped_settings().sleeves["instruments"].scanners
    parts = []
    for day in days:
        one = span(NYSE, day, day)
        there = {**tables, "cross_section": ranked(tables, one)}
        there["screener"] = screened(there, one)
        found = scanned(there, one, scanners)
        parts.append({name: there[name] for name in ("cross_section", "screener")} | dict(found))
    return {name: pl.concat([part[name] for part in parts]) for name in parts[0]}


@lru_cache(maxsize=64)
def chosen_of(seed: int, planted: Planted) -> Chosen:
    """Run a clean market of stocks by the shipped settings of its sleeve."""
    sleeve = shipped_settings().sleeves["instruments"]
    source = replace(
        SOURCE,
        seed=seed,
        sleeves=(SimulatedSleeve("instruments", ("stock",), SYMBOLS),),
        dirt=Dirt(),
        planted=planted,
    )
    wanted = span(NYSE, HISTORY, LAST)
    tables: dict[str, pl.DataFrame] = {
        "securities": published_securities(source, "instruments", wanted).rows,
        "bars": published_bars(source, "instruments", wanted).rows,
        "actions": published_actions(source, "instruments", wanted).rows,
    }
    frames = {name: tables[name].lazy() for name in ("bars", "actions")}
    nothing = {"state": CONTRACTS["features_state"].empty().lazy()}
    tables["features_state"] = advance_state(frames | nothing, StateSettings(), wanted)
    tables["returns"] = session_returns(frames, sleeve.returns, wanted)
    tables |= featured(tables, wanted)
    state = {"state": tables["features_state"].lazy()}
    grid = frozenset(REBALANCES)
    tables["features_predictability"] = predictability_features(frames | state, TREND, wanted, grid)
    tables |= _each(tables, JUDGED)
    bound = handed(tables, cluster_windows(sleeve.clusters), wanted)
    judged = frozenset(JUDGED)
    tables["clusters"] = cluster_candidates(bound, sleeve.clusters, wanted, judged)
    around = Around(252, 252 / 21, None)
    windows = {
        name: replace(window, table=window.table.removeprefix("instruments/"))
        for name, window in selection_windows(sleeve.selection, "instruments", around).items()
    }
    made = select(
        handed(tables, windows, wanted), sleeve.selection, wanted, grid=judged, around=around
    )
    return Chosen(_judged(tables, made))


def _judged(tables: Tables, made: pl.DataFrame) -> pl.DataFrame:
    """Put what became of it beside all that was screened; who leaves stays what it paid."""
    key = ["session", "security_id"]
    within = pl.concat(
        pl.DataFrame(
            {"decided": [day] * HELD, "session": NYSE.between(day, NYSE.offset(day, HELD))[1:]}
        )
        for day in JUDGED
    )
    future = (
        tables["returns"]
        .join(within, on="session")
        .group_by(session="decided", security_id="security_id")
        .agg(future=(1 + pl.col("total")).product() - 1)
    )
    found = tables["scan_us_trend"].filter("passed").select(*key, found=True)
    asked = made.filter(pl.col("session") == pl.col("decided_on"))
    return (
        tables["screener"]
        .select(*key, screened=True)
        .join(future, on=key)
        .join(found, on=key, how="left")
        .join(asked.select(*key, "score", "selected", candidate=True), on=key, how="left")
        .with_columns(pl.col("found", "selected", "candidate").fill_null(False))
        .sort(key)
    )
