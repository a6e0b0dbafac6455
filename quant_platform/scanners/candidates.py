"""The candidates of a sleeve: what at least one of its scanners found, each once, with its rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from quant_platform.lakehouse.contracts.candidates import CANDIDATES, RANKS
from quant_platform.lakehouse.windows import SessionRange, Window

_KEY = ["session", "security_id"]


def candidates_windows(scanners: Sequence[str]) -> dict[str, Window]:
    """Sessions of its inputs that ``candidates`` depends on."""
    scans = {f"scan_{name}": Window(f"scan_{name}") for name in scanners}
    # A candidate is one without its rank as well.
    ranks = Window("cross_section", withdraws=False)
    return scans | {"screener": Window("screener"), "cross_section": ranks}


def unite(
    frames: Mapping[str, pl.LazyFrame], settings: Sequence[str], wanted: SessionRange
) -> pl.DataFrame:
    """Compute ``candidates`` for a range.

    Parameters
    ----------
    frames
        ``scan_<name>`` of each scanner, ``screener`` and ``cross_section``: the range.
    settings
        Names of the sleeve's scanners.
    wanted
        Sessions to compute.

    Returns
    -------
    polars.DataFrame
        One row per security that a scanner found, by session and security; ``scanners`` is sorted.
    """
    inside = pl.col("session").is_between(wanted.first, wanted.last)
    found = pl.concat(
        frames[f"scan_{name}"].filter(inside, pl.col("passed")).select(*_KEY, "scanner")
        for name in settings
    )
    described = frames["screener"].select(*_KEY, "symbol", "asset_class", "sector")
    return (
        found.group_by(_KEY)
        .agg(scanners=pl.col("scanner").unique().sort())
        .join(described, on=_KEY, how="left")
        .join(frames["cross_section"].select(*_KEY, *RANKS), on=_KEY, how="left")
        .select(*CANDIDATES.columns)
        .sort(_KEY)
        .collect()
    )
