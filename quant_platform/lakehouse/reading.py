"""From a reader's question to the rows of a table.

1. What was asked is looked at first: a day is a ``date`` that lies in no future, a name leads to a
   table, a session was made. A question of another kind is a sentence, and never an answer without
   rows.
2. Each file's bytes are compared with its provenance before Polars sees it, so that a damaged
   partition is a sentence and neither a decoding error nor another number. A process reads a file
   for that once, and again when it changes.
3. Files of older schema versions are brought to the contract's columns, step by step.
4. Of the published versions of a row the last one counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from pathlib import Path

import polars as pl

from quant_platform.errors import CalendarError, ContractError, LakeError, LookAheadError
from quant_platform.lakehouse.content import frame_hash
from quant_platform.lakehouse.contracts import Contract
from quant_platform.lakehouse.provenance import Entry
from quant_platform.lakehouse.store import PartitionStore, read_footer


@dataclass(frozen=True)
class Version:
    """One content that a partition has had.

    Parameters
    ----------
    entry
        Its provenance.
    path
        Where it can be read; None for an empty one that took no other's place.
    current
        Whether it is the one that readers see.
    """

    entry: Entry
    path: Path | None
    current: bool


def checked_table(value: object) -> str:
    """Take the name of a table.

    Raises
    ------
    LakeError
        When it is no text, or names the outcomes of rules, which are read in another way.
    """
    if not isinstance(value, str):
        raise LakeError(
            f"the table is {value!r}",
            expected="its name, such as 'instruments/bars'",
            mend="give the table first, then the session",
        )
    if value.startswith("checks/"):
        table = value.removeprefix("checks/")
        raise LakeError(
            f"'{value}' is no table",
            expected="a table of rows; these are the outcomes of its rules",
            mend=f"read lake.checks('{table}')",
        )
    return value


def checked_day(value: object, name: str = "session") -> date:
    """Take one day.

    Raises
    ------
    CalendarError
        When it is anything but a ``date``; an instant is none, since it may lie in two sessions.
    """
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise CalendarError(
        f"{name} is {value!r}, which is a {type(value).__name__}",
        expected="a datetime.date such as date(2024, 3, 28)",
        mend="give the day as a date; after the table's name comes the session",
    )


def checked_days(values: object, name: str = "sessions") -> list[date]:
    """Take several days.

    Raises
    ------
    CalendarError
        When they are not days, or one day only.
    """
    if isinstance(values, Iterable) and not isinstance(values, str | bytes):
        return [checked_day(value, f"one of {name}") for value in values]
    raise CalendarError(
        f"{name} is {values!r}, which is a {type(values).__name__}",
        expected="a list of datetime.date",
        mend="put single days in a list",
    )


def checked_lookback(value: object) -> int | None:
    """Take a number of sessions before one, or None for all of them.

    Raises
    ------
    LakeError
        When it is no whole number.
    LookAheadError
        When it is negative.
    """
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise LakeError(
            f"the look-back is {value!r}, which is a {type(value).__name__}",
            expected="a whole number of sessions",
            mend="give the number of sessions before the one that asks, or leave it out for all",
        )
    if value < 0:
        raise LookAheadError(
            f"a look-back of {value} reaches into the future",
            expected="zero or more sessions",
            mend="give the number of sessions before the one that asks",
        )
    return value


def checked_names(values: object) -> list[str]:
    """Take one security id, or several.

    Raises
    ------
    LakeError
        When they are not text.
    """
    names = [values] if isinstance(values, str) else values
    if isinstance(names, Iterable):
        found = list(names)
        if all(isinstance(name, str) for name in found):
            return found
    raise LakeError(
        f"the security ids are {values!r}",
        expected="one security id or a list of them",
        mend="give the table, then the session, then the security ids",
    )


def unknown_table(table: str, root: Path, known: Sequence[str]) -> LakeError:
    """Say that a lake has no such table, and which names come near."""
    near = " or ".join(get_close_matches(table, known, n=3))
    return LakeError(
        f"table '{table}' is not in the lake at {root}",
        expected="a table that was made" + (f", perhaps {near}" if near else ""),
        mend="list the tables with 'quant sql', or run 'quant backfill' to make it",
    )


def refuse_future(table: str, session: date, cutoff: datetime, now: datetime) -> None:
    """Refuse to ask as of a session before all that belongs to it can be known."""
    if cutoff > now:
        raise LookAheadError(
            f"table '{table}' was asked as of {session}, whose cutoff is {cutoff:%F %H:%M} UTC",
            expected="a session whose cutoff has passed",
            mend="ask for an earlier session",
        )


def refuse_later(table: str, asked: Iterable[date], session: date) -> None:
    """Refuse to ask for sessions after the one that asks."""
    future = min((day for day in asked if day > session), default=None)
    if future is not None:
        raise LookAheadError(
            f"session {future} of table '{table}' was asked for as of {session}",
            expected=f"sessions up to {session}",
            mend="ask as of the later session",
        )


def rows_of(store: PartitionStore, entries: Sequence[Entry]) -> pl.LazyFrame:
    """Rows of partitions, in the contract's column order, whatever schema version they have.

    Parameters
    ----------
    store
        Store of their table.
    entries
        Provenance of the partitions, in the order of their rows.

    Raises
    ------
    LakeError
        When a file is gone, or is not the partition that its entry says.
    ContractError
        When files are of a version from which no upgrade leads to the current one.
    """
    contract = store.layout.contract
    by_version: dict[int, list[Path]] = {}
    for entry in entries:
        if entry.filed:
            by_version.setdefault(entry.schema_version, []).append(checked_file(store, entry))
    # The names are taken as they are: a folder above them may be called ``[x]``.
    frames = [
        _upgraded(contract, version, pl.scan_parquet(paths, hive_partitioning=False, glob=False))
        for version, paths in sorted(by_version.items())
    ]
    return pl.concat(frames) if frames else contract.empty().lazy()


def latest_known(rows: pl.LazyFrame, contract: Contract) -> pl.LazyFrame:
    """Keep the last published version of each row."""
    identity = [name for name in contract.key if name != "known_at"]
    return (
        rows.sort(*identity, "known_at")
        .unique(identity, keep="last", maintain_order=True)
        .select(*contract.columns)
    )


def describes_no_session(contract: Contract) -> bool:
    """Whether published rows say what holds from when they are known, as listings do."""
    return "known_at" in contract.columns and "session" not in contract.columns


def checked_file(store: PartitionStore, entry: Entry) -> Path:
    """Find the file of a partition, and compare its bytes with what was written.

    Raises
    ------
    LakeError
        When it is gone, damaged, or another partition.
    """
    path = store.file_of(entry)
    if store.intact(entry):
        return path
    if not path.exists():
        raise LakeError(
            f"partition {entry.session} of table '{entry.table}' is gone from {path}",
            expected="the file that the provenance log names",
            mend=f"run 'quant backfill --from {entry.session} --to {entry.session}'",
        )
    # A writer gives a file its name before it writes the log's line: it may be newer than that.
    # Who looks for the writer first and at the log second misses it in neither.
    replacing = entry.session in store.replacing()
    newest = store.log.latest().get(entry.session, entry)
    if store.file_of(newest) == path and store.intact(newest):
        return path
    held = read_footer(path)
    if (held.table, held.session) != (entry.table, entry.session):
        raise LakeError(
            f"{path} holds {held.table} of {held.session}",
            expected=f"{entry.table} of {entry.session}",
            mend="delete it and run 'quant backfill' over its session",
        )
    if replacing and _holds(path, held, store.layout.contract):
        return path
    raise damage(path, entry)


def damage(path: Path, entry: Entry) -> LakeError:
    """Say that the bytes of a partition are not those that were written."""
    day = entry.session
    return LakeError(
        f"{path} is damaged: its bytes are not those that were written",
        expected=f"partition {day} of table '{entry.table}' with the checksum in its log",
        mend=f"delete the file and run 'quant backfill --from {day} --to {day}'; what it replaced, "
        "if anything, is under _superseded, and 'quant doctor --deep' names every damaged file",
    )


def _holds(path: Path, entry: Entry, contract: Contract) -> bool:
    """Whether a file that no line of the log speaks of yet has the rows that its footer says."""
    try:
        rows = pl.read_parquet(path, hive_partitioning=False)
        return frame_hash(rows, contract.key) == entry.content_hash
    except (pl.exceptions.PolarsError, ContractError, OSError):
        return False


def _upgraded(contract: Contract, version: int, rows: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of an older schema version in the current columns."""
    for step in range(version, contract.version):
        if step not in contract.upgrades:
            raise ContractError(
                f"partitions of version {step} of '{contract.kind}' cannot be read",
                expected=f"an upgrade from {step} to {step + 1} in the contract",
                mend="register the upgrade, or backfill the table anew",
            )
        rows = contract.upgrades[step](rows)
    return rows.select(*contract.columns)
