"""Daily bars: what a source published in a range of knowledge sessions, sorted out."""

from __future__ import annotations

import polars as pl

from quant_platform.errors import SourceError
from quant_platform.lakehouse.contracts.bars import BARS
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.market.hygiene import Ingested, ingest
from quant_platform.sources.protocol import Source

_DELIVERED = {name: column for name, column in BARS.columns.items() if name != "knowledge_session"}


def published_bars(source: Source, sleeve: str, wanted: SessionRange) -> Ingested:
    """Take what became known in the sessions of a range.

    Parameters
    ----------
    source
        Where the bars come from.
    sleeve
        Sleeve whose universe is asked for.
    wanted
        Knowledge sessions.

    Returns
    -------
    Ingested
        Rows for ``<sleeve>/bars`` and the rejected ones.

    Raises
    ------
    SourceError
        When the source lacks a column or delivers another type, or rows of which it does not say
        when they were known, or that were known outside the range.
    """
    delivered = source.bars(wanted.calendar, sleeve, wanted.sessions)
    absent = [name for name in _DELIVERED if name not in delivered.columns]
    if absent:
        raise SourceError(
            f"source '{source.name}' delivered bars without {', '.join(absent)}",
            expected=f"the columns {', '.join(_DELIVERED)}",
            mend="correct the source",
        )
    for name, column in _DELIVERED.items():
        if not column.validate_dtype(delivered.schema[name]):
            raise SourceError(
                f"source '{source.name}' delivered '{name}' as {delivered.schema[name]}",
                expected=f"{column.dtype}",
                mend="cast it in the source",
            )
    if delivered["known_at"].null_count():
        raise SourceError(
            f"source '{source.name}' delivered {delivered['known_at'].null_count()} rows without "
            "known_at",
            expected="the moment at which each row became publicly available",
            mend="correct the source: known_at decides the partition",
        )
    ingested = ingest(delivered.select(*_DELIVERED), BARS, wanted.calendar)
    for frame in (ingested.rows, ingested.rejected):
        early_or_late = frame.filter(
            ~pl.col("knowledge_session").is_between(wanted.first, wanted.last)
        )
        if early_or_late.height:
            raise SourceError(
                f"source '{source.name}' delivered {early_or_late.height} rows known in "
                f"{early_or_late['knowledge_session'][0]}",
                expected=f"rows known between the cutoffs of {wanted.first} and {wanted.last}",
                mend="correct the source: known_at decides the partition",
            )
    return ingested
