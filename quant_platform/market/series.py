"""Series: what a source published of volatility indices, factors and the like in a range."""

from __future__ import annotations

from quant_platform.lakehouse.contracts.series import SERIES
from quant_platform.lakehouse.windows import SessionRange
from quant_platform.market.delivery import taken
from quant_platform.market.hygiene import Ingested
from quant_platform.sources.protocol import Source


def published_series(source: Source, branch: str, wanted: SessionRange) -> Ingested:
    """Take the observations that became known in the sessions of a range; as ``published_bars``.

    Returns
    -------
    Ingested
        Rows for ``<branch>/series`` and the rejected ones.
    """
    delivered = source.series(wanted.calendar, branch, wanted.sessions)
    return taken(delivered, SERIES, wanted, source=source.name)
