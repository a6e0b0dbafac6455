"""When companies announce results, as it was known: expected days, revised days, announcements."""

from __future__ import annotations

import dataframely as dy

from quant_platform.lakehouse.contracts import columns
from quant_platform.lakehouse.contracts.contract import Contract


class Earnings(dy.Schema):
    """One published version of one announcement of one company."""

    knowledge_session = columns.knowledge_session(before_history=True)
    security_id = columns.security_id()
    period = dy.String(primary_key=True, min_length=1, description="Fiscal period, such as 2023Q2.")
    known_at = columns.known_at()
    known_at_basis = columns.known_at_basis()
    announced_on = dy.Date(
        description="Day of the announcement: expected while status is expected, else actual."
    )
    timing = dy.Enum(
        ["pre", "post", "unknown"],
        description="Before the open or after the close of announced_on.",
    )
    status = dy.Enum(["expected", "actual"], description="Whether it has been announced.")
    estimate = dy.Float64(
        nullable=True,
        description="Expected earnings per share, quote currency, signed; null if unknown.",
    )
    actual = dy.Float64(
        nullable=True,
        description="Announced earnings per share, quote currency, signed; null until announced.",
    )


EARNINGS = Contract(
    kind="earnings",
    schema=Earnings,
    version=1,
    grain="one published version of one announcement (security, period, known_at)",
    external=True,
)
