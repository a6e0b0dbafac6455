"""The screener of a session of which a snapshot was taken: the vendor's values in our rows.

1. The screener is made from the features, as for any session. Its rows, and who they are, stay.
2. A row may take the vendor's values if the snapshot knows the security and closes where its bar
   does. Another close is another security under the symbol, or another session.
3. A session takes the snapshot's values only if enough of its rows may: a scanner ranks them beside
   each other, and the vendor means nearly the same by some columns, not quite.
4. ``requested`` says what the sleeve asked for, ``actual`` what the row holds, ``fallback`` why
   that is something else.

Of the vendor's columns those are taken that the screener has; what the vendor says nothing of in a
row is null in it, but texts, and what may not be null, stay ours there. Without a snapshot a
session is as it would be without this module, but for what it says.
"""

from __future__ import annotations

import polars as pl

from quant_platform.lakehouse.contracts.screener import SCREENER
from quant_platform.lakehouse.contracts.snapshot import SNAPSHOT
from quant_platform.lakehouse.windows import Window
from quant_platform.scanners.origin import FEATURES, VENDOR
from quant_platform.settings.tradingview import TradingViewSettings

_KEY = ["session", "security_id"]
_OURS = frozenset({*_KEY, "symbol", "sector"})
"""Columns of both tables that stay as they are: who a row is, and the sectors that others use."""
TAKEN = tuple(n for n in SNAPSHOT.columns if n in SCREENER.columns and n not in _OURS)
"""Columns of the screener that a snapshot fills."""
_THEIRS = "vendor:"


def live_windows() -> dict[str, Window]:
    """Sessions of snapshots that ``screener`` depends on; a withdrawn snapshot is none."""
    return {"snapshot": Window("snapshot", withdraws=False)}


def overlaid(
    features: pl.DataFrame, snapshot: pl.DataFrame, settings: TradingViewSettings
) -> pl.DataFrame:
    """Lay snapshots over a screener.

    Parameters
    ----------
    features
        The screener from features.
    snapshot
        Rows of snapshots; those without a security are nobody's.
    settings
        When they are believed.
    """
    told = snapshot.filter(pl.col("security_id").is_not_null()).select(
        *_KEY, *(pl.col(name).alias(_THEIRS + name) for name in TAKEN)
    )
    theirs, own = pl.col(f"{_THEIRS}close"), pl.col("close")
    known = theirs.is_not_null()
    alike = (theirs / own - 1).abs() <= settings.close_tolerance
    usable = (known & alike).fill_null(False)
    reason = (
        pl.when(known.any().over("session").not_())
        .then(pl.lit("no_snapshot"))
        .when(usable.mean().over("session") < settings.least_share)
        .then(pl.lit("too_few"))
        .when(known.not_())
        .then(pl.lit("not_in_it"))
        .when(usable.not_())
        .then(pl.lit("other_close"))
    )
    rows = features.join(told, on=_KEY, how="left", maintain_order="left").with_columns(
        fallback=reason
    )
    vendors = pl.col("fallback").is_null()
    return rows.with_columns(
        *(_value(name, features.schema[name], vendors) for name in TAKEN),
        requested=pl.lit(VENDOR),
        actual=pl.when(vendors).then(pl.lit(VENDOR)).otherwise(pl.lit(FEATURES)),
    ).select(*SCREENER.columns)


def _value(name: str, kind: pl.DataType, vendors: pl.Expr) -> pl.Expr:
    told = pl.col(_THEIRS + name).cast(kind)
    if kind == pl.String or not SCREENER.columns[name].nullable:
        told = pl.coalesce(told, pl.col(name))
    return pl.when(vendors).then(told).otherwise(pl.col(name)).alias(name)
