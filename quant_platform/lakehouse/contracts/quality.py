"""What is doubtful about a sleeve's data on each session, as it was known at its cutoff."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from quant_platform.lakehouse.contracts.contract import Contract

FLAGS = ("stale", "gap", "outlier", "late", "mismatch", "uncompared")
"""What a row can say; see the contract."""


class Quality(dy.Schema):
    """One doubt about one bar, or the lack of one, of one security."""

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    security_id = dy.String(primary_key=True, min_length=1, description="Stable security key.")
    flag = dy.Enum(
        list(FLAGS),
        primary_key=True,
        description="stale: no trade and no movement for some sessions, so that it left the "
        "universe; gap: no bar on the session; outlier: a return far from its own, without an "
        "action; late: a bar of an earlier session became known; mismatch: the second source has "
        "another bar; uncompared: the second source has none, or the bar came too late to be "
        "compared. Without second_bars nothing is compared, and there are none of the last two.",
    )
    sessions_ago = dy.UInt32(
        primary_key=True,
        description="How many sessions before this one the bar in doubt describes; 0: its own.",
    )
    value = dy.Float64(
        description="In units of the flag. stale: sessions asked for; gap: sessions since the last "
        "close; outlier: robust deviations, signed; late and uncompared: sessions_ago; mismatch: "
        "largest difference of the four prices, as a fraction of ours."
    )


def _dated(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Version 1 told of the latest of a security's late bars alone, and compared nothing."""
    late = pl.col("flag").cast(pl.String) == "late"
    types = Quality.columns()
    return rows.with_columns(
        pl.col("flag").cast(pl.String).cast(types["flag"].dtype),
        sessions_ago=pl.when(late).then("value").otherwise(0).cast(types["sessions_ago"].dtype),
    ).select(*types)


QUALITY = Contract(
    kind="quality",
    schema=Quality,
    version=2,
    grain="one doubt about one bar of one security, as it was known at one session",
    upgrades={1: _dated},
)
