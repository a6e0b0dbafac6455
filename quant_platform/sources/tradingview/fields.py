"""The field table of the vendor: which of its columns fills which column of the screener.

Names are those of the screener, which took them from the vendor; where the vendor itself calls a
column otherwise, or has none in one of its markets, this table says so. The vendor counts returns,
volatilities, fees and yields in percent, we in fractions: ``scale`` turns one into the other.

``listed_as`` is the type under which the vendor's own list of columns (``metainfo``) has it. It is
compared before anything is asked, because the vendor answers a column that it does not know with
nulls, and would answer a changed unit with other numbers under the same name.

Some columns mean nearly what ours do, and not quite: ``remark`` says where they differ. That is why
a screener row tells whose values it holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from quant_platform.settings.asset_class import AssetClass

Market = Literal["america", "crypto"]

MARKETS: dict[AssetClass, Market] = {"stock": "america", "etf": "america", "crypto": "crypto"}
"""Market of the vendor by asset class. Every sleeve trades US listings or coins so far."""

PERCENT = 0.01
"""Scale of what the vendor counts in percent."""


@dataclass(frozen=True)
class VendorField:
    """One column.

    Parameters
    ----------
    name
        Column of the screener.
    listed_as
        Type in the vendor's list of columns.
    america, crypto
        Column of the vendor in that market; None where it has none.
    scale
        Factor from the vendor's unit to ours.
    remark
        Where the vendor means something else than our feature tables do.
    """

    name: str
    listed_as: str
    america: str | None
    crypto: str | None
    scale: float = 1.0
    remark: str = ""

    @property
    def is_text(self) -> bool:
        """Whether its values are texts."""
        return self.listed_as == "text"

    def column(self, market: Market) -> str | None:
        """Column of the vendor in a market."""
        return self.america if market == "america" else self.crypto


def _same(name: str, listed_as: str, scale: float = 1.0, remark: str = "") -> VendorField:
    """Return a column that has the same name in both markets."""
    return VendorField(name, listed_as, name, name, scale, remark)


def _listed(name: str, listed_as: str, scale: float = 1.0) -> VendorField:
    """Return a column that only stocks and funds have."""
    return VendorField(name, listed_as, name, None, scale)


_MONTHS = "counted from a day of the calendar, where ours count sessions"
_RANGES = "mean of the daily ranges high to low, where ours is a deviation of log returns"

FIELDS: tuple[VendorField, ...] = (
    _same("close", "price"),
    _same("volume", "number"),
    VendorField(
        "Value.Traded",
        "number",
        "AvgValue.Traded_30d",
        "average_volume_30d_calc_usd",
        remark="mean of 30 sessions, where ours is of 20; of coins in US dollars",
    ),
    _same("change", "percent", PERCENT),
    _same("Perf.W", "number", PERCENT, _MONTHS),
    _same("Perf.1M", "number", PERCENT, _MONTHS),
    _same("Perf.3M", "number", PERCENT, _MONTHS),
    _same("Perf.6M", "number", PERCENT, _MONTHS),
    _same("Perf.Y", "number", PERCENT, _MONTHS),
    _same("Perf.YTD", "number", PERCENT),
    _same("Volatility.D", "number", PERCENT, _RANGES),
    _same("Volatility.W", "number", PERCENT, _RANGES),
    _same("Volatility.M", "number", PERCENT, _RANGES),
    _same("SMA50", "number"),
    _same("SMA200", "number"),
    _same("ADX", "number"),
    _same("ATR", "number"),
    _same("RSI", "number"),
    _same("Recommend.All", "number"),
    _same("Recommend.MA", "number"),
    _same("Recommend.Other", "number"),
    VendorField("market_cap_basic", "fundamental_price", "market_cap_basic", None),
    VendorField("aum", "fundamental_price", "aum", None),
    _listed("expense_ratio", "number", PERCENT),
    _listed("dividend_yield_recent", "number", PERCENT),
    _listed("category", "text"),
    _listed("brand", "text"),
    _listed("issuer", "text"),
    _same("sector", "text"),
)
"""Every column of a snapshot, in its order."""

CHANGE_IN_MONEY = "change_abs"
"""Column that is asked for beside ``change``: with the close it tells the unit of ``change``."""

FIELD_OF = {field.name: field for field in FIELDS}


def fields_of(market: Market) -> dict[str, VendorField]:
    """Return the fields that a market has, by the vendor's name of the column."""
    named = ((field.column(market), field) for field in FIELDS)
    return {column: field for column, field in named if column is not None}
