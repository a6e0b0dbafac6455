"""When companies announce results, as it was known: expected days, revised days, announcements."""

from __future__ import annotations

import dataframely as dy

from quant_platform.lakehouse.contracts.contract import Contract


class Earnings(dy.Schema):
    """One published version of one announcement of one company."""

    knowledge_session = dy.Date(
        description="Partition: first session whose cutoff is at or after known_at; the first of "
        "history holds all that was known before it."
    )
    security_id = dy.String(
        primary_key=True, min_length=1, description="Stable key of the security for every join."
    )
    period = dy.String(primary_key=True, min_length=1, description="Fiscal period, such as 2023Q2.")
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
