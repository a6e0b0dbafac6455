"""How much of what two scanners of a sleeve found is the same."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from quant_platform.lakehouse.contracts.contract import Contract
from quant_platform.lakehouse.rules import Rule

MOST_ALIKE = 0.5
"""Jaccard overlap above which two scanners count as one (chapter 04 of the specification)."""


class ScanOverlap(dy.Schema):
    """Two scanners of a sleeve on one session."""

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    first_scanner = dy.String(
        primary_key=True, min_length=1, description="One of the two, the first by name."
    )
    second_scanner = dy.String(
        primary_key=True, min_length=1, description="The other of the two, the second by name."
    )
    found_first = dy.UInt32(min=1, description="Securities that the first found.")
    found_second = dy.UInt32(min=1, description="Securities that the second found.")
    found_both = dy.UInt32(min=0, description="Securities that both found.")
    jaccard = dy.Float64(
        min=0, max=1, description="Share of what either found that both found, 0..1."
    )


def most_alike() -> Rule:
    """Largest overlap of two scanners; where no two found anything there is none to tell."""
    return Rule(
        "overlap",
        "warning",
        pl.col("jaccard_largest"),
        MOST_ALIKE,
        "at_most",
        {"jaccard_largest": pl.col("jaccard").max()},
    )


SCAN_OVERLAP = Contract(
    kind="scan_overlap",
    schema=ScanOverlap,
    version=1,
    grain="two scanners that both found something at one session's cutoff",
    rules=(most_alike(),),
)
