"""The lake: the one way to read tables, bounded by what was known.

``scan`` gives the rows of partitions, ``as_of`` what was known at a session's cutoff, ``latest``
the newest snapshot; all as lazy frames over exactly the files that the provenance log names. Each
file's presence and size is compared with the log before Polars sees it, so a damaged partition is a
sentence and not a decoding error. Blocked sessions have no file to read.

A lake knows each table's calendar from ``table.json``, written when the table first is; look-backs
count that calendar's sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.errors import ContractError, LakeError, LookAheadError
from quant_platform.lakehouse.contracts import Contract
from quant_platform.lakehouse.description import is_described, read_calendar, write_description
from quant_platform.lakehouse.layout import TableLayout, table_names
from quant_platform.lakehouse.provenance import Entry, ProvenanceLog, outcome_frame
from quant_platform.lakehouse.store import PartitionStore, read_footer

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Wall clock, UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Version:
    """One content that a partition has had.

    Parameters
    ----------
    entry
        Its provenance.
    path
        Where it can be read.
    current
        Whether it is the one that readers see.
    """

    entry: Entry
    path: Path
    current: bool


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
        """Latest provenance of every session of a table, blocked ones included."""
        return dict(sorted(self.log(table).latest().items()))

    def sessions(self, table: str) -> list[date]:
        """Sessions that a reader can get, ascending."""
        return [day for day, entry in self.entries(table).items() if entry.verdict != "blocked"]

    def present(self, table: str, sessions: Sequence[date]) -> list[date]:
        """Those of the sessions that were materialised and whose file is still there."""
        entries, store = self.log(table).latest(), self.store(table)
        return [day for day in sessions if day in entries and store.file_of(entries[day]).exists()]

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
        if all(store.sound(entry) for entry in self._readable(table, sessions)):
            return
        store.repair()
        for entry in self._readable(table, sessions):
            if not store.sound(entry):
                day = entry.session
                raise LakeError(
                    f"{store.file_of(entry)} is damaged: its bytes are not those that were written",
                    expected=f"partition {day} of table '{table}' with the checksum in its log",
                    mend=f"delete the file and run 'quant backfill --from {day} --to {day}'; "
                    "what it replaced, if anything, is under _superseded",
                )

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
        entry = self.log(table).latest().get(session)
        if entry is None:
            raise self._absent(table, session)
        return entry

    def versions(self, table: str, session: date) -> list[Version]:
        """Contents that a partition has had, oldest first; the last is the current one."""
        layout = self.layout(table)
        history = {entry.content_hash: entry for entry in self.log(table).history(session)}
        if not history:
            raise self._absent(table, session)
        current = self.provenance(table, session)
        found = []
        for content, entry in history.items():
            if content != current.content_hash:
                shelf = layout.superseded_folder(session, entry.schema_version)
                if (shelf / f"{content}.parquet").exists():
                    found.append(Version(entry, shelf / f"{content}.parquet", current=False))
        return [*found, Version(current, self.store(table).file_of(current), current=True)]

    def checks(self, table: str) -> pl.DataFrame:
        """Outcomes of the table's rules, one row per session and rule."""
        return outcome_frame(self.entries(table).values())

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
            In the contract's column order, whatever schema version the files have.
        """
        layout = self.layout(table)
        entries = self.log(table).latest()
        wanted = sorted(entries.keys() if sessions is None else entries.keys() & set(sessions))
        files: dict[int, list[Path]] = {}
        for session in wanted:
            entry = entries[session]
            if entry.verdict != "blocked" and entry.rows:
                files.setdefault(entry.schema_version, []).append(self._checked(table, entry))
        frames = [
            self._upgraded(layout.contract, version, _rows_of(paths))
            for version, paths in sorted(files.items())
        ]
        return pl.concat(frames) if frames else layout.contract.empty().lazy()

    def as_of(
        self,
        table: str,
        session: date,
        *,
        lookback: int | None = None,
        sessions: Sequence[date] | None = None,
    ) -> pl.LazyFrame:
        """Rows as they were known at a session's cutoff.

        Parameters
        ----------
        table
            Table name.
        session
            The session that asks; a day of the table's calendar.
        lookback
            Sessions before it to include; by default everything before it.
        sessions
            Instead of a look-back: the sessions to include.

        Returns
        -------
        polars.LazyFrame
            One row per key, the last version published by the cutoff.

        Raises
        ------
        LookAheadError
            When a session after ``session`` is asked for, or its cutoff has not passed yet.
        """
        calendar = self.calendar(table)
        cutoff = calendar.cutoff(session)
        if cutoff > self.clock():
            raise LookAheadError(
                f"table '{table}' was asked as of {session}, whose cutoff is {cutoff:%F %H:%M} UTC",
                expected="a session whose cutoff has passed",
                mend="ask for an earlier session",
            )
        asked = list(sessions) if sessions is not None else self._window(table, session, lookback)
        future = [day for day in asked if day > session]
        if future:
            raise LookAheadError(
                f"session {future[0]} of table '{table}' was asked for as of {session}",
                expected=f"sessions up to {session}",
                mend="ask as of the later session",
            )
        contract = self.layout(table).contract
        if "known_at" not in contract.columns:
            return self.scan(table, asked)
        earliest = min(asked, default=session)
        known = [day for day in self.sessions(table) if earliest <= day <= session]
        rows = self.scan(table, known).filter(
            pl.col("session").is_in(asked), pl.col("known_at") <= cutoff
        )
        return latest_known(rows, contract)

    def latest(self, table: str, session: date) -> tuple[pl.LazyFrame, int]:
        """Newest snapshot at or before a session, and its age in sessions.

        Raises
        ------
        LakeError
            When there is none.
        """
        found = [day for day in self.sessions(table) if day <= session]
        if not found:
            raise self._absent(table, session)
        calendar = self.calendar(table)
        age = len(calendar.between(found[-1], session)) - 1
        return self.as_of(table, found[-1], lookback=0), age

    def features(self, table: str, session: date, symbols: Sequence[str] = ()) -> pl.LazyFrame:
        """Newest feature rows at or before a session, each with its age.

        Parameters
        ----------
        table
            A features table, such as ``instruments/features_trend``.
        session
            The session that asks.
        symbols
            Security ids to keep; all by default.

        Returns
        -------
        polars.LazyFrame
            The snapshot's columns and ``age_sessions``.
        """
        rows, age = self.latest(table, session)
        if symbols:
            rows = rows.filter(pl.col("security_id").is_in(list(symbols)))
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

    def _window(self, table: str, session: date, lookback: int | None) -> list[date]:
        """Sessions of a look-back, or everything up to the session."""
        if lookback is None:
            # Rows of an external table may describe sessions before its first partition.
            return list(self.calendar(table).between(self.calendar(table).first_day, session))
        if lookback < 0:
            raise LookAheadError(
                f"a look-back of {lookback} reaches into the future",
                expected="zero or more sessions",
                mend="give the number of sessions before the one that asks",
            )
        return self.calendar(table).window(session, lookback, not_before=None)

    def _checked(self, table: str, entry: Entry) -> Path:
        """File of an entry, after a look at its presence and size."""
        path = self.store(table).file_of(entry)
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            raise LakeError(
                f"partition {entry.session} of table '{table}' is gone from {path}",
                expected="the file that the provenance log names",
                mend=f"run 'quant backfill --from {entry.session} --to {entry.session}'",
            ) from None
        if size == entry.size:
            return path
        # A writer gives a file its name before it writes the log's line: it may be newer than that.
        held = read_footer(path)
        if (held.table, held.session) != (entry.table, entry.session):
            raise LakeError(
                f"{path} holds {held.table} of {held.session}",
                expected=f"{entry.table} of {entry.session}",
                mend="delete it and run 'quant backfill' over its session",
            )
        return path

    def _upgraded(self, contract: Contract, version: int, rows: pl.LazyFrame) -> pl.LazyFrame:
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

    def _absent(self, table: str, session: date) -> LakeError:
        sessions = self.sessions(table)
        cover = f"{sessions[0]} to {sessions[-1]}" if sessions else "no session at all"
        return LakeError(
            f"table '{table}' has nothing for {session}",
            expected=f"a materialised session ({cover})",
            mend="run 'quant backfill' over it",
        )


def _rows_of(paths: list[Path]) -> pl.LazyFrame:
    """Rows of files, their names taken as they are: a folder above them may be called ``[x]``."""
    return pl.scan_parquet(paths, hive_partitioning=False, glob=False)


def latest_known(rows: pl.LazyFrame, contract: Contract) -> pl.LazyFrame:
    """Keep the last published version of each row."""
    identity = [name for name in contract.key if name != "known_at"]
    return (
        rows.sort(*identity, "known_at")
        .unique(identity, keep="last", maintain_order=True)
        .select(*contract.columns)
    )
