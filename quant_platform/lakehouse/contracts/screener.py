"""The screener: what scanners look at, in the columns of the field table."""

from __future__ import annotations

import types
from typing import Any

import dataframely as dy
import polars as pl

from quant_platform.lakehouse.contracts import columns
from quant_platform.lakehouse.contracts.contract import Contract
from quant_platform.lakehouse.rules import row_count
from quant_platform.settings.screener_fields import FIELDS, ScreenerField

_NEVER_NULL = ("exchange", "type", "close", "volume")


def _column(field: ScreenerField) -> dy.Column:
    """Column of the contract that a line of the field table describes."""
    nullable = field.name not in _NEVER_NULL
    if field.kind == "text":
        least = None if nullable else 1
        told = f"{field.description}, {field.unit}"
        told += "; null where it is none or unknown." if nullable else "."
        return dy.String(nullable=nullable, min_length=least, description=told)
    bounded = not field.least is field.above is field.most is None
    told = f"{field.description}, {field.unit}{'' if bounded else ', signed'}"
    if field.table:
        told += f"; {field.column} of {field.table}"
        told += ", null where that is." if nullable else "."
    else:
        told += "; null where no source tells it."
    kind = dy.Float64 if field.wide else dy.Float32
    return kind(
        nullable=nullable,
        min=field.least,
        min_exclusive=field.above,
        max=field.most,
        description=told,
    )


class _Identity(dy.Schema):
    """Whose row it is."""

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    security_id = dy.String(primary_key=True, min_length=1, description="Stable security key.")
    symbol = dy.String(min_length=3, description="EXCHANGE:TICKER as of the session.")
    asset_class = dy.Enum(["stock", "etf", "crypto"], description="What kind of thing it is.")
    requested = columns.requested()
    actual = columns.actual()
    fallback = columns.fallback()


_COLUMNS: dict[str, Any] = {name: _column(field) for name, field in FIELDS.items()}
Screener: type[dy.Schema] = types.new_class(
    "Screener",
    (_Identity,),
    exec_body=lambda body: body.update(
        {
            "__doc__": "One listed security at one session's cutoff.",
            "__module__": __name__,
            **_COLUMNS,
        }
    ),
)
"""Schema of the table: a column for each line of the field table."""


_NARROW = (
    *("close", "volume", "Value.Traded", "change", "Perf.1M", "Perf.Y", "Volatility.M"),
    *("SMA50", "SMA200", "SMA50.Slope", "RSI"),
)
_VERSION_2 = (
    *("session", "security_id", "symbol", "exchange", "asset_class", "sector", "category"),
    *("requested", "actual", "fallback", *_NARROW),
)


def _from_features(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Version 1 did not say where its values are from: there was one place."""
    return rows.with_columns(
        pl.lit("features").alias("requested"),
        pl.lit("features").alias("actual"),
        pl.lit(None, pl.String).alias("fallback"),
    ).select(*_VERSION_2)


def _wider(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Version 2 had fewer columns."""
    lacking = [
        pl.lit(None, dtype=column.dtype).alias(name)
        for name, column in _COLUMNS.items()
        if name not in _VERSION_2
    ]
    kinds = {"etf": "fund", "stock": "stock"}
    swap = pl.col("symbol").str.ends_with(".P")
    told = pl.col("asset_class").cast(pl.String).replace_strict(kinds, default=None)
    kind = pl.coalesce(told, pl.when(swap).then(pl.lit("swap")).otherwise(pl.lit("spot")))
    return (
        rows.with_columns(*lacking)
        .with_columns(type=kind, **{"Value.Traded": pl.col("Value.Traded").cast(pl.Float32)})
        .select(*Screener.columns())
    )


SCREENER = Contract(
    kind="screener",
    schema=Screener,
    version=3,
    grain="one listed security with a bar on the session",
    rules=(row_count(),),
    upgrades={1: _from_features, 2: _wider},
)
