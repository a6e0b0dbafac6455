"""Regime model E1: four labels from volatility, drawdown, trend and breadth.

1. The benchmark's bars become a panel of closes, one column per vintage: each session sees the path
   of closes as it was known at its cutoff, in units of that session. `returns` would not do. They
   keep a wrong close and its later correction as the two jumps that holders saw, and for 20
   sessions those pass for volatility that the market never had.
2. Each input is taken from the last closes of its own sessions, no more and no fewer, so that no
   value depends on where a range begins. Volatility is the annualised sample sd of the returns
   between 21 closes, drawdown the last close over the highest of 63 less one, trend the mean of 50
   closes over the mean of 200 less one. Closes that are lacking are left out, as many as
   ``max_missing_share`` allows (rounded down); nothing is filled in for them.
3. Breadth is the share of the breadth sleeve's securities above their 200-session mean, of those
   that have one.
4. The rules are tried from the worst label to the best; where none holds the session is NEUTRAL.
   While an input is lacking the session has no label of its own, and the row says which and why.
5. Labels are smoothed (`quant_platform.regimes.smoothing`) from the table's own earlier sessions,
   and the confirmed one says what is left of risk. Where the benchmark itself says nothing, nothing
   is known of the risk either: the multiplier is null, and the evening is closed for it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_platform.features.panel import Panel
from quant_platform.lakehouse.contracts.regime import REGIME
from quant_platform.lakehouse.vintages import splits_in_effect
from quant_platform.lakehouse.windows import ALL_HISTORY, SessionRange, Window
from quant_platform.regimes.smoothing import Smoothed, smoothed, smoothing_memory
from quant_platform.settings.regimes import E1Settings, RegimeLabel, RegimeSettings

Vector = npt.NDArray[np.float64]

VOLATILITY_CLOSES = 21
"""Sessions whose closes make 20 returns."""
DRAWDOWN_CLOSES = 63
TREND_CLOSES = (50, 200)


@dataclass(frozen=True)
class E1Inputs:
    """What E1 judges a session by; None where there is too little history.

    Parameters
    ----------
    volatility
        Annualised sd of daily returns, fraction.
    drawdown
        Last close over the highest less one, never positive.
    trend
        Short mean over long mean less one, fraction.
    breadth
        Share of securities above their long mean.
    """

    volatility: float | None
    drawdown: float | None
    trend: float | None
    breadth: float | None

    @property
    def benchmark_known(self) -> bool:
        """Whether the benchmark itself says anything; breadth is another sleeve's."""
        return any(v is not None for v in (self.volatility, self.drawdown, self.trend))


def regime_windows(settings: RegimeSettings) -> dict[str, Window]:
    """Sessions of its inputs that ``regime`` depends on.

    Every table is named in full, for they belong to three branches.
    """
    sleeve = settings.benchmark.sleeve
    return {
        "securities": Window(f"{sleeve}/securities", ALL_HISTORY),
        "benchmark": Window(f"{sleeve}/bars", TREND_CLOSES[1] - 1),
        "actions": Window(f"{sleeve}/actions", ALL_HISTORY),
        "breadth": Window(f"{settings.breadth_sleeve}/features_trend"),
        "regime": Window("market/regime", smoothing_memory(settings.smoothing), own=True),
    }


def regime(
    frames: Mapping[str, pl.LazyFrame], settings: RegimeSettings, wanted: SessionRange
) -> pl.DataFrame:
    """Compute ``regime`` for a range.

    Parameters
    ----------
    frames
        ``securities``, ``benchmark`` and ``actions``: published descriptions, bars and actions of
        the benchmark's sleeve; ``breadth``: trend features of the breadth sleeve; ``regime``: the
        table itself before the range.
    settings
        Benchmark, rules, throttles, smoothing and the tolerance for missing bars.
    wanted
        Sessions to compute.

    Returns
    -------
    polars.DataFrame
        One row per session.
    """
    closes = _closes(frames, settings, wanted)
    symbols = _symbols(frames["securities"], settings, wanted)
    breadth = _breadth(frames["breadth"])
    held, raw = _before(frames["regime"], settings, wanted)
    rows = []
    for session in wanted.sessions:
        inputs = _inputs(closes[session], breadth.get(session), settings)
        label = e1_label(inputs, settings.e1)
        described = symbols[session] is not None
        reason = _silence(closes[session], wanted, session, settings, described=described)
        raw = [*raw, label][-smoothing_memory(settings.smoothing) - 1 :]
        held = smoothed(held, raw, settings.smoothing)
        rows.append(
            {
                "session": session,
                "benchmark": settings.benchmark.security_id,
                "symbol": symbols[session],
                "volatility_20": inputs.volatility,
                "drawdown_63": inputs.drawdown,
                "trend": inputs.trend,
                "breadth": inputs.breadth,
                "e1_raw": label,
                "e1_label": held.label,
                "confirmed": held.confirmed,
                "candidate": held.candidate,
                "streak": held.streak,
                "risk_multiplier": settings.throttle[held.label]
                if inputs.benchmark_known
                else None,
                "lacking": _lacking(inputs, settings, reason),
            }
        )
    return pl.DataFrame(rows, schema={n: c.dtype for n, c in REGIME.columns.items()})


def e1_label(inputs: E1Inputs, rules: E1Settings) -> RegimeLabel | None:
    """Return the label of one session by itself; None while an input is lacking."""
    volatility, drawdown = inputs.volatility, inputs.drawdown
    trend, breadth = inputs.trend, inputs.breadth
    if volatility is None or drawdown is None or trend is None or breadth is None:
        return None
    worst = rules.stressed
    if drawdown <= worst.drawdown:
        return "STRESSED"
    if volatility >= worst.volatility and trend <= worst.trend:
        return "STRESSED"
    off = rules.risk_off
    weak = drawdown <= off.drawdown or trend < off.trend or breadth <= off.breadth
    if volatility >= off.volatility and weak:
        return "RISK_OFF"
    on = rules.risk_on
    calm = volatility <= on.volatility and drawdown > on.drawdown
    if calm and trend >= on.trend and breadth >= on.breadth:
        return "RISK_ON"
    return "NEUTRAL"


def _inputs(closes: Vector, breadth: float | None, settings: RegimeSettings) -> E1Inputs:
    """Measure one session from the benchmark's closes up to it."""
    missing = settings.max_missing_share
    latest = _last(closes, VOLATILITY_CLOSES, missing)
    recent = _last(closes, DRAWDOWN_CLOSES, missing)
    short, long = (_last(closes, count, missing) for count in TREND_CLOSES)
    year = np.sqrt(settings.periods_per_year)
    return E1Inputs(
        volatility=None
        if latest is None
        else float(np.std(latest[1:] / latest[:-1] - 1, ddof=1) * year),
        drawdown=None if recent is None else float(recent[-1] / recent.max() - 1),
        trend=None if short is None or long is None else float(short.mean() / long.mean() - 1),
        breadth=breadth,
    )


def _last(closes: Vector, count: int, missing: float) -> Vector | None:
    """Return the closes of the last sessions that have one; None where too many are lacking."""
    window = closes[-count:]
    # A copy: sums must not depend on where in memory the window begins.
    known = window[~np.isnan(window)]
    enough = len(window) == count and len(known) >= count - int(missing * count)
    return known if enough else None


def _closes(
    frames: Mapping[str, pl.LazyFrame], settings: RegimeSettings, wanted: SessionRange
) -> dict[date, Vector]:
    """Return by session the benchmark's closes up to it, as known at its cutoff and in its units.

    At most as many as the longest input takes; NaN where a session has no bar.
    """
    loaded = wanted.loaded(regime_windows(settings)["benchmark"])
    own = pl.col("security_id") == settings.benchmark.security_id
    columns = ("security_id", "session", "knowledge_session", "known_at", "close")
    bars = frames["benchmark"].filter(own).select(columns).collect()
    splits = splits_in_effect(frames["actions"].filter(own).collect())
    panel = Panel.of(bars, wanted, loaded, ["close"], splits)
    series, longest = panel.columns["close"], TREND_CLOSES[1]
    begins = panel.series["vintage_from"].to_list()
    if not begins:
        return dict.fromkeys(wanted.sessions, np.empty(0))
    ends = range(len(loaded) - len(wanted.sessions) + 1, len(loaded) + 1)
    return {
        session: series[max(end - longest, 0) : end, bisect_right(begins, session) - 1]
        for session, end in zip(wanted.sessions, ends, strict=True)
    }


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


def _lacking(inputs: E1Inputs, settings: RegimeSettings, reason: str) -> str | None:
    """Say which inputs a session lacks, and why; None if it lacks none."""
    measured = {
        "volatility_20": inputs.volatility,
        "drawdown_63": inputs.drawdown,
        "trend": inputs.trend,
    }
    names = ", ".join(name for name, value in measured.items() if value is None)
    told = [f"no {names}: {reason}"] if names else []
    if inputs.breadth is None:
        told.append(f"no breadth: nothing of {settings.breadth_sleeve} has a 200-session mean")
    return "; ".join(told) or None


def _breadth(features: pl.LazyFrame) -> dict[date, float]:
    """Return by session the share of securities above their long mean."""
    counted = (
        features.filter(pl.col("sma_200").is_not_null())
        .group_by("session")
        .agg(
            above=(pl.col("close") > pl.col("sma_200")).sum().cast(pl.Int64),
            all=pl.len().cast(pl.Int64),
        )
        .collect()
    )
    return {session: above / every for session, above, every in counted.iter_rows()}


def _before(
    own: pl.LazyFrame, settings: RegimeSettings, wanted: SessionRange
) -> tuple[Smoothed, list[RegimeLabel | None]]:
    """Return the label in force before the range, and the raw labels of the sessions before it."""
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
    raw = [rows[session]["e1_raw"] if session in rows else None for session in loaded]
    last = rows.get(loaded[-1]) if loaded else None
    if last is None:
        return Smoothed(), raw
    return Smoothed(last["e1_label"], last["confirmed"]), raw
