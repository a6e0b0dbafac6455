"""What one scanner said of each security that it looked at; rejects are kept."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from quant_platform.lakehouse.contracts import columns
from quant_platform.lakehouse.contracts.contract import Contract

ADMISSIONS = ("rules", "ensured", "counterpart")


class Scan(dy.Schema):
    """One security before one scanner."""

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    scanner = dy.String(primary_key=True, min_length=1, description="Name of the scanner.")
    security_id = dy.String(primary_key=True, min_length=1, description="Stable security key.")
    symbol = dy.String(min_length=3, description="EXCHANGE:TICKER as of the session.")
    passes = columns.passes("Every rule in the order in which it was asked")
    passed = dy.Bool(description="It was found: see admitted_by.")
    admitted_by = dy.Enum(
        list(ADMISSIONS),
        nullable=True,
        description="rules: every rule passed, within the limits; ensured: the scanner asks for it "
        "by name; counterpart: the perpetual of a pair that was found. Null if it was not found.",
    )
    reason = dy.String(
        nullable=True,
        description="First rule that failed, 'limit' for one ranked below the cut; null if passed.",
    )
    rank = dy.UInt32(
        nullable=True, min=1, description="Place among those that passed every rule; 1 is best."
    )
    sort_value = dy.Float64(
        nullable=True,
        description="Value of the final sort field, signed, in the units of that field; null if it "
        "has none.",
    )


def _admitted(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Version 1 found by rules alone."""
    admitted = pl.when("passed").then(pl.lit("rules", pl.Enum(ADMISSIONS)))
    return rows.with_columns(admitted_by=admitted).select(*Scan.columns())


SCAN = Contract(
    kind="scan",
    schema=Scan,
    version=2,
    upgrades={1: _admitted},
    grain="one security that reached a scanner's filters at one session's cutoff",
)
