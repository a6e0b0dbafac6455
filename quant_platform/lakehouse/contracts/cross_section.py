"""The cross-section: how each security stands among the others of its session."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from quant_platform.lakehouse.contracts import columns
from quant_platform.lakehouse.contracts.contract import Contract

RANKED = ("trend_score", "dist_pct", "avwap_slope", "atr_pct")
"""Features that are ranked."""
BASES = ("relative", "absolute")
"""By what a security is judged: its rank and the floors, or the floors alone."""


def _value(description: str, unit: str, *, least: float | None = None) -> dy.Float32:
    signed = ", signed" if least is None else ""
    return dy.Float32(
        nullable=True,
        min=least,
        description=f"{description}, {unit}{signed}; null where the feature is.",
        metadata={"unit": unit},
    )


def _zscore(feature: str, *, told: str = "") -> dy.Float32:
    return dy.Float32(
        nullable=True,
        description=f"Deviation of {feature} from the mean of those it is held against{told}, as a "
        "ratio to their standard deviation, signed; 0 where all are alike, null where the feature "
        "is.",
        metadata={"unit": "ratio"},
    )


def _pctile(feature: str, *, told: str = "") -> dy.Float32:
    return dy.Float32(
        nullable=True,
        min_exclusive=0,
        max=1,
        description=f"Share of the securities whose {feature}{told} is at most as large, 0..1; "
        "null where the feature is.",
        metadata={"unit": "share"},
    )


_AS_SET = " (without its sign unless signed_distance)"


class CrossSection(dy.Schema):
    """One security of the universe beside the others, at one session's cutoff."""

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    security_id = dy.String(primary_key=True, min_length=1, description="Stable security key.")
    sector = dy.String(nullable=True, description="Sector of a stock; null where unknown.")
    trend_score = _value("trend_score of features_trend", "units of the score")
    dist_pct = _value("Distance of the close from its best anchored average", "percent")
    avwap_slope = _value("Slope of that average", "percent per session over 10 sessions")
    atr_pct = _value("Average true range over the close", "percent", least=0)
    trend_score_zscore = _zscore("trend_score")
    dist_pct_zscore = _zscore("dist_pct", told=_AS_SET)
    avwap_slope_zscore = _zscore("avwap_slope")
    atr_pct_zscore = _zscore("atr_pct")
    trend_score_pctile = _pctile("trend_score")
    dist_pct_pctile = _pctile("dist_pct", told=_AS_SET)
    avwap_slope_pctile = _pctile("avwap_slope")
    atr_pct_pctile = _pctile("atr_pct")
    composite_score = dy.Float64(
        nullable=True,
        description="Weighted sum of the z-scores, ratio, signed; null where one that counts is, "
        "and where rank_basis is absolute.",
        metadata={"unit": "ratio"},
    )
    composite_rank = dy.Float64(
        nullable=True,
        min_exclusive=0,
        max=1,
        description="Share of the ranked securities whose composite_score is at least as large: "
        "the best of n has 1/n; null where the score is.",
        metadata={"unit": "share"},
    )
    rank_basis = dy.Enum(
        list(BASES),
        description="relative: judged by rank and floors. absolute: by the floors alone, because "
        "the security lacks a feature, is alone, or all are alike.",
        metadata={"unit": "name"},
    )
    passes = columns.passes("Every floor, and the rank where there is one")
    selected = dy.Bool(description="Every floor holds, and so does the rank where there is one.")
    reason = dy.String(nullable=True, description="First that failed; null if selected.")

    @dy.rule()
    def rank_has_a_score(cls) -> pl.Expr:  # noqa: N805 - dataframely hands over the class
        """Score and rank are there where the basis is relative, and nowhere else."""
        relative = pl.col("rank_basis") == "relative"
        return (pl.col("composite_score").is_not_null() == relative) & (
            pl.col("composite_rank").is_not_null() == relative
        )


CROSS_SECTION = Contract(
    kind="cross_section",
    schema=CrossSection,
    version=1,
    grain="one security of the universe with a bar on the session",
)


class CrossSectionMoments(dy.Schema):
    """One ranked feature over the securities of one session."""

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    feature = dy.Enum(list(RANKED), primary_key=True, description="Feature that is ranked.")
    securities = dy.UInt32(min=1, description="Securities that have it.")
    mean = dy.Float64(
        description="Mean of the winsorised values, units of the feature, signed; of dist_pct "
        "without its sign unless signed_distance, here and below."
    )
    deviation = dy.Float64(
        nullable=True,
        min=0,
        description="Sample standard deviation of them, units of the feature; null of one.",
    )
    p05 = dy.Float64(description="Percentile 5 of the values, units of the feature, signed.")
    p25 = dy.Float64(description="Percentile 25, units of the feature, signed.")
    p50 = dy.Float64(description="Median, units of the feature, signed.")
    p75 = dy.Float64(description="Percentile 75, units of the feature, signed.")
    p95 = dy.Float64(description="Percentile 95, units of the feature, signed.")


CROSS_SECTION_MOMENTS = Contract(
    kind="cross_section_moments",
    schema=CrossSectionMoments,
    version=1,
    grain="one ranked feature of one session",
)
