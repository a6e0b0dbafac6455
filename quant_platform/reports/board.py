"""The figures of one session, to be looked up by section, item and figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from quant_platform.errors import MissingUpstreamError
from quant_platform.reports.notation import NOTHING, SIGNED, written

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Board:
    """The figures of one session.

    Parameters
    ----------
    session
        The session.
    rows
        By section, item and figure: the row of ``reports/daily``.
    """

    session: date
    rows: Mapping[tuple[str, str, str], Row]

    @classmethod
    def of(cls, figures: pl.DataFrame, session: date) -> Board:
        """Take one session out of ``reports/daily``."""
        own = figures.filter(pl.col("session") == session)
        if not own.height:
            raise MissingUpstreamError(
                f"reports/daily has no figures of {session}",
                expected="the figures of the session that the page shows",
                mend="materialise reports/daily of that session",
            )
        return cls(
            session,
            {
                (row["section"], row["item"], row["figure"]): row
                for row in own.iter_rows(named=True)
            },
        )

    def items(self, section: str) -> list[str]:
        """Items of a section, in the order of the table."""
        return list(dict.fromkeys(item for own, item, _ in self.rows if own == section))

    def figures(self, section: str, item: str) -> list[str]:
        """Figures of an item, in the order of the table."""
        return [figure for own, of, figure in self.rows if (own, of) == (section, item)]

    def value(self, section: str, item: str, figure: str) -> float | None:
        """Return a figure; None where there is none."""
        row = self.rows.get((section, item, figure))
        return None if row is None else row["value"]

    def note(self, section: str, item: str, figure: str) -> str:
        """Return the note of a figure; empty where there is none."""
        row = self.rows.get((section, item, figure))
        return "" if row is None else row["note"] or ""

    def written(self, section: str, item: str, figure: str) -> str:
        """Write a figure in its unit; a dash where there is none."""
        row = self.rows.get((section, item, figure))
        if row is None:
            return NOTHING
        return written(row["value"], row["unit"], signed=figure in SIGNED)

    def lacking(self, section: str) -> str:
        """Return why the first figure of a section is not there; empty if it is."""
        first = next((row for key, row in self.rows.items() if key[0] == section), None)
        return "" if first is None or first["value"] is not None else str(first["note"])
