"""The screener: one row per security of the universe and session, in the columns of scanners.

1. A security has a row where it is in the universe of the session (`scanners.universe`) and has a
   bar that was known at the cutoff: trend features have a row for exactly those.
2. Each column is a feature of the same session, as the field table says
   (`settings.screener_fields`); what has no row there is null. Of a fund it is what was last told.
   Where the feature is in percent and the column in fractions, it is divided here.
3. What an instrument is follows from its class and its symbol: a spot pair or a swap, its base and
   its quote. A fund's category is the vendor's id where the name is known.

It is stored although it could be joined again, because it is what a live snapshot replaces for the
session of tonight, and because the values that a scanner judged stand in one row under one hash.
Look-ahead cannot enter: bars are bounded by their knowledge session, the rest is read at the
session itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import polars as pl

from quant_platform.lakehouse.contracts.screener import SCREENER
from quant_platform.lakehouse.windows import ALL_HISTORY, SessionRange, Window
from quant_platform.scanners.fund_facts import last_told
from quant_platform.scanners.origin import FROM_FEATURES
from quant_platform.settings.screener_fields import FIELDS, FUND_CATEGORIES, QUOTES

_KEY = ["session", "security_id"]
_FACTS = "fund_facts"
_DESCRIBED = "universe"
_IN_PERCENT = ("ATRP",)
"""Columns in fractions whose feature is in percent."""


def screener_windows(kinds: Collection[str]) -> dict[str, Window]:
    """Sessions of its inputs that ``screener`` depends on.

    Parameters
    ----------
    kinds
        Kinds of data that there are; the facts of funds are one.
    """
    tables = dict.fromkeys(field.table for field in FIELDS.values() if field.table)
    windows = {table: Window(table) for table in tables if table != _FACTS}
    if _FACTS in kinds:
        windows[_FACTS] = Window(_FACTS, ALL_HISTORY)
    return windows


def screen(
    frames: Mapping[str, pl.LazyFrame], settings: None, wanted: SessionRange
) -> pl.DataFrame:
    """Compute ``screener`` for a range.

    Parameters
    ----------
    frames
        What `screener_windows` asks for, by its names.
    settings
        None: there is nothing to set.
    wanted
        Sessions to compute.

    Returns
    -------
    polars.DataFrame
        One row per security of the universe that has a bar, as known at the session's cutoff, by
        session and security.
    """
    inside = pl.col("session").is_between(wanted.first, wanted.last)
    belonging = frames[_DESCRIBED].filter("included", inside)
    rows = belonging.select(*_KEY, "symbol", "asset_class", "exchange", "sector", "category").join(
        frames["features_trend"].filter(inside).select(_KEY), on=_KEY
    )
    columns: dict[str, dict[str, str]] = {}
    for field in FIELDS.values():
        if field.table not in ("", _DESCRIBED):
            columns.setdefault(field.table, {})[field.name] = field.column
    for table, taken in columns.items():
        if table not in frames:
            rows = rows.with_columns(_absent(*taken))
            continue
        found = frames[table]
        if table == "bars":
            found = _known_in_time(found)
        elif table == _FACTS:
            facts = [*taken.values(), "category"]
            found = last_told(found, belonging, wanted, facts).rename({"category": "told"})
        named = {name: pl.col(column) for name, column in taken.items()}
        more = ["told"] if table == _FACTS else []
        rows = rows.join(found.select(*_KEY, *more, **named), on=_KEY, how="left")
    schema = rows.collect_schema().names()
    category = pl.coalesce("told", "category") if "told" in schema else pl.col("category")
    return (
        rows.with_columns(
            # A product, in 64 bits: Polars divides the tail of a column in another way than its
            # body, which would tell a range from its days.
            *(pl.col(name).cast(pl.Float64) * 0.01 for name in _IN_PERCENT),
            *_instrument(),
            *FROM_FEATURES,
            *_absent("brand", "market_cap_basic"),
            category=category.replace(FUND_CATEGORIES),
        )
        .select(pl.col(name).cast(column.dtype) for name, column in SCREENER.columns.items())
        .sort(_KEY)
        .collect()
    )


def _known_in_time(bars: pl.LazyFrame) -> pl.LazyFrame:
    """Keep bars as they were known at the cutoff of their own session."""
    return (
        bars.filter(pl.col("session") == pl.col("knowledge_session"))
        .sort(*_KEY, "known_at")
        .unique(_KEY, keep="last", maintain_order=True)
    )


def _absent(*names: str) -> list[pl.Expr]:
    """Lay out columns that nothing here tells."""
    dtypes = {name: SCREENER.columns[name].dtype for name in names}
    return [pl.lit(None, dtype=dtype).alias(name) for name, dtype in dtypes.items()]


def _instrument() -> list[pl.Expr]:
    """Read class and symbol: kind of instrument, base and quote of a coin's pair."""
    ticker = pl.col("symbol").str.split(":").list.last()
    coin = pl.col("asset_class").cast(pl.String) == "crypto"
    pair = ticker.str.strip_suffix(".P")
    quote = pl.coalesce(
        pl.when(coin, pair.str.ends_with(code), pair.str.len_chars() > len(code)).then(pl.lit(code))
        for code in sorted(QUOTES, key=len, reverse=True)
    )
    kinds = pl.col("asset_class").cast(pl.String).replace({"etf": "fund", "crypto": "spot"})
    swap = pl.when(coin, ticker.str.ends_with(".P")).then(pl.lit("swap"))
    length = pair.str.len_chars().cast(pl.Int64) - quote.str.len_chars().cast(pl.Int64)
    return [
        pl.coalesce(swap, kinds).alias("type"),
        quote.alias("currency"),
        pair.str.head(length).alias("base_currency"),
    ]
