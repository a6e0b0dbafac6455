"""How many securities are listed, included, rejected, arrived and gone, session by session."""

from __future__ import annotations

import dataframely as dy

from quant_platform.lakehouse.contracts.contract import Contract


class UniverseCounts(dy.Schema):
    """One count of one session."""

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    what = dy.String(
        primary_key=True,
        min_length=1,
        description="listed; included; rejected_<screen>, by the first that failed; arrived: "
        "listed, and not the session before; of those that were listed the session before and are "
        "not any more: merged or delisted, as an action tells, never_traded: no action and no bar "
        "over the last 20 sessions, unexplained: no action; renamed: goes on under another symbol.",
    )
    count = dy.UInt32(description="Securities; a count of zero has no row, but for listed.")
    constituency_source = dy.String(
        min_length=1, description="What decides who belongs: listings, an index, a biased list."
    )
    corporate_actions_hash = dy.String(
        min_length=64, description="SHA-256 over every action published by the cutoff."
    )


UNIVERSE_COUNTS = Contract(
    kind="universe_counts",
    schema=UniverseCounts,
    version=1,
    grain="one count of a session",
)
