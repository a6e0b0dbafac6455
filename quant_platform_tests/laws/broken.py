"""The error of a broken law, and the comparison that most laws end in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from quant_platform.lakehouse.content import frame_hash, partition_hashes
from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.provenance import Entry
from quant_platform.orchestration.made import Made


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

    @classmethod
    def told(cls, made: Made) -> dict[date, Story]:
        """Tell of every session of a range that was computed and not stored."""
        contract = made.stage.contract
        hashes = partition_hashes(made.frame, contract.key, contract.partition)
        rows = dict(made.frame[contract.partition].value_counts().iter_rows())
        nothing = frame_hash(contract.empty(), contract.key)
        return {
            session: cls(
                rows.get(session, 0),
                hashes.get(session, nothing),
                judged.input_hash,
                judged.verdict,
                tuple(dict(outcome) for outcome in judged.outcomes),
            )
            for session, judged in made.judgements.items()
        }

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


def require_told(
    law: str,
    expected: Sequence[Made],
    found: Sequence[Made],
    sessions: Sequence[date],
    how: str,
    *,
    only: str | None = None,
) -> None:
    """Require that one call tells the same story of some sessions in two ways, stored in neither.

    Parameters
    ----------
    law
        Law that is checked.
    expected, found
        What the call made; nothing when no session could be made.
    sessions
        Sessions to compare. One that the one lacks the other must lack too.
    how
        How ``found`` was made, for the message.
    only
        Table to compare, if not all of the call.
    """
    told = {made.stage.table: Story.told(made) for made in found}
    for made in expected:
        table, known = made.stage.table, Story.told(made)
        again = told.get(table, {})
        for session in sessions if only in {None, table} else ():
            if (session in known) != (session in again):
                where = "is absent" if session in known else "should not exist"
                raise LawBroken(law, table, session, f"{where} when made {how}")
            parts = known[session].differs_in(again[session]) if session in known else []
            if parts:
                raise LawBroken(law, table, session, f"other {', '.join(parts)} when made {how}")


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
