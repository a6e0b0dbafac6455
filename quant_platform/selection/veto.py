"""Vetoes: what keeps a candidate out whatever its score.

Each veto is asked of every candidate and reported with its value and threshold. It fires when the
value is above the threshold, and when there is no value: a gate without evidence is closed.

- ``annual_volatility``: fraction per year, over the same sessions as the score.
- ``delisted``: the value is 1 where the security left on the session itself.
- ``no_bar``: the value is the age of the security's mark in calendar days. It is asked only of who
  was selected before and is no candidate, because no scanner sees a security without a bar.
- ``top_n``: the value is the rank. It is asked last, and only of those that nothing else stopped,
  for there is no rank without them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from quant_platform.lakehouse.gates import Gate
from quant_platform.settings.selection import SelectionSettings


@dataclass(frozen=True)
class Veto(Gate):
    """A gate that is asked of each candidate.

    Parameters
    ----------
    column
        What is asked: a column of the candidate.
    threshold
        Largest value that does not fire.
    """

    column: str
    threshold: Callable[[SelectionSettings], float]

    def asked(self, settings: SelectionSettings) -> pl.Expr:
        """Return the veto as the struct of the contract."""
        value = pl.col(self.column).cast(pl.Float64)
        threshold = self.threshold(settings)
        return pl.struct(
            rule=pl.lit(self.name),
            fired=(value > threshold).fill_null(True),
            value=value,
            threshold=pl.lit(threshold, pl.Float64),
        )


VETOES = (
    Veto("annual_volatility", "choice", "annual_volatility", lambda s: s.max_annual_volatility),
    Veto("delisted", "guard", "delisted", lambda _: 0.0),
)
"""Every veto, in the order in which they are asked."""
CUT = Veto("top_n", "choice", "rank", lambda s: s.top_n)
"""The last question, of those that no veto stopped."""
NO_BAR = Veto("no_bar", "guard", "mark_age", lambda _: 0.0)
"""Why who was selected is no candidate any more: no gate, for it is asked only of whom it stops."""


def first_fired(asked: Sequence[pl.Expr]) -> pl.Expr:
    """Name of the first veto that fired; null when none did."""
    return pl.coalesce(
        pl.when(veto.struct.field("fired")).then(veto.struct.field("rule")) for veto in asked
    )
