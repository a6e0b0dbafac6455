"""The field table: every column of the screener, by the name under which users know it.

Names are those of TradingView's screener; what it has no name for (a slope, a place among noise)
has one of the same style. Each line says the unit, the feature that the value is for any past
session, and the vendor's field with the factor that turns its unit into ours: the vendor writes
percent where we write fractions, so that 0.02 is 2 % in every scanner. A line without a vendor
field has no equal there: a live snapshot leaves it to the features.

What a scanner may test, the contract of the table, the functions that fill it and the snapshot of
the live session all read this table; nothing of it is said anywhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from quant_platform.settings.base import near_names

FieldKind = Literal["number", "text"]
PERCENT = 0.01
"""Factor of a vendor field in percent."""


@dataclass(frozen=True)
class ScreenerField:
    """One column of the screener.

    Parameters
    ----------
    name
        Name in scanners and in the table.
    kind
        Whether it is compared as a number or as a name.
    unit
        Unit of a number, or what the names are.
    description
        What it is, without unit and null rule.
    table, column
        Feature table that it comes from, and the column there; both empty for one that the screener
        makes itself, or that no source of ours tells.
    vendor
        TradingView's field; empty where it has none that is the same thing.
    factor
        What the vendor's value is multiplied by to be in our unit.
    least, above, most
        Bounds of the value; a number without any is signed.
    wide
        Whether it is stored in 64 bits: prices and money are, indicators are not.
    """

    name: str
    kind: FieldKind
    unit: str
    description: str
    table: str = ""
    column: str = ""
    vendor: str = ""
    factor: float = 1.0
    least: float | None = None
    above: float | None = None
    most: float | None = None
    wide: bool = False


def _number(
    name: str,
    unit: str,
    description: str,
    source: str,
    *,
    vendor: str | None = None,
    factor: float = 1.0,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    wide: bool = False,
) -> ScreenerField:
    table, _, column = source.partition(".")
    return ScreenerField(
        name,
        "number",
        unit,
        description,
        table,
        column,
        name if vendor is None else vendor,
        factor,
        least,
        above,
        most,
        wide,
    )


def _name(name: str, unit: str, description: str, source: str, vendor: str = "") -> ScreenerField:
    table, _, column = source.partition(".")
    return ScreenerField(name, "text", unit, description, table, column, vendor or name)


def _return(name: str, sessions: str, source: str) -> ScreenerField:
    what = f"Return over {sessions}"
    return _number(name, "fraction", what, source, factor=PERCENT, least=-1)


def _volatility(name: str, description: str, column: str) -> ScreenerField:
    source = f"features_trend.{column}"
    return _number(name, "fraction per session", description, source, factor=PERCENT, least=0)


_FIELDS = (
    # -- what it is
    _name("exchange", "code", "Exchange, as in the symbol", "universe.exchange"),
    _name("type", "stock, fund, spot or swap", "Kind of instrument", ""),
    _name("sector", "name", "Sector of a stock", "universe.sector"),
    _name("category", "id", "Category of a fund by the vendor's id, else as it was told", ""),
    _name("brand", "name", "Brand of a fund", ""),
    _name("issuer", "name", "Company that runs a fund", "fund_facts.issuer"),
    _name("base_currency", "code", "What a coin's pair is a price of", ""),
    _name("currency", "code", "What a coin's pair is quoted in", ""),
    # -- price and volume
    _number("close", "price", "Close of the session", "features_trend.close", above=0, wide=True),
    _number("volume", "units", "Units traded in the session", "bars.volume", least=0, wide=True),
    _number(
        "Value.Traded",
        "money",
        # The vendor's field of this name is of one day, which would let liquidity floors flap.
        "Mean of close times volume over 20 sessions",
        "features_liquidity.adv_money_20",
        vendor="",
        least=0,
    ),
    _number(
        "ADV.Shares",
        "units",
        "Mean volume of 20 sessions",
        "features_liquidity.adv_shares_20",
        vendor="",
        least=0,
    ),
    _number(
        "relative_volume_10d_calc",
        "ratio",
        "Volume over its mean of 10 sessions",
        "features_trend.volume_ratio_10",
        least=0,
    ),
    # -- performance
    _number(
        "change",
        "fraction",
        "Return of the session",
        "returns.total",
        factor=PERCENT,
        least=-1,
        wide=True,
    ),
    _return("Perf.W", "5 sessions", "features_trend.performance_5"),
    _return("Perf.1M", "21 sessions", "features_trend.performance_21"),
    _return("Perf.3M", "63 sessions", "features_trend.performance_63"),
    _return("Perf.6M", "126 sessions", "features_trend.performance_126"),
    _return("Perf.Y", "252 sessions", "features_trend.performance_252"),
    _return("Perf.YTD", "the calendar year so far", "features_state.performance_ytd"),
    _number(
        "High.52W.Distance",
        "fraction",
        "Distance of the close from the highest high of 252 sessions",
        "features_trend.high_252_distance",
        vendor="",
        least=-1,
        most=0,
    ),
    # -- volatility
    _volatility("Volatility.D", "Volatility of the session from its range", "volatility_1"),
    _volatility("Volatility.W", "Standard deviation of 5 daily log returns", "volatility_5"),
    _volatility("Volatility.M", "Standard deviation of 21 daily log returns", "volatility_21"),
    _number("ATR", "price", "Mean true range of 14 bars", "features_state.atr_14", least=0),
    _number(
        "ATRP",
        "fraction",
        "Mean true range of 14 bars over the close",
        "features_state.atr_pct",
        factor=PERCENT,
        least=0,
    ),
    # -- trend
    _number("ADX", "0..100", "Wilder's ADX of 14 bars", "features_state.adx_14", least=0, most=100),
    _number("RSI", "0..100", "RSI of 14 bars", "features_state.rsi_14", least=0, most=100),
    _number("SMA20", "price", "Mean close of 20 sessions", "features_trend.sma_20", above=0),
    _number("SMA50", "price", "Mean close of 50 sessions", "features_trend.sma_50", above=0),
    _number("SMA200", "price", "Mean close of 200 sessions", "features_trend.sma_200", above=0),
    _number(
        "SMA50.Slope",
        "percent",
        "Change of SMA50 over 10 sessions",
        "features_trend.sma_50_slope",
        vendor="",
    ),
    _number(
        "BB.upper",
        "price",
        "Upper Bollinger band of 20 sessions",
        "features_trend.bollinger_upper_20",
        above=0,
    ),
    _number(
        "BB.lower",
        "price",
        "Lower Bollinger band of 20 sessions",
        "features_trend.bollinger_lower_20",
    ),
    _number(
        "Trend.W",
        "whole score, -1..1",
        "Order of the close and the means of 10 and 40 weekly closes",
        "features_trend.weekly_trend",
        vendor="",
        least=-1,
        most=1,
    ),
    _number(
        "Recommend.All",
        "score, -1..1",
        "Mean vote of averages and oscillators",
        "features_trend.recommend_all",
        least=-1,
        most=1,
    ),
    _number(
        "Recommend.MA",
        "score, -1..1",
        "Mean vote of the averages",
        "features_trend.recommend_ma",
        least=-1,
        most=1,
    ),
    _number(
        "Recommend.Other",
        "score, -1..1",
        "Mean vote of the oscillators",
        "features_trend.recommend_other",
        least=-1,
        most=1,
    ),
    # -- anchored averages and the cross-section
    _number(
        "Trend.Score",
        "units of the score",
        "Slope, strength and calm of the trend",
        "features_trend.trend_score",
        vendor="",
    ),
    _number(
        "AVWAP.Distance",
        "percent",
        "Distance of the close from its best anchored average",
        "features_avwap.dist_pct",
        vendor="",
    ),
    _number(
        "AVWAP.Slope",
        "percent per session",
        "Slope of that average over 10 sessions",
        "features_avwap.avwap_slope",
        vendor="",
    ),
    _number(
        "Composite.Rank",
        "share",
        "Place by the composite score of the cross-section, the best of n has 1/n",
        "cross_section.composite_rank",
        vendor="",
        above=0,
        most=1,
    ),
    # -- what is known of a fund or company
    _number("market_cap_basic", "money", "Market capitalisation", "", least=0, wide=True),
    _number("aum", "money", "Assets of a fund", "fund_facts.aum", least=0, wide=True),
    _number(
        "expense_ratio",
        "fraction a year",
        "Fee of a fund",
        "fund_facts.expense_ratio",
        factor=PERCENT,
        least=0,
    ),
    _number(
        "dividend_yield_recent",
        "fraction a year",
        "Distributions of a fund over its price",
        "fund_facts.yield",
        factor=PERCENT,
    ),
    # -- predictability, on rebalance sessions
    *(
        _number(
            f"{name}.Place",
            "fraction",
            f"Place of {what} among noise, on rebalance sessions",
            f"features_predictability.{column}_place",
            vendor="",
            least=0,
            most=1,
        )
        for name, what, column in (
            ("Entropy", "the permutation entropy", "permutation_entropy"),
            ("Efficiency", "the efficiency ratio", "efficiency"),
            ("Hurst", "the Hurst exponent", "hurst"),
        )
    ),
)

FIELDS = {field.name: field for field in _FIELDS}
"""The columns of the screener by name, in their stored order."""
NUMBERS = tuple(field.name for field in _FIELDS if field.kind == "number")
"""Names of what is compared with numbers."""
NAMES = tuple(field.name for field in _FIELDS if field.kind == "text")
"""Names of what is compared with names."""

FUND_CATEGORIES = {
    # Ids as chapter 04 of the specification lists them: 26 equity, 27 leveraged, 44 dividend,
    # 56-64, 68 and 70 bonds, 4-8 commodity. The embedded market tells names.
    **dict.fromkeys(("Large Blend", "Large Growth", "Large Value", "Small Blend", "Foreign"), "26"),
    **dict.fromkeys(("Sector", "Thematic"), "26"),
    **dict.fromkeys(("Leveraged", "Inverse"), "27"),
    "Income": "44",
    "Bond": "57",
    "Commodity": "5",
}
"""The vendor's id of a fund's category by the name that a source gives it."""

MONEY = ("FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USD", "DAI", "EUR", "GBP", "TRY")
"""Currencies, and coins that stand for one, that a coin's pair may be quoted in."""
QUOTES = (*MONEY, "BTC", "ETH", "BNB")
"""What a coin's pair may be quoted in: the longest that a ticker ends with."""
STABLE_BASES = frozenset(
    {"USDT", "USDC", "FDUSD", "BUSD", "TUSD", "USDP", "DAI", "USDE", "PYUSD", "EUR", "USD"}
)
"""Coins that are pegged to money: a pair of two of them has no trend worth trading."""
MARKETS = {
    # TradingView writes AMEX for NYSE Arca, where most funds are listed. US is what an import says
    # whose files name no exchange (docs/how-to/mappings).
    "america": ("NYSE", "NASDAQ", "AMEX", "CBOE", "US"),
    "crypto": (),
}
"""Exchanges of each market of the vendor; none where it is not bound to exchanges."""


def near_fields(name: str, among: Sequence[str] | None = None) -> list[str]:
    """Return the names of fields that come near a wrong one, best first."""
    return near_names(name, list(FIELDS if among is None else among))
