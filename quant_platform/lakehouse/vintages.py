"""Vintages: the series that each session of a range must see, when history was corrected inside it.

A bar that comes late or is corrected at knowledge session K changes the past for every session from
K on, and for none before. Computing a range in one pass therefore needs, for a security with such
rows, more than one series. The usual security has one.

1. A row is *late* when its knowledge session is after the session that it describes.
2. A security's vintages begin at the first requested session and at each later knowledge session at
   which one of its late rows arrives; each lasts until the next.
3. A vintage's series holds, of every session up to its end, the last version known at its start or,
   for sessions inside it, known on time. No late row arrives inside a vintage, so that is exactly
   what was known at the cutoff of each of its sessions.
"""

from __future__ import annotations

import polars as pl

from quant_platform.lakehouse.windows import SessionRange


def vintages(rows: pl.DataFrame, wanted: SessionRange) -> pl.DataFrame:
    """Expand published rows to one series per security and vintage.

    Parameters
    ----------
    rows
        Rows of an external table: ``security_id``, ``session``, ``knowledge_session``,
        ``known_at`` and any others, every published version.
    wanted
        The range that will be computed from them.

    Returns
    -------
    polars.DataFrame
        The same columns plus ``vintage_from`` and ``vintage_to``: the output sessions that may be
        computed from the row's series. One row per (security_id, vintage_from, session), in that
        order.
    """
    rows = rows.filter(pl.col("knowledge_session") <= wanted.last)
    late = pl.col("knowledge_session") > pl.col("session")
    arrivals = rows.filter(late & (pl.col("knowledge_session") > wanted.first)).select(
        "security_id", vintage_from="knowledge_session"
    )
    begin = rows.select("security_id").unique().with_columns(vintage_from=pl.lit(wanted.first))
    spans = (
        pl.concat([begin, arrivals])
        .unique()
        .sort("security_id", "vintage_from")
        .with_columns(
            vintage_to=pl.col("vintage_from")
            .shift(-1)
            .over("security_id")
            .sub(pl.duration(days=1))
            .fill_null(wanted.last)
        )
    )
    return (
        rows.lazy()
        .join(spans.lazy(), on="security_id")
        .filter(
            pl.when(late)
            .then(pl.col("knowledge_session") <= pl.col("vintage_from"))
            .otherwise(pl.col("session") <= pl.col("vintage_to"))
        )
        .sort("security_id", "vintage_from", "session", "known_at")
        .unique(["security_id", "vintage_from", "session"], keep="last", maintain_order=True)
        .collect()
    )
