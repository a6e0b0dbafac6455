"""Where data comes from: one protocol, and the sources that speak it.

A source delivers raw rows with the instant at which each became publicly known, and nothing else:
it neither cleans nor adjusts nor fills. What a source planted on purpose is in
`quant_platform.sources.simulated_truth`, which only validation and tests may import.
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
from quant_platform.sources.simulated import SimulatedSource
from quant_platform.sources.simulated_dirt import Dirt
from quant_platform.sources.simulated_market import SimulatedSleeve

__all__ = [
    "ACTION_SCHEMA",
    "BAR_SCHEMA",
    "EARNINGS_SCHEMA",
    "FUND_FACT_SCHEMA",
    "MEMBERSHIP_SCHEMA",
    "SECURITY_SCHEMA",
    "SERIES_SCHEMA",
    "Dirt",
    "SimulatedSleeve",
    "SimulatedSource",
    "Source",
    "build_source",
]
