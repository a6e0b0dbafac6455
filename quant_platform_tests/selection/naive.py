"""Selection's inputs by hand, and its definitions one security and one session at a time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from math import erf, exp, log, prod, sqrt
from statistics import fmean, stdev
from typing import Any

import numpy as np
import polars as pl

from quant_platform.lakehouse.contracts import CONTRACTS, contract_of
from quant_platform.lakehouse.contracts.selection import SELECTION
from quant_platform.selection.ingestion import Around
from quant_platform.selection.policy import select, selection_windows
from quant_platform.settings.selection import SelectionSettings
from quant_platform.settings.vetoes import VetoSettings
from quant_platform_tests.lakehouse.small_lake import CALENDAR, SESSIONS, bar, span

PERIODS = 252
AROUND = Around(PERIODS, 12.6)
SETTINGS = SelectionSettings(
    lookback_sessions=5,
    min_momentum=-1.0,
    winners_max=2,
    winners_floor=0,
    vetoes=VetoSettings(eci_hurdle=-100.0, kurtosis=1e9),
)
"""Two win, whatever their momentum; nothing is relaxed."""
NEUTRAL = {
    "features_trend": {
        "recommend_all": 0.125,
        "recommend_ma": 0.25,
        "close": 100.0,
        "bars_252": 252,
    },
    "features_state": {"adx_14": 20.0},
    "features_liquidity": {"adv_money_20": 1e8, "zero_volume_20": 0.0},
    "features_predictability": {
        "permutation_entropy": 0.875,
        "permutation_entropy_place": 0.5,
        "efficiency": 0.25,
        "efficiency_place": 0.5,
        "hurst": 0.6,
        "hurst_place": 0.75,
    },
}
"""Features with which no veto stops anybody."""
Features = Mapping[str, Mapping[str, float | None]]

Rows = Sequence[Mapping[str, Any]]


def table(kind: str, rows: Rows) -> pl.DataFrame:
    """Rows in the columns of a contract."""
    return pl.DataFrame(list(rows), schema=CONTRACTS[kind].empty().schema)


def returned(
    security: str, session: date, total: float, *, delisted: bool = False, late: bool = False
) -> dict[str, Any]:
    """One row of ``returns``, as far as selection reads it; ``late``: without a bar of its own."""
    return {
        "session": session,
        "security_id": security,
        "total": total,
        "delisted": delisted,
        "mark_session": session - timedelta(days=1) if late else session,
    }


def bars_of(returns: Rows) -> Rows:
    """Bars that returns may be those of; one more, on the session before a security's first.

    The bar of a session without a return is lacking, that of a ``late`` one comes a session late.
    """
    bars = []
    for security in sorted({one["security_id"] for one in returns}):
        own = sorted((one["session"], one) for one in returns if one["security_id"] == security)
        close = 100.0
        bars.append(bar(security, CALENDAR.offset(own[0][0], -1), close))
        for session, one in own:
            close *= 1 + one["total"]
            bars.append(bar(security, session, close, late=one["mark_session"] < session))
    return bars


def path(security: str, sessions: Sequence[date], seed: int, volatility: float = 0.01) -> Rows:
    """Random returns of one security over sessions."""
    totals = np.random.default_rng(seed).normal(0.0005, volatility, len(sessions))
    return [returned(security, day, float(t)) for day, t in zip(sessions, totals, strict=True)]


def found(sessions: Sequence[date], securities: str) -> Rows:
    """Candidates: the same securities on each session."""
    return [
        {
            "session": day,
            "security_id": name,
            "symbol": f"NYSE:{name.upper()}",
            "asset_class": "stock",
            "sector": None,
            "scanners": ["tried"],
        }
        for day in sessions
        for name in securities
    ]


def apart(
    candidates: Rows, identities: Mapping[str, tuple[str, float]] | None = None
) -> pl.DataFrame:
    """Clusters of one candidate each, with identity and leverage where they are told."""
    told, names = identities or {}, sorted({one["security_id"] for one in candidates})
    rows = [
        {
            "session": one["session"],
            "security_id": one["security_id"],
            "cluster": names.index(one["security_id"]) + 1,
            "identity": told.get(one["security_id"], (one["security_id"], 1.0))[0],
            "leverage": told.get(one["security_id"], ("", 1.0))[1],
        }
        for one in candidates
    ]
    return table("clusters", rows)


def described(kind: str, candidates: Rows, features: Features) -> pl.DataFrame:
    """Features of candidates: the neutral ones, but for what is said of a security."""
    schema = CONTRACTS[kind].empty().schema
    rows = [
        {"session": one["session"], "security_id": one["security_id"]}
        | NEUTRAL[kind]
        | {n: v for n, v in features.get(one["security_id"], {}).items() if n in schema}
        for one in candidates
    ]
    return pl.DataFrame(rows, schema=schema)


def run(
    candidates: Rows,
    returns: Rows,
    sessions: Sequence[date],
    grid: Collection[date],
    *,
    cuts: Sequence[int] = (),
    settings: SelectionSettings = SETTINGS,
    bars: Rows | None = None,
    actions: Rows = (),
    features: Features | None = None,
    around: Around = AROUND,
    **more: pl.DataFrame,
) -> pl.DataFrame:
    """Select over sessions in one run, or in several that begin at the cuts.

    Parameters
    ----------
    features
        By security: features that differ from the neutral ones.
    more
        Further tables, in full.
    """
    tables = {
        **{kind: described(kind, candidates, features or {}) for kind in NEUTRAL},
        "securities": CONTRACTS["securities"].empty(),
        "clusters": apart(candidates),
        "candidates": table("candidates", candidates),
        "bars": table("bars", bars_of(returns) if bars is None else bars),
        "actions": table("actions", actions),
        "returns": table("returns", returns),
        "selection": SELECTION.empty(),
        **more,
    }
    for begin, end in pairwise([0, *sorted(cuts), len(sessions)]):
        if begin == end:
            continue
        wanted = span(sessions[begin], sessions[end - 1], SESSIONS[0])
        frames = {
            name: tables[window.table.removeprefix("x/")]
            .filter(pl.col(contract_of(window.table).partition).is_in(wanted.loaded(window)))
            .lazy()
            for name, window in selection_windows(
                settings,
                "x",
                around,
                regime="x/regime" * ("regime" in more),
                earnings="earnings" in more,
            ).items()
        }
        selected = select(frames, settings, wanted, grid=grid, around=around)
        made = SELECTION.validate("x/selection", selected)
        tables["selection"] = pl.concat([tables["selection"], made])
    return tables["selection"]


def figures(returns: Rows, security: str, window: Sequence[date]) -> tuple[float, float] | None:
    """Momentum and annual volatility by their definitions; None without full evidence."""
    totals = {one["session"]: one["total"] for one in returns if one["security_id"] == security}
    values = [totals[day] for day in window if day in totals]
    if len(values) < len(window) or len(set(values)) == 1:
        return None
    return prod(1 + value for value in values) - 1, stdev(values) * sqrt(PERIODS)


def standard_moment(values: Sequence[float], power: int) -> float:
    """Mean power of the distance from the mean in population deviations."""
    middle = fmean(values)
    spread = sqrt(fmean((value - middle) ** 2 for value in values))
    return fmean(((value - middle) / spread) ** power for value in values)


def tail(values: Sequence[float], share: float = 0.05) -> float:
    """Mean of the worst share of values, part of one included."""
    size = share * len(values)
    left, total = size, 0.0
    for value in sorted(values):
        total += value * min(left, 1.0)
        left -= min(left, 1.0)
    return total / size


def ranked(values: Mapping[str, float | None]) -> dict[str, float]:
    """Rank probabilities by their definition; equals share their mean rank, none is 0.5."""
    ordered = sorted(value for value in values.values() if value is not None)
    made = {}
    for name, value in values.items():
        if value is None:
            made[name] = 0.5
        elif len(ordered) == 1:
            made[name] = 0.505
        else:
            rank = ordered.index(value) + (ordered.count(value) + 1) / 2
            made[name] = 0.01 + 0.99 * (rank - 1) / (len(ordered) - 1)
    return made


def normal(values: Mapping[str, float | None]) -> dict[str, float]:
    """Probabilities by the normal distribution function of z."""
    known = [value for value in values.values() if value is not None]
    spread = stdev(known) if len(known) > 1 else 0.0
    middle = fmean(known) if known else 0.0
    return {
        name: 0.5
        if value is None or spread == 0
        else (1 + erf((value - middle) / spread / sqrt(2))) / 2
        for name, value in values.items()
    }


def clipped(values: Mapping[str, float | None]) -> dict[str, float]:
    """Probabilities that are the values themselves."""
    return {n: 0.5 if v is None else min(max(v, 0.0), 1.0) for n, v in values.items()}


WEIGHTS = {
    "momentum": (1.7469, ranked),
    "stability": (0.0458, ranked),
    "liquidity": (0.2946, clipped),
    "antifragility": (0.6263, ranked),
    "survival": (1.4, clipped),
    "efficiency": (1.5348, clipped),
    "entropy": (0.0322, ranked),
    "hurst_clean": (0.3485, ranked),
    "adx": (1.0, normal),
    "recommend_all": (1.0, ranked),
    "recommend_ma": (1.0, ranked),
    "skewness": (0.5, ranked),
    "kurtosis": (0.5, ranked),
    "tail": (1.0, ranked),
}
"""Weight and map of each component, written down a second time from the specification."""


def product_score(
    components: Mapping[str, Mapping[str, float | None]],
    losses: Mapping[str, float],
    signal: str,
    multiplier: float = 1.0,
) -> dict[str, float]:
    """Score by name: components one by one, then the product, penalty and multiplier."""
    weights = {name: weight for name, (weight, _) in WEIGHTS.items() if name in components}
    weights |= {"momentum": 0.5} | {signal: 3.0}
    logs = dict.fromkeys(losses, 0.0)
    for name, values in components.items():
        _, mapped = WEIGHTS.get(name, (0.0, ranked))
        for security, probability in mapped(values).items():
            logs[security] += weights[name] * log(max(probability, 1e-9))
    worst = max(losses.values())
    return {
        name: exp(total) * (1 - 0.5 * losses[name] / worst) * multiplier
        for name, total in logs.items()
    }
