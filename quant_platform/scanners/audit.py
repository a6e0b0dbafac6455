"""Entries of an audit: one rule, the value that was tested, the threshold, and its verdict."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl


def entry(rule: str, passed: pl.Expr, value: pl.Expr, threshold: float | pl.Expr) -> pl.Expr:
    """Return one rule with what it found, as the struct of an audit; no value does not pass."""
    bound = threshold if isinstance(threshold, pl.Expr) else pl.lit(threshold, pl.Float64)
    return pl.struct(
        rule=pl.lit(rule), passed=passed.fill_null(False), value=value, threshold=bound
    )


def first_failed(audit: Sequence[pl.Expr]) -> pl.Expr:
    """Name of the first rule that failed; null when none did."""
    return pl.coalesce(
        pl.when(rule.struct.field("passed").not_()).then(rule.struct.field("rule"))
        for rule in audit
    )
