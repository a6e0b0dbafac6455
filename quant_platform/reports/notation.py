"""How numbers are written: money, percent, basis points, counts; minus signs as printers set them.

An amount of money has two decimals. A price is what one unit costs, and a unit may be a share of
500 dollars or a coin of a hundred-thousandth: it has the decimals that its size needs, and so has a
number of units.

A number that has a direction (a return, a P&L, a cost against the ideal price) always shows its
sign. One that rounds to zero shows none, because ``-0.00 %`` says a direction that is not there.
"""

from __future__ import annotations

import math
from datetime import date

MINUS = "−"
SPACE = "\u00a0"
"""Between number and unit; a line never breaks there."""
NOTHING = "–"
"""In the place of a number that there is not."""

SIGNED = frozenset(
    {
        "return_1",
        "return_21",
        "return_252",
        "return_all",
        "profit",
        "earned",
        "mean",
        "mean_21",
        "trend",
        "growth",
    }
)
"""Figures that have a direction."""

LABELS = {
    "equity": "Equity",
    "profit": "P&L of the session",
    "earned": "Earned before costs",
    "costs": "Costs",
    "cash": "Cash",
    "positions": "Positions",
    "return_1": "Session",
    "return_21": "21 sessions",
    "return_252": "252 sessions",
    "return_all": "Up to a year",
    "volatility": "Volatility a year",
    "drawdown": "Worst drawdown",
    "names": "Names",
    "sum_requested": "Sum of the targets",
    "sum_weight": "Sum after the overlay",
    "requested": "Target",
    "weight": "After the overlay",
    "blocked": "Increases blocked",
    "unordered": "Changes without an order",
    "exposure": "Exposure",
    "regime_multiplier": "Throttle of the regime",
    "portfolio_volatility": "Volatility of the targets",
    "planned": "Planned",
    "planned_notional": "Planned amount",
    "accepted": "Accepted",
    "rejected": "Rejected",
    "count": "Fills",
    "notional": "Amount",
    "commission": "Commission",
    "mean": "Mean cost",
    "count_21": "Fills in 21 sessions",
    "mean_21": "Mean cost in 21 sessions",
    "ready": "Orders may go out",
    "closed": "Gate closed",
    "items": "Items reconciled",
    "mismatches": "Mismatches",
    "blocked_names": "Names not increased",
    "rate": "Fired",
    "warned": "Tells nothing apart",
    "risk_multiplier": "Throttle of exposure",
    "asked_multiplier": "Throttle that nothing applies",
    "volatility_20": "Volatility of 20 sessions",
    "drawdown_63": "Drawdown in 63 sessions",
    "trend": "50 over 200 sessions",
    "breadth": "Share above 200-session mean",
    "e1_risk_multiplier": "Throttle by E1",
    "e2_risk_multiplier": "Throttle by E2",
    "e2_score": "Score of E2",
    "growth": "Growth a year",
    "volatility_index": "Volatility index",
    "stress": "Stress",
}
"""What a figure is called; one that is not here (the name of a sleeve) is called by its name."""


PRICE_DIGITS = 5
"""Significant digits of a price at least: a basis point or less at any size."""
UNIT_DECIMALS = 6
SMALLEST_PLAIN = 1e-9
"""Below it nobody counts the zeros: the number is written with its power of ten."""

_FORMS = {"fraction": (100, 2, "%"), "bps": (1, 1, "bps"), "count": (1, 0, "")}
"""By unit: factor, digits and what is written behind; a currency has two digits and its name."""


def label(figure: str) -> str:
    """Return what a figure is called."""
    return LABELS.get(figure, figure)


def written(value: float | None, unit: str, *, signed: bool = False) -> str:
    """Write a number.

    Parameters
    ----------
    value
        The number; None is written as a dash.
    unit
        ``fraction``, ``bps``, ``count``, ``flag``, ``units`` (of a security), or a currency.
    signed
        Whether a plus sign is shown.
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    if unit == "flag":
        return "yes" if value else "no"
    if unit == "units":
        return _sized(value, UNIT_DECIMALS, 0, signed)
    scale, digits, suffix = _FORMS.get(unit, (1, 2, unit))
    return f"{_number(value * scale, digits, signed)}{SPACE}{suffix}".rstrip(SPACE)


def amount(value: float | None, *, signed: bool = False) -> str:
    """Write money without its currency, for a table in one currency.

    Parameters
    ----------
    value
        The amount; None is written as a dash.
    signed
        Whether a plus sign is shown.
    """
    return NOTHING if value is None or not math.isfinite(value) else _number(value, 2, signed)


def price(value: float | None) -> str:
    """Write what one unit costs, without its currency: at least cents, more where it is small.

    Parameters
    ----------
    value
        The price; None is written as a dash.
    """
    return NOTHING if value is None or not math.isfinite(value) else _sized(value, 2, 2, False)


def long_date(day: date) -> str:
    """Write a date in words, the same in every locale."""
    weekday = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    months = "January February March April May June July August September October November December"
    return f"{weekday[day.weekday()]} {day.day} {months.split()[day.month - 1]} {day.year}"


def _number(value: float, digits: int, signed: bool) -> str:
    rounded = round(value, digits)
    if rounded == 0:
        return f"{0:.{digits}f}"
    sign = MINUS if rounded < 0 else "+" if signed else ""
    return f"{sign}{abs(rounded):,.{digits}f}"


def _sized(value: float, usual: int, least: int, signed: bool) -> str:
    """Write a number with its significant digits and without the zeros behind them.

    Parameters
    ----------
    value
        The number.
    usual
        Decimals that a number has whatever its size.
    least
        Decimals that stay although they are zeros.
    signed
        Whether a plus sign is shown.
    """
    size = abs(value)
    if 0 < size < SMALLEST_PLAIN:
        digits, power = f"{size:.{PRICE_DIGITS - 1}e}".split("e")
        sign = MINUS if value < 0 else "+" if signed else ""
        return f"{sign}{digits.rstrip('0').rstrip('.')}e{MINUS}{abs(int(power))}"
    needed = PRICE_DIGITS - 1 - math.floor(math.log10(size)) if size else 0
    decimals = max(usual, needed)
    whole, _, behind = _number(value, decimals, signed).partition(".")
    behind = behind.rstrip("0").ljust(least, "0")
    return f"{whole}.{behind}" if behind else whole
