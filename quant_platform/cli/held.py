"""What the lake holds of a sleeve's session, and why it holds nothing of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

import polars as pl

from quant_platform.cli.session_arguments import parse_day, refuse_closed
from quant_platform.errors import LakeError
from quant_platform.lakehouse.lake import Lake

State = Literal["held", "blocked", "not made"]


@dataclass(frozen=True)
class Held:
    """Tables of one sleeve.

    Parameters
    ----------
    lake
        Where they are.
    sleeve
        Name of the sleeve.
    """

    lake: Lake
    sleeve: str

    def table(self, kind: str) -> str:
        """Name of a table of the sleeve."""
        return f"{self.sleeve}/{kind}"

    def state(self, kind: str, session: date) -> State:
        """Whether a table holds a session."""
        entry = self.lake.entries(self.table(kind)).get(session)
        if entry is None:
            return "not made"
        return "blocked" if entry.verdict == "blocked" else "held"

    def rows(self, kind: str, session: date) -> pl.DataFrame | None:
        """Rows of a session; None where it was not made, or was blocked."""
        if self.state(kind, session) != "held":
            return None
        return self.lake.scan(self.table(kind), [session]).collect()

    def session(self, kind: str, text: str | None) -> date:
        """Session that is asked for on the command line, or the last one of a table.

        Raises
        ------
        CalendarError
            When it is no day, or no session of the table's calendar.
        LakeError
            When the table was never made.
        """
        day = None if text is None else parse_day(text, "--session")
        held = self.lake.sessions(self.table(kind)) if self.lake.entries(self.table(kind)) else []
        if not held:
            raise LakeError(
                f"the lake holds no session of '{self.table(kind)}'",
                expected="at least one",
                mend="run 'quant run' or 'quant backfill' first",
            )
        if day is None:
            return held[-1]
        refuse_closed(day, [self.lake.calendar(self.table(kind))], "--session")
        return day

    def absent(self, kind: str, session: date) -> LakeError:
        """Return the error of a session that a table does not hold."""
        table, held = self.table(kind), self.lake.sessions(self.table(kind))
        cover = f"one from {held[0]} to {held[-1]}" if held else "a session that was made"
        if self.state(kind, session) == "blocked":
            return LakeError(
                f"{session} of '{table}' was blocked by its checks",
                expected=cover,
                mend=f"ask 'quant sql' for checks.{table.replace('/', '_')}",
            )
        return LakeError(
            f"'{table}' has no partition of {session}",
            expected=cover,
            mend=f"run 'quant backfill --from {session} --to {session}', or ask for another one",
        )
