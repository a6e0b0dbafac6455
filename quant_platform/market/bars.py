"""Daily bars: what a source published in a range of knowledge sessions, sorted out.

What the source published just before is asked for as well: a delivery that repeats a session, or
whose prices are a hundred times those of the day before, shows only beside them. The bars of a
second source are taken in the same way, by the same rules, as a table of their own.
"""

from __future__ import annotations

from quant_platform.lakehouse.contracts.bars import BARS
from quant_platform.lakehouse.contracts.contract import Contract
from quant_platform.lakehouse.contracts.second_bars import SECOND_BARS
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.market.delivery import taken
from quant_platform.market.doubts import MEMORY_SESSIONS, doubts_of_bars
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
    return _published(source, sleeve, wanted, BARS)


def published_second_bars(source: Source, sleeve: str, wanted: SessionRange) -> Ingested:
    """Take what became known to a second source, for ``<sleeve>/second_bars``; as the bars."""
    return _published(source, sleeve, wanted, SECOND_BARS)


def _published(source: Source, sleeve: str, wanted: SessionRange, contract: Contract) -> Ingested:
    calendar = wanted.calendar
    delivered = source.bars(calendar, sleeve, wanted.sessions)
    first = calendar.ordinal(wanted.first)
    earlier = calendar.sessions[max(first - MEMORY_SESSIONS, wanted.origin) : first]
    before = source.bars(calendar, sleeve, earlier) if earlier else delivered.head(0)
    doubt = doubts_of_bars(before, calendar)
    return taken(delivered, contract, wanted, source=source.name, doubt=doubt)
