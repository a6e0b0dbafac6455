"""The regime of a benchmark, session by session: both models and the other labels.

1. The inputs of each session are measured as known at its cutoff (`quant_platform.regimes.inputs`).
2. Each model and each of the other labels judges the session by itself. What is lacking leaves no
   label, and the row says which input and why.
3. Each kind of label is smoothed (`quant_platform.regimes.smoothing`) on a *track* of its own, from
   the table's own earlier sessions, and the confirmed one counts.
4. Where the benchmark itself says nothing, nothing is known of the risk either: the multipliers are
   null, and the evening is closed for it.
5. ``label``, ``confirmed`` and the multipliers are those of the model that the settings choose. Who
   reads the regime reads these.

Series are optional: where no source has them, or a session of them is withdrawn, E2 is a score of
what is left and the market state looks at the benchmark's own volatility.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from quant_platform.lakehouse.contracts.regime import REGIME
from quant_platform.lakehouse.windows import ALL_HISTORY, SessionRange, Window
from quant_platform.regimes.e1 import E1_FACTORS, e1_label
from quant_platform.regimes.e2 import Score, e2_label, e2_score, e2_throttle, throttle_of
from quant_platform.regimes.inputs import (
    YEAR,
    Inputs,
    Vector,
    breadth_by_session,
    closes_by_session,
    measured,
    series_by_session,
)
from quant_platform.regimes.smoothing import (
    MARKET_STATES,
    QUADRANTS,
    REGIMES,
    VOLATILITY_STATES,
    Ladder,
    Smoothed,
    smoothed,
    smoothing_memory,
)
from quant_platform.regimes.states import (
    market_state,
    quadrant,
    volatility_index,
    volatility_state,
)
from quant_platform.settings.regimes import OF_SERIES, RegimeSettings, SmoothingSettings

SERIES_TABLE = "market/series"

TRACKS: dict[str, Ladder] = {
    "e1": REGIMES,
    "e2": REGIMES,
    "quadrant": QUADRANTS,
    "market": MARKET_STATES,
    "volatility": VOLATILITY_STATES,
}
"""Kinds of labels, by the prefix of their columns."""

_MEASURED = {
    "session_return": "session_return",
    "volatility_20": "volatility",
    "drawdown_63": "drawdown",
    "trend": "trend",
    "breadth": "breadth",
    "credit_z": "credit",
    "term_structure": "term_structure",
    "cross_asset": "cross_asset",
    "distance_200": "distance",
    "growth": "growth",
    "turbulence": "turbulence",
    "stress": "stress",
}
"""Columns that are inputs, and the inputs' names."""


class _Track(NamedTuple):
    """Where one kind of label stands: what is in force, and the latest raw labels."""

    held: Smoothed
    raw: Sequence[str | None]

    def after(self, raw: str | None, settings: SmoothingSettings, ladder: Ladder) -> _Track:
        """Go on by a session."""
        latest = [*self.raw, raw][-smoothing_memory(settings) - 1 :]
        return _Track(smoothed(self.held, latest, settings, ladder), latest)


def regime_windows(
    settings: RegimeSettings, table: str = "market/regime", *, series: bool = True
) -> dict[str, Window]:
    """Sessions of its inputs that a regime depends on.

    Every table is named in full, for they belong to several branches.

    Parameters
    ----------
    settings
        Those of one market.
    table
        The regime's own name.
    series
        Whether a source has series.
    """
    sleeve = settings.benchmark.sleeve
    windows = {
        "securities": Window(f"{sleeve}/securities", ALL_HISTORY),
        "benchmark": Window(f"{sleeve}/bars", YEAR - 1),
        "actions": Window(f"{sleeve}/actions", ALL_HISTORY),
        "breadth": Window(f"{settings.breadth_sleeve}/features_trend"),
        "series": Window(SERIES_TABLE, YEAR - 1, withdraws=False),
        "regime": Window(table, smoothing_memory(settings.smoothing), own=True),
    }
    if not (series and _asks_for_series(settings)):
        del windows["series"]
    return windows


def regime(
    frames: Mapping[str, pl.LazyFrame], settings: RegimeSettings, wanted: SessionRange
) -> pl.DataFrame:
    """Compute ``regime`` for a range.

    Parameters
    ----------
    frames
        ``securities``, ``benchmark`` and ``actions``: published descriptions, bars and actions of
        the benchmark's sleeve; ``breadth``: trend features of the breadth sleeve; ``series``:
        volatility indices, the credit pair and the havens, where a source has them; ``regime``:
        the table itself before the range.
    settings
        Benchmark, rules, throttles, smoothing and the tolerance for missing bars.
    wanted
        Sessions to compute.

    Returns
    -------
    polars.DataFrame
        One row per session.
    """
    windows, own = regime_windows(settings), settings.benchmark.security_id
    closes = closes_by_session(
        frames["benchmark"], frames["actions"], own, wanted, windows["benchmark"]
    )
    series = (
        series_by_session(frames["series"], wanted, windows["series"])
        if "series" in frames and "series" in windows
        else {}
    )
    symbols = _symbols(frames["securities"], settings, wanted)
    breadth = breadth_by_session(frames["breadth"])
    tracks = _before(frames["regime"], settings, wanted)
    rows = []
    for session in wanted.sessions:
        observed = {name: paths[session] for name, paths in series.items() if len(paths[session])}
        inputs = measured(closes[session], observed, breadth.get(session), settings)
        score = e2_score(inputs, settings.e2, settings.scale)
        raw = _raw_labels(inputs, score, settings)
        tracks = {
            name: tracks[name].after(raw[name], settings.smoothing, ladder)
            for name, ladder in TRACKS.items()
        }
        described = symbols[session] is not None
        reason = _silence(closes[session], wanted, session, settings, described=described)
        rows.append(
            {
                "session": session,
                "benchmark": own,
                "symbol": symbols[session],
                **_measured_columns(inputs, settings),
                **_labels(tracks),
                **_decided(inputs, score, tracks, settings),
                "lacking": _lacking(inputs, settings, reason),
            }
        )
    return pl.DataFrame(rows, schema={n: c.dtype for n, c in REGIME.columns.items()})


def _raw_labels(inputs: Inputs, score: Score, settings: RegimeSettings) -> dict[str, str | None]:
    """Judge one session by itself, on every track."""
    states, scale = settings.states, settings.scale
    return {
        "e1": e1_label(inputs, settings.e1, scale),
        "e2": e2_label(score, settings.e2),
        "quadrant": quadrant(inputs, states.quadrant, scale),
        "market": market_state(inputs, states.market, scale),
        "volatility": volatility_state(inputs, states.volatility),
    }


def _measured_columns(inputs: Inputs, settings: RegimeSettings) -> dict[str, Any]:
    index, actual = volatility_index(inputs, settings.scale)
    return {
        **{column: getattr(inputs, name) for column, name in _MEASURED.items()},
        "volatility_index": index,
        "index_requested": "VIX" if _asks_for_series(settings) else "volatility_20",
        "index_actual": actual,
    }


def _labels(tracks: Mapping[str, _Track]) -> dict[str, Any]:
    """Columns of every track."""
    found: dict[str, Any] = {}
    for name, (held, raw) in tracks.items():
        found |= {
            f"{name}_raw": raw[-1],
            f"{name}_label": held.label,
            f"{name}_confirmed": held.confirmed,
            f"{name}_candidate": held.candidate,
            f"{name}_streak": held.streak,
        }
    return found


def _decided(
    inputs: Inputs, score: Score, tracks: Mapping[str, _Track], settings: RegimeSettings
) -> dict[str, Any]:
    """Throttles of both models, what they were made of, and those of the chosen one."""
    left = {
        "e1": throttle_of(tracks["e1"].held.label, settings),
        "e2": e2_throttle(score, tracks["e2"].held, settings),
    }
    found: dict[str, Any] = {
        "e1_requested": ",".join(E1_FACTORS),
        "e1_actual": None if tracks["e1"].raw[-1] is None else ",".join(E1_FACTORS),
        "e2_score": score.value,
        "e2_requested": ",".join(settings.e2.factors),
        "e2_actual": ",".join(score.factors) or None,
    }
    for model, shares in left.items():
        risk, new = shares if inputs.benchmark_known else (None, None)
        found[f"{model}_risk_multiplier"], found[f"{model}_position_multiplier"] = risk, new
    model, held = settings.model, tracks[settings.model].held
    return found | {
        "model": model,
        "label": held.label,
        "confirmed": held.confirmed,
        "risk_multiplier": found[f"{model}_risk_multiplier"],
        "position_multiplier": found[f"{model}_position_multiplier"],
    }


def _asks_for_series(settings: RegimeSettings) -> bool:
    return any(factor in settings.e2.factors for factor in OF_SERIES)


def _symbols(
    descriptions: pl.LazyFrame, settings: RegimeSettings, wanted: SessionRange
) -> dict[date, str | None]:
    """Return by session the benchmark's symbol, as last described by then; None if never."""
    own = (
        descriptions.filter(pl.col("security_id") == settings.benchmark.security_id)
        .select("knowledge_session", "known_at", "symbol")
        .sort("knowledge_session", "known_at")
        .collect()
    )
    told = own["knowledge_session"].to_list()
    symbols: list[str | None] = [None, *own["symbol"]]
    return {session: symbols[bisect_right(told, session)] for session in wanted.sessions}


def _silence(
    closes: Vector,
    wanted: SessionRange,
    session: date,
    settings: RegimeSettings,
    *,
    described: bool,
) -> str:
    """Say why the benchmark may say nothing on a session."""
    own = settings.benchmark.security_id
    if not described:
        return f"benchmark {own} is not in {settings.benchmark.sleeve}/securities on {session}"
    known = np.flatnonzero(~np.isnan(closes))
    if not len(known):
        return f"benchmark {own} has no bars up to {session}"
    ago = len(closes) - 1 - int(known[-1])
    if ago:
        return f"benchmark {own} has no bars after {wanted.calendar.offset(session, -ago)}"
    return f"benchmark {own} has too few bars up to {session}"


def _lacking(inputs: Inputs, settings: RegimeSettings, reason: str) -> str | None:
    """Say which of E1's inputs a session lacks, and why; None if it lacks none."""
    own = {
        "volatility_20": inputs.volatility,
        "drawdown_63": inputs.drawdown,
        "trend": inputs.trend,
    }
    names = ", ".join(name for name, value in own.items() if value is None)
    told = [f"no {names}: {reason}"] if names else []
    if inputs.breadth is None:
        told.append(f"no breadth: nothing of {settings.breadth_sleeve} has a 200-session mean")
    return "; ".join(told) or None


def _before(own: pl.LazyFrame, settings: RegimeSettings, wanted: SessionRange) -> dict[str, _Track]:
    """Return where each track stands before the range."""
    loaded = wanted.loaded(regime_windows(settings)["regime"])
    stored = (
        own.filter(
            pl.col("session").is_in(loaded),
            pl.col("benchmark") == settings.benchmark.security_id,
        )
        .sort("session")
        .collect()
    )
    rows = {row["session"]: row for row in stored.iter_rows(named=True)}
    last = rows.get(loaded[-1]) if loaded else None
    return {
        name: _Track(
            ladder.unconfirmed
            if last is None
            else Smoothed(last[f"{name}_label"], last[f"{name}_confirmed"]),
            [rows[day][f"{name}_raw"] if day in rows else None for day in loaded],
        )
        for name, ladder in TRACKS.items()
    }
