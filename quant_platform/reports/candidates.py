"""The candidates of a session as Markdown: how many each layer let through, the best, what to mind.

1. *Funnel*: of each scanner how many securities were listed, reached its filters, passed them, and
   were found. Who was let in past the rules (asked for by name, or the other market of a pair) is
   counted on its own.
2. *Overlap*: how much of what two scanners found is the same.
3. *Top picks*: the candidates that rose most over a month, and those with the largest dividend
   yield, where any has one.
4. *Warnings*: candidates with few assets, thinly traded, or without a trade on the session.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import polars as pl

from quant_platform.reports.notation import long_date, written
from quant_platform.reports.table import Table
from quant_platform.scanners.judgement import BASE_LIMIT, LIMIT

PICKS = 10
"""Rows of each table of top picks."""
LOW_ASSETS = 5e7
"""Assets of a fund below which a closure is usually feared, in its money: a choice."""
_KEY = ["session", "security_id"]
_READ = ("Perf.1M", "Perf.3M", "dividend_yield_recent", "aum", "Value.Traded", "volume")


def candidates_markdown(
    session: date,
    candidates: pl.DataFrame,
    screener: pl.LazyFrame,
    scans: Mapping[str, pl.LazyFrame],
    *,
    overlap: pl.DataFrame,
    low_traded: float,
) -> str:
    """Describe the candidates of one session; empty text where nothing was listed.

    Parameters
    ----------
    session
        The session.
    candidates
        Rows of ``candidates``.
    screener
        Rows of ``screener``.
    scans
        Rows of each scanner's table, by the scanner's name.
    overlap
        Rows of ``scan_overlap``.
    low_traded
        Money traded a session, on average, below which a candidate is warned of.
    """
    seen = screener.filter(session=session).select(*_KEY, "type", "asset_class", *_READ).collect()
    if not seen.height:
        return ""
    found = candidates.filter(session=session).join(
        seen.drop("asset_class"), on=_KEY, how="left", maintain_order="left"
    )
    overlaps = overlap.filter(session=session)
    parts = [
        f"**Candidates, {long_date(session)}**: {found.height}.\n",
        _funnel(session, seen, scans).markdown(),
        *([_overlaps(overlaps).markdown()] if overlaps.height else []),
        _picks("Top picks by performance", found, "Perf.1M").markdown(),
    ]
    if found.filter(pl.col("dividend_yield_recent") > 0).height:
        paid = found.filter(pl.col("dividend_yield_recent") > 0)
        parts.append(
            _picks("Top picks by dividend yield", paid, "dividend_yield_recent").markdown()
        )
    parts.append(_warnings(found, low_traded).markdown())
    return "\n".join(parts)


def _funnel(session: date, seen: pl.DataFrame, scans: Mapping[str, pl.LazyFrame]) -> Table:
    """Count what each layer of each scanner let through."""
    by_rules = (pl.col("admitted_by") == "rules").fill_null(False)
    # Only ranking is left to fail of these two.
    ranked = pl.col("reason").is_in([BASE_LIMIT, LIMIT]).fill_null(False)
    attached = (pl.col("admitted_by") == "counterpart").fill_null(False)
    lines = []
    for name, rows in sorted(scans.items()):
        counts = (
            rows.filter(session=session)
            .select(
                reached=(~attached).sum(),
                filtered=(by_rules | ranked).sum(),
                ranked=by_rules.sum(),
                beside=(pl.col("passed") & ~by_rules).sum(),
                found=pl.col("passed").sum(),
            )
            .collect()
        )
        lines.append((name, *(str(count) for count in (seen.height, *counts.row(0)))))
    head = ("scanner", "listed", "reached", "passed filters", "ranked in", "let in", "found")
    notes = ["let in: asked for by name, or the other market of a pair that was found"]
    return Table("Funnel", head, lines, notes=notes)


def _overlaps(rows: pl.DataFrame) -> Table:
    """Write how much two scanners share, the most alike first."""
    told = rows.sort("jaccard", "first_scanner", "second_scanner", descending=[True, False, False])
    lines = [
        (
            f"{row['first_scanner']}, {row['second_scanner']}",
            str(row["found_both"]),
            written(row["jaccard"], "fraction"),
        )
        for row in told.iter_rows(named=True)
    ]
    return Table("Overlap", ("scanners", "found by both", "of what either found"), lines)


def _picks(title: str, rows: pl.DataFrame, by: str) -> Table:
    """Write the candidates with the largest values of a column; who has none is left out."""
    best = (
        rows.filter(pl.col(by).is_not_null())
        .sort(by, "security_id", descending=[True, False])
        .head(PICKS)
    )
    lines = [
        (
            row["symbol"],
            written(row["Perf.1M"], "fraction", signed=True),
            written(row["Perf.3M"], "fraction", signed=True),
            written(row["dividend_yield_recent"], "fraction"),
            _million(row["Value.Traded"]),
            ", ".join(row["scanners"]),
        )
        for row in best.iter_rows(named=True)
    ]
    head = ("symbol", "month", "quarter", "yield", "traded, million", "scanners")
    empty = "nobody was found" if not rows.height else "no candidate has a value"
    return Table(title, head, lines, empty, frozenset({0, 5}))


def _warnings(rows: pl.DataFrame, low_traded: float) -> Table:
    """Write what is to be minded of single candidates."""
    fund = pl.col("type") == "fund"
    asked = {
        "low AUM": fund & (pl.col("aum") < LOW_ASSETS),
        "AUM unknown": fund & pl.col("aum").is_null(),
        "low liquidity": pl.col("Value.Traded") < low_traded,
        "liquidity unknown": pl.col("Value.Traded").is_null(),
        # A candidate has a bar on the session; one without volume repeats an old price.
        "stale": pl.col("volume") == 0,
    }
    said = [pl.when(holds).then(pl.lit(name)) for name, holds in asked.items()]
    told = rows.with_columns(said=pl.concat_list(said).list.drop_nulls().list.join(", ")).filter(
        pl.col("said") != ""
    )
    lines = [
        (row["symbol"], row["said"], _million(row["aum"]), _million(row["Value.Traded"]))
        for row in told.sort("symbol").iter_rows(named=True)
    ]
    head = ("symbol", "warning", "AUM, million", "traded, million")
    return Table("Warnings", head, lines, "nothing is to be minded", frozenset({0, 1}))


def _million(value: float | None) -> str:
    return written(None if value is None else value / 1e6, "")
