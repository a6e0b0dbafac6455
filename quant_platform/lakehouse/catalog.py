"""The catalog: DuckDB views over the lake's files, for people and for any DuckDB client.

1. One view per table, ``<branch>.<kind>``, over the Parquet files of all its schema versions;
   ``<kind>_latest`` beside it holds the newest session, or the last known version of each row for a
   table from outside. Outcomes of the rules are ``checks.<branch>_<kind>``, provenance is
   ``provenance.<branch>_<kind>``. What is in force of a ledger is ``ledger.<type>``, every line of
   it ``ledger.<type>_trail``. Comments come from the contracts.
2. The catalog is built under another name and swapped in. Everybody opens it read-only, so no
   process ever holds a lock on it.
3. Views are globs: new partitions show at once. The catalog is rebuilt when the tables, their
   versions or their blocked-ness of files change what the globs should name.
4. DuckDB reads whatever files there are. Before a query the files of the tables that it names are
   compared with their logs: a damaged one is an error, and so is one that is gone, unless the
   caller says to whom the gap is told. An answer that looks whole is whole.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import duckdb
import polars as pl

from quant_platform.errors import LakeError
from quant_platform.lakehouse.contracts import Contract
from quant_platform.lakehouse.files import file_errors, file_lock
from quant_platform.lakehouse.lake import Lake
from quant_platform.lakehouse.layout import PART, TableLayout
from quant_platform.lakehouse.reading import checked_file

CATALOG = "catalog.duckdb"
_OUTCOMES = (
    "STRUCT(rule VARCHAR, severity VARCHAR, passed BOOLEAN, value DOUBLE, threshold DOUBLE, "
    "cause VARCHAR)[]"
)
_ENTRY = {
    "session": "DATE",
    "schema_version": "INTEGER",
    "content_hash": "VARCHAR",
    "input_hash": "VARCHAR",
    "rows": "BIGINT",
    "size": "BIGINT",
    "verdict": "VARCHAR",
    "note": "VARCHAR",
    "checksum": "VARCHAR",
    "stamp": "STRUCT(run_id VARCHAR, code_version VARCHAR, config_hash VARCHAR, "
    "git_sha VARCHAR, written_at VARCHAR)",
    "outcomes": _OUTCOMES,
}
_AS_TEXT = re.compile(r"\b(INTERVAL|UNION|BIT|VARIANT|BIGNUM|TIME WITH TIME ZONE)\b")
"""Types of DuckDB that Polars has no counterpart for."""
_ASKS = re.compile(
    r"\s*explain\s+(analyze\s+)?(select|from|with|values|pivot|unpivot)\b", re.IGNORECASE
)
_LEDGER_LINE = {
    "seq": "BIGINT",
    "batch_seq": "BIGINT",
    "schema_version": "INTEGER",
    "record_type": "VARCHAR",
    "run_id": "VARCHAR",
    "ts_utc": "TIMESTAMPTZ",
    "session": "DATE",
    "action": "VARCHAR",
    "content_hash": "VARCHAR",
    "payload": "JSON",
    "idempotency_key": "VARCHAR",
    "supersedes": "BIGINT",
    "payload_hash": "VARCHAR",
    "prev_hash": "VARCHAR",
    "hash": "VARCHAR",
}


def refresh_catalog(lake: Lake) -> Path:
    """Rebuild the catalog if the lake has tables or ledgers that it does not know.

    Returns
    -------
    Path
        The catalog's file.
    """
    path = lake.root / CATALOG
    wanted = _statements(lake)
    fingerprint = "\n".join(wanted)
    if path.exists() and _fingerprint(path) == fingerprint:
        return path
    draft = path.with_name(f".{CATALOG}.{os.getpid()}")
    with (
        file_lock(lake.root / "_locks" / "catalog.lock", timeout=60),
        file_errors(path, "rebuild"),
    ):
        draft.unlink(missing_ok=True)
        try:
            with duckdb.connect(str(draft)) as connection:
                # One transaction: a thousand comments would otherwise be a thousand commits.
                connection.execute("BEGIN")
                for statement in wanted:
                    connection.execute(statement)
                connection.execute("CREATE SCHEMA meta_data")
                connection.execute("CREATE TABLE meta_data.built_from (statements VARCHAR)")
                connection.execute("INSERT INTO meta_data.built_from VALUES (?)", [fingerprint])
                connection.execute("COMMIT")
            draft.replace(path)
        except duckdb.Error as error:
            cause = _damage(lake) or LakeError(
                _first_line(error), mend="run 'quant doctor --deep' to find the damaged file"
            )
            raise LakeError(
                f"the catalog of {lake.root} cannot be built ({cause.found})",
                expected="intact Parquet files and logs",
                mend=cause.mend,
            ) from error
        finally:
            draft.unlink(missing_ok=True)
    return path


def query_catalog(
    lake: Lake, query: str, tell: Callable[[str], None] | None = None
) -> pl.DataFrame:
    """Run a query over the views; nothing can be changed or written by it.

    Parameters
    ----------
    lake
        The lake.
    query
        SQL of DuckDB.
    tell
        Is told in a sentence what is missing from the answer: partitions whose files are gone.
        Without it such an answer is refused.

    Returns
    -------
    polars.DataFrame
        The last answer. Columns of types that Polars has not, such as intervals, are text.

    Raises
    ------
    LakeError
        When the query cannot be run, a file of a table that it names is damaged, or one is gone
        and there is nobody to tell.
    """
    path = refresh_catalog(lake)
    try:
        _refuse_changes(query)
        for table in _tables_in(lake, query):
            gone = _compare_files(lake, table)
            if gone:
                others = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
                told = LakeError(
                    f"table '{table}' is not whole: the files of {gone[0]}{others} are gone",
                    expected="a file for every session in its log",
                    mend="make them again with 'quant backfill' ('quant doctor' lists them), or "
                    "ask for what is left with 'quant sql --partial'",
                )
                if tell is None:
                    raise told
                tell(f"Not whole: {told.found[0].upper()}{told.found[1:]}.")
        with _opened(path) as connection:
            found = connection.sql(query)
            # A comment has no result.
            return pl.DataFrame() if found is None else _answer(found)
    except (duckdb.Error, pl.exceptions.PolarsError) as error:
        if str(lake.root) in str(error):
            raise LakeError(
                f"the query met a file that cannot be read ({_first_line(error)})",
                expected="intact files in the lake",
                mend="run 'quant doctor --deep', which names every damaged file and what to do",
            ) from error
        raise _unanswerable(_first_line(error)) from error


def _refuse_changes(query: str) -> None:
    """Refuse every statement that is no question; some write files although nothing is writable."""
    for statement in duckdb.extract_statements(query):
        kind = statement.type.name
        asks = kind == "SELECT" or (kind == "EXPLAIN" and _ASKS.match(statement.query))
        # A pivot is prepared by statements of its own, in this call's own database.
        if not asks and not (kind == "MULTI" and "pivot" in statement.query.casefold()):
            raise _unanswerable(f"{kind} is no question, and nothing can be changed here")


def _unanswerable(cause: str) -> LakeError:
    return LakeError(
        f"the query cannot be run ({cause})",
        expected="SQL of DuckDB that asks the lake's views",
        mend="list the views with 'quant sql' and their columns with 'describe <view>'",
    )


def _tables_in(lake: Lake, query: str) -> Iterator[str]:
    """Tables whose views a query names, as ``schema.view`` with or without quotes."""
    for table in lake.tables():
        branch, _, kind = table.rpartition("/")
        view = rf'\b{branch.replace("/", "_")}"?\s*\.\s*"?{kind}(_latest)?\b'
        if re.search(view, query, re.IGNORECASE):
            yield table


def _compare_files(lake: Lake, table: str) -> list[date]:
    """Refuse a damaged file of a table; return the sessions whose files are gone."""
    store, gone = lake.store(table), []
    for session, entry in lake.entries(table).items():
        if entry.verdict == "blocked" or not entry.filed:
            continue
        try:
            checked_file(store, entry)
        except LakeError:
            if store.file_of(entry).exists():
                raise
            gone.append(session)
    return gone


def _damage(lake: Lake) -> LakeError | None:
    """Look for the first damaged file of the lake."""
    try:
        for table in lake.tables():
            _compare_files(lake, table)
    except LakeError as error:
        return error
    return None


def _answer(found: duckdb.DuckDBPyRelation) -> pl.DataFrame:
    """Rows of an answer; what Polars has no type for becomes text."""
    names = found.columns
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise _unanswerable(f"column {twice} occurs more than once in the answer")
    if any(_AS_TEXT.search(str(kind)) for kind in found.types):
        columns = [
            (f"CAST({column} AS VARCHAR) AS {column}" if _AS_TEXT.search(str(kind)) else column)
            for column, kind in zip(map(_identifier, names), found.types, strict=True)
        ]
        found = found.project(", ".join(columns))
    return pl.DataFrame(pl.from_arrow(found.to_arrow_table()))


@contextmanager
def _opened(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Attach the catalog, read-only, to a database of this call's own.

    DuckDB shares one database among a process's connections to a path: opened directly, a catalog
    that a notebook has held since before the last swap would still be the old one.
    """
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH {_quoted(str(path))} AS lake (READ_ONLY)")
        connection.execute("USE lake")
        yield connection


def _fingerprint(path: Path) -> str | None:
    """Statements that an existing catalog was built from."""
    try:
        with _opened(path) as connection:
            row = connection.execute("SELECT statements FROM meta_data.built_from").fetchone()
    except duckdb.Error:
        return None
    return str(row[0]) if row else None


def _statements(lake: Lake) -> list[str]:
    """Every statement of the catalog, in order."""
    statements: list[str] = []
    schemas: set[str] = set()
    for table in lake.tables():
        layout = lake.layout(table)
        branch, _, kind = table.rpartition("/")
        schema = branch.replace("/", "_")
        flat = f"{schema}_{kind}"
        schemas |= {schema, "checks", "provenance"}
        statements += _table_views(layout, f'"{schema}"."{kind}"', f'"{schema}"."{kind}_latest"')
        if layout.log.exists():
            statements += _log_views(layout, flat)
    ledgers = sorted(p.name for p in (lake.root / "ledger").glob("*") if any(p.glob("*.jsonl")))
    if ledgers:
        schemas.add("ledger")
    for name in ledgers:
        statements += _ledger_views(lake.root, name)
    return [f'CREATE SCHEMA IF NOT EXISTS "{name}"' for name in sorted(schemas)] + statements


def _table_views(layout: TableLayout, view: str, latest: str) -> list[str]:
    """Return the views of one table, with the contract's comments."""
    contract = layout.contract
    globs = [
        f"{_escaped(folder)}/*/{PART}"
        for folder in sorted((layout.root / layout.table).glob("v*"))
        if any(folder.glob(f"*/{PART}"))
    ]
    selected = []
    if globs != [f"{_escaped(layout.folder)}/*/{PART}"]:
        # No file, or files of an older version: the contract's columns are there all the same.
        selected.append(f"SELECT {_typed_nulls(contract)} WHERE false")
    # Files of one version are alike: DuckDB need not look at each before it answers.
    selected += [
        f"SELECT * FROM read_parquet({_quoted(glob)}, hive_partitioning=false)" for glob in globs
    ]
    body = " UNION ALL BY NAME ".join(selected)
    if contract.external:
        identity = ", ".join(f'"{n}"' for n in contract.key if n != "known_at")
        order = '"known_at"' if "known_at" in contract.columns else f'"{contract.partition}"'
        newest = f"QUALIFY row_number() OVER (PARTITION BY {identity} ORDER BY {order} DESC) = 1"
    else:
        newest = f"WHERE session = (SELECT max(session) FROM {view})"
    statements = [
        f"CREATE VIEW {view} AS {body}",
        f"COMMENT ON VIEW {view} IS {_quoted(contract.grain)}",
        f"CREATE VIEW {latest} AS SELECT * FROM {view} {newest}",
        f"COMMENT ON VIEW {latest} IS {_quoted('newest of: ' + contract.grain)}",
    ]
    statements += [
        f'COMMENT ON COLUMN {view}."{name}" IS {_quoted(column.description or "")}'
        for name, column in contract.columns.items()
    ]
    return statements


def _log_views(layout: TableLayout, name: str) -> list[str]:
    """Return the views of a provenance log: each session's last entry, and its outcomes.

    The last line of a session counts, and a line that a crash cut short does not.
    """
    last = (
        "(SELECT *, row_number() OVER () AS line FROM "
        f"read_json({_quoted(_escaped(layout.log))}, format='newline_delimited', "
        f"columns={_columns(_ENTRY)}, ignore_errors=true)) WHERE session IS NOT NULL "
        "QUALIFY row_number() OVER (PARTITION BY session ORDER BY line DESC) = 1"
    )
    provenance = f'"provenance"."{name}"'
    checks = f'"checks"."{name}"'
    return [
        f"CREATE VIEW {provenance} AS SELECT session, verdict, rows, content_hash, input_hash, "
        f"schema_version, size, checksum, unnest(stamp), note FROM {last}",
        f"COMMENT ON VIEW {provenance} IS {_quoted('what made each partition of ' + layout.table)}",
        f"CREATE VIEW {checks} AS SELECT session, unnest(outcome) FROM (SELECT session, "
        f"unnest(outcomes) AS outcome FROM (SELECT * FROM {last}))",
        f"COMMENT ON VIEW {checks} IS {_quoted('outcomes of the rules of ' + layout.table)}",
    ]


def _ledger_views(root: Path, name: str) -> list[str]:
    """Return the views of a ledger: what is in force, and the trail of all lines.

    What a crash cut short is for ``quant ledger verify`` to say.
    """
    glob = _quoted(f"{_escaped(root / 'ledger' / name)}/*.jsonl")
    view, trail = f'"ledger"."{name}"', f'"ledger"."{name}_trail"'
    return [
        f"CREATE VIEW {trail} AS SELECT * FROM read_json({glob}, "
        f"format='newline_delimited', columns={_columns(_LEDGER_LINE)}, ignore_errors=true) "
        "WHERE seq IS NOT NULL",
        f"COMMENT ON VIEW {trail} IS {_quoted(f'every line of the ledger {name}')}",
        f"CREATE VIEW {view} AS SELECT * FROM {trail} WHERE record_type <> 'withdrawn' AND seq "
        f"NOT IN (SELECT supersedes FROM {trail} WHERE supersedes IS NOT NULL)",
        f"COMMENT ON VIEW {view} IS "
        + _quoted(f"what is in force of the ledger {name}; all lines are in {name}_trail"),
    ]


def _columns(kinds: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{name}: {_quoted(kind)}" for name, kind in kinds.items()) + "}"


def _typed_nulls(contract: Contract) -> str:
    """Select a null of each column's own type, so that a query over no rows still compiles."""
    columns = duckdb.from_arrow(contract.empty().to_arrow())
    return ", ".join(
        f'CAST(NULL AS {kind}) AS "{name}"'
        for name, kind in zip(columns.columns, columns.types, strict=True)
    )


def _escaped(path: Path) -> str:
    """Path as a pattern that matches nothing else."""
    return re.sub(r"[*?[]", r"[\g<0>]", str(path))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
