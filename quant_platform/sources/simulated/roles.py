"""Funds and coins of the embedded market that play a part everybody knows.

The first securities of a sleeve take these parts, in this order, so that a small market has some of
each; what comes after is drawn from the same kinds. The tickers are those under which people know
the part, the names say that it is simulated.
"""

from __future__ import annotations

from dataclasses import dataclass

from quant_platform.sources.simulated.state import SECTORS


@dataclass(frozen=True)
class Fund:
    """A fund's part.

    Parameters
    ----------
    ticker, name, category, issuer
        As people know it.
    driver
        What it is built on, a column of `quant_platform.sources.simulated.funds.drivers`.
    leverage
        Factor on the driver's daily return.
    fee, distributed
        Fractions a year.
    payments
        Distributions a year.
    price, turnover
        First price, and quote currency a day.
    lasts
        Whether it is there all the time.
    """

    ticker: str
    name: str
    category: str
    issuer: str
    driver: str
    leverage: float = 1.0
    fee: float = 0.002
    distributed: float = 0.015
    payments: int = 4
    price: float = 100.0
    turnover: float = 2e8
    lasts: bool = False


def _sector(ticker: str, name: str) -> Fund:
    return Fund(
        ticker, f"{name} sector", "Sector", "Ridge", f"sector {name}", fee=0.001, price=40.0
    )


FUNDS = (
    Fund(
        "SPY",
        "large blend",
        "Large Blend",
        "Ridge",
        "broad",
        fee=9e-4,
        price=205,
        turnover=2e10,
        lasts=True,
    ),
    Fund(
        "ARKS",
        "innovation",
        "Thematic",
        "Harbor",
        "theme Information Technology",
        fee=0.0075,
        distributed=0.0,
        price=25,
        turnover=4e7,
    ),
    _sector("XLK", "Information Technology"),
    Fund("SSO", "large blend twice", "Leveraged", "Summit", "broad", 2.0, 0.009, 0.003, price=64),
    Fund("SH", "large blend inverse", "Inverse", "Summit", "broad", -1.0, 0.009, 0.0, price=22),
    Fund(
        "TLT",
        "treasuries 20 years",
        "Bond",
        "Quarry",
        "bond 17",
        fee=0.0015,
        distributed=0.028,
        payments=12,
        price=126,
        turnover=1.5e9,
        lasts=True,
    ),
    Fund(
        "GLD",
        "gold",
        "Commodity",
        "Ridge",
        "gold",
        fee=0.004,
        distributed=0.0,
        price=114,
        turnover=1e9,
        lasts=True,
    ),
    Fund(
        "IWM", "small blend", "Small Blend", "Quarry", "small", price=119, turnover=4e9, lasts=True
    ),
    Fund(
        "HYG",
        "high yield credit",
        "Bond",
        "Quarry",
        "high yield",
        fee=0.005,
        distributed=0.053,
        payments=12,
        price=90,
        turnover=1.5e9,
        lasts=True,
    ),
    Fund(
        "LQD",
        "investment grade credit",
        "Bond",
        "Quarry",
        "corporate",
        fee=0.0014,
        distributed=0.034,
        payments=12,
        price=120,
        turnover=1e9,
        lasts=True,
    ),
    Fund(
        "BUFS",
        "buffer",
        "Buffer",
        "Harbor",
        "buffer",
        fee=0.008,
        distributed=0.0,
        price=26,
        turnover=8e6,
    ),
    Fund(
        "INCS",
        "option income",
        "Income",
        "Harbor",
        "income",
        fee=0.0035,
        distributed=0.085,
        payments=12,
        price=55,
        turnover=6e7,
    ),
    Fund("QQQ", "large growth", "Large Growth", "Summit", "growth", price=103, turnover=8e9),
    _sector("XLF", "Financials"),
    _sector("XLE", "Energy"),
    _sector("XLV", "Health Care"),
    Fund(
        "AGG",
        "aggregate bonds",
        "Bond",
        "Quarry",
        "bond 6",
        fee=4e-4,
        distributed=0.024,
        payments=12,
        price=110,
    ),
    Fund(
        "TQQQ", "large growth thrice", "Leveraged", "Summit", "growth", 3.0, 0.0095, 0.0, price=98
    ),
    Fund("USO", "oil", "Commodity", "Summit", "oil", fee=0.008, distributed=0.0, price=20),
    Fund(
        "EFA",
        "developed world",
        "Foreign",
        "Quarry",
        "world",
        fee=0.0032,
        distributed=0.028,
        price=61,
    ),
    _sector("XLI", "Industrials"),
    _sector("XLY", "Consumer Discretionary"),
    _sector("XLP", "Consumer Staples"),
    _sector("XLU", "Utilities"),
    _sector("XLB", "Materials"),
    _sector("XLRE", "Real Estate"),
    _sector("XLC", "Communication Services"),
    Fund(
        "IEF",
        "treasuries 7 years",
        "Bond",
        "Quarry",
        "bond 7",
        fee=0.0015,
        distributed=0.02,
        payments=12,
        price=106,
    ),
    Fund(
        "SHY",
        "treasuries 2 years",
        "Bond",
        "Quarry",
        "bond 2",
        fee=0.0015,
        distributed=0.012,
        payments=12,
        price=84,
    ),
    Fund("VTV", "large value", "Large Value", "Quarry", "value", price=84),
    Fund(
        "SQQQ",
        "large growth inverse thrice",
        "Inverse",
        "Summit",
        "growth",
        -3.0,
        0.0095,
        0.0,
        price=26,
    ),
    Fund(
        "TMF",
        "treasuries 20 years thrice",
        "Leveraged",
        "Summit",
        "bond 17",
        3.0,
        0.01,
        0.0,
        price=85,
    ),
)
"""The first funds."""

MORE_FUNDS = (
    *(
        Fund(
            "",
            f"{name} thematic",
            "Thematic",
            "Harbor",
            f"theme {name}",
            fee=0.006,
            distributed=0.004,
            price=30,
            turnover=5e6,
        )
        for name in SECTORS[:8]
    ),
    Fund("", "small value", "Small Blend", "Quarry", "small", price=50, turnover=1e7),
    Fund("", "large blend", "Large Blend", "Ridge", "broad", price=60, turnover=5e7),
    Fund("", "medium bonds", "Bond", "Quarry", "bond 5", distributed=0.025, payments=12, price=50),
    Fund(
        "",
        "option income",
        "Income",
        "Harbor",
        "income",
        fee=0.006,
        distributed=0.09,
        payments=12,
        price=40,
        turnover=1e7,
    ),
    Fund(
        "",
        "buffer",
        "Buffer",
        "Harbor",
        "buffer",
        fee=0.008,
        distributed=0.0,
        price=30,
        turnover=4e6,
    ),
    Fund("", "oil twice", "Leveraged", "Summit", "oil", 2.0, 0.0095, 0.0, price=40, turnover=3e7),
    Fund("", "gold", "Commodity", "Ridge", "gold", distributed=0.0, price=35, turnover=2e7),
    Fund(
        "",
        "developed world",
        "Foreign",
        "Quarry",
        "world",
        distributed=0.03,
        price=45,
        turnover=2e7,
    ),
)
"""Kinds of all further funds, in turns."""


@dataclass(frozen=True)
class Coin:
    """A coin's part.

    Parameters
    ----------
    base
        Its name before the quote currency.
    kind
        ``spot``, ``perp`` (of another slot of the group), ``stable``, ``gold``, ``broken gold``
        (which detaches from gold) or nothing in particular.
    of
        Slot of the spot that a perp follows.
    price, turnover
        First price, and quote currency a day.
    """

    base: str
    kind: str
    of: int = 0
    price: float = 0.0
    turnover: float = 0.0


COINS = {
    0: Coin("BTC", "spot", price=430.0, turnover=2e9),
    1: Coin("ETH", "spot", price=11.0, turnover=1e9),
    7: Coin("BTC", "perp", 0, turnover=8e9),
    8: Coin("PAXG", "gold", price=1190.0, turnover=3e7),
    10: Coin("USDC", "stable", price=1.0, turnover=1e9),
    13: Coin("ETH", "perp", 1, turnover=4e9),
    14: Coin("XAUT", "broken gold", price=1190.0, turnover=2e7),
}
"""The parts in the first group, by slot; the last coin of every further group is a perp."""
