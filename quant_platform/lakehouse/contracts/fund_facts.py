"""What issuers say of their funds: assets, fee, yield, category."""

from __future__ import annotations

import dataframely as dy

from quant_platform.lakehouse.contracts.contract import Contract


class FundFacts(dy.Schema):
    """One published version of one fund's facts as of one session."""

    knowledge_session = dy.Date(
        description="Partition: first session whose cutoff is at or after known_at; the first of "
        "history holds all that was known before it."
    )
    security_id = dy.String(
        primary_key=True, min_length=1, description="Stable key of the security for every join."
    )
    session = dy.Date(primary_key=True, description="Session that the facts describe.")
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
    aum = dy.Float64(
        nullable=True,
        min=0,
        description="Assets under management, quote currency; null if unknown.",
    )
    expense_ratio = dy.Float64(
        nullable=True, min=0, description="Fee, fraction of assets a year; null if unknown."
    )
    # The name that every vendor uses is a keyword of Python.
    yield_ = dy.Float64(
        alias="yield",
        nullable=True,
        description="Distributions, fraction of the price a year, signed; null if unknown.",
    )
    issuer = dy.String(nullable=True, description="Company that runs the fund; null if unknown.")
    category = dy.String(
        nullable=True, description="Category that the issuer gives it; null if unknown."
    )


FUND_FACTS = Contract(
    kind="fund_facts",
    schema=FundFacts,
    version=1,
    grain="one published version of one fund's facts (security, session, known_at)",
    external=True,
)
