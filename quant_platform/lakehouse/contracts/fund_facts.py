"""What issuers say of their funds: assets, fee, yield, category."""

from __future__ import annotations

import dataframely as dy

from quant_platform.lakehouse.contracts import columns
from quant_platform.lakehouse.contracts.contract import Contract


class FundFacts(dy.Schema):
    """One published version of one fund's facts as of one session."""

    knowledge_session = columns.knowledge_session(before_history=True)
    security_id = columns.security_id()
    session = dy.Date(primary_key=True, description="Session that the facts describe.")
    known_at = columns.known_at()
    known_at_basis = columns.known_at_basis()
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
