"""Snapshots: what a vendor's screener said of a session, in our units, by the vendor's symbols."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from quant_platform.lakehouse.contracts import columns
from quant_platform.lakehouse.contracts.contract import Contract
from quant_platform.lakehouse.rules import Rule, rejected_share, row_count

_NONE = "null where the vendor tells none"


def _return(over: str, alias: str | None = None) -> dy.Float64:
    """Return over a stretch, as the vendor counts it."""
    return dy.Float64(
        alias=alias, nullable=True, min=-1, description=f"Return {over}, fraction; {_NONE}."
    )


def _ranges(over: str, alias: str) -> dy.Float64:
    """Mean of daily ranges over a stretch."""
    return dy.Float64(
        alias=alias,
        nullable=True,
        min=0,
        description=f"Mean of the daily ranges high to low over {over}, fraction; {_NONE}.",
    )


def _price(what: str, alias: str | None = None) -> dy.Float64:
    return dy.Float64(
        alias=alias, nullable=True, min_exclusive=0, description=f"{what}, price; {_NONE}."
    )


def _points(what: str, alias: str) -> dy.Float64:
    return dy.Float64(
        alias=alias, nullable=True, min=0, max=100, description=f"{what}, points 0..100; {_NONE}."
    )


def _rating(what: str, alias: str) -> dy.Float64:
    return dy.Float64(
        alias=alias,
        nullable=True,
        min=-1,
        max=1,
        description=f"{what}, score from -1 (sell) to 1 (buy), signed; {_NONE}.",
    )


def _money(what: str, alias: str | None = None) -> dy.Float64:
    return dy.Float64(alias=alias, nullable=True, min=0, description=f"{what}, money; {_NONE}.")


def _text(what: str) -> dy.String:
    return dy.String(nullable=True, description=f"{what}; {_NONE}.")


class Snapshot(dy.Schema):
    """One symbol of one snapshot."""

    knowledge_session = columns.knowledge_session()
    symbol = dy.String(
        primary_key=True, min_length=3, description="EXCHANGE:TICKER as the vendor names it."
    )
    session = dy.Date(description="Session that the values are of.")
    known_at = columns.known_at("snapshot", ": when its last page had been received")
    known_at_basis = columns.known_at_basis()
    security_id = dy.String(
        nullable=True,
        min_length=1,
        description="Security of the sleeve that bears the symbol; null where none does.",
    )
    payload = dy.String(
        min_length=64, description="SHA-256 of the kept file that holds the vendor's own words."
    )
    close = dy.Float64(min_exclusive=0, description="Last price of the session, unadjusted.")
    volume = dy.Float64(nullable=True, min=0, description=f"Units traded in the session; {_NONE}.")
    value_traded = _money("Mean value traded of 30 sessions", alias="Value.Traded")
    change = _return("of the session")
    perf_w = _return("over a week", alias="Perf.W")
    perf_1m = _return("over a month", alias="Perf.1M")
    perf_3m = _return("over three months", alias="Perf.3M")
    perf_6m = _return("over six months", alias="Perf.6M")
    perf_y = _return("over a year", alias="Perf.Y")
    perf_ytd = _return("since the year began", alias="Perf.YTD")
    volatility_d = _ranges("a day", alias="Volatility.D")
    volatility_w = _ranges("a week", alias="Volatility.W")
    volatility_m = _ranges("a month", alias="Volatility.M")
    sma_50 = _price("Mean close of 50 sessions", alias="SMA50")
    sma_200 = _price("Mean close of 200 sessions", alias="SMA200")
    adx = _points("ADX of 14 bars", alias="ADX")
    atr = dy.Float64(
        alias="ATR", nullable=True, min=0, description=f"ATR of 14 bars, price; {_NONE}."
    )
    rsi = _points("RSI of 14 bars", alias="RSI")
    recommend_all = _rating("Rating of all indicators", alias="Recommend.All")
    recommend_ma = _rating("Rating of the moving averages", alias="Recommend.MA")
    recommend_other = _rating("Rating of the oscillators", alias="Recommend.Other")
    market_cap_basic = _money("Market capitalisation")
    aum = _money("Assets of a fund")
    expense_ratio = dy.Float64(
        nullable=True, min=0, description=f"Fee of a fund, fraction of assets a year; {_NONE}."
    )
    dividend_yield_recent = dy.Float64(
        nullable=True, min=0, description=f"Dividends, fraction of the price a year; {_NONE}."
    )
    category = _text("Category of a fund, a number of the vendor's")
    brand = _text("Brand of a fund")
    issuer = _text("Company that runs a fund")
    sector = _text("Sector in the vendor's words; of a coin its name")


def _unknown_share() -> Rule:
    """Share of the symbols that no security of the sleeve bears.

    A market has far more than a sleeve; that next to none is known means that names differ.
    """
    return Rule(
        "unknown_share",
        "warning",
        pl.when(pl.col("rows") > 0).then(pl.col("unknown") / pl.col("rows")),
        0.999,
        "at_most",
        {"unknown": pl.col("security_id").is_null().sum()},
    )


SNAPSHOT = Contract(
    kind="snapshot",
    schema=Snapshot,
    version=1,
    grain="one symbol of the snapshot that was taken of a session",
    external=True,
    rules=(row_count(), rejected_share(), _unknown_share()),
)
