"""Observations that belong to no security: volatility indices, factor returns, a risk-free rate."""

from __future__ import annotations

import dataframely as dy

from quant_platform.lakehouse.contracts import columns
from quant_platform.lakehouse.contracts.contract import Contract


class Series(dy.Schema):
    """One published version of one observation of one series."""

    knowledge_session = columns.knowledge_session()
    series = dy.String(
        primary_key=True, min_length=1, description="Name of the series, such as VIX3M."
    )
    session = dy.Date(primary_key=True, description="Session that the observation describes.")
    known_at = columns.known_at()
    known_at_basis = columns.known_at_basis()
    value = dy.Float64(description="The observation, signed, in units of the column unit.")
    unit = dy.String(
        min_length=1,
        description="index points, price, or fraction (a return over the session).",
    )


SERIES = Contract(
    kind="series",
    schema=Series,
    version=1,
    grain="one published version of one observation (series, session, known_at)",
    external=True,
)
