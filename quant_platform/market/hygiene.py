"""Hygiene of what a source delivers: keep what can be believed, set the rest aside with its reason.

1. Each row gets its knowledge session, the first whose cutoff is at or after ``known_at``.
2. A row for a day that is no session of the calendar is rejected (``session_in_calendar``): a
   weekend print is an error, never a fill, and nothing is split on a Sunday. Tables without a
   ``session``, such as listings, have no such days.
3. Of rows that are alike in every column the first is kept, the others are rejected
   (``repeated_row``).
4. The contract of the table judges the rest: positive prices, low <= open, close <= high, and keys
   that occur once. Two different rows under one key are both rejected: there is no telling which
   one is right.
5. What only a look at other rows can tell is asked last, of the rows that are left: a *doubt* names
   the rule that a row breaks beside its neighbours (`quant_platform.market.doubts`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.lakehouse.contracts import Contract

Doubt = Callable[[pl.DataFrame], pl.Series]
"""Rows that keep the contract → the rule that each breaks beside others, null where none."""


@dataclass(frozen=True)
class Ingested:
    """Rows from outside, sorted out.

    Parameters
    ----------
    rows
        Rows that keep the contract.
    rejected
        ``knowledge_session``, ``row``, ``rule``, ``raw``: the quarantine's columns.
    """

    rows: pl.DataFrame
    rejected: pl.DataFrame


def ingest(
    delivered: pl.DataFrame,
    contract: Contract,
    calendar: SessionCalendar,
    *,
    not_before: date | None = None,
    doubt: Doubt | None = None,
) -> Ingested:
    """Sort out the rows that a source delivered.

    Parameters
    ----------
    delivered
        The source's rows, with ``known_at`` and the contract's other columns.
    contract
        Contract of the table that they are for.
    calendar
        Calendar of that table.
    not_before
        First session of history, where it holds what was known before it; None where such a row
        keeps the session in which it was known.
    doubt
        What else a row may break; nothing by default.
    """
    raw = [name for name in contract.columns if name != "knowledge_session"]
    known = calendar.knowledge_sessions(delivered["known_at"])
    if not_before is not None:
        known = known.clip(lower_bound=not_before)
    rows = delivered.with_columns(known.alias("knowledge_session")).select(*contract.columns)
    strays, inside = rows.head(0), rows
    if "session" in contract.columns:
        sessions = calendar.frame().select("session")
        strays = rows.join(sessions, on="session", how="anti", maintain_order="left")
        inside = rows.join(sessions, on="session", how="semi", maintain_order="left")
    repeated = inside.filter(~pl.struct(pl.all()).is_first_distinct())
    distinct = inside.unique(keep="first", maintain_order=True) if repeated.height else inside
    kept, broken = contract.quarantine(distinct)
    doubtful = broken.head(0)
    if doubt is not None and kept.height:
        doubted = kept.with_columns(doubt(kept).alias("rule"))
        doubtful = doubted.filter(pl.col("rule").is_not_null())
        kept = kept.filter(doubted["rule"].is_null())
    rejected = pl.concat(
        [
            strays.with_columns(rule=pl.lit("session_in_calendar")),
            repeated.with_columns(rule=pl.lit("repeated_row")),
            broken,
            doubtful,
        ]
    )
    filed = rejected.select("knowledge_session", "rule", raw=_as_json(rejected, raw)).sort(
        "knowledge_session", "rule", "raw"
    )
    return Ingested(
        kept,
        filed.select(
            "knowledge_session",
            pl.int_range(pl.len(), dtype=pl.UInt32).over("knowledge_session").alias("row"),
            "rule",
            "raw",
        ),
    )


def _as_json(rows: pl.DataFrame, columns: list[str]) -> pl.Expr:
    """Rows as JSON objects that keep every value.

    JSON has no NaN and no infinity, and Polars writes null for them; here they are the texts
    ``"NaN"``, ``"inf"`` and ``"-inf"``. Text inside a value cannot be mistaken for such a field,
    because its quotes are escaped.
    """
    text = pl.struct(*columns).struct.json_encode()
    for name in columns:
        if rows.schema[name].is_float():
            value, nothing = pl.col(name), f'"{name}":null'
            spelt = pl.format(f'"{name}":"{{}}"', value.cast(pl.String))
            field = pl.when(value.is_finite().not_()).then(spelt).otherwise(pl.lit(nothing))
            text = text.str.replace(nothing, field, literal=True)
    return text
