"""From a folder to the rows of the protocol: what `quant import` does once.

1. Files of bars become *segments*: their rows under our names, each with its file, sorted by the
   time at which they were known. What has not changed since the last import keeps its segment.
2. The listings, with what the bars say of when each symbol was there, tell who is who.
3. Actions of the files, and those that a total-return close implies, get their security; so do
   members, announcements and facts. Renames and departures are added.

The rows are as raw as they came. What contradicts itself is counted by the report and set aside by
hygiene, each time from the same rows.
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Mapping as Lags
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from quant_platform.calendars import SessionCalendar
from quant_platform.errors import SourceError
from quant_platform.sources.files.columns import refuse_strange_words
from quant_platform.sources.files.identity import Evidence, Identities, identities
from quant_platform.sources.files.mapping import KINDS, Kind, Mapping
from quant_platform.sources.files.publication import assumed_instants
from quant_platform.sources.files.reading import (
    SHAPES,
    Conventions,
    files_of,
    read_files,
)
from quant_platform.sources.files.relisting import Former
from quant_platform.sources.files.stays import stays
from quant_platform.sources.files.total_return import implied_actions
from quant_platform.sources.protocol import (
    ACTION_SCHEMA,
    BAR_SCHEMA,
    EARNINGS_SCHEMA,
    FUND_FACT_SCHEMA,
    KNOWN_AT_BASIS,
    MEMBERSHIP_SCHEMA,
    SECURITY_SCHEMA,
    SERIES_SCHEMA,
)

SCHEMAS: dict[str, pl.Schema] = {
    "securities": SECURITY_SCHEMA,
    "actions": ACTION_SCHEMA,
    "earnings": EARNINGS_SCHEMA,
    "membership": MEMBERSHIP_SCHEMA,
    "fund_facts": FUND_FACT_SCHEMA,
    "series": SERIES_SCHEMA,
}
"""Raw schemas by kind, bars aside."""

SEGMENT = [name for name in BAR_SCHEMA if name != "security_id"]
"""Columns of a segment of bars: as delivered, but for the id that the listings give."""

_DATA = (
    *(".csv", ".tsv", ".parquet", ".pq", ".feather", ".arrow", ".json", ".xlsx", ".xls"),
    *(".gz", ".bz2", ".zst", ".zip", ".7z"),
)
"""Ends of the names of files that may hold somebody's history."""
_EDGE_SESSIONS = 60
_EARLIEST_LAG = timedelta(minutes=30)


@dataclass(frozen=True)
class FolderReader:
    """A folder, and how it is to be read.

    Parameters
    ----------
    folder
        Where the files are.
    mapping
        How they are to be read.
    calendar
        Calendar of the sessions.
    lags
        Minutes from the close to the publication by kind, where the files do not say.
    """

    folder: Path
    mapping: Mapping
    calendar: SessionCalendar
    lags: Lags[str, int]

    def lag(self, kind: str) -> timedelta:
        """How long after the close a row of a kind is assumed to be known."""
        minutes = self.lags.get(kind, self.lags.get("bars"))
        return _EARLIEST_LAG if minutes is None else timedelta(minutes=minutes)

    def files(self, kind: Kind) -> list[Path]:
        """Files of a kind, each once."""
        found: dict[Path, None] = {}
        for reading in self.mapping.readings(kind):
            found.update(dict.fromkeys(files_of(self.folder, reading)))
        return list(found)

    def unread(self) -> list[str]:
        """Files that look like data and that no reading takes."""
        taken = {path for kind in KINDS for path in self.files(kind)}
        return [
            path.relative_to(self.folder).as_posix()
            for path in sorted(self.folder.rglob("*"))
            if path.suffix.lower() in _DATA and path.is_file() and path not in taken
        ]

    def sinces(self) -> dict[str, date]:
        """Day before which bars of a file are not read, by file; files of which all are lack."""
        found: dict[str, list[date | None]] = {}
        for reading in self.mapping.readings("bars"):
            for path in files_of(self.folder, reading):
                name = path.relative_to(self.folder).as_posix()
                found.setdefault(name, []).append(reading.since)
        told = {name: [day for day in days if day is not None] for name, days in found.items()}
        return {name: min(days) for name, days in told.items() if len(days) == len(found[name])}

    def read(self, kind: Kind, only: Collection[Path] | None = None) -> list[pl.DataFrame]:
        """Read the files of a kind, reading by reading; see `read_files`.

        Raises
        ------
        SourceError
            When the mapping names files that are not there, or one of them can not be read.
        """
        conventions = Conventions(self.folder, self.mapping, self.calendar, self.lag(kind))
        reads = []
        for reading in self.mapping.readings(kind):
            paths = files_of(self.folder, reading)
            if not paths and getattr(self.mapping, kind):
                raise SourceError(
                    f"{self.folder} has no file {reading.files!r} for {kind}",
                    expected="CSV, TXT or Parquet files of that name",
                    mend="correct the glob in the mapping file, or the folder",
                )
            wanted = [path for path in paths if only is None or path in only]
            if wanted:
                reads.append(read_files(wanted, kind, reading, conventions))
        return reads

    def table(self, kind: Kind) -> pl.DataFrame:
        """All rows of a kind."""
        shape = SHAPES[kind]
        schema = {**shape.required, **shape.optional} | {
            "known_at": pl.Datetime("us", "UTC"),
            "known_at_basis": KNOWN_AT_BASIS,
        }
        return pl.concat([pl.DataFrame(schema=schema), *(r.drop("file") for r in self.read(kind))])


@dataclass(frozen=True)
class Reference:
    """Everything of a folder but its bars.

    Parameters
    ----------
    kinds
        Rows by kind, as the protocol has them; actions with ``noise``, null but for the values that
        a total-return close implies.
    who
        Who is who.
    """

    kinds: Lags[str, pl.DataFrame]
    who: Identities


def kinds_of(reader: FolderReader) -> frozenset[str]:
    """Kinds of the protocol that a folder has."""
    has: set[str] = {kind for kind in KINDS if reader.files(kind)}
    if "bars" in has:
        has |= {"securities", "actions"}
    return frozenset(has - {"listings"})


def spans_of(bars: pl.LazyFrame, calendar: SessionCalendar) -> pl.DataFrame:
    """By symbol: first and last session with a bar, and since when the first one was known.

    A row on a day without a session is no bar: a misprinted date would make all others look gone.
    """
    return (
        bars.join(calendar.frame().lazy().select("session"), on="session", how="semi")
        .group_by("symbol")
        .agg(
            first=pl.col("session").min(),
            last=pl.col("session").max(),
            known=pl.col("known_at").min(),
            basis=pl.col("known_at_basis").first(),
        )
        .sort("symbol")
        .collect()
    )


def reference_of(
    reader: FolderReader,
    bars: pl.LazyFrame,
    spans: pl.DataFrame,
    splits: pl.DataFrame,
    former: Former,
) -> Reference:
    """Read everything but the bars, and tell who is who.

    Parameters
    ----------
    reader
        The folder.
    bars
        All segments.
    spans
        What they span.
    splits
        Splits by which files have restated what they told.
    former
        What was told of ends.
    """
    calendar, mapping = reader.calendar, reader.mapping
    told = reader.table("actions")
    listings = reader.table("listings")
    edges = _edges(bars, spans, listings)
    traded = bars.select(pl.col("session").unique().sort()).collect()["session"]
    evidence = Evidence(listings, spans, edges, told, traded, former)
    who = identities(evidence, mapping, calendar, reader.lag("listings"))
    named = _with_security(told, "session", who.ids)
    actions = pl.concat(
        [
            _conform(named.filter(pl.col("kind").ne_missing("rename")), ACTION_SCHEMA),
            _conform(_renames(named), ACTION_SCHEMA),
            who.actions,
            _implied(bars, who.ids, reader, told),
            _restated(bars, who.ids, splits, named),
        ],
        how="diagonal",
    )
    kinds = {
        "securities": who.securities,
        "actions": actions,
        "membership": _conform(
            _with_security(
                stays(
                    reader.table("membership"),
                    lambda days: assumed_instants(days, calendar, reader.lag("membership")),
                ),
                "valid_from",
                who.ids,
            ),
            MEMBERSHIP_SCHEMA,
        ),
        "earnings": _conform(
            _with_security(
                reader.table("earnings").with_columns(
                    pl.col("timing").fill_null("unknown"),
                    status=pl.coalesce(
                        "status",
                        pl.when(pl.col("actual").is_null())
                        .then(pl.lit("expected"))
                        .otherwise(pl.lit("actual")),
                    ),
                ),
                "announced_on",
                who.ids,
            ),
            EARNINGS_SCHEMA,
        ),
        "fund_facts": _conform(
            _with_security(reader.table("fund_facts"), "session", who.ids), FUND_FACT_SCHEMA
        ),
        "series": _conform(reader.table("series"), SERIES_SCHEMA),
    }
    return Reference(kinds, who)


def with_security(bars: pl.DataFrame, ids: pl.DataFrame) -> pl.DataFrame:
    """Give bars their security, as the protocol has them."""
    return _with_security(bars, "session", ids).select(*BAR_SCHEMA)


def _with_security(rows: pl.DataFrame, day: str, ids: pl.DataFrame) -> pl.DataFrame:
    """Add the security that a symbol was on a day; a symbol that nobody listed is its own."""
    many = ids.filter(pl.col("symbol").is_duplicated())
    one = ids.filter(pl.col("symbol").is_duplicated().not_())
    single = rows.join(
        one.select("symbol", "security_id"), on="symbol", how="left", maintain_order="left"
    )
    if many.height:
        spell = (
            rows.with_row_index("row")
            .select("row", "symbol", day)
            .filter(pl.col("symbol").is_in(many["symbol"].unique().implode()))
            .sort(day)
            .join_asof(
                many.sort("since"),
                left_on=day,
                right_on="since",
                by="symbol",
                strategy="backward",
                check_sortedness=False,
            )
            .select("row", spell="security_id")
        )
        single = (
            single.with_row_index("row")
            .join(spell, on="row", how="left", maintain_order="left")
            .with_columns(security_id=pl.coalesce("spell", "security_id"))
            .drop("row", "spell")
        )
    return single.with_columns(security_id=pl.coalesce("security_id", "symbol"))


def _conform(rows: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """Put rows into a schema; a word that it does not know is an error of the mapping."""
    for name, dtype in schema.items():
        if isinstance(dtype, pl.Enum):
            refuse_strange_words(rows[name], dtype)
    return rows.select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def _renames(named: pl.DataFrame) -> pl.DataFrame:
    """Pick the renames that the files tell: a new symbol and no value."""
    return named.filter(pl.col("kind") == "rename").with_columns(value=pl.lit(None, pl.Float64))


def _edges(bars: pl.LazyFrame, spans: pl.DataFrame, listings: pl.DataFrame) -> pl.DataFrame:
    """Bars at the ends of the symbols that came or left: what a rename or a deal shows in."""
    first, last = spans["first"].min(), spans["last"].max()
    ended = listings.filter(pl.col("delisted_on").is_not_null())["symbol"]
    some = spans.filter(
        (pl.col("first") > pl.lit(first))
        | (pl.col("last") < pl.lit(last))
        | pl.col("symbol").is_in(ended.implode())
    )
    days = timedelta(days=2 * _EDGE_SESSIONS)
    columns = ["symbol", "session", "open", "high", "low", "close", "volume", "last"]
    return (
        bars.join(some.lazy().select("symbol", "first", "last"), on="symbol")
        .filter(
            (pl.col("session") > pl.col("last") - days)
            | (pl.col("session") < pl.col("first") + timedelta(days=10))
        )
        .select(columns)
        .unique(["symbol", "session"], keep="last")
        .sort("symbol", "session")
        .collect()
    )


def _implied(
    bars: pl.LazyFrame, ids: pl.DataFrame, reader: FolderReader, told: pl.DataFrame
) -> pl.DataFrame:
    """Actions that a total-return close tells, with the noise of their values."""
    schema = pl.Schema({**ACTION_SCHEMA, "noise": pl.Float64()})
    if "adjusted" not in bars.collect_schema().names():
        return pl.DataFrame(schema=schema)
    implied = implied_actions(bars, reader.mapping, told)
    return _conform(_with_security(implied, "session", ids), schema)


def _restated(
    bars: pl.LazyFrame, ids: pl.DataFrame, splits: pl.DataFrame, named: pl.DataFrame
) -> pl.DataFrame:
    """Actions of the splits that files tell by restating, known with the bars that show them."""
    if not splits.height:
        return pl.DataFrame(schema=ACTION_SCHEMA)
    key = ["symbol", "session"]
    known = (
        bars.join(splits.lazy().select(key), on=key, how="semi")
        .sort("known_at")
        .unique(key, keep="first")
        .select(*key, "known_at", "known_at_basis")
        .collect()
    )
    rows = (
        splits.unique(key, keep="last", maintain_order=True)
        .join(known, on=key)
        .with_columns(kind=pl.lit("split"), value="ratio", counterpart=pl.lit(None, pl.String))
    )
    told = named.filter(pl.col("kind").is_in(["split", "stock_dividend"]))
    of_securities = _with_security(rows, "session", ids)
    return _conform(
        of_securities.join(told, on=["security_id", "session"], how="anti"), ACTION_SCHEMA
    )
