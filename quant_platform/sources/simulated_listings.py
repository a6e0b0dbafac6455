"""What never changes about the securities of the embedded market: names, exchanges, sectors."""

from __future__ import annotations

from functools import lru_cache

import polars as pl

from quant_platform.sources.protocol import SECURITY_SCHEMA
from quant_platform.sources.simulated_market import SimulatedSleeve

_EXCHANGES = {"stock": ("NASDAQ", "NYSE"), "etf": ("AMEX",), "crypto": ("BINANCE",)}
_SECTORS = (
    "Communication Services",
    "Consumer Discretionary",
    "Consumer Staples",
    "Energy",
    "Financials",
    "Health Care",
    "Industrials",
    "Information Technology",
    "Materials",
    "Real Estate",
    "Utilities",
)
_CATEGORIES = {
    "etf": ("Large Blend", "Small Blend", "Sector", "Bond", "Commodity"),
    "crypto": ("Layer 1", "Layer 2", "DeFi", "Infrastructure"),
}


@lru_cache(maxsize=32)
def listing_of(sleeve: SimulatedSleeve, asset_classes: tuple[str, ...]) -> pl.DataFrame:
    """Return what never changes about each security, by its number."""
    rows = []
    for number, asset_class in enumerate(asset_classes):
        exchanges = _EXCHANGES[asset_class]
        exchange = exchanges[number % len(exchanges)]
        categories = _CATEGORIES.get(asset_class)
        # A ticker that no exchange would grant: nobody shall take it for a real company's.
        ticker = f"{sleeve.name.upper()}{number:04d}{'USDT' if asset_class == 'crypto' else ''}"
        rows.append(
            {
                "symbol": f"{exchange}:{ticker}",
                "security_id": f"{sleeve.name}-{number:04d}",
                "name": f"Simulated {asset_class} {number:04d} of {sleeve.name}",
                "exchange": exchange,
                "asset_class": asset_class,
                "sector": _SECTORS[number % len(_SECTORS)] if asset_class == "stock" else None,
                "category": categories[number % len(categories)] if categories else None,
                "tick": None if asset_class == "crypto" else 0.01,
                "lot": None if asset_class == "crypto" else 1.0,
                "leverage": None,
                "underlying": None,
                "country": None if asset_class == "crypto" else "US",
            }
        )
    return pl.DataFrame(rows, schema={name: SECURITY_SCHEMA[name] for name in rows[0]})
