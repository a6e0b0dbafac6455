"""Daily bars: what a source published in a range of knowledge sessions, sorted out."""

from __future__ import annotations

from quant_platform.lakehouse.contracts.bars import BARS
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.market.delivery import taken
from quant_platform.market.hygiene import Ingested
from quant_platform.sources.protocol import Source


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
    return taken(delivered, BARS, wanted, source=source.name)
