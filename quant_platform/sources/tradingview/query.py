"""A question to the vendor's screener: columns, conditions, order, and how many rows.

Questions are built in our names and units and hold the vendor's. Two are asked:

- `class_query`: everything of an asset class, the most traded first. That is what a snapshot is
  made of, because the screener must hold whom the scanners reject as well.
- `scanner_query`: what one scanner would find, with every rule pushed down that the vendor can be
  asked. The others are named, and remain to be asked of the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from quant_platform.errors import SourceError
from quant_platform.settings.asset_class import AssetClass
from quant_platform.settings.scan_filters import filters_of, names_of
from quant_platform.settings.scanner import (
    ScannerSettings,
    SortOrder,
    names_asked,
    rules_of,
)
from quant_platform.sources.tradingview.fields import (
    CHANGE_IN_MONEY,
    FIELD_OF,
    MARKETS,
    Market,
    fields_of,
)

Operation = Literal["greater", "egreater", "less", "eless", "equal", "in_range", "has"]


@dataclass(frozen=True)
class Condition:
    """One condition, in the vendor's names and units.

    Parameters
    ----------
    left
        Column of the vendor.
    operation
        How it is compared; ``in_range`` takes two bounds, both included, or a list of texts.
    right
        What with.
    """

    left: str
    operation: Operation
    right: bool | float | str | tuple[float, ...] | tuple[str, ...]


@dataclass(frozen=True)
class ScanQuery:
    """One question.

    Parameters
    ----------
    market
        Market of the vendor.
    columns
        Columns of the vendor, in the order in which the answer has them.
    conditions
        All must hold.
    sort_by, sort_order
        Column of the vendor, one of ``columns``, and which end comes first.
    limit
        Rows at most.
    """

    market: Market
    columns: tuple[str, ...]
    conditions: tuple[Condition, ...]
    sort_by: str
    sort_order: SortOrder
    limit: int

    def body(self, first: int, last: int) -> dict[str, Any]:
        """Return the request for the rows from ``first`` up to, and without, ``last``."""
        return {
            "markets": [self.market],
            "columns": list(self.columns),
            "filter": [
                {
                    "left": condition.left,
                    "operation": condition.operation,
                    "right": list(condition.right)
                    if isinstance(condition.right, tuple)
                    else condition.right,
                }
                for condition in self.conditions
            ],
            "sort": {"sortBy": self.sort_by, "sortOrder": self.sort_order, "nullsFirst": False},
            "range": [first, last],
            "options": {"lang": "en"},
            "ignore_unknown_fields": False,
        }


@dataclass(frozen=True)
class Pushed:
    """A scanner's question.

    Parameters
    ----------
    query
        What the vendor is asked.
    remaining
        Rules of the scanner that the vendor cannot be asked, by column.
    """

    query: ScanQuery
    remaining: tuple[str, ...]


_CLASS: dict[AssetClass, tuple[Condition, ...]] = {
    "stock": (Condition("type", "equal", "stock"), Condition("is_primary", "equal", True)),
    "etf": (Condition("type", "equal", "fund"), Condition("typespecs", "has", ("etf",))),
    "crypto": (),
}


def class_query(asset_class: AssetClass, limit: int, *conditions: Condition) -> ScanQuery:
    """Ask for an asset class, the most traded first.

    Parameters
    ----------
    asset_class
        What is looked for.
    limit
        Rows at most.
    conditions
        Further ones.
    """
    market = MARKETS[asset_class]
    return ScanQuery(
        market=market,
        columns=(*fields_of(market), CHANGE_IN_MONEY),
        conditions=(*_CLASS[asset_class], *conditions),
        sort_by=_column("Value.Traded", market),
        sort_order="desc",
        limit=limit,
    )


def scanner_query(scanner: ScannerSettings) -> Pushed:
    """Ask what a scanner would find.

    Parameters
    ----------
    scanner
        The scanner, in our names and units.

    Raises
    ------
    SourceError
        When the vendor has not the column that the scanner sorts by.
    """
    market = MARKETS[scanner.asset_class]
    known = {field.name: column for column, field in fields_of(market).items()}
    conditions: list[Condition] = []
    remaining: list[str] = []
    for left, operation, right in _asked(scanner):
        condition = None
        if left in known:
            condition = _condition(known[left], operation, right, FIELD_OF[left].scale)
        if condition is None:
            remaining.append(left)
        else:
            conditions.append(condition)
    everything = class_query(scanner.asset_class, scanner.prefilter_limit, *conditions)
    query = ScanQuery(
        market=market,
        columns=everything.columns,
        conditions=everything.conditions,
        sort_by=_column(scanner.sort_by, market),
        sort_order=scanner.sort_order,
        limit=scanner.prefilter_limit,
    )
    return Pushed(query, tuple(dict.fromkeys(remaining)))


def _asked(scanner: ScannerSettings) -> Iterator[tuple[str, str, Any]]:
    """Rules of a scanner as column, operation and threshold; what is no single one has none."""
    for rule in scanner.filters:
        yield rule.left, rule.operation, rule.right
    for further in rules_of(scanner)[len(filters_of(scanner.filters)) :]:
        # Checks joined by OR, and floors by exchange, are no conditions that must all hold.
        alone = not further.group and not further.by_exchange
        yield further.left, further.comparison, further.right if alone else None
    for name in names_asked(scanner)[len(names_of(scanner.filters)) :]:
        yield name.left, "in", name.names


def _condition(column: str, operation: str, right: Any, scale: float) -> Condition | None:
    """Put a rule into the vendor's words; None where it has none for it."""
    if operation == "in" and isinstance(right, tuple):
        return Condition(column, "in_range", right)
    if operation == "in_range" and isinstance(right, tuple):
        # Rounded: 0.07 is 7 percent and not 7.000000000000001.
        return Condition(column, "in_range", tuple(round(bound / scale, 9) for bound in right))
    for known in ("greater", "egreater", "less", "eless", "equal"):
        if operation == known and isinstance(right, float):
            return Condition(column, known, round(right / scale, 9))
    return None


def _column(name: str, market: Market) -> str:
    """Return the vendor's name of a column of the screener."""
    field = FIELD_OF.get(name)
    column = None if field is None else field.column(market)
    if column is None:
        raise SourceError(
            f"the vendor's market {market} has no column {name!r} to sort by",
            expected=f"one of {', '.join(f.name for f in fields_of(market).values())}",
            mend="let the scanner sort by another column",
        )
    return column
