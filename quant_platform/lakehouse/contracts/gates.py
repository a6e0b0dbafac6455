"""How often each gate was asked, and how often it fired."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from quant_platform.lakehouse.contracts.contract import Contract


class Gates(dy.Schema):
    """One gate that was asked on one session."""

    session = dy.Date(primary_key=True, description="Session at whose cutoff the row is known.")
    table = dy.String(
        primary_key=True, min_length=3, description="Table in which the gate is asked."
    )
    gate = dy.String(
        primary_key=True, min_length=1, description="Code or name of the gate, as in that table."
    )
    duty = dy.Enum(
        ["guard", "choice"],
        description="guard: watches for what should not happen, and may rest; choice: tells some "
        "from others, and should do so.",
    )
    asked = dy.UInt32(
        min=1,
        description="Cases since the session before: securities before a universe, a cross-section "
        "or a scanner, candidates of a decision, targets of an evening, or the evening itself.",
    )
    fired = dy.UInt32(description="Those in which it fired.")

    @dy.rule()
    def fires_when_asked(cls) -> pl.Expr:  # noqa: N805 - dataframely hands over the class
        """No gate fires unasked."""
        return pl.col("fired") <= pl.col("asked")


GATES = Contract(
    kind="gates",
    schema=Gates,
    version=1,
    grain="one gate that was asked on one session",
)
