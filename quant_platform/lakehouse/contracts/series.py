"""Observations that belong to no security: volatility indices, factor returns, a risk-free rate."""

from __future__ import annotations

import dataframely as dy

from quant_platform.lakehouse.contracts.contract import Contract


class Series(dy.Schema):
    """One published version of one observation of one series."""

    knowledge_session = dy.Date(
        description="Partition: first session whose cutoff is at or after known_at."
    )
    series = dy.String(
        primary_key=True, min_length=1, description="Name of the series, such as VIX3M."
    )
    session = dy.Date(primary_key=True, description="Session that the observation describes.")
    known_at = dy.Datetime(
        primary_key=True,
        time_zone="UTC",
        time_unit="us",
        description="When this version became publicly available, UTC.",
    )
    known_at_basis = dy.Enum(
        ["observed", "assumed"],
        description="observed: seen when it was published; assumed: session close plus a lag.",
    )
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
