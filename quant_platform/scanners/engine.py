"""The scanner engine: three layers, one audit.

1. *Scan layer*: securities of the scanner's asset class, sorted by ``sort_by`` (liquidity in every
   shipped scanner) and cut at ``prefilter_limit``, so that no ranking can starve liquidity.
2. *Filter layer*: every rule is asked of everything that is left. The audit ``passes`` holds each
   rule with its value and threshold, and rejects are kept: "why is X not in" is one query. A value
   that is null passes nothing.
3. *Rank layer*: what passed every rule is ranked by ``final_sort_by`` and cut at ``limit``, which
   is asked of those alone: its entry in the audit has the rank as its value.

Null sorts last, ties go by ``security_id``. A session looks at its own rows only, so a range of
sessions is its single days.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import polars as pl

from quant_platform.lakehouse.contracts.scan import SCAN
from quant_platform.lakehouse.gates import Duty, Gate
from quant_platform.lakehouse.windows import SessionRange, Window
from quant_platform.settings.scanner import (
    Comparison,
    ScannerSettings,
    SortOrder,
    rules_of,
)

EXCLUDED = "exclude_symbols"
"""Rule of the audit: the value is 1 for a symbol that the scanner excludes."""
LIMIT = "limit"
"""Rule of the audit: the value is the rank among those that passed every other rule."""

DUTY: Duty = "choice"
"""Of every rule of a scanner: it is there to tell some securities from others."""

_COMPARE: dict[Comparison, Callable[[pl.Expr, float], pl.Expr]] = {
    "greater": pl.Expr.gt,
    "egreater": pl.Expr.ge,
    "less": pl.Expr.lt,
    "eless": pl.Expr.le,
    "equal": pl.Expr.eq,
}


def scan_windows(settings: ScannerSettings) -> dict[str, Window]:
    """Sessions of its inputs that ``scan_<name>`` depends on."""
    return {"screener": Window("screener")}


def scan(
    frames: Mapping[str, pl.LazyFrame], settings: ScannerSettings, wanted: SessionRange
) -> pl.DataFrame:
    """Compute ``scan_<name>`` for a range.

    Parameters
    ----------
    frames
        ``screener``: the range.
    settings
        The scanner.
    wanted
        Sessions to compute.

    Returns
    -------
    polars.DataFrame
        One row per security that reached the filters, by session and security.
    """
    reached = _reaching(frames["screener"], settings, wanted)
    audit = list(_audit(settings).values())
    judged = reached.with_columns(
        reason=first_failed(audit), sort_value=_number(settings.final_sort_by)
    )
    passing = pl.col("reason").is_null()
    # Those that passed come first, so that a row's place among them is its place in the session.
    ranked = _sorted(
        judged.with_columns(failed=passing.not_()),
        "sort_value",
        settings.final_sort_order,
        "failed",
    ).with_columns(rank=pl.when(passing).then(pl.int_range(1, pl.len() + 1).over("session")))
    rank = pl.col("rank")
    within = entry(LIMIT, rank <= settings.limit, rank.cast(pl.Float64), settings.limit)
    # Arrays of structs are laid out in one go, lists of them row by row: a hundred times slower.
    every = pl.concat_arr([*audit, within]).arr.to_list()
    return (
        ranked.with_columns(
            scanner=pl.lit(settings.name),
            passes=every.list.head(len(audit) + passing.cast(pl.Int64)),
            reason=pl.when(passing).then(first_failed([within])).otherwise("reason"),
        )
        .with_columns(passed=pl.col("reason").is_null())
        .select(pl.col(name).cast(column.dtype) for name, column in SCAN.columns.items())
        .sort("session", "security_id")
        .collect()
    )


def _reaching(
    screener: pl.LazyFrame, settings: ScannerSettings, wanted: SessionRange
) -> pl.LazyFrame:
    """Layer 1: the securities of the asset class that come first by ``sort_by``."""
    eligible = screener.filter(
        pl.col("session").is_between(wanted.first, wanted.last),
        pl.col("asset_class").cast(pl.String) == settings.asset_class,
    ).with_columns(first_sort=_number(settings.sort_by))
    place = pl.int_range(pl.len()).over("session")
    return _sorted(eligible, "first_sort", settings.sort_order).filter(
        place < settings.prefilter_limit
    )


def scan_gates(settings: ScannerSettings) -> list[Gate]:
    """Every gate of a scanner that stands in its audit, in the order in which they are asked."""
    return [Gate(name, DUTY) for name in (*_audit(settings), LIMIT)]


def _audit(settings: ScannerSettings) -> dict[str, pl.Expr]:
    """Layer 2: each rule, by its name, with what it found."""
    entries = {}
    if settings.exclude_symbols:
        excluded = pl.col("symbol").is_in(list(settings.exclude_symbols))
        entries[EXCLUDED] = entry(EXCLUDED, excluded.not_(), excluded.cast(pl.Float64), 0.0)
    for name, left, comparison, threshold in rules_of(settings):
        value = _number(left)
        entries[name] = entry(name, _COMPARE[comparison](value, threshold), value, threshold)
    return entries


def entry(rule: str, passed: pl.Expr, value: pl.Expr, threshold: float) -> pl.Expr:
    """Return one rule with what it found, as the struct of an audit; no value does not pass."""
    return pl.struct(
        rule=pl.lit(rule),
        passed=passed.fill_null(False),
        value=value,
        threshold=pl.lit(threshold, pl.Float64),
    )


def first_failed(audit: Sequence[pl.Expr]) -> pl.Expr:
    """Name of the first rule that failed; null when none did."""
    return pl.coalesce(
        pl.when(rule.struct.field("passed").not_()).then(rule.struct.field("rule"))
        for rule in audit
    )


def _number(name: str) -> pl.Expr:
    """Take a screener column as the number that is compared and reported; NaN is no number."""
    return pl.col(name).cast(pl.Float64).fill_nan(None)


def _sorted(rows: pl.LazyFrame, by: str, order: SortOrder, *before: str) -> pl.LazyFrame:
    """Order each session's rows by a column, null last, ties by security."""
    columns = ["session", *before, by, "security_id"]
    descending = [column == by and order == "desc" for column in columns]
    return rows.sort(columns, descending=descending, nulls_last=True)
