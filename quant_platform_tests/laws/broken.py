"""The error of a broken law, and the comparison that most laws end in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.provenance import Entry


class LawBroken(AssertionError):  # noqa: N818 - a verdict, not an error
    """A law does not hold.

    Parameters
    ----------
    law
        Name of the law.
    table
        Table that breaks it.
    session
        First session in which it does; None where the law is not about a session.
    found
        What was found instead.
    """

    def __init__(self, law: str, table: str, session: date | None, found: str) -> None:
        self.law, self.table, self.session, self.found = law, table, session, found
        when = "" if session is None else f" of {session}"
        super().__init__(f"{law}: {table}{when}: {found}")


@dataclass(frozen=True)
class Story:
    """What must be equal when the same session is made in two ways; not who made it, and when."""

    rows: int
    content: str
    inputs: str
    verdict: str
    outcomes: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, entry: Entry) -> Story:
        return cls(
            entry.rows,
            entry.content_hash,
            entry.input_hash,
            entry.verdict,
            tuple(dict(outcome) for outcome in entry.outcomes),
        )

    def differs_in(self, other: Story) -> list[str]:
        """Names of the parts that are not equal."""
        return [name for name in vars(self) if getattr(self, name) != getattr(other, name)]


def require_same(
    law: str, expected: Lake, found: Lake, days: Mapping[str, Iterable[date]], how: str
) -> None:
    """Require that two lakes tell the same story of some sessions.

    Parameters
    ----------
    law
        Law that is checked.
    expected, found
        The lakes.
    days
        Sessions to compare, by table. A session that one lake lacks the other must lack too.
    how
        How ``found`` was made, for the message.
    """
    for table, asked in days.items():
        sessions = list(asked)
        known, made = expected.log(table).latest(), found.log(table).latest()
        present = set(expected.present(table, sessions))
        remade = set(found.present(table, sessions))
        for session in sessions:
            if (session in present) != (session in remade):
                where = "is absent" if session in present else "should not exist"
                raise LawBroken(law, table, session, f"{where} when made {how}")
            if session not in present:
                continue
            parts = Story.of(known[session]).differs_in(Story.of(made[session]))
            if parts:
                detail = _first_difference(expected, found, table, session)
                raise LawBroken(
                    law, table, session, f"other {', '.join(parts)} when made {how}{detail}"
                )


def _first_difference(expected: Lake, found: Lake, table: str, session: date) -> str:
    """Name one row and column in which two versions of a partition differ."""
    files = [
        lake.store(table).file_of(lake.provenance(table, session)) for lake in (expected, found)
    ]
    if not all(file.exists() for file in files):
        return ""
    before, after = (pl.read_parquet(file, hive_partitioning=False) for file in files)
    if before.columns != after.columns:
        return f"; columns {before.columns} and {after.columns}"
    if before.height != after.height:
        return f"; {before.height} and {after.height} rows"
    for name in before.columns:
        unequal = before[name].ne_missing(after[name])
        if unequal.any():
            row = unequal.arg_max() or 0
            return f"; column {name}, row {row}: {before[name][row]} and {after[name][row]}"
    return ""
