"""Overlap of scanners: two that find the same securities are one scanner, and one idea.

Of each session and pair of scanners: what the first found, what the second found, what both found,
and the share of what either found that both found (Jaccard). Pairs of which one found nothing have
nothing to compare, and no row. The table is made of ``candidates`` alone, which says of every
security who found it.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from quant_platform.lakehouse.contracts.scan_overlap import SCAN_OVERLAP
from quant_platform.lakehouse.windows import SessionRange, Window


def overlap_windows() -> dict[str, Window]:
    """Sessions of its inputs that ``scan_overlap`` depends on."""
    return {"candidates": Window("candidates")}


def overlap_of_scanners(
    frames: Mapping[str, pl.LazyFrame], settings: None, wanted: SessionRange
) -> pl.DataFrame:
    """Compute ``scan_overlap`` for a range.

    Parameters
    ----------
    frames
        ``candidates``: the range.
    settings
        None: there is nothing to set.
    wanted
        Sessions to compute.

    Returns
    -------
    polars.DataFrame
        One row per session and pair of scanners that both found something.
    """
    inside = pl.col("session").is_between(wanted.first, wanted.last)
    found = (
        frames["candidates"]
        .filter(inside)
        .select("session", "security_id", scanner="scanners")
        .explode("scanner")
        .collect()
    )
    counts = found.group_by("session", "scanner").agg(found=pl.len())
    pair = ["session", "first_scanner", "second_scanner"]
    both = (
        found.join(found, on=["session", "security_id"], suffix="_second")
        .filter(pl.col("scanner") < pl.col("scanner_second"))
        .group_by("session", first_scanner="scanner", second_scanner="scanner_second")
        .agg(found_both=pl.len())
    )
    either = pl.col("found_first") + pl.col("found_second") - pl.col("found_both")
    return (
        counts.join(counts, on="session", suffix="_second")
        .filter(pl.col("scanner") < pl.col("scanner_second"))
        .rename(
            {"scanner": "first_scanner", "scanner_second": "second_scanner", "found": "found_first"}
        )
        .join(both, on=pair, how="left")
        .with_columns(pl.col("found_both").fill_null(0))
        .with_columns(jaccard=pl.col("found_both") / either)
        .select(pl.col(n).cast(column.dtype) for n, column in SCAN_OVERLAP.columns.items())
        .sort(pair)
    )
