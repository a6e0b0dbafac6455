"""The embedded market beside real ones: the facts of both, and the page that shows them.

``python -m quant_platform_tests.known_answers.embedded_market`` writes the table and the pictures
of ``docs/design/embedded-market.md``. The real data belong to others: only quartiles of facts get
into the page, and the pictures show the embedded market alone.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from quant_platform.calendars import SessionCalendar, build_calendar
from quant_platform.reports.chart import Line, line_chart
from quant_platform.sources import Dirt, SimulatedSleeve, SimulatedSource
from quant_platform.validation import FACTS, stylised_facts
from quant_platform_tests.known_answers.data import real_data

PAGE = Path(__file__).resolve().parents[2] / "docs" / "design" / "embedded-market.md"
PICTURES = PAGE.parent / "embedded-market"
BEGIN, END = "<!-- facts: generated -->", "<!-- facts: end -->"

START = date(2015, 1, 2)
_HORIZON, _GRACE = date(2026, 12, 31), timedelta(minutes=90)
SIZE = {"instruments": ("stock", 400), "etfs": ("etf", 120), "crypto": ("crypto", 60)}
"""The size of chapter 02 of the specification."""
SPANS = {
    "instruments": (date(2015, 3, 20), date(2017, 3, 31)),
    "etfs": (date(2015, 1, 2), date(2025, 9, 26)),
    "crypto": (date(2018, 1, 1), date(2026, 1, 2)),
}
"""The sessions of the real data, and so of both."""
PERIODS = {"instruments": 252, "etfs": 252, "crypto": 365}
REAL = {
    "instruments": "US stocks 2015–2017",
    "etfs": "21 ETFs 2015–2025",
    "crypto": "50 coins 2018–2025",
}


@cache
def calendar_of(sleeve: str) -> SessionCalendar:
    """Calendar of a sleeve."""
    code = "24/7" if sleeve == "crypto" else "XNYS"
    return build_calendar(code, horizon=_HORIZON, grace=_GRACE)


@cache
def market(seed: int = 7) -> SimulatedSource:
    """Return the embedded market without dirt, at the size of the specification."""
    sleeves = tuple(SimulatedSleeve(name, (kind,), n) for name, (kind, n) in SIZE.items())
    return SimulatedSource(seed, START, sleeves, Dirt(), timedelta(minutes=30))


def simulated_moves(sleeve: str, seed: int = 7) -> pl.DataFrame:
    """Return bars of the embedded market with log returns in units of each session."""
    calendar, source = calendar_of(sleeve), market(seed)
    bars = source.bars(calendar, sleeve, calendar.between(*SPANS[sleeve]))
    actions = source.actions(calendar, sleeve, calendar.sessions)
    units = actions.filter(pl.col("kind").is_in(["split", "stock_dividend"]))
    if sleeve == "crypto":
        # Coins proper: the real set has no perps, pegs or stablecoins.
        listed = source.securities(calendar, sleeve, calendar.sessions)
        coins = listed.filter(~pl.col("category").is_in(["Perp", "Gold", "Stablecoin"]))
        bars = bars.join(coins, on="security_id", how="semi")
    return (
        bars.join(
            units.select("security_id", "session", units="value"),
            on=["security_id", "session"],
            how="left",
        )
        .sort("security_id", "session")
        .with_columns(
            move=pl.col("close").log().diff().over("security_id")
            + pl.col("units").fill_null(1.0).log()
        )
    )


def real_moves(sleeve: str) -> pl.DataFrame:
    """Return the same of real markets; the test that asks is skipped where they are not at hand."""
    names = {"symbol": "security_id", "date": "session"}
    first, last = SPANS[sleeve]
    if sleeve == "etfs":
        bars = pl.read_parquet(real_data("etf/etf21.parquet")).rename(names)
        previous = pl.col("close").shift(1).over("security_id", order_by="session")
    elif sleeve == "crypto":
        bars = pl.read_parquet(real_data("crypto/binance_spot_50.parquet")).rename(names)
        previous = pl.col("close").shift(1).over("security_id", order_by="session")
    else:
        bars = pl.read_parquet(real_data("us_pit_2015_2017/prices.parquet")).rename(names)
        actions = pl.read_parquet(real_data("us_pit_2015_2017/implied_actions.parquet"))
        adjusted = actions.select(
            security_id="symbol", before=pl.col("prev_date").cast(pl.Date), adjusted="adj_close"
        ).unique(["security_id", "before"])
        bars = _liquid(bars.with_columns(pl.col("session").cast(pl.Date)))
        shifted = pl.col("session").shift(1).over("security_id", order_by="session")
        bars = bars.with_columns(before=shifted).join(
            adjusted, on=["security_id", "before"], how="left"
        )
        previous = pl.coalesce(
            "adjusted", pl.col("close").shift(1).over("security_id", order_by="session")
        )
    sessions = calendar_of(sleeve).between(first, last)
    bars = bars.with_columns(pl.col("session").cast(pl.Date)).filter(
        pl.col("session").is_in(sessions)
    )
    priced = (pl.col("close") > 0) & (pl.col("low") > 0) & (pl.col("high") >= pl.col("low"))
    return bars.filter(priced).with_columns(
        move=(pl.col("close") / previous).log(), volume=pl.col("volume").cast(pl.Float64)
    )


def _liquid(bars: pl.DataFrame) -> pl.DataFrame:
    """Keep what trades like the embedded stocks: two million dollars a day, five a share."""
    sessions = calendar_of("instruments").between(*SPANS["instruments"])
    open_days = bars.filter(pl.col("session").is_in(sessions))
    money = (pl.col("close") * pl.col("volume")).median()
    liquid = open_days.group_by("security_id").agg(money=money, price=pl.col("close").median())
    chosen = liquid.filter((pl.col("money") >= 2e6) & (pl.col("price") >= 5))
    return open_days.join(chosen.select("security_id"), on="security_id", how="semi")


@cache
def simulated_facts(sleeve: str) -> pl.DataFrame:
    """Facts of the embedded market."""
    return stylised_facts(simulated_moves(sleeve), periods_per_year=PERIODS[sleeve])


@cache
def real_facts(sleeve: str) -> pl.DataFrame:
    """Facts of the real market."""
    return stylised_facts(real_moves(sleeve), periods_per_year=PERIODS[sleeve])


def table() -> str:
    """Write the facts of all markets side by side."""
    lines = []
    for sleeve in SIZE:
        lines += [
            f"### `{sleeve}`",
            "",
            f"| fact | embedded | {REAL[sleeve]} |",
            "|---|---|---|",
        ]
        both = [_written(facts(sleeve)) for facts in (simulated_facts, real_facts)]
        lines += [
            f"| {fact.replace('_', ' ')} ({unit}) | {both[0][fact]} | {both[1][fact]} |"
            for fact, unit in FACTS.items()
        ]
        lines.append("")
    return "\n".join(lines)


def _written(facts: pl.DataFrame) -> Mapping[str, str]:
    return {
        fact: f"{median:.2f}" if low == high else f"{low:.2f} … **{median:.2f}** … {high:.2f}"
        for fact, low, median, high, _ in facts.iter_rows()
    }


def pictures() -> dict[str, str]:
    """Draw the embedded market: what it did and how wild it was, weekly."""
    drawn = {}
    names = {
        "etfs": ("SPY", "SSO", "SH", "TLT", "GLD"),
        "crypto": ("BTCUSDT", "ETHUSDT", "XAUTUSDT"),
    }
    for sleeve, tickers in names.items():
        calendar = calendar_of(sleeve)
        days = calendar.between(START, date(2025, 12, 31))
        bars = market().bars(calendar, sleeve, days)
        actions = market().actions(calendar, sleeve, calendar.sessions)
        units = actions.filter(pl.col("kind").is_in(["split", "stock_dividend"]))
        weekly = days[::10]
        lines, wild = [], []
        for colour, ticker in enumerate(tickers):
            own = bars.filter(pl.col("symbol").str.ends_with(f":{ticker}")).sort("session")
            ratio = own.join(units, on=["security_id", "session"], how="left")["value"]
            moves = own["close"].log().diff() + ratio.fill_null(1.0).log()
            path = pl.DataFrame({"session": own["session"], "level": moves.fill_null(0).cum_sum()})
            level = dict(path.iter_rows())
            lines.append(Line(ticker, [_exp(level.get(day)) for day in weekly], colour))
            deviation = moves.rolling_std(21) * PERIODS[sleeve] ** 0.5
            known = dict(zip(own["session"], deviation, strict=True))
            wild.append(Line(ticker, [known.get(day) for day in weekly], colour))
        drawn[f"{sleeve}-paths"] = line_chart(
            f"{sleeve}: growth of a dollar, splits taken out", weekly, lines, "USD", standalone=True
        )
        drawn[f"{sleeve}-volatility"] = line_chart(
            f"{sleeve}: volatility a year over 21 sessions",
            weekly,
            wild,
            "fraction",
            standalone=True,
        )
    return drawn


def _exp(level: float | None) -> float | None:
    return None if level is None else float(np.exp(level))


def main() -> None:
    """Write the page's table and pictures."""
    text = PAGE.read_text("utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(f"{head}{BEGIN}\n\n{table()}\n{END}{tail}", "utf-8")
    PICTURES.mkdir(exist_ok=True)
    for name, svg in pictures().items():
        (PICTURES / f"{name}.svg").write_text(svg, "utf-8")
    sys.stdout.write(f"{PAGE}\n")


if __name__ == "__main__":
    main()
