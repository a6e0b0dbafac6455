"""Rules that a session of a table must pass, evaluated for a whole range at once.

1. The rows of the range are aggregated once, one line per partition: the row count, the number of
   rejected rows, the trailing median of earlier row counts, and whatever the rules ask for.
2. Each rule turns that line into one number and compares it with its threshold.
3. The outcomes are data (session, rule, severity, passed, value, threshold): they are stored with
   the partition, and a failed ``blocking`` rule makes the partition blocked.

A rule sees its own session and earlier row counts only. One without evidence (a null value) passes
as a warning, saying so by its null, and fails as a blocking rule: a closed gate. A rule for which
no rows are evidence enough says so: nothing arrived is nothing garbled, no weights are cash.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import polars as pl

Severity = Literal["warning", "blocking"]

TRAILING_SESSIONS = 20
"""Row counts that the trailing median looks back on."""

NO_EVIDENCE = "no evidence"
"""Cause of a blocking rule that failed because there was nothing to judge by."""

OUTCOME_SCHEMA = pl.Schema(
    {
        "session": pl.Date,
        "rule": pl.String,
        "severity": pl.String,
        "passed": pl.Boolean,
        "value": pl.Float64,
        "threshold": pl.Float64,
        "cause": pl.String,
    }
)


@dataclass(frozen=True)
class Rule:
    """One rule about a session as a whole.

    Parameters
    ----------
    name
        What is measured, as the reader of a check would call it.
    severity
        ``warning`` is reported; ``blocking`` withdraws the session from every reader.
    value
        The measured number, from the columns ``rows``, ``rejected``, ``median_rows`` and those
        of ``aggregates``.
    threshold
        Limit that the value may not pass; a setting of the same name replaces it.
    sense
        Whether the threshold is a floor (``at_least``) or a ceiling (``at_most``).
    aggregates
        Columns to compute over the rows of one session.
    """

    name: str
    severity: Severity
    value: pl.Expr
    threshold: float
    sense: Literal["at_least", "at_most"]
    aggregates: Mapping[str, pl.Expr] = field(default_factory=dict)


def row_count() -> Rule:
    """Rows of the session against the median of the sessions before it."""
    return Rule(
        "row_count",
        "warning",
        pl.when(pl.col("median_rows") > 0).then(pl.col("rows") / pl.col("median_rows")),
        0.5,
        "at_least",
    )


def rejected_share() -> Rule:
    """Share of what arrived that had to be rejected: a garbled delivery blocks its session.

    Where nothing arrived nothing was garbled, and the rule passes; ``row_count`` reports it.
    """
    arrived = pl.max_horizontal(pl.col("rows") + pl.col("rejected"), pl.lit(1))
    return Rule("rejected_share", "blocking", pl.col("rejected") / arrived, 0.25, "at_most")


def late_share() -> Rule:
    """Share of rows that describe a session before the one in which they became known."""
    late = (pl.col("session") < pl.col("knowledge_session")).sum()
    return Rule(
        "late_share",
        "warning",
        pl.when(pl.col("rows") > 0).then(pl.col("late_rows") / pl.col("rows")),
        0.2,
        "at_most",
        {"late_rows": late},
    )


def filled_share(column: str, warm_up: str, bars: int) -> Rule:
    """Share of rows past their warm-up in which a column is not null.

    Parameters
    ----------
    column
        Column to count.
    warm_up
        Column that counts a row's bars.
    bars
        Bars from which a value is expected.
    """
    warm = pl.col(warm_up) >= bars
    return Rule(
        f"{column}_filled",
        "warning",
        pl.when(pl.col(f"{column}_due") > 0).then(
            pl.col(f"{column}_filled") / pl.col(f"{column}_due")
        ),
        0.9,
        "at_least",
        {
            f"{column}_due": warm.sum(),
            f"{column}_filled": (warm & pl.col(column).is_not_null()).sum(),
        },
    )


def none_lost() -> Rule:
    """Rows of a carried state against the session before: nothing is forgotten at once.

    A state that begins, or was empty, has nothing to lose.
    """
    return Rule(
        "none_lost",
        "blocking",
        pl.when(pl.col("previous_rows") > 0)
        .then(pl.col("rows") / pl.col("previous_rows"))
        .otherwise(1.0),
        0.5,
        "at_least",
    )


def sums_at_most_one(column: str, group: str) -> Rule:
    """Largest sum of a column over one group of a session: weights never borrow.

    A session without weights is in cash and borrows nothing.
    """
    return Rule(
        f"{column}_sum",
        "blocking",
        pl.col(f"{column}_largest").fill_null(0.0),
        1 + 1e-9,
        "at_most",
        {f"{column}_largest": pl.col(column).sum().over(group).max()},
    )


def share_true(column: str, severity: Severity) -> Rule:
    """Share of a session's rows in which a column is true; all of them by default.

    For tables that always have rows: a session without any has nothing to show, and a blocking
    rule stops it.
    """
    return Rule(
        f"{column}_share",
        severity,
        pl.when(pl.col("rows") > 0).then(pl.col(f"{column}_true") / pl.col("rows")),
        1.0,
        "at_least",
        {f"{column}_true": pl.col(column).sum()},
    )


def share_known(columns: Sequence[str], name: str) -> Rule:
    """Share of some columns' values that are there; all of them by default."""
    known = pl.sum_horizontal(pl.col(columns).is_not_null()).sum()
    return Rule(
        f"{name}_known",
        "warning",
        pl.col(f"{name}_there") / (pl.col("rows") * len(columns)),
        1.0,
        "at_least",
        {f"{name}_there": known},
    )


def withdrawal(rule: str, cause: str) -> dict[str, Any]:
    """Outcome of a session that is blocked for a reason outside its own rows.

    Parameters
    ----------
    rule
        ``upstream`` for a blocked input, ``calendar`` for a day that is no session any more.
    cause
        What the reader is told.
    """
    return {
        "rule": rule,
        "severity": "blocking",
        "passed": False,
        "value": None,
        "threshold": None,
        "cause": cause,
    }


def judge(
    rules: Sequence[Rule],
    frame: pl.DataFrame,
    sessions: Sequence[date],
    *,
    partition: str,
    rejected: pl.DataFrame | None = None,
    earlier_rows: Sequence[int | None] = (),
    missing: Collection[date] = (),
    thresholds: Mapping[str, float] | None = None,
) -> pl.DataFrame:
    """Evaluate the rules for every session of a range.

    Parameters
    ----------
    rules
        Rules of the table's contract.
    frame
        Rows of the range.
    sessions
        Sessions asked for; one without rows is judged as well.
    partition
        Column of ``frame`` that holds the partition.
    rejected
        Rejected rows, with the same partition column.
    earlier_rows
        Row counts of the sessions before the first, oldest first; None where there is none.
    missing
        Sessions of the range that will not be stored: they count for none after them.
    thresholds
        Settings that replace a rule's own threshold, by rule name.

    Returns
    -------
    polars.DataFrame
        One row per session and rule: ``OUTCOME_SCHEMA``.
    """
    if not rules:
        return pl.DataFrame(schema=OUTCOME_SCHEMA)
    aggregates = {name: expr for rule in rules for name, expr in rule.aggregates.items()}
    counted = frame.group_by(partition).agg(
        pl.len().alias("rows"), *(expr.alias(name) for name, expr in aggregates.items())
    )
    summary = pl.DataFrame({"session": sessions}, schema={"session": pl.Date}).join(
        counted.rename({partition: "session"}), on="session", how="left", maintain_order="left"
    )
    if rejected is None:
        summary = summary.with_columns(rejected=pl.lit(0))
    else:
        summary = summary.join(
            rejected.group_by(pl.col(partition).alias("session")).agg(pl.len().alias("rejected")),
            on="session",
            how="left",
            maintain_order="left",
        )
    summary = summary.with_columns(pl.col("rows", "rejected").fill_null(0).cast(pl.Int64))
    history = list(earlier_rows)[-TRAILING_SESSIONS:]
    counted_on = summary.select(pl.when(~pl.col("session").is_in(list(missing))).then("rows"))
    trailing = pl.Series([*history, *counted_on.to_series()], dtype=pl.Float64)
    summary = summary.with_columns(
        median_rows=trailing.shift(1)
        .rolling_median(TRAILING_SESSIONS, min_samples=1)
        .slice(len(history)),
        previous_rows=trailing.shift(1).slice(len(history)),
    )
    limits = thresholds or {}
    return pl.concat(
        _outcomes(rule, summary, limits.get(rule.name, rule.threshold)) for rule in rules
    ).sort("session", maintain_order=True)


def _outcomes(rule: Rule, summary: pl.DataFrame, threshold: float) -> pl.DataFrame:
    """Outcomes of one rule over the summarised sessions."""
    value = rule.value.cast(pl.Float64)
    holds = value >= threshold if rule.sense == "at_least" else value <= threshold
    passed = holds.fill_null(rule.severity == "warning")
    return summary.select(
        "session",
        rule=pl.lit(rule.name),
        severity=pl.lit(rule.severity),
        passed=passed,
        value=value,
        threshold=pl.lit(threshold, pl.Float64),
        cause=pl.when(value.is_null() & ~passed).then(pl.lit(NO_EVIDENCE)),
    )
