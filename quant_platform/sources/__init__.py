"""Where data comes from: one protocol, and the sources that speak it.

A source delivers raw rows with the instant at which each became publicly known, and nothing else:
it neither cleans nor adjusts nor fills. What a source planted on purpose is in
`quant_platform.sources.simulated.truth`, which only validation and tests may import.
"""

from quant_platform.sources.protocol import (
    ACTION_SCHEMA,
    BAR_SCHEMA,
    EARNINGS_SCHEMA,
    FUND_FACT_SCHEMA,
    MEMBERSHIP_SCHEMA,
    SECURITY_SCHEMA,
    SERIES_SCHEMA,
    Source,
)
from quant_platform.sources.registry import build_source
from quant_platform.sources.simulated.dirt import Dirt
from quant_platform.sources.simulated.market import SimulatedSleeve
from quant_platform.sources.simulated.planted import Planted
from quant_platform.sources.simulated.source import SimulatedSource

__all__ = [
    "ACTION_SCHEMA",
    "BAR_SCHEMA",
    "EARNINGS_SCHEMA",
    "FUND_FACT_SCHEMA",
    "MEMBERSHIP_SCHEMA",
    "SECURITY_SCHEMA",
    "SERIES_SCHEMA",
    "Dirt",
    "Planted",
    "SimulatedSleeve",
    "SimulatedSource",
    "Source",
    "build_source",
]
