"""What is doubtful about a sleeve's data on each session, as it was known at its cutoff."""

from __future__ import annotations

import dataframely as dy

from quant_platform.lakehouse.contracts.contract import Contract

FLAGS = ("stale", "gap", "outlier", "late")
"""What a row can say; see the contract."""


class Quality(dy.Schema):
    """One doubt about one security on one session."""

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    security_id = dy.String(primary_key=True, min_length=1, description="Stable security key.")
    flag = dy.Enum(
        list(FLAGS),
        primary_key=True,
        description="stale: no trade and no movement for some sessions, so that it left the "
        "universe; gap: no bar on the session; outlier: a return far from its own, without an "
        "action; late: a bar of an earlier session became known.",
    )
    value = dy.Float64(
        description="In units of the flag. stale: sessions asked for; gap: sessions since the last "
        "close; outlier: robust deviations, signed; late: sessions from the bar's to this one."
    )


QUALITY = Contract(
    kind="quality",
    schema=Quality,
    version=1,
    grain="one doubt about one security on one session",
)
