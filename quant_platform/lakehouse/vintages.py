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
4. Where splits are given, a vintage also begins at each session on which one takes effect, and the
   prices and volumes of its series are in the units of its first session: divided and multiplied by
   the splits that are in effect there and whose ex session is after the row's. No split takes
   effect inside a vintage, so these are the units of each of its sessions.

A split *takes effect* on its ex session or, if it became known later, in the session in which it
did; a later version of it takes effect as the step from the version before.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from quant_platform.lakehouse.windows import ALL_HISTORY, SessionRange

__all__ = ["ALL_HISTORY", "SPLITS", "splits_in_effect", "vintage_spans", "vintages"]

PRICES = ("open", "high", "low", "close")
VOLUMES = ("volume",)

SPLITS = pl.Schema(
    {
        "security_id": pl.String(),
        "ex": pl.Date(),
        "effective": pl.Date(),
        "ratio": pl.Float64(),
        "step": pl.Float64(),
    }
)
"""Splits as they take effect; see `splits_in_effect`."""


def splits_in_effect(actions: pl.DataFrame) -> pl.DataFrame:
    """Return the splits of published actions by the session in which they take effect.

    A stock dividend is a split by another name: new units per old one.

    Parameters
    ----------
    actions
        Rows of an ``actions`` table, every published version.

    Returns
    -------
    polars.DataFrame
        ``security_id``, ``ex`` session, ``effective`` session (the later of the ex session and the
        knowledge session), ``ratio`` (new units per old one in this version) and ``step`` (the
        ratio divided by that of the version in effect before, if any). By security, ex session and
        effective session: products over the steps have one order.
    """
    versions = (
        actions.filter(pl.col("kind").cast(pl.String).is_in(["split", "stock_dividend"]))
        .select(
            "security_id",
            "kind",
            "known_at",
            ex="session",
            effective=pl.max_horizontal("session", "knowledge_session"),
            ratio="value",
        )
        .with_columns(pl.col("kind").cast(pl.String))
        .sort("security_id", "ex", "kind", "effective", "known_at")
        .unique(["security_id", "ex", "kind", "effective"], keep="last", maintain_order=True)
    )
    before = pl.col("ratio").shift(1).over("security_id", "ex", "kind").fill_null(1.0)
    return (
        versions.with_columns(step=pl.col("ratio") / before)
        .sort("security_id", "ex", "effective", "kind")
        .select(*SPLITS)
    )


def vintages(
    rows: pl.DataFrame, wanted: SessionRange, splits: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Expand published rows to one series per security and vintage.

    Parameters
    ----------
    rows
        Rows of an external table: ``security_id``, ``session``, ``knowledge_session``,
        ``known_at`` and any others, every published version.
    wanted
        The range that will be computed from them.
    splits
        Splits in effect (see `splits_in_effect`); without them every row stays as it is.

    Returns
    -------
    polars.DataFrame
        The same columns plus ``vintage_from`` and ``vintage_to``: the output sessions that may be
        computed from the row's series. One row per (security_id, vintage_from, session), in that
        order.
    """
    rows = rows.filter(pl.col("knowledge_session") <= wanted.last)
    late = pl.col("knowledge_session") > pl.col("session")
    spans = vintage_spans(rows["security_id"].unique(), rows.filter(late), wanted, splits)
    series = (
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
    return series if splits is None else _in_units_of_the_vintage(series, splits)


def vintage_spans(
    securities: pl.Series,
    late: pl.DataFrame,
    wanted: SessionRange,
    splits: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Tell from when to when each vintage of each security lasts.

    Parameters
    ----------
    securities
        The securities, once each.
    late
        The late ones among the rows of an external table that were known in the range.
    wanted, splits
        As of `vintages`.

    Returns
    -------
    polars.DataFrame
        ``security_id``, ``vintage_from`` and ``vintage_to``, in this order.
    """
    arrivals = late.filter(pl.col("knowledge_session") > wanted.first).select(
        "security_id", vintage_from="knowledge_session"
    )
    begin = pl.DataFrame({"security_id": securities}).with_columns(
        vintage_from=pl.lit(wanted.first)
    )
    starts = [begin, arrivals]
    if splits is not None:
        inside = (pl.col("effective") > wanted.first) & (pl.col("effective") <= wanted.last)
        split = splits.filter(inside).select("security_id", vintage_from="effective")
        starts.append(split.join(begin, on="security_id", how="semi"))
    return (
        pl.concat(starts)
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


def _in_units_of_the_vintage(series: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    """Scale prices and volumes by the splits between each row and its vintage."""
    runs = series["security_id"].rle().struct.unnest().with_columns(stop=pl.col("len").cum_sum())
    runs = runs.with_columns(start=pl.col("stop") - pl.col("len"))
    concerned = splits.join(runs, left_on="security_id", right_on="value", maintain_order="left")
    if not concerned.height:
        return series
    session = series["session"].to_physical().to_numpy()
    vintage = series["vintage_from"].to_physical().to_numpy()
    factor = np.ones(series.height)
    columns = concerned.select("start", "stop", pl.col("ex", "effective").to_physical(), "step")
    for start, stop, ex, effective, step in columns.iter_rows():
        own = slice(start, stop)
        factor[own][(session[own] < ex) & (vintage[own] >= effective)] *= step
    scale = pl.Series(factor)
    return series.with_columns(
        *(pl.col(name) / scale for name in PRICES if name in series.columns),
        *(pl.col(name) * scale for name in VOLUMES if name in series.columns),
    )
