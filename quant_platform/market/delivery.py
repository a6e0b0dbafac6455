"""Taking what a source delivered: it must keep its promise before its rows are sorted out.

1. The delivery has every column of the contract, each of its type, and ``known_at`` is never null.
2. Hygiene sorts the rows out (`quant_platform.market.hygiene`).
3. Every row, kept or rejected, became known in a session that was asked for.

Bars are asked for by the sessions of the range. Of slow reference data (listings, actions) the
first session of history holds all that was known before it as well, for a security is listed once,
possibly years before: `asked_sessions` adds the earlier sessions to the request, and the rows that
answer them get that first session as their knowledge session. Their ``known_at`` stays.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.errors import SourceError
from quant_platform.lakehouse.contracts import Contract
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.market.hygiene import Doubt, Ingested, ingest


def asked_sessions(wanted: SessionRange) -> list[date]:
    """Sessions to ask of slow data: those wanted and, with history's first, all before it."""
    calendar = wanted.calendar
    if calendar.ordinal(wanted.first) > wanted.origin:
        return list(wanted.sessions)
    return [*calendar.sessions[: calendar.ordinal(wanted.first)], *wanted.sessions]


def taken(
    delivered: pl.DataFrame,
    contract: Contract,
    wanted: SessionRange,
    *,
    source: str,
    first_holds_earlier: bool = False,
    doubt: Doubt | None = None,
) -> Ingested:
    """Check a delivery against its promise and sort its rows out.

    Parameters
    ----------
    delivered
        The source's rows.
    contract
        Contract of the table that they are for.
    wanted
        Knowledge sessions.
    source
        Name of the source, for messages.
    first_holds_earlier
        Whether what was known before the first session of history belongs to that session.
    doubt
        What a row may break beside others; see `quant_platform.market.hygiene`.

    Raises
    ------
    SourceError
        When a column is lacking or of another type, when it is not said when rows were known, or
        when they were known outside the range.
    """
    promised = {n: column for n, column in contract.columns.items() if n != "knowledge_session"}
    absent = [name for name in promised if name not in delivered.columns]
    if absent:
        raise SourceError(
            f"source '{source}' delivered {contract.kind} without {', '.join(absent)}",
            expected=f"the columns {', '.join(promised)}",
            mend="correct the source",
        )
    for name, column in promised.items():
        if not column.validate_dtype(delivered.schema[name]):
            raise SourceError(
                f"source '{source}' delivered '{name}' as {delivered.schema[name]}",
                expected=f"{column.dtype}",
                mend="cast it in the source",
            )
    if delivered["known_at"].null_count():
        raise SourceError(
            f"source '{source}' delivered {delivered['known_at'].null_count()} rows without "
            "known_at",
            expected="the moment at which each row became publicly available",
            mend="correct the source: known_at decides the partition",
        )
    begin = _first_of_history(wanted) if first_holds_earlier else None
    ingested = ingest(
        delivered.select(*promised), contract, wanted.calendar, not_before=begin, doubt=doubt
    )
    for frame in (ingested.rows, ingested.rejected):
        early_or_late = frame.filter(
            ~pl.col("knowledge_session").is_between(wanted.first, wanted.last)
        )
        if early_or_late.height:
            raise SourceError(
                f"source '{source}' delivered {early_or_late.height} rows known in "
                f"{early_or_late['knowledge_session'][0]}",
                expected=f"rows known between the cutoffs of {wanted.first} and {wanted.last}",
                mend="correct the source: known_at decides the partition",
            )
    return ingested


def _first_of_history(wanted: SessionRange) -> date:
    calendar: SessionCalendar = wanted.calendar
    return calendar.sessions[wanted.origin]
