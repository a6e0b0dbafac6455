"""The lake: the one way to read tables, bounded by what was known.

``scan`` gives the rows of partitions, ``as_of`` what was known at a session's cutoff, ``latest``
the newest snapshot; all as lazy frames over exactly the files that the provenance log names
(`quant_platform.lakehouse.reading`). Blocked sessions have no file to read.

A lake knows each table's calendar from ``table.json``, written when the table first is; look-backs
count that calendar's sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.errors import LakeError
from quant_platform.lakehouse.description import is_described, read_calendar, write_description
from quant_platform.lakehouse.layout import TableLayout, table_names
from quant_platform.lakehouse.provenance import Entry, ProvenanceLog, outcome_frame
from quant_platform.lakehouse.reading import (
    Version,
    checked_day,
    checked_days,
    checked_lookback,
    checked_names,
    checked_table,
    damage,
    describes_no_session,
    latest_known,
    refuse_future,
    refuse_later,
    rows_of,
    unknown_table,
)
from quant_platform.lakehouse.store import PartitionStore

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Wall clock, UTC."""
    return datetime.now(UTC)


class Lake:
    """A lake on a local disk; open it with ``Lake.open``.

    Parameters
    ----------
    root
        Folder of the lake.
    clock
        Tells the time that bounds as-of reads and stamps writes.
    """

    def __init__(self, root: Path, clock: Clock = utc_now) -> None:
        self.root = root
        self.clock = clock
        self._layouts: dict[str, TableLayout] = {}
        self._logs: dict[str, ProvenanceLog] = {}
        self._calendars: dict[str, SessionCalendar] = {}

    @classmethod
    def open(cls, root: str | Path, *, clock: Clock = utc_now) -> Lake:
        """Open an existing lake for reading.

        Raises
        ------
        LakeError
            When there is no folder at ``root``.
        """
        path = Path(root).expanduser().resolve()
        if not path.is_dir():
            raise LakeError(
                f"there is no lake at {path}",
                expected="the folder that 'quant run' fills",
                mend="run 'quant run' first, or give the folder's path",
            )
        return cls(path, clock)

    @classmethod
    def create(cls, root: Path, *, clock: Clock = utc_now) -> Lake:
        """Open a lake for writing, making its folder if needed."""
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LakeError(
                f"the lake's folder {root} cannot be made ({error.strerror})",
                expected="a folder that this user may write",
                mend="set QUANT_PLATFORM__LAKE_ROOT or platform.lake_root to one",
            ) from error
        return cls(root.resolve(), clock)

    # -- what is there -----------------------------------------------------------------------------

    def tables(self) -> list[str]:
        """Names of the tables in the lake."""
        return list(table_names(self.root))

    def layout(self, table: str) -> TableLayout:
        """Paths and contract of a table."""
        if table not in self._layouts:
            self._layouts[table] = TableLayout.of(self.root, table)
        return self._layouts[table]

    def log(self, table: str) -> ProvenanceLog:
        """Provenance log of a table."""
        if table not in self._logs:
            self._logs[table] = ProvenanceLog(self.layout(table).log)
        return self._logs[table]

    def store(self, table: str) -> PartitionStore:
        """Writer of a table."""
        return PartitionStore(self.layout(table), self.log(table))

    def entries(self, table: str) -> dict[date, Entry]:
        """Latest provenance of every session, blocked ones included; none before the first run."""
        return dict(sorted(self.log(table).latest().items()))

    def sessions(self, table: str) -> list[date]:
        """Sessions that a reader can get, ascending."""
        self._look_up(table, made=False)
        return [day for day, entry in self.entries(table).items() if entry.verdict != "blocked"]

    def present(self, table: str, sessions: Sequence[date]) -> list[date]:
        """Those of the sessions that were materialised and whose file, if any, is still there."""
        entries, store = self.log(table).latest(), self.store(table)
        return [
            day
            for day in sessions
            if day in entries and (not entries[day].filed or store.file_of(entries[day]).exists())
        ]

    def verify(self, table: str, sessions: Sequence[date]) -> None:
        """Compare the files of partitions, byte for byte, with what was written.

        A flipped bit rarely makes Parquet unreadable; more often it is another price, or a crash of
        the reader. A file that differs because its writer has not logged it yet is waited for; if
        that writer died, its log is completed.

        Raises
        ------
        LakeError
            For the first file that differs.
        """
        store = self.store(table)
        if all(store.intact(entry) for entry in self._readable(table, sessions)):
            return
        store.repair()
        for entry in self._readable(table, sessions):
            if not store.intact(entry):
                raise damage(store.file_of(entry), entry)

    def _readable(self, table: str, sessions: Sequence[date]) -> Iterator[Entry]:
        """Entries of those of the sessions that a reader gets rows of."""
        entries = self.log(table).latest()
        for session in sessions:
            entry = entries.get(session)
            if entry is not None and entry.verdict != "blocked":
                yield entry

    def provenance(self, table: str, session: date) -> Entry:
        """Return what made a partition.

        Raises
        ------
        LakeError
            When it was never materialised.
        """
        self._look_up(table)
        entry = self.log(table).latest().get(checked_day(session))
        if entry is None:
            raise self._absent(table, session)
        return entry

    def versions(self, table: str, session: date) -> list[Version]:
        """Contents that a partition has had, oldest first; the last is the current one."""
        current, layout = self.provenance(table, session), self.layout(table)
        history = {entry.content_hash: entry for entry in self.log(table).history(session)}
        found = []
        for content, entry in history.items():
            if content != current.content_hash:
                shelf = layout.superseded_folder(session, entry.schema_version)
                if not entry.filed:
                    # Without rows there was no file that could have been put aside.
                    found.append(Version(entry, None, current=False))
                elif (shelf / f"{content}.parquet").exists():
                    found.append(Version(entry, shelf / f"{content}.parquet", current=False))
        place = self.store(table).file_of(current) if current.filed else None
        return [*found, Version(current, place, current=True)]

    def checks(self, table: str, *, since: date = date.min) -> pl.DataFrame:
        """Outcomes of the table's rules, one row per session and rule, from a session on."""
        self._look_up(table, made=False)
        entries = self.entries(table)
        return outcome_frame(entry for day, entry in entries.items() if day >= since)

    # -- what a table is ---------------------------------------------------------------------------

    def describe(self, table: str, calendar: SessionCalendar) -> None:
        """Record a table's calendar and contract, once and again whenever they change.

        Partitions of days on which the calendar has no session any more are withdrawn; what became
        known on such a day belongs to the session after it.
        """
        layout = self.layout(table)
        if not is_described(layout, calendar):
            # Before the new text stands: after a crash in between they are looked for again.
            self._withdraw_closed(table, calendar)
            write_description(layout, calendar)
            self._calendars.pop(table, None)

    def calendar(self, table: str) -> SessionCalendar:
        """Calendar that a table's sessions are counted in."""
        if table not in self._calendars:
            self._calendars[table] = read_calendar(self.layout(table))
        return self._calendars[table]

    # -- reading -----------------------------------------------------------------------------------

    def scan(self, table: str, sessions: Sequence[date] | None = None) -> pl.LazyFrame:
        """Rows of a table's partitions.

        Parameters
        ----------
        table
            Table name. For an external table the partitions are knowledge sessions, and every
            published version of a row comes back; ``as_of`` picks the one to use.
        sessions
            Partitions to read; all of them by default. Those that are absent or blocked give no
            rows.

        Returns
        -------
        polars.LazyFrame
            In the contract's column order, whatever schema version the files have. Their bytes have
            been compared with what was written.
        """
        asked = None if sessions is None else set(checked_days(sessions))
        # Of a table that was not made yet nothing can be asked for but no session at all.
        self._look_up(table, made=asked is None or bool(asked))
        entries = self.log(table).latest()
        wanted = sorted(entries.keys() if asked is None else entries.keys() & asked)
        found = [entries[session] for session in wanted]
        readable = [entry for entry in found if entry.verdict != "blocked" and entry.rows]
        return rows_of(self.store(table), readable)

    def as_of(
        self,
        table: str,
        session: date,
        *,
        lookback: int | None = None,
        sessions: Sequence[date] | None = None,
        missing: Literal["error", "skip"] = "error",
    ) -> pl.LazyFrame:
        """Rows as they were known at a session's cutoff.

        Parameters
        ----------
        table
            Table name.
        session
            The session that asks; a day of the table's calendar.
        lookback
            Sessions before it to include; by default everything before it. Rows that describe no
            session, such as listings, are counted by the session in which they became known.
        sessions
            Instead of a look-back: the sessions to include.
        missing
            What a session that was never made is, from the table's first one on: an error, or
            skipped. Blocked sessions were made, and give no rows. Before its first session a table
            has none, and a look-back is cut there.

        Returns
        -------
        polars.LazyFrame
            One row per key, the last version published by the cutoff.

        Raises
        ------
        LookAheadError
            When a session after ``session`` is asked for, or its cutoff has not passed yet.
        LakeError
            When there is no such table, a session was never made, or a file is damaged.
        """
        self._look_up(table)
        calendar, back = self.calendar(table), checked_lookback(lookback)
        cutoff = calendar.cutoff(checked_day(session))
        refuse_future(table, session, cutoff, self.clock())
        if sessions is not None:
            asked = checked_days(sessions)
        elif back is None:
            # Rows of an external table may describe sessions before its first partition.
            asked = list(calendar.between(calendar.first_day, session))
        else:
            asked = calendar.window(session, back, not_before=None)
        refuse_later(table, asked, session)
        contract = self.layout(table).contract
        published = "known_at" in contract.columns
        earliest = min(asked, default=session)
        if missing != "skip":
            # What was published later, up to the asking session, belongs to earlier ones as well.
            needed = calendar.between(earliest, session) if published else asked
            self._refuse_gap(table, needed, session)
        if not published:
            return self.scan(table, asked)
        known = [day for day in self.sessions(table) if earliest <= day <= session]
        described = contract.partition if describes_no_session(contract) else "session"
        rows = self.scan(table, known).filter(
            pl.col(described).is_in(asked), pl.col("known_at") <= cutoff
        )
        return latest_known(rows, contract)

    def latest(self, table: str, session: date) -> tuple[pl.LazyFrame, int]:
        """Newest snapshot at or before a session, and its age in sessions.

        Of a table whose rows describe no session the snapshot is all that was known at its newest
        partition, and the age is that partition's.

        Raises
        ------
        LookAheadError
            When the cutoff of the session has not passed yet.
        LakeError
            When there is none.
        """
        self._look_up(table)
        calendar = self.calendar(table)
        cutoff = calendar.cutoff(calendar.at_or_before(checked_day(session)))
        refuse_future(table, session, cutoff, self.clock())
        found = [day for day in self.sessions(table) if day <= session]
        if not found:
            raise self._absent(table, session)
        age = len(calendar.between(found[-1], session)) - 1
        whole = describes_no_session(self.layout(table).contract)
        return self.as_of(table, found[-1], lookback=None if whole else 0), age

    def features(
        self, table: str, session: date, symbols: str | Sequence[str] = ()
    ) -> pl.LazyFrame:
        """Newest feature rows at or before a session, each with its age.

        Parameters
        ----------
        table
            A features table, such as ``instruments/features_trend``.
        session
            The session that asks.
        symbols
            Security id to keep, or several; all by default.

        Returns
        -------
        polars.LazyFrame
            The snapshot's columns and ``age_sessions``.
        """
        rows, age = self.latest(table, session)
        if chosen := checked_names(symbols):
            rows = rows.filter(pl.col("security_id").is_in(chosen))
        return rows.with_columns(age_sessions=pl.lit(age, pl.UInt32))

    def _withdraw_closed(self, table: str, calendar: SessionCalendar) -> None:
        """Withdraw the partitions of days on which the calendar has no session."""
        closed = {
            day: f"{calendar.code} has no session on {day}"
            for day, entry in self.log(table).latest().items()
            if entry.verdict != "blocked" and not calendar.contains(day)
        }
        if closed:
            self.store(table).withdraw(closed)

    def _look_up(self, table: str, *, made: bool = True) -> None:
        """Refuse what names no table that was made, or else might be made in a branch of ours."""
        first, _, rest = checked_table(table).partition("/")
        if self.log(table).latest() or self.layout(table).description.is_file():
            return
        known = self.tables()
        branches = {name.rpartition("/")[0] for name in known}
        to_come = not made and (not known or table.rpartition("/")[0] in branches)
        # Where nothing was rejected yet there is no quarantine, and nothing in it.
        if not to_come and not (first == "quarantine" and rest in known):
            raise unknown_table(table, self.root, known)

    def _refuse_gap(self, table: str, needed: Sequence[date], session: date) -> None:
        """Refuse a session that was never made, though the table had begun or it is who asks."""
        made = self.log(table).latest()
        begins = min([*made, session])
        # A quarantine has a session only where something was rejected.
        for day in () if table.startswith("quarantine/") else needed:
            if day >= begins and day not in made:
                raise self._absent(table, day)

    def _absent(self, table: str, session: date) -> LakeError:
        sessions = self.sessions(table)
        cover = f"{sessions[0]} to {sessions[-1]}" if sessions else "no session at all"
        return LakeError(
            f"table '{table}' has nothing for {session}",
            expected=f"a materialised session ({cover})",
            mend="run 'quant backfill' over it; as_of leaves it out with missing='skip'",
        )
