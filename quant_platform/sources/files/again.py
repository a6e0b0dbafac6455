"""Importing again: what has been told stays told, and what is new of the past is known now.

The lake has answered for some sessions already, from the import of then. A file that has changed
since may hold other rows of those sessions. Taking them at their assumed time would rewrite what
was known; they are *late data* instead:

1. Rows of the import before that were known by the last session that the lake has taken in are
   kept, whether the file still has them or not.
2. Rows of the file that say the same as one of these are that row.
3. Of the others, those that would have been known by then are known now, as observed; those of
   later sessions keep their time.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from quant_platform.sources.protocol import KNOWN_AT_BASIS

_KNOWN = ("known_at", "known_at_basis")


@dataclass(frozen=True)
class Again:
    """How a folder is imported that was imported before.

    Parameters
    ----------
    told_until
        Cutoff of the last session that the lake has taken in.
    now
        When the import is made.
    symbols
        Symbols whose bars are fetched; None for all.
    """

    told_until: datetime
    now: datetime
    symbols: Collection[str] | None = None

    def superseding(
        self, before: pl.DataFrame, delivered: pl.DataFrame, ignored: Collection[str] = ()
    ) -> pl.DataFrame:
        """Return the rows to answer from.

        Parameters
        ----------
        before
            Rows of the import before.
        delivered
            Rows of the files now, with the same columns.
        ignored
            Columns that may differ although the row says the same.
        """
        past = pl.col("known_at") <= self.told_until
        said = [name for name in delivered.columns if name not in (*_KNOWN, *ignored)]
        told = before.filter(past)
        fresh = delivered.join(
            told, on=said, how="anti", nulls_equal=True, maintain_order="left"
        ).with_columns(
            known_at=pl.when(past).then(pl.lit(self.now)).otherwise("known_at"),
            known_at_basis=pl.when(past)
            .then(pl.lit("observed", KNOWN_AT_BASIS))
            .otherwise("known_at_basis"),
        )
        return pl.concat([told, fresh.cast({"known_at": told.schema["known_at"]})])

    def bars(self, before: pl.DataFrame, delivered: pl.DataFrame) -> pl.DataFrame:
        """Return the bars of a file to answer from, of the chosen symbols alone.

        A total-return close is restated with each dividend: that is no news of the bar. It is taken
        as the file has it now, so that its steps are of one piece.
        """
        if "adjusted" in delivered.columns:
            restated = delivered.select("symbol", "session", "adjusted").unique(
                ["symbol", "session"], keep="last"
            )
            before = before.drop("adjusted", strict=False).join(
                restated, on=["symbol", "session"], how="left", maintain_order="left"
            )
        if self.symbols is not None:
            chosen = pl.col("symbol").is_in(sorted(self.symbols))
            others = before.filter(~chosen)
            taken = self.superseding(
                before.filter(chosen).select(delivered.columns),
                delivered.filter(chosen),
                ("adjusted",),
            )
            rows = pl.concat([others.select(delivered.columns), taken])
        else:
            rows = self.superseding(before.select(delivered.columns), delivered, ("adjusted",))
        return rows.sort("known_at", "session", "symbol", maintain_order=True)
