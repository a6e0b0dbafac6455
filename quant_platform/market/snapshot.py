"""Snapshots of a screener as a vendor told them, with the securities that their symbols are.

A vendor names symbols; who bears one changes. A symbol is the security that is listed under it as
known at the session's cutoff. Symbols that the sleeve does not know keep their row, without a
security: a market has more of them than any sleeve, and the share is a figure of the table.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from quant_platform.lakehouse.contracts.snapshot import SNAPSHOT
from quant_platform.lakehouse.windows import ALL_HISTORY, SessionRange, Window
from quant_platform.market.delivery import taken
from quant_platform.market.hygiene import Ingested
from quant_platform.sources.tradingview.source import TradingViewSource


def snapshot_windows() -> dict[str, Window]:
    """Securities that were known: all that were ever told."""
    return {"securities": Window("securities", ALL_HISTORY)}


def published_snapshot(
    source: TradingViewSource, sleeve: str, wanted: SessionRange, securities: pl.LazyFrame
) -> Ingested:
    """Take the snapshots of a range.

    Parameters
    ----------
    source
        What keeps them.
    sleeve
        Whose.
    wanted
        Knowledge sessions.
    securities
        Published descriptions up to the end of the range.

    Returns
    -------
    Ingested
        Rows for ``<sleeve>/snapshot`` and the rejected ones: those whose values are impossible.
    """
    delivered = source.screener(wanted.calendar, sleeve, wanted.sessions)
    listed = securities.select(
        "knowledge_session", "security_id", "symbol", "listed_on", "delisted_on", "known_at"
    ).collect()
    named = [
        identified(rows, listed, session)
        for (session,), rows in delivered.partition_by(
            "session", as_dict=True, maintain_order=True
        ).items()
    ]
    rows = pl.concat([delivered.head(0).with_columns(security_id=pl.lit(None, pl.String)), *named])
    return taken(rows, SNAPSHOT, wanted, source=source.name)


def identified(rows: pl.DataFrame, securities: pl.DataFrame, session: date) -> pl.DataFrame:
    """Add ``security_id`` to rows of a snapshot: who bears the symbol as known at the session.

    Parameters
    ----------
    rows
        Rows with ``symbol``.
    securities
        Published descriptions, of any time.
    session
        The session of the snapshot.

    Returns
    -------
    polars.DataFrame
        The rows in their order. A symbol that nobody bears, or that two are said to bear, has no
        security.
    """
    bearers = (
        securities.filter(pl.col("knowledge_session") <= session)
        .sort("known_at")
        .unique("security_id", keep="last", maintain_order=True)
        .filter(
            pl.col("listed_on") <= session,
            pl.col("delisted_on").is_null() | (pl.col("delisted_on") > session),
        )
        .filter(pl.len().over("symbol") == 1)
        .select("symbol", "security_id")
    )
    return rows.join(bearers, on="symbol", how="left", maintain_order="left")
