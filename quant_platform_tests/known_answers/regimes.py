"""The regime models on real history and on the embedded market, and the page that shows them.

``python -m quant_platform_tests.known_answers.regimes`` writes the tables of
``docs/design/regimes.md``. The real data belong to others: only labels, scores and counts get into
the page. Everything goes through the platform's own function over one range. Of
the real history there are no 400 stocks: breadth is that of the twelve funds of stocks and property
among 21, and what is known of a session is known after its close.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import yaml

from quant_platform.calendars import SessionCalendar
from quant_platform.lakehouse.contracts.actions import ACTIONS
from quant_platform.lakehouse.contracts.bars import BARS
from quant_platform.lakehouse.contracts.regime import REGIME
from quant_platform.lakehouse.contracts.securities import SECURITIES
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.regimes.inputs import SERIES
from quant_platform.regimes.smoothing import REGIMES
from quant_platform.regimes.table import TRACKS, regime
from quant_platform.settings.regimes import RegimeSettings, SmoothingSettings
from quant_platform_tests.known_answers.data import real_data
from quant_platform_tests.known_answers.embedded_market import (
    calendar_of,
    market,
)

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "design" / "regimes.md"
BEGIN, END = "<!-- figures: generated -->", "<!-- figures: end -->"
SETTINGS = RegimeSettings.model_validate(
    yaml.safe_load((REPOSITORY / "assets_config" / "regimes.yaml").read_text("utf-8"))
)
SPAN = (date(2009, 9, 18), date(2025, 9, 26))
"""From the first VIX3M to the last price of a fund."""
SIMULATED = (date(2016, 1, 4), date(2025, 12, 31))
_STOCKS = ("DBC", "EEM", "EFA", "EWJ", "IEV", "IWM", "IYR", "MDY", "QQQ", "SPY", "VNQ", "VTI")
SHIPPED, SEEDS = 7, range(1, 9)
"""The embedded market as it is shipped, and others that differ by their seed."""
MODELS = ("e1", "e2")
BAD = ("RISK_OFF", "STRESSED")
FORWARD = 21
EPISODES = {
    "2011-08": (date(2011, 7, 15), date(2011, 9, 30)),
    "2015-08": (date(2015, 8, 3), date(2015, 9, 30)),
    "2020-03": (date(2020, 2, 14), date(2020, 4, 15)),
}
"""Where a crisis is looked for: around the months that the specification names."""
ONSET = 30.0
"""A crisis begins with the first close of VIX above this; neither model looks at VIX alone."""
SHOWN = {
    "February 2018": (date(2018, 1, 26), date(2018, 2, 16)),
    "January 2022": (date(2022, 1, 3), date(2022, 2, 4)),
}


@dataclass(frozen=True)
class History:
    """A market to judge.

    Parameters
    ----------
    calendar, span
        Its sessions.
    closes
        ``session`` and ``close`` of the benchmark, splits taken out.
    universe
        ``security_id``, ``session`` and ``close`` of what breadth counts.
    series
        ``series``, ``session`` and ``value``.
    """

    calendar: SessionCalendar
    span: tuple[date, date]
    closes: pl.DataFrame
    universe: pl.DataFrame
    series: pl.DataFrame


@cache
def real_history() -> History:
    """Return SPY with 21 funds and the volatility indices; the test that asks may be skipped."""
    funds = pl.read_parquet(real_data("etf/etf21.parquet")).rename({"date": "session"})
    indices = pl.read_parquet(real_data("series/cboe_vol_indices.parquet"))
    names = pl.col("symbol").is_in(SERIES)
    series = pl.concat(
        [
            # Dividends are in: without them high yield falls against everything for ever.
            funds.filter(names).select("session", series="symbol", value="adj_close"),
            indices.filter(names).select(session="date", series="symbol", value="close"),
        ]
    )
    return History(
        calendar_of("etfs"),
        SPAN,
        funds.filter(symbol="SPY").select("session", "close"),
        funds.filter(pl.col("symbol").is_in(_STOCKS)).select(
            "session", "close", security_id="symbol"
        ),
        series.drop_nulls(),
    )


def embedded_history(seed: int) -> History:
    """Return the embedded market without dirt, at the size of the specification."""
    calendar, source = calendar_of("etfs"), market(seed)
    funds, stocks = (_simulated_closes(sleeve, seed) for sleeve in ("etfs", "instruments"))
    series = source.series(calendar, "market", calendar.between(*SIMULATED))
    return History(
        calendar,
        SIMULATED,
        funds.filter(pl.col("symbol").str.ends_with(":SPY")).select("session", "close"),
        stocks.select("security_id", "session", "close"),
        series.filter(pl.col("series").is_in(SERIES)).select("series", "session", "value"),
    )


def _simulated_closes(sleeve: str, seed: int) -> pl.DataFrame:
    """Return closes of the embedded market, splits taken out."""
    calendar, source = calendar_of(sleeve), market(seed)
    bars = source.bars(calendar, sleeve, calendar.between(*SIMULATED))
    actions = source.actions(calendar, sleeve, calendar.sessions)
    splits = actions.filter(pl.col("kind").is_in(["split", "stock_dividend"])).select(
        "security_id", "session", units="value"
    )
    units = pl.col("units").fill_null(1.0).cum_prod().over("security_id", order_by="session")
    return bars.join(splits, on=["security_id", "session"], how="left").with_columns(
        close=pl.col("close") * units
    )


def judged(
    history: History, settings: RegimeSettings = SETTINGS, without: Sequence[str] = ()
) -> pl.DataFrame:
    """Judge a history in one range, without some of its series."""
    calendar, (first, last) = history.calendar, history.span
    sessions = tuple(calendar.between(first, last))
    wanted = SessionRange(calendar, sessions, min(history.closes["session"]))
    within = pl.col("session").is_in(list(calendar.sessions)) & (pl.col("session") <= last)
    closes = history.closes.filter(within)
    mean = pl.col("close").rolling_mean(200).over("security_id", order_by="session")
    frames = {
        "securities": SECURITIES.empty(),
        "benchmark": _columns(
            BARS.empty(),
            _known(closes).with_columns(security_id=pl.lit(settings.benchmark.security_id)),
        ),
        "actions": ACTIONS.empty(),
        "breadth": history.universe.filter(within).with_columns(sma_200=mean),
        "series": _known(history.series.filter(within, ~pl.col("series").is_in(list(without)))),
        "regime": REGIME.empty(),
    }
    lazy = {name: frame.lazy() for name, frame in frames.items()}
    return REGIME.validate("market/regime", regime(lazy, settings, wanted))


def _known(rows: pl.DataFrame) -> pl.DataFrame:
    """Let everything be known on its own session, after the close."""
    evening = pl.col("session").dt.combine(time(21)).dt.replace_time_zone("UTC")
    return rows.with_columns(knowledge_session="session", known_at=evening.dt.cast_time_unit("us"))


def _columns(like: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with the other columns of a contract null."""
    return pl.concat([like.select(rows.columns), rows.cast(like.select(rows.columns).schema)])


@cache
def real_rows() -> pl.DataFrame:
    """Judge the real history."""
    return judged(real_history())


@cache
def embedded_rows(seed: int = SHIPPED) -> pl.DataFrame:
    """Judge an embedded market."""
    return judged(embedded_history(seed))


def transitions(rows: pl.DataFrame, track: str) -> int:
    """Count the changes of a confirmed label, from the session on which both models have one."""
    own = confirmed(rows)[f"{track}_label"].cast(pl.String)
    return int((own != own.shift(1)).sum())


def confirmed(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows on which both models have confirmed a label."""
    return rows.filter("e1_confirmed", "e2_confirmed")


def forward_volatility(rows: pl.DataFrame) -> pl.DataFrame:
    """Annualised sd of the 21 returns after each session; null near the end."""
    after = pl.col("session_return").rolling_std(FORWARD).shift(-FORWARD) * np.sqrt(252)
    return rows.sort("session").with_columns(forward=after)


def by_label(rows: pl.DataFrame, track: str) -> pl.DataFrame:
    """Share of sessions and mean forward volatility of each confirmed label."""
    own = forward_volatility(rows).filter(f"{track}_confirmed")
    return (
        own.group_by(label=pl.col(f"{track}_label").cast(pl.String))
        .agg(sessions=pl.len(), forward=pl.col("forward").mean())
        .with_columns(share=pl.col("sessions") / pl.col("sessions").sum())
    )


def worst_to_best(rows: pl.DataFrame, track: str, order: Sequence[str]) -> float:
    """Forward volatility of the worst label that occurs over that of the best."""
    found = {row["label"]: row["forward"] for row in by_label(rows, track).to_dicts()}
    known = [found[label] for label in order if found.get(label) is not None]
    return float(known[-1] / known[0])


def onsets(history: History) -> Mapping[str, date]:
    """Return by episode the first session on which VIX closed above the mark."""
    vix = history.series.filter(pl.col("value") > ONSET, series="VIX")["session"]
    return {
        name: min(day for day in vix if first <= day <= last)
        for name, (first, last) in EPISODES.items()
    }


def lags(rows: pl.DataFrame, history: History, model: str) -> dict[str, int | None]:
    """Sessions from the onset of each episode to RISK_OFF or worse; negative if it came before.

    None where the model never came to it.
    """
    found: dict[str, int | None] = {}
    for name, onset in onsets(history).items():
        first, last = EPISODES[name]
        bad = rows.filter(
            pl.col("session").is_between(first, last),
            pl.col(f"{model}_label").cast(pl.String).is_in(BAD),
        )["session"]
        place = history.calendar.ordinal
        found[name] = place(min(bad)) - place(onset) if len(bad) else None
    return found


def median_lag(rows: pl.DataFrame, history: History, model: str) -> float:
    """Median of the lags; a model that never came is later than any."""
    found = lags(rows, history, model).values()
    return float(np.median([np.inf if lag is None else lag for lag in found]))


def transitions_of_three(rows: pl.DataFrame) -> int:
    """Count the changes of E1 where STRESSED counts as RISK_OFF: as many labels as E2 has."""
    own = confirmed(rows)["e1_label"].cast(pl.String).replace("STRESSED", "RISK_OFF")
    return int((own != own.shift(1)).sum())


def throttled_volatility(rows: pl.DataFrame, model: str) -> tuple[float, float]:
    """Volatility a year of the sessions after each worsening of a model, held whole and throttled.

    A session's return is earned under the throttle of the session before. Twenty-one sessions after
    each worsening of the label in force.
    """
    ladder = {label: place for place, label in enumerate(REGIMES.labels)}
    own = rows.sort("session").with_columns(
        severity=pl.col(f"{model}_label").cast(pl.String).replace_strict(ladder),
        left=pl.col(f"{model}_risk_multiplier").shift(1).fill_null(0.0),
    )
    worse = (pl.col("severity") > pl.col("severity").shift(1)) & pl.col(f"{model}_confirmed")
    after = worse.shift(1).cast(pl.Int32).rolling_max(FORWARD, min_samples=1) == 1
    window = own.filter(after)
    whole, throttled = (
        window.select(value.std()).item() * np.sqrt(252)
        for value in (
            pl.col("session_return"),
            pl.col("session_return") * pl.col("left"),
        )
    )
    return float(whole), float(throttled)


# -- the page --------------------------------------------------------------------------------------


def tables() -> str:
    """Write all figures."""
    rows, history = real_rows(), real_history()
    return "\n".join(
        [
            *_models(rows, history),
            *_smoothings(history),
            *_labels("Forward volatility by label", rows, MODELS),
            *_labels("The other labels", rows, ("quadrant", "market", "volatility")),
            *(line for name in SHOWN for line in _days(name, rows)),
            *_embedded(),
        ]
    )


def _models(rows: pl.DataFrame, history: History) -> list[str]:
    bare = judged(history, without=SERIES)
    versions = {"E1": ("e1", rows), "E2": ("e2", rows), "E2 without series": ("e2", bare)}
    head = ["### SPY, 2009-09-18 to 2025-09-26", "", f"| | {' | '.join(versions)} |"]
    lines = [*head, "|---|" + "---|" * len(versions)]

    def line(name: str, cells: Sequence[str]) -> None:
        lines.append(f"| {name} | {' | '.join(cells)} |")

    line("changes of the label in force", [str(transitions(r, m)) for m, r in versions.values()])
    merged = [str(transitions_of_three(r)) if m == "e1" else "–" for m, r in versions.values()]
    line("… where STRESSED counts as RISK_OFF", merged)
    ratios = [f"{worst_to_best(r, m, REGIMES.labels):.2f}" for m, r in versions.values()]
    line("forward volatility, worst over best label", ratios)
    for name, onset in onsets(history).items():
        found = [lags(r, history, m)[name] for m, r in versions.values()]
        cells = ["never" if lag is None else f"{lag:+d}" for lag in found]
        line(f"lag in {name}, sessions from {onset}", cells)
    medians = [f"{median_lag(r, history, m):+.0f}" for m, r in versions.values()]
    line("median lag, sessions", medians)
    after = [throttled_volatility(r, m) for m, r in versions.values()]
    line(
        "volatility in 21 sessions after a worsening, whole → throttled",
        [f"{whole:.1%} → {throttled:.1%}" for whole, throttled in after],
    )
    return [*lines, ""]


def _smoothings(history: History) -> list[str]:
    lines = [
        "### Changes of the label by smoothing",
        "",
        "| worse / better after | E1 | E1 in three labels | E2 | median lag E1 | median lag E2 |",
        "|---|---|---|---|---|---|",
    ]
    for worse, better in ((1, 1), (2, 5), (3, 5), (5, 5), (2, 10)):
        smoothing = SmoothingSettings(worsen_after=worse, improve_after=better)
        rows = judged(history, SETTINGS.model_copy(update={"smoothing": smoothing}))
        cells = [
            *(str(transitions(rows, "e1")), str(transitions_of_three(rows))),
            str(transitions(rows, "e2")),
            *(f"{median_lag(rows, history, model):+.0f}" for model in MODELS),
        ]
        lines.append(f"| {worse} / {better} | {' | '.join(cells)} |")
    return [*lines, ""]


def _labels(title: str, rows: pl.DataFrame, tracks: Sequence[str]) -> list[str]:
    lines = [
        f"### {title}",
        "",
        "| | label | share of sessions | volatility of the next 21 | changes |",
        "|---|---|---|---|---|",
    ]
    for track in tracks:
        found = {row["label"]: row for row in by_label(rows, track).to_dicts()}
        changes = str(transitions(rows, track))
        for label in TRACKS[track].labels:
            if label in found:
                row = found[label]
                lines.append(
                    f"| {track} | {label} | {row['share']:.1%} | {row['forward']:.1%} | {changes} |"
                )
                changes = ""
    return [*lines, ""]


def _days(name: str, rows: pl.DataFrame) -> list[str]:
    lines = [
        f"### {name}",
        "",
        "| session | E1 alone | E1 in force | score | E2 alone | E2 in force | throttle E1 | E2 | "
        "quadrant | market | volatility |",
        "|---|" + "---|" * 10,
    ]
    lines += [
        f"| {row['session']} | {row['e1_raw']} | {row['e1_label']} | {row['e2_score']:.2f} | "
        f"{row['e2_raw']} | {row['e2_label']} | {row['e1_risk_multiplier']:.1f} "
        f"| {row['e2_risk_multiplier']:.2f} | {row['quadrant_label']} "
        f"| {row['market_label']} | {row['volatility_label']} |"
        for row in rows.filter(pl.col("session").is_between(*SHOWN[name])).to_dicts()
    ]
    return [*lines, ""]


def _embedded() -> list[str]:
    lines = [
        "### Eight embedded markets, 2016 to 2025",
        "",
        "| seed | changes E1 | changes E2 | worst over best E1 | worst over best E2 |",
        "|---|---|---|---|---|",
    ]
    for seed in SEEDS:
        rows = embedded_rows(seed)
        cells = [
            *(str(transitions(rows, model)) for model in MODELS),
            *(f"{worst_to_best(rows, model, REGIMES.labels):.2f}" for model in MODELS),
        ]
        shipped = " (shipped)" if seed == SHIPPED else ""
        lines.append(f"| {seed}{shipped} | {' | '.join(cells)} |")
    return [*lines, ""]


def main() -> None:
    """Write the page's tables."""
    head, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(f"{head}{BEGIN}\n\n{tables()}\n{END}{tail}", "utf-8")
    sys.stdout.write(f"{PAGE}\n")


if __name__ == "__main__":
    main()
