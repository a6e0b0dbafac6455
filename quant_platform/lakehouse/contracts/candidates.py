"""The union of what a sleeve's scanners found."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from quant_platform.lakehouse.contracts.contract import Contract
from quant_platform.lakehouse.contracts.cross_section import BASES

_AS_IN = "As in cross_section; null where it has no row, or none was made"


class Candidates(dy.Schema):
    """One security that at least one scanner of the sleeve found."""

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    security_id = dy.String(primary_key=True, min_length=1, description="Stable security key.")
    symbol = dy.String(min_length=3, description="EXCHANGE:TICKER as of the session.")
    asset_class = dy.Enum(["stock", "etf", "crypto"], description="What kind of thing it is.")
    sector = dy.String(nullable=True, description="Sector of a stock; null where unknown.")
    scanners = dy.List(dy.String(), description="Scanners that found it, by name.")
    trend_score_zscore = dy.Float32(nullable=True, description=f"{_AS_IN}; ratio, signed.")
    trend_score_pctile = dy.Float32(
        nullable=True, min_exclusive=0, max=1, description=f"{_AS_IN}; share, 0..1."
    )
    dist_pct_zscore = dy.Float32(nullable=True, description=f"{_AS_IN}; ratio, signed.")
    avwap_slope_zscore = dy.Float32(nullable=True, description=f"{_AS_IN}; ratio, signed.")
    atr_pct_zscore = dy.Float32(nullable=True, description=f"{_AS_IN}; ratio, signed.")
    composite_score = dy.Float64(
        nullable=True, description=f"{_AS_IN}, and where rank_basis is absolute; ratio, signed."
    )
    composite_rank = dy.Float64(
        nullable=True,
        min_exclusive=0,
        max=1,
        description=f"{_AS_IN}, and where rank_basis is absolute; share, the best of n has 1/n.",
    )
    rank_basis = dy.Enum(list(BASES), nullable=True, description=f"{_AS_IN}.")


RANKS = tuple(list(Candidates.columns())[list(Candidates.columns()).index("scanners") + 1 :])
"""Columns that come from the cross-section."""


def _unranked(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Version 1 knew no cross-section."""
    columns = Candidates.columns()
    return rows.with_columns(
        pl.lit(None, dtype=columns[name].dtype).alias(name) for name in RANKS
    ).select(*columns)


CANDIDATES = Contract(
    kind="candidates",
    schema=Candidates,
    version=2,
    grain="one security found by at least one scanner at one session's cutoff",
    upgrades={1: _unranked},
)
